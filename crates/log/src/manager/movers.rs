//! The threads that move logs to other log directories, and their throttle.
//!
//! Invariant: one thread carries out a move, and all of them together copy no more than the rate allows, give or take a
//! piece. A stop ends the threads, and what they were at begins again at the next start.
//! Called by the broker's start and stop; the time comes in from outside.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::LogManager;
use super::moves::{Carrier, Move, MovePace};
use crate::cleaner::Stopped;

/// The slowest that can be asked for.
const BYTES_PER_SECOND_MIN: f64 = 1.0;
/// The longest single wait.
const WAIT_MS_MAX: f64 = 60_000.0;

/// `num.replica.alter.log.dirs.threads` and `replica.alter.log.dirs.io.max.bytes.per.second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MoverSettings {
    /// Moves that are carried out at a time.
    pub threads: usize,
    pub bytes_per_second_max: f64,
}

/// Tells the metadata of a replica of a topic that it is in a directory; false if that cannot be.
type Assign = dyn Fn(&TopicPartition, Uuid, Uuid) -> bool + Send + Sync;

/// The threads that move logs; they end when this is dropped.
pub struct MoverThreads {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    manager: Arc<LogManager>,
    rate: Mutex<Rate>,
    assign: Box<Assign>,
    now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
}

impl MoverThreads {
    /// `assign` is told a partition, its topic's id and the id of a directory before the log comes there. It may wait
    /// for the controller, but not for a move.
    pub fn start(
        manager: &Arc<LogManager>,
        settings: MoverSettings,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
        assign: impl Fn(&TopicPartition, Uuid, Uuid) -> bool + Send + Sync + 'static,
    ) -> std::io::Result<MoverThreads> {
        let shared = Arc::new(Shared {
            manager: Arc::clone(manager),
            rate: Mutex::new(Rate::new(settings.bytes_per_second_max)),
            assign: Box::new(assign),
            now_ms: Box::new(now_ms),
        });
        let mut movers = MoverThreads {
            shared,
            threads: Vec::new(),
        };
        for index in 0..settings.threads.max(1) {
            let shared = Arc::clone(&movers.shared);
            let thread = std::thread::Builder::new()
                .name(format!("log-mover-{index}"))
                .spawn(move || shared.run())?;
            movers.threads.push(thread);
        }
        Ok(movers)
    }

    /// Takes over another rate. The number of threads stays.
    pub fn set_rate(&self, bytes_per_second_max: f64) {
        let now_ms = (self.shared.now_ms)();
        self.shared.rate().set(bytes_per_second_max, now_ms);
        self.shared.manager.moves.changed.notify_all();
    }
}

impl Drop for MoverThreads {
    fn drop(&mut self) {
        let moves = &self.shared.manager.moves;
        moves.state().is_stopped = true;
        moves.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in there was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for MoverThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MoverThreads")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn rate(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock().expect("movers' rate poisoned")
    }

    fn run(&self) {
        while let Some(one) = self.next() {
            let pace = MovePace {
                one: &one,
                spend: |bytes| self.spend(&one, bytes),
            };
            let carrier = Carrier {
                pace: &pace,
                assign: &self.assign,
                now_ms: &self.now_ms,
            };
            self.manager.carry_out(&one, &carrier);
        }
    }

    /// Waits for a move; none when the movers stop.
    fn next(&self) -> Option<Arc<Move>> {
        let moves = &self.manager.moves;
        let mut state = moves.state();
        loop {
            if state.is_stopped {
                return None;
            }
            match state.take_waiting() {
                Some(one) => return Some(one),
                None => state = moves.changed.wait(state).expect("moves poisoned"),
            }
        }
    }

    /// Waits until what was spent is paid for.
    fn spend(&self, one: &Move, bytes: u64) -> Result<(), Stopped> {
        self.rate().spend(bytes, (self.now_ms)());
        let moves = &self.manager.moves;
        let mut state = moves.state();
        loop {
            if state.is_stopped || one.is_cancelled() {
                return Err(Stopped);
            }
            let wait = self.rate().wait((self.now_ms)());
            if wait.is_zero() {
                return Ok(());
            }
            let waited = moves.changed.wait_timeout(state, wait);
            state = waited.expect("moves poisoned").0;
        }
    }
}

/// Bytes that may be copied in a second: who spent them waits until their time is over.
#[derive(Debug)]
struct Rate {
    bytes_per_second: f64,
    /// When all that was spent is paid for.
    free_at_ms: f64,
}

impl Rate {
    fn new(bytes_per_second: f64) -> Rate {
        Rate {
            bytes_per_second: bytes_per_second.max(BYTES_PER_SECOND_MIN),
            free_at_ms: 0.0,
        }
    }

    /// What was spent at the old rate is paid for at the new one.
    fn set(&mut self, bytes_per_second: f64, now_ms: i64) {
        let Rate {
            bytes_per_second: old,
            free_at_ms,
        } = *self;
        *self = Rate::new(bytes_per_second);
        let owed = (free_at_ms - now_ms as f64).max(0.0) * (old / self.bytes_per_second);
        self.free_at_ms = now_ms as f64 + owed;
    }

    fn spend(&mut self, bytes: u64, now_ms: i64) {
        let costs_ms = bytes as f64 * 1000.0 / self.bytes_per_second;
        self.free_at_ms = self.free_at_ms.max(now_ms as f64) + costs_ms;
    }

    /// How long to wait before more is spent. A clock that jumps back costs [`WAIT_MS_MAX`] at most at a time.
    fn wait(&self, now_ms: i64) -> Duration {
        let wait_ms = (self.free_at_ms - now_ms as f64).clamp(0.0, WAIT_MS_MAX);
        Duration::from_millis(wait_ms as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_all_that_is_spent() {
        let mut rate = Rate::new(1000.0);
        let mut now_ms = 7;
        for _ in 0..10 {
            rate.spend(500, now_ms);
            now_ms += rate.wait(now_ms).as_millis() as i64;
        }
        assert_eq!(now_ms, 7 + 5000);
        // Two that spend at one time wait for both.
        rate.spend(500, now_ms);
        rate.spend(500, now_ms);
        assert_eq!(rate.wait(now_ms), Duration::from_secs(1));
        assert_eq!(rate.wait(now_ms + 2000), Duration::ZERO);
    }

    #[test]
    fn another_rate_holds_for_what_is_owed() {
        let mut rate = Rate::new(1.0);
        rate.spend(1 << 20, 0);
        assert_eq!(rate.wait(0).as_millis() as f64, WAIT_MS_MAX);
        rate.set(f64::MAX, 0);
        assert_eq!(rate.wait(0), Duration::ZERO);
        rate.spend(u64::MAX, 0);
        assert_eq!(rate.wait(0), Duration::ZERO);
        // Nothing at all is not a rate.
        let mut rate = Rate::new(0.0);
        rate.spend(1, 0);
        assert_eq!(rate.wait(0), Duration::from_secs(1));
    }
}
