//! Timers of a consumer group's members.
//!
//! Invariant: whoever a timer fences is fenced for one reason: it was silent, it did not give up its
//! partitions in time, or, speaking the classic protocol, it did not join or sync in time.

use ottla_protocol::Str;

use super::group::ConsumerGroup;
use super::member::MemberState;
use crate::coordinator::GroupCoordinator;
use crate::timers::{MemberTimer, TimerKey, TimerTask};

pub(super) enum TimerChange {
    Start {
        timer: MemberTimer,
        member_id: Str,
        after_ms: i32,
        task: TimerTask,
    },
    /// Leaves a running timer as it is.
    StartIfIdle {
        timer: MemberTimer,
        member_id: Str,
        after_ms: i32,
    },
    Cancel {
        timer: MemberTimer,
        member_id: Str,
    },
    CancelAll {
        member_id: Str,
    },
}

impl TimerChange {
    pub fn session(member_id: &Str, after_ms: i32) -> Self {
        let (member_id, task) = (member_id.clone(), TimerTask::Expire);
        Self::Start {
            timer: MemberTimer::Session,
            member_id,
            after_ms,
            task,
        }
    }
}

impl GroupCoordinator {
    pub(super) fn change_timers(&mut self, now_ms: i64, group_id: &Str, changes: Vec<TimerChange>) {
        for change in changes {
            match change {
                TimerChange::Start {
                    timer,
                    member_id,
                    after_ms,
                    task,
                } => {
                    let key = member_timer(timer, group_id, &member_id);
                    self.timers
                        .schedule(key, now_ms + i64::from(after_ms.max(0)), task);
                }
                TimerChange::StartIfIdle {
                    timer,
                    member_id,
                    after_ms,
                } => {
                    let key = member_timer(timer, group_id, &member_id);
                    if !self.timers.is_scheduled(&key) {
                        self.timers.schedule(
                            key,
                            now_ms + i64::from(after_ms.max(0)),
                            TimerTask::Expire,
                        );
                    }
                }
                TimerChange::Cancel { timer, member_id } => {
                    self.timers
                        .cancel(&member_timer(timer, group_id, &member_id));
                }
                TimerChange::CancelAll { member_id } => {
                    self.cancel_member_timers(group_id, &member_id)
                }
            }
        }
    }

    pub(crate) fn cancel_member_timers(&mut self, group_id: &Str, member_id: &Str) {
        for timer in [
            MemberTimer::Session,
            MemberTimer::Rebalance,
            MemberTimer::Join,
            MemberTimer::Sync,
        ] {
            self.timers
                .cancel(&member_timer(timer, group_id, member_id));
        }
    }

    /// Sessions of all members begin anew, and so does the time of those who have partitions to give
    /// up: after loading, and when a failed append brings a group back.
    pub(crate) fn start_consumer_timers(&mut self, now_ms: i64, group_id: &str) {
        let Some(group) = self.consumer_groups.get(group_id) else {
            return;
        };
        let changes = self.initial_timers(group);
        let group_id = group.group_id.clone();
        self.change_timers(now_ms, &group_id, changes);
    }

    fn initial_timers(&self, group: &ConsumerGroup) -> Vec<TimerChange> {
        let mut changes = Vec::new();
        let settings = self.config.consumer_of(&group.group_id);
        for member in group.members() {
            let classic = member.metadata.classic.as_ref();
            let session_ms = classic.map_or(settings.session_timeout_ms, |classic| {
                classic.session_timeout_ms
            });
            changes.push(TimerChange::session(&member.member_id, session_ms));
            if member.progress.state == MemberState::Unrevoked && classic.is_none() {
                changes.push(TimerChange::Start {
                    timer: MemberTimer::Rebalance,
                    member_id: member.member_id.clone(),
                    after_ms: member.metadata.rebalance_timeout_ms,
                    task: TimerTask::FenceAtEpoch {
                        epoch: member.epoch(),
                    },
                });
            }
        }
        changes
    }
}

fn member_timer(timer: MemberTimer, group_id: &Str, member_id: &Str) -> TimerKey {
    TimerKey::ConsumerMember {
        timer,
        group_id: group_id.clone(),
        member_id: member_id.clone(),
    }
}
