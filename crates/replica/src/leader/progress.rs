//! How far one follower has come, and when it last had everything.
//!
//! Invariant: `last_caught_up_ms` is the newest moment at which the follower is known to have held
//! all that the leader's log held then.
//! Called by `Leader` only.

use super::{FollowerFetch, FollowerFetchError};
use crate::UNKNOWN_OFFSET;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    log_start: i64,
    log_end: i64,
    /// The leader's end at the previous fetch: reaching it proves that the follower had caught up then.
    leader_end_at_last_fetch: i64,
    last_fetch_ms: i64,
    last_caught_up_ms: i64,
    broker_epoch: Option<i64>,
}

impl Progress {
    /// A follower of a new leader, of which nothing is known but whether it is in sync.
    pub(super) fn at_election(in_sync: bool, now_ms: i64) -> Progress {
        Progress {
            log_start: UNKNOWN_OFFSET,
            log_end: UNKNOWN_OFFSET,
            leader_end_at_last_fetch: UNKNOWN_OFFSET,
            last_fetch_ms: 0,
            last_caught_up_ms: if in_sync { now_ms } else { 0 },
            broker_epoch: None,
        }
    }

    /// The same leader goes on in a newer epoch: positions stay, the time of grace starts over.
    pub(super) fn reset_for_epoch(&mut self, leader_end: i64, in_sync: bool, now_ms: i64) {
        let grace_ms = if in_sync { now_ms } else { 0 };
        self.leader_end_at_last_fetch = leader_end;
        self.last_fetch_ms = grace_ms;
        self.last_caught_up_ms = grace_ms;
    }

    /// Returns whether the follower's end moved.
    pub(super) fn on_fetch(
        &mut self,
        fetch: &FollowerFetch,
        registered_epoch: Option<i64>,
        now_ms: i64,
    ) -> Result<bool, FollowerFetchError> {
        if let Some(known) = registered_epoch
            && fetch.broker_epoch != UNKNOWN_OFFSET
            && fetch.broker_epoch < known
        {
            return Err(FollowerFetchError::StaleBrokerEpoch {
                replica: fetch.replica,
                epoch: fetch.broker_epoch,
                known,
            });
        }
        if fetch.fetch_offset >= fetch.leader_log_end {
            self.last_caught_up_ms = self.last_caught_up_ms.max(now_ms);
        } else if fetch.fetch_offset >= self.leader_end_at_last_fetch {
            self.last_caught_up_ms = self.last_caught_up_ms.max(self.last_fetch_ms);
        }
        let moved = self.log_end != fetch.fetch_offset;
        self.log_start = fetch.log_start;
        self.log_end = fetch.fetch_offset;
        self.leader_end_at_last_fetch = fetch.leader_log_end;
        self.last_fetch_ms = now_ms;
        self.broker_epoch = Some(fetch.broker_epoch);
        Ok(moved)
    }

    pub(super) fn is_caught_up(&self, leader_end: i64, now_ms: i64, lag_time_ms_max: i64) -> bool {
        self.log_end == leader_end
            || now_ms.saturating_sub(self.last_caught_up_ms) <= lag_time_ms_max
    }

    /// Whether the incarnation that fetched is the one that is registered.
    pub(super) fn may_join(&self, registered_epoch: Option<i64>) -> bool {
        match (self.broker_epoch, registered_epoch) {
            (Some(fetched), Some(registered)) => fetched == UNKNOWN_OFFSET || fetched == registered,
            _ => false,
        }
    }

    pub(super) fn log_start(&self) -> i64 {
        self.log_start
    }

    pub(super) fn log_end(&self) -> i64 {
        self.log_end
    }

    pub(super) fn last_caught_up_ms(&self) -> i64 {
        self.last_caught_up_ms
    }

    pub(super) fn broker_epoch(&self) -> Option<i64> {
        self.broker_epoch
    }
}
