//! Which logs have changed since something was last done for all of them, so that doing it again costs what changed.
//!
//! ```text
//! Log::note_behind ──▶ Behind, one per checkpoint file of a directory ──▶ the manager's checkpoints
//! Log::list_in ──▶ Listing: logs that hold something, logs that are compacted ──▶ retention, the cleaner's choice
//! ```
//!
//! Invariant: a log is in a list once. A mark is taken back before the log is looked at, so that a change meanwhile
//! lists it again. A list may name logs that are gone or lie elsewhere: whoever takes it looks.
//! Called by logs as they change, and by the manager.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use ottla_protocol::ids::TopicPartition;

use crate::log::Log;

/// The checkpoint files of a log directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkpointed {
    RecoveryPoints,
    LogStarts,
    HighWatermarks,
    Cleaned,
}

impl Checkpointed {
    pub const ALL: [Checkpointed; 4] = [
        Checkpointed::RecoveryPoints,
        Checkpointed::LogStarts,
        Checkpointed::HighWatermarks,
        Checkpointed::Cleaned,
    ];
}

/// Lists over all directories that a log may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// Logs that retention could take something of, or that know producers.
    Used,
    /// Logs that the cleaner may clean.
    Compacted,
}

/// The lists that a log is in.
#[derive(Debug, Default)]
pub(crate) struct Marks(AtomicU8);

impl Marks {
    fn bit_of(file: Checkpointed) -> u8 {
        1 << file as u8
    }

    fn bit_in(list: List) -> u8 {
        0x10 << list as u8
    }

    /// Returns whether the mark was not set.
    fn set(&self, bit: u8) -> bool {
        // Mostly it is, and others need not fetch what was not changed.
        self.0.load(Ordering::SeqCst) & bit == 0
            && self.0.fetch_or(bit, Ordering::SeqCst) & bit == 0
    }

    fn clear(&self, bit: u8) {
        self.0.fetch_and(!bit, Ordering::SeqCst);
    }
}

/// Which checkpoint files of a directory are behind, and what they say.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    files: [Behind; Checkpointed::ALL.len()],
    /// The files may have lines of a log that is gone, which another log of its name must not inherit.
    pub gone: AtomicBool,
    /// Held by whoever writes one of them.
    written: Mutex<[Lines; Checkpointed::ALL.len()]>,
}

/// What one checkpoint file lacks.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Something is to be written.
    pub is_due: AtomicBool,
    /// Every log has to be looked at.
    pub is_all: AtomicBool,
    changed: Mutex<Vec<Weak<Log>>>,
}

/// The lines of one checkpoint file; offsets that need not be said have none.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Every log was looked at once.
    pub is_known: bool,
    /// A line was taken out, or the file could not be written: it says something else than the lines.
    pub is_wrong: bool,
    pub offsets: BTreeMap<TopicPartition, i64>,
}

impl Lines {
    /// Returns whether that changes the file.
    pub fn set(&mut self, partition: &TopicPartition, offset: Option<i64>) -> bool {
        match offset {
            None => self.offsets.remove(partition).is_some(),
            Some(offset) => match self.offsets.get_mut(partition) {
                Some(known) => std::mem::replace(known, offset) != offset,
                None => self.offsets.insert(partition.clone(), offset).is_none(),
            },
        }
    }
}

impl Stale {
    pub fn behind(&self, file: Checkpointed) -> &Behind {
        &self.files[file as usize]
    }

    pub fn written(&self) -> MutexGuard<'_, [Lines; Checkpointed::ALL.len()]> {
        self.written.lock().expect("checkpoints poisoned")
    }

    /// What is checkpointed of any log in the directory may be behind.
    pub fn note_all(&self, file: Checkpointed) {
        let behind = self.behind(file);
        behind.is_all.store(true, Ordering::Release);
        behind.is_due.store(true, Ordering::Release);
    }

    /// What is checkpointed of the directory's logs may be behind in every file.
    pub fn note_all_files(&self) {
        for file in Checkpointed::ALL {
            self.note_all(file);
        }
    }

    /// Any of the files may have lines of logs that are gone.
    pub fn note_gone(&self) {
        self.note_all_files();
        self.gone.store(true, Ordering::Release);
    }

    /// The lines of a log that is gone have to go before another one has its name.
    pub fn forget(&self, partition: &TopicPartition) {
        let mut written = self.written();
        for file in Checkpointed::ALL {
            let lines = &mut written[file as usize];
            if !lines.is_known {
                // The file is of an earlier start, and says what it says.
                self.note_all(file);
                self.gone.store(true, Ordering::Release);
            } else if lines.set(partition, None) {
                lines.is_wrong = true;
                self.behind(file).is_due.store(true, Ordering::Release);
                self.gone.store(true, Ordering::Release);
            }
        }
    }
}

impl Behind {
    pub fn take(&self) -> Vec<Weak<Log>> {
        std::mem::take(&mut self.changed())
    }

    fn changed(&self) -> MutexGuard<'_, Vec<Weak<Log>>> {
        self.changed.lock().expect("changed logs poisoned")
    }
}

/// Logs that are something, until it is found that they are not.
#[derive(Debug, Default)]
pub(crate) struct Listing(Mutex<Vec<Weak<Log>>>);

impl Listing {
    /// The logs that are what `is_one` says; the others leave the list. Who looks at a list does so alone.
    pub fn look(&self, list: List, is_one: impl Fn(&Log) -> bool) -> Vec<Arc<Log>> {
        let mut found = Vec::new();
        let stays = |log: &Arc<Log>| {
            if is_one(log) {
                return true;
            }
            let bit = Marks::bit_in(list);
            log.marks.clear(bit);
            // It may have become one just before, and have found itself in the list.
            is_one(log) && log.marks.set(bit)
        };
        // A log may come here under a lock that `is_one` takes.
        let mut logs = std::mem::take(&mut *self.logs());
        logs.retain(|log| match log.upgrade() {
            Some(log) if stays(&log) => {
                found.push(log);
                true
            }
            _ => false,
        });
        self.logs().append(&mut logs);
        found
    }

    fn logs(&self) -> MutexGuard<'_, Vec<Weak<Log>>> {
        self.0.lock().expect("list of logs poisoned")
    }
}

impl Log {
    /// What is checkpointed of this log is not true any more.
    pub(crate) fn note_behind(&self, file: Checkpointed) {
        if self.marks.set(Marks::bit_of(file)) {
            let place = self.place.load();
            let behind = place.log_dir.stale.behind(file);
            behind.changed().push(self.me.clone());
            behind.is_due.store(true, Ordering::Release);
        }
    }

    /// Whoever writes the file is about to look at the log.
    pub(crate) fn unmark_behind(&self, file: Checkpointed) {
        self.marks.clear(Marks::bit_of(file));
    }

    pub(crate) fn list_in(&self, list: List) {
        if self.marks.set(Marks::bit_in(list)) {
            let listing = self.environment.listing(list);
            listing.logs().push(self.me.clone());
        }
    }
}
