//! Members that leave a consumer group, or are made to.
//!
//! Invariant: with every member that goes for good the group's epoch rises. Called by heartbeats that
//! say goodbye, by LeaveGroup of classic members, and by the timers.

use std::sync::Arc;

use ottla_protocol::{ErrorCode, Str};

use super::draft::Draft;
use super::group::{Change, GroupEpoch};
use super::member::{LEAVING_STATIC_EPOCH, Member, Owned, Progress};
use super::metadata_hash::metadata_hash;
use super::timers::TimerChange;
use crate::answer::ConsumerHeartbeatAnswer;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::request::ConsumerHeartbeat;
use crate::timers::{MemberTimer, TimerTask};

impl GroupCoordinator {
    pub(super) fn leave_consumer_group(
        &mut self,
        now_ms: i64,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatAnswer, GroupError> {
        let group = self
            .consumer_groups
            .get(&request.group_id)
            .ok_or(GroupError::GroupIdNotFound)?;
        let member = match &request.instance_id {
            None => group
                .member(&request.member_id)
                .ok_or(GroupError::UnknownMemberId)?,
            Some(instance_id) => {
                let member = group
                    .static_member(instance_id)
                    .ok_or(GroupError::UnknownMemberId)?;
                if member.member_id != request.member_id {
                    return Err(GroupError::FencedInstanceId);
                }
                member
            }
        };
        let member = Arc::clone(member);
        if request.instance_id.is_some() && request.member_epoch == LEAVING_STATIC_EPOCH {
            self.park_static_member(now_ms, &request.group_id, &member);
        } else {
            self.fence_members(now_ms, &request.group_id, &[Arc::clone(&member)]);
        }
        Ok(ConsumerHeartbeatAnswer {
            error: ErrorCode::None,
            error_message: None,
            member_id: Some(member.member_id.clone()),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// A static member that will be back keeps what it owns; its session goes on.
    fn park_static_member(&mut self, now_ms: i64, group_id: &str, member: &Member) {
        let Some(group) = self.consumer_groups.get(group_id) else {
            return;
        };
        let mut assigned = member.progress.assigned.clone();
        // Whoever comes back under another id has them from the start.
        assigned
            .values_mut()
            .flat_map(|partitions| partitions.values_mut())
            .for_each(|since| *since = 0);
        let progress = Progress {
            epoch: LEAVING_STATIC_EPOCH,
            assigned,
            pending_revocation: Owned::new(),
            ..member.progress.clone()
        };
        let mut draft = Draft::of(group);
        draft.push(Change::Progress {
            member_id: member.member_id.clone(),
            value: Some(progress),
        });
        let plan = draft.into_plan();
        self.carry_out(now_ms, plan);
    }

    /// Removes members for good. If only classic members remain, the group becomes a classic one.
    pub(super) fn fence_members(&mut self, now_ms: i64, group_id: &str, leaving: &[Arc<Member>]) {
        let Some(group) = self.consumer_groups.get(group_id) else {
            return;
        };
        if leaving.is_empty() {
            return;
        }
        if self.becomes_classic_without(group, leaving)
            && self.downgrade_without(now_ms, group_id, leaving).is_ok()
        {
            return;
        }
        let Some(group) = self.consumer_groups.get(group_id) else {
            return;
        };
        let mut draft = Draft::of(group);
        for member in leaving {
            draft.remove_member(&member.member_id);
            draft.timers.push(TimerChange::CancelAll {
                member_id: member.member_id.clone(),
            });
        }
        let is_orphan = |regex: &&Str| !draft.group().has_regex_subscriber(regex);
        let orphans: Vec<Str> = draft
            .group()
            .regexes()
            .keys()
            .filter(is_orphan)
            .cloned()
            .collect();
        for regex in orphans {
            draft.push(Change::Regex { regex, value: None });
        }
        let hash = metadata_hash(&*self.topics, draft.group().topics().keys());
        let epoch = draft.group().epoch().saturating_add(1);
        draft.push(Change::Epoch(Some(GroupEpoch {
            epoch,
            metadata_hash: hash,
        })));
        let plan = draft.into_plan();
        self.carry_out(now_ms, plan);
    }

    /// A timer of a member ran out.
    pub(crate) fn expire_consumer_member(
        &mut self,
        now_ms: i64,
        timer: MemberTimer,
        group_id: &Str,
        member_id: &Str,
        task: TimerTask,
    ) {
        let member = self
            .consumer_groups
            .get(group_id)
            .and_then(|group| group.member(member_id));
        let Some(member) = member.map(Arc::clone) else {
            return;
        };
        if let TimerTask::FenceAtEpoch { epoch } = task
            && member.epoch() != epoch
        {
            return;
        }
        tracing::info!(group = %group_id, member = %member_id, ?timer, "member fenced");
        self.fence_members(now_ms, group_id, &[member]);
    }
}

impl Draft<'_> {
    /// Tombstones in the order in which readers want them.
    pub fn remove_member(&mut self, member_id: &Str) {
        self.push(Change::Progress {
            member_id: member_id.clone(),
            value: None,
        });
        self.push(Change::TargetMember {
            member_id: member_id.clone(),
            value: None,
        });
        self.push(Change::Member {
            member_id: member_id.clone(),
            value: None,
        });
    }
}
