//! Waits until the machine lets threads run when they are due.
//!
//! Memory that a guest gives back makes the host stop all of its cores: after 20 GB were touched or a
//! broker's files were deleted, this kind of machine stands still for 25 ms at a time, some 12 % of half
//! a minute (`free_page_reporting` of the balloon; a sixteenth of the free memory every two seconds).
//! No broker can help that, and a p99 that was measured in it says nothing about one. Called by `run.rs`
//! before each load of a scenario that asks for it.

use std::thread;
use std::time::{Duration, Instant};

use super::stop;

/// How often the probe wants to wake.
const TICK: Duration = Duration::from_millis(1);
/// How late it may be: other processes that want a core make it late by less.
const LATE_MAX: Duration = Duration::from_millis(12);
/// How long nothing may be late: longer than two turns of the balloon.
const QUIET: Duration = Duration::from_secs(5);
/// When to measure all the same.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether the machine became quiet in time.
pub fn wait() -> bool {
    let begin = Instant::now();
    let mut quiet_since = begin;
    while !stop::is_asked() {
        let due = Instant::now() + TICK;
        thread::sleep(TICK);
        let now = Instant::now();
        if now.duration_since(due) > LATE_MAX {
            quiet_since = now;
        }
        if now.duration_since(quiet_since) >= QUIET {
            return true;
        }
        if now.duration_since(begin) >= WAIT_MAX {
            return false;
        }
    }
    false
}
