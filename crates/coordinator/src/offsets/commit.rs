//! OffsetCommit and TxnOffsetCommit.
//!
//! Invariant: a commit is refused whole, or answered partition by partition; what is answered without
//! an error is in the log. Called by the shell's handlers of both requests.

use ottla_protocol::{ErrorCode, Str};

use super::{CommittedOffset, OffsetKey};
use crate::answer::{Answer, CommitTopicAnswer};
use crate::classic::group::{ClassicGroup, State};
use crate::consumer::commit::Committer;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::records::Record;
use crate::request::{CommitPartition, CommitTopic, OffsetCommit, Token, TxnOffsetCommit};

/// From this version on a client understands that its group does not exist.
const FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND: i16 = 9;

impl GroupCoordinator {
    pub fn handle_offset_commit(&mut self, now_ms: i64, token: Token, request: OffsetCommit) {
        let committer = Committer {
            api_version: request.api_version,
            member_id: &request.member_id,
            group_instance_id: request.group_instance_id.as_ref(),
            epoch: request.generation_id,
            is_transactional: false,
            topics: &request.topics,
        };
        if let Err(error) = self.check_commit(&request.group_id, &committer) {
            let is_old = request.api_version < FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND;
            let code = match error {
                GroupError::GroupIdNotFound if is_old => ErrorCode::IllegalGeneration,
                error => error.code(),
            };
            return self.respond_when_stored(
                token,
                Answer::OffsetCommit(refuse_all(request.topics, code)),
            );
        }
        let state = self.groups.get(&request.group_id).map(ClassicGroup::state);
        if matches!(state, Some(State::Stable | State::PreparingRebalance)) {
            self.renew_session(now_ms, &request.group_id, &request.member_id);
        }
        let expire_timestamp_ms = request
            .retention_ms
            .map(|retention_ms| now_ms.saturating_add(retention_ms));
        let (records, topics) = self.commit_records(
            now_ms,
            &request.group_id,
            request.topics,
            expire_timestamp_ms,
            false,
        );
        self.append(records, None);
        self.respond_when_stored(token, Answer::OffsetCommit(topics));
    }

    /// The producer's right to be in this transaction is for the shell to verify before.
    pub fn handle_txn_offset_commit(
        &mut self,
        now_ms: i64,
        token: Token,
        request: TxnOffsetCommit,
    ) {
        let committer = Committer {
            api_version: request.api_version,
            member_id: &request.member_id,
            group_instance_id: request.group_instance_id.as_ref(),
            epoch: request.generation_id,
            is_transactional: true,
            topics: &request.topics,
        };
        let checked = match request.group_id.is_empty() {
            true => Err(GroupError::InvalidGroupId),
            false => self.check_commit(&request.group_id, &committer),
        };
        if let Err(error) = checked {
            let code = match error {
                GroupError::GroupIdNotFound | GroupError::StaleMemberEpoch => {
                    ErrorCode::IllegalGeneration
                }
                error => error.code(),
            };
            return self.respond_when_stored(
                token,
                Answer::TxnOffsetCommit(refuse_all(request.topics, code)),
            );
        }
        let (records, topics) =
            self.commit_records(now_ms, &request.group_id, request.topics, None, true);
        self.append(records, Some((request.producer_id, request.producer_epoch)));
        self.respond_when_stored(token, Answer::TxnOffsetCommit(topics));
    }

    fn check_commit(&self, group_id: &str, committer: &Committer<'_>) -> Result<(), GroupError> {
        if let Some(group) = self.consumer_groups.get(group_id) {
            return group.check_commit(committer);
        }
        let Some(group) = self.groups.get(group_id) else {
            return match committer.epoch {
                // Nobody manages the membership of this client: its first record makes a simple group.
                ..0 => self.check_room_for_group(),
                _ => Err(GroupError::GroupIdNotFound),
            };
        };
        if committer.epoch < 0 && group.is_empty() {
            return Ok(());
        }
        let claims_membership = committer.epoch >= 0
            || !committer.member_id.is_empty()
            || committer.group_instance_id.is_some();
        if claims_membership {
            group.validate_member(committer.member_id, committer.group_instance_id)?;
            if committer.epoch != group.generation_id {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !committer.is_transactional && !group.is_empty() {
            // A stranger must not move the offsets of a group that has members.
            return Err(GroupError::UnknownMemberId);
        }
        if !committer.is_transactional && group.state() == State::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    fn commit_records(
        &self,
        now_ms: i64,
        group_id: &Str,
        topics: Vec<CommitTopic>,
        expire_timestamp_ms: Option<i64>,
        is_transactional: bool,
    ) -> (Vec<Record>, Vec<CommitTopicAnswer>) {
        let mut records = Vec::new();
        let mut answers = Vec::with_capacity(topics.len());
        // Copies of its own: a committed offset must not keep its request's frame in memory.
        let group_id = group_id.detached();
        for topic in topics {
            let topic_name = topic.name.detached();
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for commit in topic.partitions {
                let CommitPartition {
                    partition,
                    offset,
                    leader_epoch,
                    metadata,
                } = commit;
                let metadata = metadata.unwrap_or_default();
                if self.is_metadata_too_large(&metadata) {
                    partitions.push((partition, ErrorCode::OffsetMetadataTooLarge));
                    continue;
                }
                partitions.push((partition, ErrorCode::None));
                let key = OffsetKey {
                    group_id: group_id.clone(),
                    topic: topic_name.clone(),
                    partition,
                };
                let value = CommittedOffset {
                    offset,
                    leader_epoch: (leader_epoch >= 0).then_some(leader_epoch),
                    metadata: metadata.detached(),
                    commit_timestamp_ms: now_ms,
                    expire_timestamp_ms,
                    // Kafka does not write the topic id of a transactional commit.
                    topic_id: if is_transactional {
                        ottla_protocol::Uuid::ZERO
                    } else {
                        topic.topic_id
                    },
                    position: 0,
                };
                records.push(Record::Offset {
                    key,
                    value: Some(value),
                });
            }
            answers.push(CommitTopicAnswer {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions,
            });
        }
        (records, answers)
    }

    fn is_metadata_too_large(&self, metadata: &str) -> bool {
        let limit = self.config.offset_metadata_max_bytes;
        // A UTF-16 unit takes at least one byte of UTF-8, so most need no counting.
        metadata.len() > limit && metadata.encode_utf16().count() > limit
    }
}

fn refuse_all(topics: Vec<CommitTopic>, code: ErrorCode) -> Vec<CommitTopicAnswer> {
    let refuse = |topic: CommitTopic| CommitTopicAnswer {
        partitions: topic
            .partitions
            .iter()
            .map(|commit| (commit.partition, code))
            .collect(),
        name: topic.name,
        topic_id: topic.topic_id,
    };
    topics.into_iter().map(refuse).collect()
}
