//! LeaveGroup: members say goodbye, or an administrator says it for static ones.
//!
//! Invariant: however many leave in one request, there is one rebalance. Called by the shell's
//! LeaveGroup handler.

use ottla_protocol::{ErrorCode, Str};

use super::group::State;
use crate::answer::{Answer, LeaveAnswer, LeftMember};
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::request::{LeaveGroup, LeavingMember, NO_REASON, Token};

impl GroupCoordinator {
    pub fn handle_leave(&mut self, now_ms: i64, token: Token, request: LeaveGroup) {
        if request.group_id.is_empty() {
            let answer = LeaveAnswer {
                error: GroupError::InvalidGroupId.code(),
                members: Vec::new(),
            };
            return self.respond_when_stored(token, Answer::Leave(answer));
        }
        if self.consumer_groups.contains_key(&request.group_id) {
            return self.leave_consumer_group_as_classic(now_ms, token, request);
        }
        let group_id = request.group_id;
        for member in &request.members {
            let reason = member.reason.as_deref().unwrap_or(NO_REASON);
            tracing::debug!(group = %group_id, member = %member.member_id, reason, "member asks to leave");
        }
        let mut members = Vec::with_capacity(request.members.len());
        for member in request.members {
            let error = self
                .remove_leaving_member(&group_id, &member)
                .map_or_else(GroupError::code, |()| ErrorCode::None);
            members.push(LeftMember {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error,
            });
        }
        if members.iter().any(|member| member.error == ErrorCode::None) {
            self.after_leave(now_ms, &group_id);
        }
        let answer = LeaveAnswer {
            error: ErrorCode::None,
            members,
        };
        self.respond_when_stored(token, Answer::Leave(answer));
    }

    fn remove_leaving_member(
        &mut self,
        group_id: &Str,
        leaving: &LeavingMember,
    ) -> Result<(), GroupError> {
        let group = self
            .groups
            .get(group_id)
            .ok_or(GroupError::UnknownMemberId)?;
        let member_id = if leaving.member_id.is_empty() {
            let instance_id = leaving
                .group_instance_id
                .as_ref()
                .ok_or(GroupError::UnknownMemberId)?;
            group
                .static_member_id(instance_id)
                .cloned()
                .ok_or(GroupError::UnknownMemberId)?
        } else {
            if !group.is_pending_member(&leaving.member_id) {
                group.validate_member(&leaving.member_id, leaving.group_instance_id.as_ref())?;
            }
            leaving.member_id.clone()
        };
        self.expel(group_id, &member_id, ErrorCode::UnknownMemberId);
        Ok(())
    }

    fn after_leave(&mut self, now_ms: i64, group_id: &Str) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        match group.state() {
            State::Stable | State::CompletingRebalance => {
                self.prepare_rebalance(now_ms, group_id, "members left")
            }
            State::PreparingRebalance => self.complete_join_if_all_joined(now_ms, group_id),
            State::Empty => {}
        }
    }
}
