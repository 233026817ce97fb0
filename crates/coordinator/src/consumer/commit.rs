//! Who may commit and fetch offsets of a consumer group.
//!
//! Invariant: a commit of an older epoch is good for exactly those partitions that the member has had
//! since then or longer.

use ottla_protocol::Str;

use super::group::ConsumerGroup;
use super::member::Member;
use crate::error::GroupError;
use crate::request::CommitTopic;

/// From this version on a commit can come from a member of the consumer protocol.
const FIRST_COMMIT_VERSION: i16 = 9;

/// On whose behalf offsets are committed.
pub(crate) struct Committer<'a> {
    pub api_version: i16,
    pub member_id: &'a Str,
    pub group_instance_id: Option<&'a Str>,
    /// Generation or member epoch.
    pub epoch: i32,
    pub is_transactional: bool,
    pub topics: &'a [CommitTopic],
}

impl ConsumerGroup {
    pub(crate) fn check_commit(&self, commit: &Committer<'_>) -> Result<(), GroupError> {
        if commit.epoch < 0 && self.is_empty() {
            return Ok(());
        }
        let is_stranger =
            commit.epoch == -1 && commit.member_id.is_empty() && commit.group_instance_id.is_none();
        if commit.is_transactional && is_stranger {
            return Ok(());
        }
        let member = self
            .member(commit.member_id)
            .ok_or(GroupError::UnknownMemberId)?;
        let is_classic = member.uses_classic_protocol();
        if !commit.is_transactional && !is_classic && commit.api_version < FIRST_COMMIT_VERSION {
            return Err(GroupError::CommitVersionTooOld);
        }
        if commit.epoch == member.epoch() {
            return Ok(());
        }
        let is_known = |topic: &CommitTopic| {
            topic.partitions.iter().all(|commit_partition| {
                let since = member.partition_epoch(topic.topic_id, commit_partition.partition);
                since.is_some_and(|since| commit.epoch >= since)
            })
        };
        if commit.epoch < member.epoch() && commit.topics.iter().all(is_known) {
            return Ok(());
        }
        Err(stale(member))
    }

    pub(crate) fn check_fetch(
        &self,
        member_id: Option<&Str>,
        epoch: i32,
    ) -> Result<(), GroupError> {
        let Some(member_id) = member_id else {
            return if epoch < 0 {
                Ok(())
            } else {
                Err(GroupError::UnknownMemberId)
            };
        };
        let member = self.member(member_id).ok_or(GroupError::UnknownMemberId)?;
        if member.epoch() == epoch {
            Ok(())
        } else {
            Err(stale(member))
        }
    }
}

fn stale(member: &Member) -> GroupError {
    if member.uses_classic_protocol() {
        GroupError::IllegalGeneration
    } else {
        GroupError::StaleMemberEpoch
    }
}
