//! Heartbeat, and what happens when there is none.
//!
//! Invariant: a member's session ends only by its own timer. Called by the shell's Heartbeat handler
//! and by the timers.

use ottla_protocol::{ErrorCode, Str};

use super::group::State;
use crate::answer::Answer;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::request::{Heartbeat, Token};

impl GroupCoordinator {
    pub fn handle_heartbeat(&mut self, now_ms: i64, token: Token, request: &Heartbeat) {
        if self.consumer_groups.contains_key(&request.group_id) {
            let outcome = self.heartbeat_consumer_group(now_ms, request);
            let answer = outcome.map_or_else(GroupError::code, |()| ErrorCode::None);
            return self.respond_when_stored(token, Answer::Heartbeat(answer));
        }
        let answer = match self.check_heartbeat(request) {
            Ok(state) => {
                self.renew_session(now_ms, &request.group_id, &request.member_id);
                match state {
                    State::PreparingRebalance => ErrorCode::RebalanceInProgress,
                    State::Empty | State::CompletingRebalance | State::Stable => ErrorCode::None,
                }
            }
            Err(error) => error.code(),
        };
        self.respond_when_stored(token, Answer::Heartbeat(answer));
    }

    fn check_heartbeat(&self, request: &Heartbeat) -> Result<State, GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let group = self
            .groups
            .get(&request.group_id)
            .ok_or(GroupError::UnknownMemberId)?;
        group.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != group.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        Ok(group.state())
    }

    /// A session ran out: of a member, or of an id that was handed out and never came back.
    pub(crate) fn expire_session(&mut self, now_ms: i64, group_id: &Str, member_id: &Str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if group.is_pending_member(member_id) {
            group.remove(member_id);
        } else {
            // Whoever is parked is alive; its session starts afresh with its answer.
            if group
                .member(member_id)
                .is_none_or(|member| member.has_satisfied_heartbeat())
            {
                return;
            }
            self.expel(group_id, member_id, ErrorCode::UnknownMemberId);
        }
        self.after_removal(now_ms, group_id);
    }

    /// A generation that lost a member is over; a join phase that waited for it may be complete.
    fn after_removal(&mut self, now_ms: i64, group_id: &Str) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        match group.state() {
            State::Stable | State::CompletingRebalance => {
                self.prepare_rebalance(now_ms, group_id, "a session expired")
            }
            State::PreparingRebalance if group.has_all_members_joined() => {
                self.complete_join(now_ms, group_id)
            }
            State::PreparingRebalance | State::Empty => {}
        }
    }
}
