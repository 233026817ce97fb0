//! Which leader epoch began at which offset.
//!
//! Invariant: epochs and start offsets grow together, strictly.
//! Called by append (a batch of a later epoch), truncation, OffsetForLeaderEpoch, and recovery. The owner writes the
//! `leader-epoch-checkpoint` file when a call here says that something changed.

/// An epoch's first offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: i32,
    pub start_offset: i64,
}

/// An epoch and the offset at which it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: i32,
    pub end_offset: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// Takes entries in order; one that does not grow displaces those before it, as an assignment would.
    pub fn from_entries(entries: impl IntoIterator<Item = EpochEntry>) -> EpochCache {
        let mut cache = EpochCache::default();
        for entry in entries {
            cache.assign(entry.epoch, entry.start_offset);
        }
        cache
    }

    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// Notes that `epoch` begins at `start_offset`; entries that contradict it go. Returns whether anything changed.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || start_offset < 0 {
            return false;
        }
        if self
            .latest()
            .is_some_and(|latest| latest.epoch == epoch && start_offset >= latest.start_offset)
        {
            return false;
        }
        while self
            .latest()
            .is_some_and(|latest| latest.epoch >= epoch || latest.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    /// Forgets epochs that begin at `end_offset` or later. Returns whether anything changed.
    pub fn truncate_from_end(&mut self, end_offset: i64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end_offset);
        self.entries.len() != before
    }

    /// Whether `other` has the same epochs, but for one that begins at `end_offset`.
    pub fn agrees_before(&self, end_offset: i64, other: &EpochCache) -> bool {
        let begun = |cache: &EpochCache| -> Vec<EpochEntry> {
            let entries = cache.entries.iter();
            entries
                .filter(|entry| entry.start_offset != end_offset)
                .copied()
                .collect()
        };
        begun(self) == begun(other)
    }

    /// Forgets epochs that ended before `start_offset`; the one that was current there begins there now.
    pub fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let gone = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        if gone == 0 || (gone == 1 && self.entries[0].start_offset == start_offset) {
            return false;
        }
        self.entries.drain(..gone - 1);
        self.entries[0].start_offset = start_offset;
        true
    }

    pub fn clear(&mut self) -> bool {
        let had_some = !self.entries.is_empty();
        self.entries.clear();
        had_some
    }

    /// The largest epoch not greater than the one asked for, and where it ended: what OffsetForLeaderEpoch answers.
    ///
    /// For the latest epoch that is the log end. For an epoch before all that are known it is the start of the first
    /// known one, under the epoch that was asked for. Nothing for an epoch that is greater than all known ones.
    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEnd> {
        if epoch < 0 {
            return None;
        }
        let latest = self.latest()?;
        if latest.epoch == epoch {
            return Some(EpochEnd {
                epoch,
                end_offset: log_end_offset,
            });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(higher)?.start_offset;
        let floor = higher.checked_sub(1).map(|at| self.entries[at].epoch);
        Some(EpochEnd {
            epoch: floor.unwrap_or(epoch),
            end_offset,
        })
    }

    /// The epoch in which the record at `offset` was written.
    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        let at = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        Some(self.entries[at.checked_sub(1)?].epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        EpochCache::from_entries(entries.iter().map(|&(epoch, start_offset)| EpochEntry {
            epoch,
            start_offset,
        }))
    }

    #[track_caller]
    fn check(cache: &EpochCache, expected: &[(i32, i64)]) {
        let entries: Vec<_> = cache
            .entries()
            .iter()
            .map(|entry| (entry.epoch, entry.start_offset))
            .collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn assignments_displace_what_contradicts_them() {
        let mut epochs = cache(&[(2, 6), (3, 9), (5, 15)]);
        assert!(!epochs.assign(5, 20));
        check(&epochs, &[(2, 6), (3, 9), (5, 15)]);
        assert!(epochs.assign(6, 15));
        check(&epochs, &[(2, 6), (3, 9), (6, 15)]);
        assert!(epochs.assign(3, 7));
        check(&epochs, &[(2, 6), (3, 7)]);
        assert!(!epochs.assign(-1, 9));
        assert!(epochs.assign(9, 0));
        check(&epochs, &[(9, 0)]);
    }

    #[test]
    fn truncation_keeps_what_lies_within() {
        let mut epochs = cache(&[(2, 6), (3, 9), (5, 15)]);
        assert!(!epochs.truncate_from_end(16));
        assert!(epochs.truncate_from_end(9));
        check(&epochs, &[(2, 6)]);

        let mut epochs = cache(&[(2, 6), (3, 9), (5, 15)]);
        assert!(!epochs.truncate_from_start(5));
        assert!(!epochs.truncate_from_start(6));
        assert!(epochs.truncate_from_start(8));
        check(&epochs, &[(2, 8), (3, 9), (5, 15)]);
        assert!(epochs.truncate_from_start(15));
        check(&epochs, &[(5, 15)]);
    }

    #[test]
    fn end_offsets_are_what_followers_need_to_truncate() {
        let epochs = cache(&[(2, 6), (3, 9), (5, 15)]);
        let end = |epoch| {
            epochs
                .end_offset_for(epoch, 20)
                .map(|end| (end.epoch, end.end_offset))
        };
        assert_eq!(end(-1), None);
        assert_eq!(end(0), Some((0, 6)));
        assert_eq!(end(2), Some((2, 9)));
        assert_eq!(end(4), Some((3, 15)));
        assert_eq!(end(5), Some((5, 20)));
        assert_eq!(end(6), None);
        assert_eq!(cache(&[]).end_offset_for(0, 20), None);
        assert_eq!(epochs.epoch_for_offset(5), None);
        assert_eq!(epochs.epoch_for_offset(9), Some(3));
        assert_eq!(epochs.epoch_for_offset(14), Some(3));
    }
}
