//! A file whose blocks are reserved before it becomes the active segment.
//!
//! To reserve blocks in a file that is appended to holds its lock for as long as the disk takes to say which blocks are
//! free, and appends wait. In a file that nobody uses yet, nobody waits; and a roll that finds one makes no file on the
//! append's thread, but renames.
//!
//! Invariant: a log has at most one spare, which is empty and has the name of a deleted segment ([`OFFSET`]): whoever
//! starts on the directory, we or Kafka, removes it. Nothing depends on it: a roll that finds none makes a file.
//! Called by append (by way of `care`), by the roll, and by close.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::Space;
use crate::log::Log;
use crate::names::{FileKind, FileState};
use crate::segment::Segment;

/// Stands in the spare's name where a segment has its base offset, which this one can never be.
const OFFSET: i64 = i64::MAX;

/// What there is of a log's spare: one of the states below, or the bytes that are reserved in it.
#[derive(Debug, Default)]
pub(crate) struct Spare(AtomicU64);

const NONE: u64 = 0;
/// It is being made.
const BEING_MADE: u64 = u64::MAX;
/// The log is closed: there will be none.
const OVER: u64 = u64::MAX - 1;

fn is_there(state: u64) -> bool {
    !matches!(state, NONE | BEING_MADE | OVER)
}

impl Spare {
    /// Goes from one state to another, if it is in that one.
    fn change(&self, from: u64, to: u64) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The bytes that are reserved in it, if it is there: the caller has it then, and no other.
    fn take(&self) -> Option<u64> {
        let len = self.0.load(Ordering::Acquire);
        (is_there(len) && self.change(len, NONE)).then_some(len)
    }

    /// There will be none from now on. Returns whether there was one.
    fn end(&self) -> bool {
        is_there(self.0.swap(OVER, Ordering::AcqRel))
    }
}

impl Log {
    fn spare_path(&self) -> PathBuf {
        let place = self.place.load();
        place.dir.file_in(OFFSET, FileKind::Log, FileState::Deleted)
    }

    /// Makes a spare with so many bytes reserved, unless there is one. Failing at that does no harm.
    pub(crate) fn make_spare(&self, len: u64) {
        if self.is_out_of_use() || !self.spare.change(NONE, BEING_MADE) {
            return;
        }
        let path = self.spare_path();
        let reserved = self.reserve_spare(&path, len);
        let is_made = matches!(reserved, Ok(true));
        if let Err(error) = reserved {
            tracing::debug!(path = %path.display(), %error, "cannot reserve the next segment");
        }
        let is_kept = self
            .spare
            .change(BEING_MADE, if is_made { len } else { NONE });
        if !(is_made && is_kept) {
            self.remove_spare();
        }
    }

    /// Returns whether there was room for it.
    fn reserve_spare(&self, path: &Path, len: u64) -> std::io::Result<bool> {
        let disk = self.environment.disk();
        let file = disk.open(path, true)?;
        if len > Space::of(path)?.for_reserve() {
            return Ok(false);
        }
        // One that an earlier attempt left may have had other plans.
        file.set_len(0)?;
        file.reserve(0, len).map(|()| true)
    }

    /// Lets the spare, if there is one, become the log file of a segment that has none yet. Returns how many bytes are
    /// reserved in it.
    pub(crate) fn give_spare_to(&self, segment: &Segment) -> u64 {
        let Some(len) = self.spare.take() else {
            return 0;
        };
        let place = self.place.load();
        let _held = place.dir.hold();
        let renamed = self
            .environment
            .disk()
            .rename(&self.spare_path(), &segment.path(FileKind::Log));
        match renamed {
            Ok(()) => {
                segment.note_reserve();
                len
            }
            // The log was moved to another directory, and its spare was not.
            Err(error) => {
                tracing::debug!(partition = %self.partition, %error, "cannot use the reserved segment");
                0
            }
        }
    }

    /// Gives the spare back: the log is not appended to again.
    pub(crate) fn end_spare(&self) {
        // Whoever is making one finds that it is over, and removes it.
        if self.spare.end() {
            self.remove_spare();
        }
    }

    fn remove_spare(&self) {
        let path = self.spare_path();
        if let Err(error) = self.environment.disk().remove_file_if_exists(&path) {
            tracing::debug!(path = %path.display(), %error, "a reserved segment stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests;
