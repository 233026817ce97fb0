//! SyncGroup: the leader hands in the assignment, everybody waits for theirs.
//!
//! Invariant: nobody learns an assignment that is not stored. Called by the shell's SyncGroup handler.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Str};

use super::group::{ClassicGroup, State};
use super::rebalance::sync_answer;
use crate::answer::{Answer, SyncAnswer};
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::in_flight::{Completion, StoredAssignment};
use crate::records::Record;
use crate::request::{SyncGroup, Token};

/// From this version on a member says which protocol it believes in.
const FIRST_VERSION_WITH_PROTOCOL: i16 = 5;

impl GroupCoordinator {
    pub fn handle_sync(&mut self, now_ms: i64, token: Token, request: SyncGroup) {
        if names_no_protocol(&request) {
            let answer = SyncAnswer::error(GroupError::InconsistentGroupProtocol.code());
            return self.outbox.respond(token, Answer::Sync(answer));
        }
        if self.consumer_groups.contains_key(&request.group_id) {
            return self.sync_consumer_group(now_ms, token, &request);
        }
        if let Err(error) = self.check_sync(&request) {
            return self
                .outbox
                .respond(token, Answer::Sync(SyncAnswer::error(error.code())));
        }
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            return;
        };
        group.pending_sync.remove(&request.member_id);
        if group.pending_sync.is_empty() {
            self.timers.cancel(&group.sync_timer());
        }
        if group.state() == State::Stable {
            let answer = sync_answer(group, &request.member_id);
            return self.outbox.respond(token, Answer::Sync(answer));
        }
        let member = group.member_mut(&request.member_id);
        if let Some(superseded) =
            member.and_then(|member| member.replace_awaiting_sync(Some(token)))
        {
            let answer = SyncAnswer::error(ErrorCode::RebalanceInProgress);
            self.outbox.respond(superseded, Answer::Sync(answer));
        }
        let is_stored_already = group.storing_generation == Some(group.generation_id);
        if group.is_leader(&request.member_id) && !is_stored_already {
            self.store_assignment(request);
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let group = self
            .groups
            .get(&request.group_id)
            .filter(|group| !group.is_empty());
        let group = group.ok_or(GroupError::UnknownMemberId)?;
        group.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != group.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<Str>, group: &Option<Str>| said.is_some() && said != group;
        if differs(&request.protocol_type, &group.protocol_type)
            || differs(&request.protocol_name, &group.protocol_name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if group.state() == State::PreparingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    fn store_assignment(&mut self, request: SyncGroup) {
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            return;
        };
        let assignments = complete_assignments(group, request.assignments);
        group.storing_generation = Some(group.generation_id);
        let record = Record::group(group, &assignments);
        let stored = StoredAssignment {
            group_id: request.group_id,
            generation_id: group.generation_id,
            assignments,
        };
        self.append_noted(&record, Completion::AssignmentStored(stored));
    }

    /// The assignment is stored: unless the generation is over, everybody gets theirs.
    pub(crate) fn propagate_stored_assignment(
        &mut self,
        now_ms: i64,
        mut stored: StoredAssignment,
    ) {
        let Some(group) = self.group_storing(&stored) else {
            return;
        };
        group.storing_generation = None;
        for member in group.members_mut() {
            member.assignment = stored
                .assignments
                .remove(&member.member_id)
                .unwrap_or_default();
        }
        group.transition_to(State::Stable, now_ms);
        self.answer_syncs(now_ms, &stored.group_id, ErrorCode::None);
    }

    pub(crate) fn fail_stored_assignment(
        &mut self,
        now_ms: i64,
        stored: &StoredAssignment,
        error: ErrorCode,
    ) {
        if self.group_storing(stored).is_some() {
            self.fail_assignment(now_ms, &stored.group_id, error);
            self.prepare_rebalance_or_complete_join(
                now_ms,
                &stored.group_id,
                "the assignment could not be stored",
            );
        }
    }

    /// The group, if it still waits for this very assignment.
    fn group_storing(&mut self, stored: &StoredAssignment) -> Option<&mut ClassicGroup> {
        let group = self.groups.get_mut(&stored.group_id)?;
        let waits = group.state() == State::CompletingRebalance
            && group.generation_id == stored.generation_id;
        waits.then_some(group)
    }
}

/// Newer versions must say which protocol the member believes in.
fn names_no_protocol(request: &SyncGroup) -> bool {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    request.api_version >= FIRST_VERSION_WITH_PROTOCOL && !names_protocol
}

/// One assignment for each member, and for nobody else: empty where the leader said nothing.
fn complete_assignments(group: &ClassicGroup, assigned: Vec<(Str, Bytes)>) -> BTreeMap<Str, Bytes> {
    let mut assigned: BTreeMap<Str, Bytes> = assigned.into_iter().collect();
    group
        .member_ids()
        .into_iter()
        .map(|id| (id.clone(), detached(assigned.remove(&id))))
        .collect()
}

/// A copy that does not keep the leader's frame in memory.
fn detached(assignment: Option<Bytes>) -> Bytes {
    assignment
        .map(|bytes| Bytes::copy_from_slice(&bytes))
        .unwrap_or_default()
}
