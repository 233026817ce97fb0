//! Which log is cleaned when: the choice among all logs, the threads that clean, their throttle.
//!
//! ```text
//! LogManager::clean_filthiest ── chooses the log of which most is dirty ──▶ Log::clean ──▶ cleaner-offset-checkpoint
//! CleanerThreads ── call that again and again, and pause where nothing is to be cleaned
//! ```
//!
//! Invariant: a log is cleaned by one thread at a time, and is free again however that ends. One that cannot be cleaned
//! is told once, with the reason, and passed over until it is opened again or the cleaner's settings change; one whose
//! clean failed for a reason that may pass lets the others go first. One that a panic left in the middle of a swap is
//! offline until it is opened again. A change of settings needs no restart.
//! Called by the broker's start and stop ([`CleanerThreads`]); the time comes in from outside.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla_protocol::ids::TopicPartition;

use super::{LogManager, random_u128};
use crate::behind::{Checkpointed, List};
use crate::cleaner::plan::Cleanable;
use crate::cleaner::throttle::Throttle;
use crate::cleaner::{CleanError, CleanStats, Means, Pace, Stopped};
use crate::log::Log;

/// Memory for keys of one thread at most; Kafka's table has no more either.
const MAP_BYTES_MAX: u64 = i32::MAX as u64;

/// `log.cleaner.*`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CleanerSettings {
    pub is_enabled: bool,
    pub threads: usize,
    /// Of all threads.
    pub dedupe_buffer_bytes: u64,
    pub dedupe_buffer_load_factor: f64,
    /// Of all threads, half for reading and half for writing.
    pub io_buffer_bytes: usize,
    pub io_bytes_per_second_max: f64,
    pub backoff_ms: u64,
}

impl Default for CleanerSettings {
    /// Kafka's.
    fn default() -> CleanerSettings {
        CleanerSettings {
            is_enabled: true,
            threads: 1,
            dedupe_buffer_bytes: 128 << 20,
            dedupe_buffer_load_factor: 0.9,
            io_buffer_bytes: 512 << 10,
            io_bytes_per_second_max: f64::MAX,
            backoff_ms: 15_000,
        }
    }
}

impl CleanerSettings {
    fn means(&self) -> Means {
        let threads = self.threads.max(1);
        let map_bytes = (self.dedupe_buffer_bytes / threads as u64).min(MAP_BYTES_MAX);
        Means {
            map_bytes: map_bytes as usize,
            map_load_factor: self.dedupe_buffer_load_factor,
            buffer_bytes: self.io_buffer_bytes / threads / 2,
            secret: random_u128(),
        }
    }
}

/// What the manager knows of cleaning.
#[derive(Debug, Default)]
pub(super) struct Cleaning {
    state: Mutex<State>,
    /// Held by the thread that chooses, so that no two choose the same.
    choosing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    in_progress: HashSet<TopicPartition>,
    set_aside: HashMap<TopicPartition, SetAside>,
    /// Those whose clean failed for a reason that may pass, until nothing else is to be cleaned.
    behind: HashSet<TopicPartition>,
}

#[derive(Debug)]
struct SetAside {
    /// The log that cannot be cleaned; a later one of the same name may be.
    log: Weak<Log>,
    reason: String,
}

impl Cleaning {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("cleaning state poisoned")
    }
}

/// A log that is being cleaned; it is free again when this is dropped, by a panic too.
struct InProgress<'a> {
    cleaning: &'a Cleaning,
    log: Arc<Log>,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        let mut state = self.cleaning.state();
        state.in_progress.remove(self.log.partition());
    }
}

impl State {
    fn may_clean(&self, log: &Arc<Log>) -> bool {
        !self.in_progress.contains(log.partition())
            && !self.behind.contains(log.partition())
            && self
                .set_aside
                .get(log.partition())
                .is_none_or(|aside| !std::ptr::eq(aside.log.as_ptr(), Arc::as_ptr(log)))
    }
}

impl LogManager {
    /// Cleans the log of which most is dirty. Returns whether one was cleaned.
    pub fn clean_filthiest(&self, settings: &CleanerSettings, now_ms: i64) -> bool {
        self.clean_at_pace(settings, &Unhurried, now_ms)
    }

    /// The partitions that cannot be cleaned, and why.
    pub fn set_aside_by_cleaner(&self) -> Vec<(TopicPartition, String)> {
        let state = self.cleaning.state();
        let aside = state.set_aside.iter();
        aside
            .filter(|(_, aside)| aside.log.strong_count() > 0)
            .map(|(partition, aside)| (partition.clone(), aside.reason.clone()))
            .collect()
    }

    fn clean_at_pace(&self, settings: &CleanerSettings, pace: &dyn Pace, now_ms: i64) -> bool {
        let Some((chosen, cleanable)) = self.choose(now_ms) else {
            return false;
        };
        let log = &chosen.log;
        match caught(|| log.clean(&cleanable, &settings.means(), pace, now_ms)) {
            Ok(stats) => {
                tell(log, &cleanable, &stats);
                // An error has taken the directory offline, which the next tick tells.
                let _ = self.checkpoint_cleaned(&log.log_dir());
                return true;
            }
            Err(CleanError::Stopped | CleanError::Overtaken) => {}
            // A full disk passes; any other error has taken the directory offline, and has said so.
            Err(CleanError::Storage(error)) => {
                tracing::warn!(partition = %log.partition(), %error, "cannot clean a log");
                let mut state = self.cleaning.state();
                state.behind.insert(log.partition().clone());
            }
            Err(error) => {
                self.set_aside_from_cleaning(log, &error.to_string());
                log.look_for_damage();
            }
        }
        false
    }

    /// The log to be cleaned, which is from then on in progress.
    fn choose(&self, now_ms: i64) -> Option<(InProgress<'_>, Cleanable)> {
        let _choosing = self.cleaning.choosing.lock().expect("choice poisoned");
        let compacted = self.listed(List::Compacted, |log| log.config.load().is_compact);
        let mut filthiest: Option<(Arc<Log>, Cleanable)> = None;
        for log in compacted {
            if log.is_out_of_use() || !self.cleaning.state().may_clean(&log) {
                continue;
            }
            let Some(cleanable) = self.look_at(&log, now_ms) else {
                continue;
            };
            let is_filthier = filthiest
                .as_ref()
                .is_none_or(|(_, other)| cleanable.ratio() > other.ratio());
            if is_filthier && cleanable.is_due(&log.config.load()) {
                filthiest = Some((log, cleanable));
            }
        }
        let mut state = self.cleaning.state();
        let Some((log, cleanable)) = filthiest else {
            // After a pause their turn comes again.
            state.behind.clear();
            return None;
        };
        state.in_progress.insert(log.partition().clone());
        let cleaning = &self.cleaning;
        Some((InProgress { cleaning, log }, cleanable))
    }

    fn look_at(&self, log: &Arc<Log>, now_ms: i64) -> Option<Cleanable> {
        let cleanable = match caught(|| Ok(log.cleanable(now_ms)?)) {
            Ok(cleanable) => cleanable,
            Err(error) => {
                // A log that was closed or cut just now may be read wrongly once.
                if !log.is_closed() {
                    self.set_aside_from_cleaning(log, &error.to_string());
                }
                return None;
            }
        };
        if cleanable.resets_checkpoint {
            let config = log.config.load();
            if !(config.is_compact && config.is_delete) {
                tracing::warn!(
                    partition = %log.partition(),
                    checkpoint = log.cleaned_until(),
                    first_dirty = cleanable.first_dirty,
                    "the cleaner's checkpoint is out of range and begins anew"
                );
            }
            log.set_cleaned_until(cleanable.first_dirty);
        }
        Some(cleanable)
    }

    fn set_aside_from_cleaning(&self, log: &Arc<Log>, reason: &str) {
        let aside = SetAside {
            log: Arc::downgrade(log),
            reason: reason.to_owned(),
        };
        let (partitions, bytes) = {
            let mut state = self.cleaning.state();
            state
                .set_aside
                .retain(|_, aside| aside.log.strong_count() > 0);
            state.set_aside.insert(log.partition().clone(), aside);
            let logs = state.set_aside.values().filter_map(|a| a.log.upgrade());
            (
                state.set_aside.len(),
                logs.map(|log| log.size()).sum::<u64>(),
            )
        };
        tracing::error!(
            partition = %log.partition(),
            reason,
            uncleanable_partitions = partitions,
            uncleanable_bytes = bytes,
            "a log cannot be cleaned; the cleaner passes it over from now on"
        );
    }

    /// Lets the cleaner try again what it had set aside.
    fn forget_set_aside(&self) {
        self.cleaning.state().set_aside.clear();
    }
}

/// A panic over one log is that log's error: the thread and the other logs go on.
fn caught<T>(work: impl FnOnce() -> Result<T, CleanError>) -> Result<T, CleanError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(CleanError::Panicked {
            message: text
                .unwrap_or("for a reason that it does not tell")
                .to_owned(),
        })
    })
}

fn tell(log: &Log, cleanable: &Cleanable, stats: &CleanStats) {
    tracing::info!(
        partition = %log.partition(),
        from = cleanable.first_dirty,
        to = stats.end_offset,
        keys = stats.keys,
        bytes_before = stats.bytes_read,
        bytes_after = stats.bytes_written,
        records_before = stats.records_read,
        records_after = stats.records_kept,
        "cleaned"
    );
    if stats.keyless > 0 {
        tracing::warn!(
            partition = %log.partition(),
            records = stats.keyless,
            "records without a key were dropped"
        );
    }
}

/// Never waits, never stops.
struct Unhurried;

impl Pace for Unhurried {
    fn spend(&self, _: u64) -> Result<(), Stopped> {
        Ok(())
    }
}

type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The threads that clean; they end when this is dropped.
pub struct CleanerThreads {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    manager: Arc<LogManager>,
    now_ms: Clock,
    control: Mutex<Control>,
    changed: Condvar,
    throttle: Mutex<Throttle>,
}

#[derive(Debug)]
struct Control {
    settings: CleanerSettings,
    is_stopped: bool,
    /// Counts changes, so that who waits can tell.
    changes: u64,
}

impl CleanerThreads {
    pub fn start(
        manager: &Arc<LogManager>,
        settings: CleanerSettings,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> std::io::Result<CleanerThreads> {
        let throttle = Throttle::new(settings.io_bytes_per_second_max, now_ms());
        let cleaner = CleanerThreads {
            shared: Arc::new(Shared {
                manager: Arc::clone(manager),
                now_ms: Arc::new(now_ms),
                control: Mutex::new(Control {
                    settings,
                    is_stopped: false,
                    changes: 0,
                }),
                changed: Condvar::new(),
                throttle: Mutex::new(throttle),
            }),
            threads: Mutex::new(Vec::new()),
        };
        cleaner.spawn_missing()?;
        Ok(cleaner)
    }

    /// Takes over other settings. Cleans that are under way end with the memory that they began with.
    pub fn reconfigure(&self, settings: CleanerSettings) -> std::io::Result<()> {
        {
            let mut control = self.shared.control();
            if control.settings == settings {
                return Ok(());
            }
            tracing::info!(?settings, "the cleaner is reconfigured");
            control.settings = settings;
            control.changes += 1;
        }
        self.shared
            .throttle()
            .set_rate(settings.io_bytes_per_second_max);
        self.shared.manager.forget_set_aside();
        self.shared.changed.notify_all();
        self.spawn_missing()
    }

    fn spawn_missing(&self) -> std::io::Result<()> {
        let settings = self.shared.control().settings;
        let wanted = if settings.is_enabled {
            settings.threads.max(1)
        } else {
            0
        };
        let mut threads = self.threads.lock().expect("cleaner threads poisoned");
        while threads.len() < wanted {
            let (shared, index) = (Arc::clone(&self.shared), threads.len());
            let thread = std::thread::Builder::new()
                .name(format!("log-cleaner-{index}"))
                .spawn(move || shared.run(index))?;
            threads.push(thread);
        }
        Ok(())
    }
}

impl Drop for CleanerThreads {
    fn drop(&mut self) {
        self.shared.control().is_stopped = true;
        self.shared.changed.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().expect("cleaner threads poisoned"));
        for thread in threads {
            // A panic in there was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for CleanerThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CleanerThreads")
            .field("settings", &self.shared.control().settings)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().expect("cleaner control poisoned")
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().expect("cleaner throttle poisoned")
    }

    fn run(&self, index: usize) {
        loop {
            let (settings, changes) = {
                let control = self.control();
                if control.is_stopped {
                    return;
                }
                (control.settings, control.changes)
            };
            // A thread that is one too many waits for another change.
            let is_needed = index < settings.threads.max(1);
            let backoff = is_needed.then(|| Duration::from_millis(settings.backoff_ms));
            if !is_needed || !self.clean_one(&settings) {
                self.wait(backoff, changes);
            }
        }
    }

    fn clean_one(&self, settings: &CleanerSettings) -> bool {
        let now_ms = (self.now_ms)();
        self.manager.clean_at_pace(settings, self, now_ms)
    }

    /// Waits until the settings are not those that `changes` counts, or for the stop, or until the time is over.
    fn wait(&self, longest: Option<Duration>, changes: u64) {
        // A time beyond the clock's range is for ever.
        let end = longest.and_then(|longest| Instant::now().checked_add(longest));
        let mut control = self.control();
        while !control.is_stopped && control.changes == changes {
            control = match end {
                None => self
                    .changed
                    .wait(control)
                    .expect("cleaner control poisoned"),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    let waited = self.changed.wait_timeout(control, left);
                    waited.expect("cleaner control poisoned").0
                }
            };
        }
    }
}

impl Pace for Shared {
    fn spend(&self, bytes: u64) -> Result<(), Stopped> {
        let wait = self.throttle().spend(bytes, (self.now_ms)());
        if !wait.is_zero() {
            let changes = self.control().changes;
            self.wait(Some(wait), changes);
        }
        if self.control().is_stopped {
            return Err(Stopped);
        }
        Ok(())
    }
}

impl LogManager {
    /// Takes over what the checkpoint says of a log that was just loaded.
    pub(super) fn restore_cleaned(log: &Log, checkpoint: i64) {
        if checkpoint <= log.log_end_offset() {
            log.cleaned_until.store(checkpoint, Ordering::Release);
        } else {
            // The log lost its tail: what comes in its place is dirty, and where that begins is not known.
            tracing::warn!(
                partition = %log.partition(),
                checkpoint,
                log_end_offset = log.log_end_offset(),
                "the cleaner's checkpoint lies behind the log end and begins anew"
            );
            log.note_behind(Checkpointed::Cleaned);
        }
    }
}

#[cfg(test)]
mod tests;
