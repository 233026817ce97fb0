//! Lets others run before a connection goes on with what it could do at once.
//!
//! A task that merely wakes itself is polled again before its thread has looked which sockets became ready, and a
//! thread that always has such a task looks only every few dozen polls: whoever is at the tail of a log would wait
//! for those who catch up. Used by `connection.rs` and `send.rs`.

use std::cell::Cell;
use std::pin::pin;
use std::task::Context;
use std::time::{Duration, Instant};

/// Polls the task of `cx` again after its thread has looked at the sockets.
pub(crate) fn give_way(cx: &mut Context<'_>) {
    // Its first poll notes the waker for later; nothing is left to be waited for.
    let _noted = pin!(tokio::task::yield_now()).poll(cx);
}

thread_local! {
    static GIFTS: Cell<Gifts> = const { Cell::new(Gifts { not_before: None }) };
}

/// When a thread may give its core away again.
///
/// Invariant: it gives away no more time than it works. Where others want the core all the time, the kernel takes
/// milliseconds to come back to one that yields; without a bound a consumer that has fallen behind would be sent little
/// by a broker whose machine is busy, and fall further behind.
#[derive(Clone, Copy)]
struct Gifts {
    not_before: Option<Instant>,
}

impl Gifts {
    fn allow(self, now: Instant) -> bool {
        self.not_before.is_none_or(|moment| now >= moment)
    }

    fn after(begun: Instant, ended: Instant) -> Gifts {
        let given: Duration = ended.saturating_duration_since(begun);
        Gifts {
            not_before: ended.checked_add(given),
        }
    }
}

/// Lets another thread have this core, if this one has worked for as long as it was away the last time: a client at the
/// tail may wait for the very core, and the kernel would let a thread that sends much use up its slice first.
pub(crate) fn give_core_away() {
    let begun = Instant::now();
    if GIFTS.get().allow(begun) {
        std::thread::yield_now();
        GIFTS.set(Gifts::after(begun, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_time_is_given_away_than_worked() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        assert!(Gifts { not_before: None }.allow(begun));
        let gifts = Gifts::after(at(0), at(8));
        assert!(!gifts.allow(at(15)));
        assert!(gifts.allow(at(16)));
        // A short one is paid back soon.
        assert!(Gifts::after(at(16), at(17)).allow(at(18)));
    }
}
