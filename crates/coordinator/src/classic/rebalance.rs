//! The rebalance: from the moment when a generation is known to be over to the answers that begin the
//! next one.
//!
//! Invariant: while a group prepares, its join timer runs; while it completes, its sync timer does.
//! Called by joins, leaves, expiries, and the timers.

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Str};

use super::group::{ClassicGroup, State};
use crate::answer::{Answer, JoinAnswer, SyncAnswer};
use crate::coordinator::GroupCoordinator;
use crate::in_flight::Completion;
use crate::records::Record;
use crate::timers::TimerTask;

/// A join phase that nobody came to goes on for at least this long: members may ask for a rebalance
/// timeout of zero, and the machine would go round in circles.
const MIN_JOIN_EXTENSION_MS: i32 = 1_000;

impl GroupCoordinator {
    /// Someone came, changed or went: begin a rebalance, or see whether the running one is complete.
    pub(super) fn prepare_rebalance_or_complete_join(
        &mut self,
        now_ms: i64,
        group_id: &Str,
        reason: &str,
    ) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        if group.can_rebalance() {
            self.prepare_rebalance(now_ms, group_id, reason);
        } else {
            self.complete_join_if_all_joined(now_ms, group_id);
        }
    }

    pub(crate) fn prepare_rebalance(&mut self, now_ms: i64, group_id: &Str, reason: &str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let is_initial = group.is_empty();
        if group.state() == State::CompletingRebalance {
            self.fail_assignment(now_ms, group_id, ErrorCode::RebalanceInProgress);
        }
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        group.pending_sync.clear();
        self.timers.cancel(&group.sync_timer());
        group.transition_to(State::PreparingRebalance, now_ms);
        tracing::info!(group = %group.group_id, generation = group.generation_id, reason, "rebalance begins");

        let join = group.join_timer();
        let rebalance_timeout_ms = group.rebalance_timeout_ms();
        if is_initial {
            // The group is new: more members are likely to be on their way.
            let delay_ms = self.config.initial_rebalance_delay_ms.max(0);
            let remaining_ms = rebalance_timeout_ms.saturating_sub(delay_ms).max(0);
            let task = TimerTask::ExtendInitialJoin {
                delay_ms,
                remaining_ms,
            };
            self.timers
                .schedule(join, now_ms + i64::from(delay_ms), task);
        } else if group.has_all_members_joined() {
            self.complete_join(now_ms, group_id);
        } else {
            self.timers.schedule(
                join,
                now_ms + i64::from(rebalance_timeout_ms),
                TimerTask::CompleteJoin,
            );
        }
    }

    /// The initial delay is over: wait longer if members came meanwhile and time is left.
    pub(crate) fn extend_initial_join(
        &mut self,
        now_ms: i64,
        group_id: &Str,
        delay_ms: i32,
        remaining_ms: i32,
    ) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if !group.new_member_added || remaining_ms == 0 {
            return self.complete_join(now_ms, group_id);
        }
        group.new_member_added = false;
        let next_delay_ms = self
            .config
            .initial_rebalance_delay_ms
            .max(0)
            .min(remaining_ms);
        let task = TimerTask::ExtendInitialJoin {
            delay_ms: next_delay_ms,
            remaining_ms: remaining_ms.saturating_sub(delay_ms).max(0),
        };
        self.timers
            .schedule(group.join_timer(), now_ms + i64::from(next_delay_ms), task);
    }

    /// The initial rebalance is completed by its timer alone.
    pub(super) fn complete_join_if_all_joined(&mut self, now_ms: i64, group_id: &Str) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        let is_ready = group.state() == State::PreparingRebalance
            && group.previous_state() != State::Empty
            && group.has_all_members_joined();
        if is_ready {
            self.complete_join(now_ms, group_id);
        }
    }

    /// Ends the join phase with those who are in.
    pub(crate) fn complete_join(&mut self, now_ms: i64, group_id: &Str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if group.state() != State::PreparingRebalance {
            return;
        }
        let join = group.join_timer();
        self.timers.cancel(&join);
        self.remove_dynamic_members_that_did_not_join(group_id);

        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if !group.elect_joined_leader() && group.member_count() > 0 {
            // Static members only, none of which came back: give them until their sessions end.
            let wait_ms = group.rebalance_timeout_ms().max(MIN_JOIN_EXTENSION_MS);
            let at_ms = now_ms + i64::from(wait_ms);
            return self.timers.schedule(join, at_ms, TimerTask::CompleteJoin);
        }
        group.init_next_generation(now_ms);
        if group.is_empty() {
            // If this append fails, the generation before it comes back after a restart and times out.
            let record = Record::group(group, &Default::default());
            return self.append_noted(&record, Completion::Nothing);
        }
        self.answer_joins(now_ms, group_id);
    }

    fn remove_dynamic_members_that_did_not_join(&mut self, group_id: &Str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let absent = group
            .members()
            .filter(|member| !member.is_awaiting_join() && !member.is_static());
        let absent: Vec<Str> = absent.map(|member| member.member_id.clone()).collect();
        for member_id in absent {
            self.expel(group_id, &member_id, ErrorCode::UnknownMemberId);
        }
    }

    fn answer_joins(&mut self, now_ms: i64, group_id: &Str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        for member_id in group.member_ids() {
            let answer = group.join_answer(&member_id, group.is_leader(&member_id));
            if let Some(token) = group.take_awaiting_join(&member_id) {
                self.outbox.respond(token, Answer::Join(answer));
            }
            if let Some(member) = group.member_mut(&member_id) {
                member.is_new = false;
                let at_ms = now_ms + i64::from(member.session_timeout_ms);
                self.timers
                    .schedule(group.session_timer(&member_id), at_ms, TimerTask::Expire);
            }
            group.pending_sync.insert(member_id);
        }
        let task = TimerTask::ExpireSync {
            generation_id: group.generation_id,
        };
        let at_ms = now_ms + i64::from(group.rebalance_timeout_ms());
        self.timers.schedule(group.sync_timer(), at_ms, task);
    }

    /// Members whose sync did not come by the rebalance timeout are removed.
    pub(crate) fn expire_pending_sync(&mut self, now_ms: i64, group_id: &Str, generation_id: i32) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let is_due = group.generation_id == generation_id
            && matches!(group.state(), State::CompletingRebalance | State::Stable)
            && !group.pending_sync.is_empty();
        if !is_due {
            return;
        }
        for member_id in group.pending_sync.clone() {
            self.expel(group_id, &member_id, ErrorCode::UnknownMemberId);
        }
        self.prepare_rebalance(now_ms, group_id, "members did not sync in time");
    }

    /// Takes every assignment of the generation back and tells those who wait for theirs.
    pub(super) fn fail_assignment(&mut self, now_ms: i64, group_id: &Str, error: ErrorCode) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        group.storing_generation = None;
        for member in group.members_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(now_ms, group_id, error);
    }

    /// Answers every parked sync. Whoever waited starts a fresh session, because the old one may have
    /// run out unnoticed while waiting proved the member alive.
    pub(super) fn answer_syncs(&mut self, now_ms: i64, group_id: &Str, error: ErrorCode) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        for member_id in group.member_ids() {
            let Some(token) = group.take_awaiting_sync(&member_id) else {
                continue;
            };
            let answer = match error {
                ErrorCode::None => sync_answer(group, &member_id),
                error => SyncAnswer::error(error),
            };
            self.outbox.respond(token, Answer::Sync(answer));
            let timeout_ms = group
                .member(&member_id)
                .map_or(0, |member| member.session_timeout_ms);
            let at_ms = now_ms + i64::from(timeout_ms);
            self.timers
                .schedule(group.session_timer(&member_id), at_ms, TimerTask::Expire);
        }
    }

    /// Removes a member, with its session, and answers what it waits for.
    pub(super) fn expel(&mut self, group_id: &Str, member_id: &Str, error: ErrorCode) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        self.timers.cancel(&group.session_timer(member_id));
        if let Some(token) = group.take_awaiting_join(member_id) {
            // Without an id: whoever still listens has to begin anew.
            self.outbox.respond(
                token,
                Answer::Join(JoinAnswer::error(Str::default(), error)),
            );
        }
        if let Some(token) = group.take_awaiting_sync(member_id) {
            self.outbox
                .respond(token, Answer::Sync(SyncAnswer::error(error)));
        }
        group.remove(member_id);
    }

    /// Answers a member's parked requests, whatever they are, with `error`.
    pub(crate) fn fail_parked_requests(
        &mut self,
        group: &mut ClassicGroup,
        member_id: &Str,
        error: ErrorCode,
    ) {
        if let Some(token) = group.take_awaiting_join(member_id) {
            self.outbox.respond(
                token,
                Answer::Join(JoinAnswer::error(member_id.clone(), error)),
            );
        }
        if let Some(token) = group.take_awaiting_sync(member_id) {
            self.outbox
                .respond(token, Answer::Sync(SyncAnswer::error(error)));
        }
    }

    /// All sessions begin anew, and so does the phase that the group is in: after loading, and when a
    /// failed append brings a group back.
    pub(crate) fn start_classic_timers(&mut self, now_ms: i64, group_id: &Str) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        let at_ms = now_ms + i64::from(group.rebalance_timeout_ms());
        if group.state() == State::PreparingRebalance {
            self.timers
                .schedule(group.join_timer(), at_ms, TimerTask::CompleteJoin);
        }
        if !group.pending_sync.is_empty() {
            let task = TimerTask::ExpireSync {
                generation_id: group.generation_id,
            };
            self.timers.schedule(group.sync_timer(), at_ms, task);
        }
        for member_id in group.member_ids() {
            self.renew_session(now_ms, group_id, &member_id);
        }
    }

    /// A fresh session for a member that showed itself.
    pub(crate) fn renew_session(&mut self, now_ms: i64, group_id: &Str, member_id: &Str) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        let Some(member) = group.member(member_id) else {
            return;
        };
        let at_ms = now_ms + i64::from(member.session_timeout_ms);
        self.timers
            .schedule(group.session_timer(member_id), at_ms, TimerTask::Expire);
    }
}

pub(super) fn sync_answer(group: &ClassicGroup, member_id: &str) -> SyncAnswer {
    SyncAnswer {
        error: ErrorCode::None,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol_name.clone(),
        assignment: group
            .member(member_id)
            .map(|member| member.assignment.clone())
            .unwrap_or_default(),
    }
}
