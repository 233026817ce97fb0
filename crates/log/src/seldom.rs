//! Saying what happens again and again only now and then, with a count.
//!
//! Invariant: the first time is told at once, and so is the first one after a pause; in between one is told for each
//! interval. No clock: the time is passed in.
//! Called by whoever refuses requests because of a log directory.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Between two messages of one kind about one log directory.
const INTERVAL_MS: i64 = 10_000;

/// Decides which of many equal events are told.
#[derive(Debug)]
pub struct Seldom {
    last_told_ms: AtomicI64,
    untold: AtomicU64,
}

impl Default for Seldom {
    fn default() -> Self {
        Seldom {
            last_told_ms: AtomicI64::new(i64::MIN),
            untold: AtomicU64::new(0),
        }
    }
}

impl Seldom {
    /// Notes an event. If it is to be told, returns how many were not since the last that was.
    pub fn admit(&self, now_ms: i64) -> Option<u64> {
        let last_ms = self.last_told_ms.load(Ordering::Relaxed);
        // A clock that was set back keeps nobody silent.
        let is_due = now_ms < last_ms || now_ms.saturating_sub(last_ms) >= INTERVAL_MS;
        let is_first = is_due
            && self
                .last_told_ms
                .compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            return Some(self.untold.swap(0, Ordering::Relaxed));
        }
        self.untold.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_for_each_interval_with_the_number_of_the_others() {
        let seldom = Seldom::default();
        let told: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 60_000, 60_001, 5]
            .map(|now_ms| seldom.admit(now_ms))
            .into();
        let expected = [Some(0), None, None, Some(2), None, Some(1), None, Some(1)];
        assert_eq!(told, expected);
    }
}
