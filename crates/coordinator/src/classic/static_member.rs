//! A static member comes back without its member id: it gets a fresh one, and the old one is fenced.
//!
//! Invariant: an instance id belongs to one member id at any time. Called by joins.

use ottla_protocol::{ErrorCode, Str};

use super::group::State;
use super::join::{FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT, terms};
use crate::answer::{Answer, JoinAnswer};
use crate::coordinator::GroupCoordinator;
use crate::in_flight::{Completion, StaticReplacement};
use crate::records::Record;
use crate::request::{JoinGroup, Token};
use crate::timers::TimerKey;

impl GroupCoordinator {
    pub(super) fn replace_static_member(
        &mut self,
        now_ms: i64,
        token: Token,
        request: JoinGroup,
        old_id: Str,
        new_id: Str,
    ) {
        let group_id = request.group_id.clone();
        let Some(group) = self.groups.get(&group_id) else {
            return;
        };
        let Some(instance_id) = request.group_instance_id.clone() else {
            return;
        };
        let Some(old_terms) = group.member(&old_id).map(|member| member.terms()) else {
            return;
        };
        let leader_before = group.leader_id.clone();
        self.rename_member(now_ms, &group_id, &instance_id, &old_id, &new_id);
        let Some(group) = self.groups.get_mut(&group_id) else {
            return;
        };
        group.update_member(&new_id, terms(&request), Some(token));

        match group.state() {
            State::Stable if group.select_protocol() == group.protocol_name => {
                // The assignment stands: only the new id has to be stored.
                let record = Record::group(group, &group.assignments());
                let replaced = StaticReplacement {
                    token,
                    group_id,
                    group_instance_id: instance_id,
                    old_member_id: old_id,
                    new_member_id: new_id,
                    old_terms,
                    generation_id: group.generation_id,
                    leader_before,
                    can_skip_assignment: request.api_version
                        >= FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT,
                };
                self.append_noted(&record, Completion::StaticMemberReplaced(replaced));
            }
            // The leader may be assigning to the old id: what it sends would miss the new one.
            State::Stable | State::CompletingRebalance | State::Empty => {
                self.prepare_rebalance(
                    now_ms,
                    &group_id,
                    "a static member came back under another id",
                );
            }
            State::PreparingRebalance => self.complete_join_if_all_joined(now_ms, &group_id),
        }
    }

    /// The new id is stored: the member goes on where it was, without a rebalance.
    pub(crate) fn finish_static_replacement(&mut self, replaced: StaticReplacement) {
        let Some(group) = self.groups.get_mut(&replaced.group_id) else {
            return;
        };
        let new_id = &replaced.new_member_id;
        let still_waits = group
            .member(new_id)
            .is_some_and(|member| member.awaiting_join() == Some(replaced.token));
        // A rebalance that began meanwhile will answer the join itself.
        if !still_waits
            || group.state() != State::Stable
            || group.generation_id != replaced.generation_id
        {
            return;
        }
        group.take_awaiting_join(new_id);
        let is_leader = group.is_leader(new_id);
        let answer = if replaced.can_skip_assignment {
            JoinAnswer {
                skip_assignment: is_leader,
                ..group.join_answer(new_id, is_leader)
            }
        } else {
            // Told that the old id leads, an old client does not assign.
            JoinAnswer {
                leader: replaced.leader_before.unwrap_or_default(),
                ..group.join_answer(new_id, false)
            }
        };
        self.outbox.respond(replaced.token, Answer::Join(answer));
    }

    /// The new id is not stored, so the old one is the one that counts.
    pub(crate) fn revert_static_replacement(
        &mut self,
        now_ms: i64,
        replaced: StaticReplacement,
        error: ErrorCode,
    ) {
        let Some(group) = self.groups.get_mut(&replaced.group_id) else {
            return;
        };
        let new_id = &replaced.new_member_id;
        if group
            .member(new_id)
            .is_none_or(|member| member.awaiting_join() != Some(replaced.token))
        {
            return;
        }
        group.update_member(new_id, replaced.old_terms, None);
        let answer = JoinAnswer {
            error,
            leader: replaced.leader_before.unwrap_or_default(),
            ..group.join_answer(&Str::default(), false)
        };
        self.outbox.respond(replaced.token, Answer::Join(answer));
        let (instance_id, old_id) = (&replaced.group_instance_id, &replaced.old_member_id);
        self.rename_member(now_ms, &replaced.group_id, instance_id, new_id, old_id);
    }

    /// Whoever waits under the old id is fenced; the session starts afresh under the new one.
    fn rename_member(
        &mut self,
        now_ms: i64,
        group_id: &Str,
        instance_id: &Str,
        old_id: &Str,
        new_id: &Str,
    ) {
        let Some(mut group) = self.groups.remove(group_id) else {
            return;
        };
        self.fail_parked_requests(&mut group, old_id, ErrorCode::FencedInstanceId);
        group.rename_static_member(instance_id, old_id, new_id);
        self.groups.insert(group_id.clone(), group);
        self.timers.cancel(&TimerKey::Session {
            group_id: group_id.clone(),
            member_id: old_id.clone(),
        });
        self.renew_session(now_ms, group_id, new_id);
    }
}
