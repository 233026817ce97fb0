//! Putting a cleaned segment in the place of those that it was made from.
//!
//! ```text
//! files:  .cleaned ─(durable)─▶ .swap ─▶ old ones .deleted ─▶ in place
//! list:                              ▲ readers see the cleaned segment from here on
//! crash:  old ones stay         │ the start finishes the swap
//! ```
//!
//! Invariant: at each step the directory holds one whole version of the log that a start finds again, Kafka's or ours.
//! The lock `reshaping` keeps truncation, retention and removal out; the writer's is held only to change lists.
//! Called by the cleaner with a durable segment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::CleanError;
use crate::behind::Checkpointed;
use crate::error::{Context, StorageError};
use crate::log::Log;
use crate::names::{FileKind, FileState};
use crate::segment::Segment;

impl Log {
    pub(super) fn swap_in(
        &self,
        cleaned: &Arc<Segment>,
        old: &[Arc<Segment>],
        truncations: u64,
        now_ms: i64,
    ) -> Result<(), CleanError> {
        let _reshaping = self.reshaping();
        if self.is_out_of_use() {
            return Err(CleanError::Overtaken);
        }
        let is_current = self.writer().truncations == truncations;
        if !is_current || self.position_of(old).is_none() {
            return Err(CleanError::Overtaken);
        }
        for segment in old {
            segment.hold_files()?;
        }
        cleaned.rename(FileState::Swap)?;
        self.sync_own_dir()?;
        let snapshots = self.replace_in_lists(cleaned, old);
        for segment in old {
            self.retire_segment(segment, now_ms)?;
        }
        for offset in snapshots {
            self.mark_deleted(offset, FileKind::Snapshot, now_ms)?;
        }
        cleaned.rename(FileState::Live)?;
        self.sync_own_dir()?;
        cleaned.close_files();
        Ok(())
    }

    /// Where `old` lies in the list of segments, if all of it still does.
    fn position_of(&self, old: &[Arc<Segment>]) -> Option<usize> {
        let segments = self.segments.load();
        let first = old.first()?;
        let at = segments
            .iter()
            .position(|segment| Arc::ptr_eq(segment, first))?;
        let found = segments.get(at..at + old.len())?;
        let is_same = found.iter().zip(old).all(|(a, b)| Arc::ptr_eq(a, b));
        is_same.then_some(at)
    }

    /// Changes the list of segments. Returns the offsets of the snapshots that are of no segment any more.
    fn replace_in_lists(&self, cleaned: &Arc<Segment>, old: &[Arc<Segment>]) -> Vec<i64> {
        // Appends may add segments meanwhile, but nobody removes any.
        let mut writer = self.writer();
        let at = self.position_of(old).expect("only appends change the list");
        let mut segments = self.segments.load().as_ref().clone();
        segments.splice(at..at + old.len(), [Arc::clone(cleaned)]);
        self.segments.store(Arc::new(segments));
        let is_gone = |offset: i64| {
            offset != cleaned.base_offset
                && old
                    .binary_search_by_key(&offset, |segment| segment.base_offset)
                    .is_ok()
        };
        let (gone, kept) = std::mem::take(&mut writer.snapshots)
            .into_iter()
            .partition(|&offset| is_gone(offset));
        writer.snapshots = kept;
        gone
    }

    fn sync_own_dir(&self) -> Result<(), StorageError> {
        self.place.load().dir.sync(self.environment.disk())
    }

    /// Removes what an earlier clean left of a segment at `base_offset`.
    pub(super) fn remove_cleaned(&self, base_offset: i64) -> Result<(), StorageError> {
        for kind in FileKind::ALL {
            let path = self
                .place
                .load()
                .dir
                .file_in(base_offset, kind, FileState::Cleaned);
            self.environment
                .disk()
                .remove_file_if_exists(&path)
                .context("remove", &path)?;
        }
        Ok(())
    }

    /// The offset before which the log is clean, as far as is known.
    pub fn cleaned_until(&self) -> Option<i64> {
        let offset = self.cleaned_until.load(Ordering::Acquire);
        (offset >= 0).then_some(offset)
    }

    pub(crate) fn set_cleaned_until(&self, offset: i64) {
        self.cleaned_until.store(offset, Ordering::Release);
        self.note_behind(Checkpointed::Cleaned);
    }

    /// Nothing at or after `offset` is clean any more.
    pub(crate) fn lower_cleaned_until(&self, offset: i64) {
        if self.cleaned_until.fetch_min(offset, Ordering::AcqRel) > offset {
            self.note_behind(Checkpointed::Cleaned);
        }
    }
}
