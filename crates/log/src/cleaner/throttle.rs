//! Keeps the cleaner's reads and writes below `log.cleaner.io.max.bytes.per.second`.
//!
//! Invariant: over each window the rate is at most the wanted one, give or take one buffer; a clock that jumps back
//! begins a window anew.
//! Called by the cleaner's threads, which wait as long as it says.

use std::time::Duration;

/// How long bytes are counted before a wait is reckoned.
const WINDOW_MS: i64 = 300;
/// The longest single wait, so that a change of the rate is soon noticed.
const WAIT_MS_MAX: f64 = 10_000.0;

#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_second: f64,
    window_start_ms: i64,
    bytes: u64,
}

impl Throttle {
    pub fn new(bytes_per_second: f64, now_ms: i64) -> Throttle {
        Throttle {
            bytes_per_second,
            window_start_ms: now_ms,
            bytes: 0,
        }
    }

    pub fn set_rate(&mut self, bytes_per_second: f64) {
        self.bytes_per_second = bytes_per_second;
    }

    /// Notes `bytes`; returns how long to wait before more are spent.
    pub fn spend(&mut self, bytes: u64, now_ms: i64) -> Duration {
        self.bytes += bytes;
        let elapsed_ms = now_ms - self.window_start_ms;
        if elapsed_ms < 0 {
            *self = Throttle::new(self.bytes_per_second, now_ms);
            return Duration::ZERO;
        }
        if elapsed_ms < WINDOW_MS {
            return Duration::ZERO;
        }
        let wanted_ms = self.bytes as f64 * 1000.0 / self.bytes_per_second.max(1.0);
        let wait_ms = (wanted_ms - elapsed_ms as f64).clamp(0.0, WAIT_MS_MAX);
        self.window_start_ms = now_ms.saturating_add(wait_ms as i64);
        self.bytes = 0;
        Duration::from_millis(wait_ms as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spends `bytes` again and again for `seconds` of a simulated clock; returns the rate.
    fn run(throttle: &mut Throttle, now_ms: &mut i64, bytes: u64, seconds: i64) -> f64 {
        let start_ms = *now_ms;
        let mut total = 0;
        while *now_ms - start_ms < seconds * 1000 {
            *now_ms += 1;
            total += bytes;
            *now_ms += throttle.spend(bytes, *now_ms).as_millis() as i64;
        }
        total as f64 * 1000.0 / (*now_ms - start_ms) as f64
    }

    #[test]
    fn the_rate_is_kept_and_can_be_changed() {
        let mut now_ms = 5;
        let mut throttle = Throttle::new(1_000_000.0, now_ms);
        let rate = run(&mut throttle, &mut now_ms, 10_000, 100);
        assert!((900_000.0..1_010_000.0).contains(&rate), "{rate}");
        throttle.set_rate(5_000_000.0);
        let rate = run(&mut throttle, &mut now_ms, 10_000, 100);
        assert!((4_500_000.0..5_050_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn without_a_limit_there_is_no_wait() {
        let mut now_ms = 0;
        let mut throttle = Throttle::new(f64::MAX, now_ms);
        assert_eq!(run(&mut throttle, &mut now_ms, 1_000, 10), 1_000_000.0);
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_stop_the_cleaner() {
        let mut throttle = Throttle::new(1_000.0, 1_000_000);
        assert_eq!(throttle.spend(1_000_000, 0), Duration::ZERO);
        assert!(throttle.spend(1_000_000, 400) <= Duration::from_secs(10));
    }
}
