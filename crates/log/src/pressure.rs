//! How much written data waits for the disk, and how much room the disk has left.
//!
//! The kernel lets written data pile up to a share of the memory, and then makes whoever writes next wait for the disk,
//! however long that takes; a file system whose free space comes near what is piled up does the same. Before either,
//! answers to producers are held back, which slows producers down and stalls nobody else. And before a directory is
//! full its clients' appends are refused, so that coordinators, checkpoints and the metadata log have room to go on.
//!
//! Invariant: nobody is held for longer than a second at a time, whatever else writes on the machine; no clock and
//! no thread of its own: looks are made by the writeback thread, by the megabytes that pass it, and by the manager's tick.
//! Called by appends (by way of `care`), by the manager, and by the broker before it answers a produce.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::disk::Space;
use crate::environment::LogDir;

/// Bytes handed to the disk between two looks.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
/// Between looks while answers are held.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Looks after which answers leave in any case.
const LOOKS_MAX: u32 = 100;
/// Free space that is kept for what is not a client's append: so much, or a share of a small disk.
const RESERVED_BYTES_MAX: u64 = 64 << 20;
const RESERVED_SHARE: u64 = 100;
/// Written data may be so many times less than the free space.
const FREE_PER_DIRTY: u64 = 3;

/// What the system says at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Written and not on disk, of all processes.
    pub dirty_bytes: u64,
    /// From here on the kernel writes back whatever the age.
    pub dirty_background_bytes: u64,
    /// Here whoever writes has to wait.
    pub dirty_max_bytes: u64,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Reading {
    /// `None` where the system does not tell.
    fn take(dir: &Path, vmstat: &str) -> Option<Reading> {
        let space = Space::of(dir).ok()?;
        let page_bytes = rustix::param::page_size() as u64;
        Some(Reading::of(vmstat, page_bytes, space.free, space.total))
    }

    /// What `vmstat` does not tell bounds nothing.
    fn of(vmstat: &str, page_bytes: u64, free_bytes: u64, total_bytes: u64) -> Reading {
        let pages = |name: &str| {
            vmstat.lines().find_map(|line| {
                let (key, value) = line.split_once(' ')?;
                (key == name).then_some(value)?.trim().parse::<u64>().ok()
            })
        };
        let bytes = |name, otherwise| {
            pages(name).map_or(otherwise, |pages| pages.saturating_mul(page_bytes))
        };
        Reading {
            dirty_bytes: bytes("nr_dirty", 0).saturating_add(bytes("nr_writeback", 0)),
            dirty_background_bytes: bytes("nr_dirty_background_threshold", u64::MAX),
            dirty_max_bytes: bytes("nr_dirty_threshold", u64::MAX),
            free_bytes,
            total_bytes,
        }
    }

    /// The kernel begins to brake half way between its two thresholds; this is half of that way.
    fn is_over(&self) -> bool {
        let between = self
            .dirty_max_bytes
            .saturating_sub(self.dirty_background_bytes);
        let bound = self.dirty_background_bytes.saturating_add(between / 4);
        self.dirty_bytes > bound || self.dirty_bytes > self.free_bytes / FREE_PER_DIRTY
    }

    fn is_short(&self) -> bool {
        self.free_bytes < RESERVED_BYTES_MAX.min(self.total_bytes / RESERVED_SHARE)
    }
}

/// Somebody who holds an answer back.
type Released = Box<dyn FnOnce() + Send>;

/// Whether answers are held back, and who holds them.
#[derive(Default)]
pub struct Pressure {
    since_look: AtomicU64,
    is_held: AtomicBool,
    holding: Mutex<Vec<Released>>,
}

impl Pressure {
    /// Whether an answer to a producer should wait for [`Pressure::when_released`].
    pub fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// Calls `released` when the disk has caught up: at once, or later on another thread.
    pub fn when_released(&self, released: impl FnOnce() + Send + 'static) {
        let mut holding = self.holding();
        if self.is_held() {
            holding.push(Box::new(released));
            return;
        }
        drop(holding);
        released();
    }

    /// Looks if enough bytes have passed since the last time, and stays until the disk has caught up (or for as long as
    /// anybody may be held).
    pub(crate) fn after_writeback(&self, bytes: u64, dir: &LogDir) {
        if self.since_look.fetch_add(bytes, Ordering::Relaxed) + bytes < LOOK_EVERY_BYTES {
            return;
        }
        self.since_look.store(0, Ordering::Relaxed);
        self.watch(
            || {
                let vmstat = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
                let reading = Reading::take(dir.path(), &vmstat);
                note_space(dir, reading);
                reading
            },
            || std::thread::sleep(LOOK_AGAIN),
        );
    }

    fn watch(&self, mut look: impl FnMut() -> Option<Reading>, mut pause: impl FnMut()) {
        for _ in 0..LOOKS_MAX {
            if !look().is_some_and(|reading| reading.is_over()) {
                break;
            }
            if !self.is_held.swap(true, Ordering::AcqRel) {
                tracing::debug!("the disk is behind; answers to producers wait");
            }
            pause();
        }
        self.release();
    }

    fn release(&self) {
        if !self.is_held() {
            return;
        }
        let holding = {
            let mut holding = self.holding();
            self.is_held.store(false, Ordering::Release);
            std::mem::take(&mut *holding)
        };
        for released in holding {
            released();
        }
    }

    fn holding(&self) -> MutexGuard<'_, Vec<Released>> {
        self.holding.lock().expect("pressure poisoned")
    }
}

impl std::fmt::Debug for Pressure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pressure")
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}

/// Looks whether the directory has room; the manager does so at each tick, so that one that was short recovers.
pub(crate) fn look_at_space(dir: &LogDir) {
    note_space(dir, Reading::take(dir.path(), ""));
}

fn note_space(dir: &LogDir, reading: Option<Reading>) {
    let is_short = reading.is_some_and(|reading| reading.is_short());
    if dir.is_short.swap(is_short, Ordering::Relaxed) != is_short {
        let path = dir.path().display();
        if is_short {
            tracing::error!(dir = %path, "the disk is nearly full: producers are refused until there is room");
        } else {
            tracing::info!(dir = %path, "the disk has room again");
        }
    }
}

#[cfg(test)]
mod tests;
