//! Deadlines of the machine, in order.
//!
//! Invariant: a key has at most one deadline; scheduling it again moves it. Equal deadlines fire in the
//! order in which they were set. Called by every part that waits for something.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::Str;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A member's session, or a reserved member id that waits for its join.
    Session { group_id: Str, member_id: Str },
    /// The end of the join phase.
    Join { group_id: Str },
    /// The end of the sync phase.
    Sync { group_id: Str },
    /// One of the timers of a member of a consumer group.
    ConsumerMember {
        timer: MemberTimer,
        group_id: Str,
        member_id: Str,
    },
    /// The next look at offsets and groups that have outlived their retention.
    Expiration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MemberTimer {
    /// It must heartbeat.
    Session,
    /// It must give up partitions.
    Rebalance,
    /// It speaks the classic protocol and must join.
    Join,
    /// It speaks the classic protocol and must sync.
    Sync,
}

/// What firing means beyond the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerTask {
    Expire,
    CompleteJoin,
    /// The initial delay passed: extend it by what remains if members came, else complete the join.
    ExtendInitialJoin {
        delay_ms: i32,
        remaining_ms: i32,
    },
    ExpireSync {
        generation_id: i32,
    },
    /// Only if the member has not left this epoch meanwhile.
    FenceAtEpoch {
        epoch: i32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deadline {
    at_ms: i64,
    /// Breaks ties in the order of scheduling.
    turn: u64,
    task: TimerTask,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<TimerKey, Deadline>,
    order: BTreeSet<(i64, u64, TimerKey)>,
    next_turn: u64,
}

impl Timers {
    pub fn schedule(&mut self, key: TimerKey, at_ms: i64, task: TimerTask) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let deadline = Deadline { at_ms, turn, task };
        if let Some(before) = self.deadlines.insert(key.clone(), deadline) {
            self.order.remove(&(before.at_ms, before.turn, key.clone()));
        }
        self.order.insert((at_ms, turn, key));
    }

    pub fn cancel(&mut self, key: &TimerKey) {
        if let Some(before) = self.deadlines.remove(key) {
            self.order.remove(&(before.at_ms, before.turn, key.clone()));
        }
    }

    pub fn is_scheduled(&self, key: &TimerKey) -> bool {
        self.deadlines.contains_key(key)
    }

    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.order.first().map(|(at_ms, ..)| *at_ms)
    }

    /// Takes the first timer whose deadline has come.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<(TimerKey, TimerTask)> {
        if self.next_deadline_ms()? > now_ms {
            return None;
        }
        let (_, _, key) = self.order.pop_first()?;
        let deadline = self.deadlines.remove(&key)?;
        Some((key, deadline.task))
    }
}

#[cfg(test)]
mod tests;
