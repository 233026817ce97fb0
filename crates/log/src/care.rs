//! When to reserve blocks ahead of a log's end, and when to hand written ones to the disk.
//!
//! An append to a file whose blocks are not allocated waits while the kernel writes back the same file; one whose blocks
//! are reserved does not. To reserve them in a file that is appended to makes appends wait as well, if the disk has to be
//! asked which blocks are free: so the next segment's are reserved before it is used ([`spare`](crate::spare)).
//! Writeback by the megabyte, early and even, keeps the rest of the tail short.
//!
//! Invariant: a decision only; nothing here does I/O or reads a clock. A log that is appended to slowly gets no reserve,
//! so that 100,000 idle ones cost nothing.
//! Called by append, under the writer's lock.

/// Bytes that are handed to the disk at a time.
const WRITEBACK_BYTES: u64 = 1 << 20;
/// The last of what was written stays behind: pages that the disk is about to write are locked, and an append to one of
/// them would wait for it.
const TAIL_BYTES: u64 = 1 << 20;
/// A reserve smaller than this is not worth a call.
const RESERVE_MIN_BYTES: u64 = 256 << 10;
/// A reserve lasts for so long at the rate that was seen, ...
const RESERVE_MS: u64 = 4_000;
/// ... if that is no more than so much, ...
const RESERVE_BYTES: u64 = 32 << 20;
/// ... and longer, as long as the segment has grown already, up to this: the larger a segment, the fewer calls.
const RESERVE_MS_MAX: u64 = 64_000;
/// The next segment's blocks are reserved when what is left of this one will last for so long, ...
const SPARE_AHEAD_MS: u64 = 8_000;
/// ... and they last for so long.
const SPARE_MS: u64 = 16_000;
/// The rate is taken over no less than this.
const RATE_WINDOW_MS: i64 = 250;

/// What is known about the end of the active segment.
#[derive(Debug)]
pub(crate) struct Care {
    /// Blocks before this position are reserved or written.
    reserved_to: u64,
    /// Writeback of everything before was asked for.
    written_back_to: u64,
    /// Where the end was when the rate was last taken, and when that was.
    window_start: u64,
    window_start_ms: i64,
    bytes_per_second: u64,
    /// The next segment was asked for.
    has_spare: bool,
}

/// Positions and lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CarePlan {
    pub reserve: Option<(u64, u64)>,
    pub write_back: Option<(u64, u64)>,
    /// Bytes to reserve for the next segment.
    pub spare: Option<u64>,
}

impl CarePlan {
    fn is_empty(&self) -> bool {
        self.reserve.is_none() && self.write_back.is_none() && self.spare.is_none()
    }
}

impl Care {
    pub fn new(end: u64, now_ms: i64) -> Care {
        Care {
            reserved_to: end,
            written_back_to: end,
            window_start: end,
            window_start_ms: now_ms,
            bytes_per_second: 0,
            has_spare: false,
        }
    }

    /// For a fresh segment whose first `reserved` bytes are reserved.
    pub fn of_reserved(reserved: u64, now_ms: i64) -> Care {
        Care {
            reserved_to: reserved,
            ..Care::new(0, now_ms)
        }
    }

    /// What to do now that the segment ends at `end`.
    pub fn plan(&mut self, end: u64, segment_bytes: u64, now_ms: i64) -> Option<CarePlan> {
        self.observe(end, now_ms);
        let plan = CarePlan {
            reserve: self.plan_reserve(end, segment_bytes),
            write_back: self.plan_writeback(end),
            spare: self.plan_spare(end, segment_bytes),
        };
        (!plan.is_empty()).then_some(plan)
    }

    fn observe(&mut self, end: u64, now_ms: i64) {
        let elapsed_ms = now_ms.saturating_sub(self.window_start_ms);
        if elapsed_ms < RATE_WINDOW_MS {
            return;
        }
        let bytes = end.saturating_sub(self.window_start);
        self.bytes_per_second = bytes.saturating_mul(1000) / elapsed_ms as u64;
        self.window_start = end;
        self.window_start_ms = now_ms;
    }

    /// Bytes that come in so many milliseconds, if it goes on like this.
    fn bytes_in(&self, ms: u64) -> u64 {
        self.bytes_per_second.saturating_mul(ms) / 1000
    }

    fn plan_reserve(&mut self, end: u64, segment_bytes: u64) -> Option<(u64, u64)> {
        let least = self.bytes_in(RESERVE_MS).min(RESERVE_BYTES);
        if least < RESERVE_MIN_BYTES || end + least / 2 <= self.reserved_to {
            return None;
        }
        let wanted = end.min(self.bytes_in(RESERVE_MS_MAX)).max(least);
        let from = self.reserved_to.max(end);
        let to = (from + wanted).min(segment_bytes);
        if to < from + RESERVE_MIN_BYTES {
            return None;
        }
        self.reserved_to = to;
        Some((from, to - from))
    }

    fn plan_spare(&mut self, end: u64, segment_bytes: u64) -> Option<u64> {
        let is_worth_it = self.bytes_in(RESERVE_MS) >= RESERVE_MIN_BYTES;
        let is_near = segment_bytes.saturating_sub(end) <= self.bytes_in(SPARE_AHEAD_MS);
        if self.has_spare || !is_worth_it || !is_near {
            return None;
        }
        self.has_spare = true;
        Some(self.bytes_in(SPARE_MS).min(segment_bytes))
    }

    fn plan_writeback(&mut self, end: u64) -> Option<(u64, u64)> {
        let from = self.written_back_to;
        let to = end.saturating_sub(TAIL_BYTES) / WRITEBACK_BYTES * WRITEBACK_BYTES;
        if to <= from {
            return None;
        }
        self.written_back_to = to;
        Some((from, to - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 1 << 30;

    #[test]
    fn a_slow_log_is_left_alone() {
        let mut care = Care::new(0, 0);
        for n in 1..1000 {
            // 10 KB per second.
            let plan = care.plan(n * 1_000, SEGMENT, n as i64 * 100);
            assert_eq!(plan, None, "{n}");
        }
    }

    #[test]
    fn a_busy_log_runs_within_its_reserve() {
        let mut care = Care::new(0, 0);
        let (mut reserved_to, mut written_back, mut calls, mut reserves) = (0, 0, 0, 0);
        for n in 1..=20_000u64 {
            // 100 MB per second in 16 KiB appends.
            let end = n * (16 << 10);
            let now_ms = (end / 100_000) as i64;
            if now_ms > 500 {
                assert!(
                    end <= reserved_to,
                    "the end is ahead of the reserve at {end}"
                );
            }
            let Some(plan) = care.plan(end, SEGMENT, now_ms) else {
                continue;
            };
            calls += 1;
            if let Some((from, len)) = plan.reserve {
                assert!(from >= end && from >= reserved_to);
                assert!((RESERVE_MIN_BYTES..=end.max(RESERVE_BYTES)).contains(&len));
                reserved_to = from + len;
                reserves += 1;
            }
            if let Some((from, len)) = plan.write_back {
                assert_eq!(from, written_back);
                written_back = from + len;
            }
        }
        let behind = 20_000 * (16 << 10) - written_back;
        assert!((TAIL_BYTES..=TAIL_BYTES + WRITEBACK_BYTES).contains(&behind));
        assert!(calls < 350, "{calls} calls for 312 MiB");
        assert!(reserves < 8, "{reserves} reserves for 312 MiB");
    }

    #[test]
    fn the_next_segment_is_asked_for_once_and_in_time() {
        let segment = 100 << 20;
        let mut care = Care::new(0, 0);
        let mut asked = Vec::new();
        for n in 1..=6_400u64 {
            // 10 MB per second in 16 KiB appends.
            let end = n * (16 << 10);
            if let Some(len) = care
                .plan(end, segment, (end / 10_000) as i64)
                .and_then(|plan| plan.spare)
            {
                asked.push((segment - end, len));
            }
        }
        let [(left, len)] = asked[..] else {
            panic!("asked for {asked:?}");
        };
        assert!((75_000_000..=81_000_000).contains(&left), "{left} left");
        assert_eq!(len, segment, "16 s are more than a segment");
    }

    #[test]
    fn a_segment_that_was_reserved_before_is_not_reserved_again() {
        let segment = 100 << 20;
        let mut care = Care::of_reserved(segment, 0);
        for n in 1..=6_400u64 {
            let end = n * (16 << 10);
            let plan = care.plan(end, segment, (end / 10_000) as i64);
            assert_eq!(plan.and_then(|plan| plan.reserve), None, "at {end}");
        }
    }

    #[test]
    fn nothing_is_reserved_beyond_the_segment() {
        let mut care = Care::new(0, 0);
        let segment = 8 << 20;
        let mut reserved_to = 0;
        for n in 1..=128u64 {
            let plan = care.plan(n << 16, segment, n as i64 * 10);
            if let Some((from, len)) = plan.and_then(|plan| plan.reserve) {
                reserved_to = from + len;
            }
        }
        assert!(reserved_to > 0 && reserved_to <= segment, "{reserved_to}");
    }
}
