//! Sparse indexes of a segment: offset → position and timestamp → offset, in Kafka's files.
//!
//! ```text
//! .index      offset relative to the base (i32) | position of the batch that ends with it (i32)
//! .timeindex  timestamp (i64) | offset relative to the base (i32)
//! ```
//!
//! Invariant: entries grow in both columns, and the file never holds padding. Entries of the active segment wait in
//! memory (at most [`PENDING_MAX`]) until a flush, roll or close writes them; a reader sees both parts. The lock around
//! the entries in memory is held for a push or a search of them, never over I/O.
//! Called by [`Segment`](crate::segment::Segment). What a look-up returns is a hint that the segment checks against the
//! log: an index may be damaged without a sign of it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::DiskFile;
use crate::file_cache::FileSlot;
use crate::names::FileState;

/// Entries that wait in memory before the appender itself writes them: 32 KiB of an offset index, which stand for at
/// least 16 MiB of log at the default interval.
const PENDING_MAX: usize = 4096;
/// Entries that one read of a search fetches at its end.
const SEARCH_BLOCK: u32 = 256;

/// A row of an index.
pub(crate) trait Entry: Copy + PartialEq + std::fmt::Debug {
    const SIZE: usize;

    fn encode(&self, base_offset: i64, out: &mut Vec<u8>);

    /// Decodes [`Entry::SIZE`] bytes.
    fn decode(bytes: &[u8], base_offset: i64) -> Self;

    /// Whether `self` may stand after `previous`.
    fn follows(&self, previous: &Self) -> bool;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// The last offset of the batch.
    pub offset: i64,
    pub position: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(&self, base_offset: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&((self.offset - base_offset) as i32).to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8], base_offset: i64) -> Self {
        OffsetEntry {
            offset: base_offset.saturating_add(i64::from(be_i32(&bytes[..4]))),
            position: be_i32(&bytes[4..8]) as u32,
        }
    }

    fn follows(&self, previous: &Self) -> bool {
        self.offset > previous.offset && self.position > previous.position
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub timestamp: i64,
    pub offset: i64,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(&self, base_offset: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&((self.offset - base_offset) as i32).to_be_bytes());
    }

    fn decode(bytes: &[u8], base_offset: i64) -> Self {
        TimeEntry {
            timestamp: i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")),
            offset: base_offset.saturating_add(i64::from(be_i32(&bytes[8..12]))),
        }
    }

    fn follows(&self, previous: &Self) -> bool {
        self.timestamp > previous.timestamp && self.offset >= previous.offset
    }
}

/// Why an index is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IndexFault {
    #[error("its length {0} is not a multiple of an entry's")]
    Length(u64),
    #[error("its entries do not grow (entry {0})")]
    Order(u32),
    #[error("it points beyond the segment (entry {0})")]
    Beyond(u32),
}

/// One index file with the entries that are not in it yet.
#[derive(Debug)]
pub(crate) struct SparseIndex<E> {
    slot: Arc<FileSlot>,
    base_offset: i64,
    state: Mutex<State<E>>,
    /// Held by whoever writes or cuts the file.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct State<E> {
    in_file: u32,
    pending: Vec<E>,
    last: Option<E>,
}

impl<E: Entry> SparseIndex<E> {
    /// An index without entries; a file is created when there are some, or by [`SparseIndex::flush`].
    pub fn new(slot: Arc<FileSlot>, base_offset: i64) -> Self {
        SparseIndex {
            slot,
            base_offset,
            state: Mutex::new(State {
                in_file: 0,
                pending: Vec::new(),
                last: None,
            }),
            writing: Mutex::new(()),
        }
    }

    /// Takes the entries that the file has, without looking at them, save for the first and the last.
    ///
    /// Zero padding at the end, which an unclean stop of Kafka leaves, is no entries and is cut.
    pub fn load(&self) -> io::Result<Result<(), IndexFault>> {
        let file = self.slot.get()?;
        let len = file.len()?;
        if len % E::SIZE as u64 != 0 {
            return Ok(Err(IndexFault::Length(len)));
        }
        let mut entries = u32::try_from(len / E::SIZE as u64).unwrap_or(u32::MAX);
        let mut last = None;
        if entries > 0 {
            let read = self.read_one(&file, entries - 1)?;
            let first = self.read_one(&file, 0)?;
            if entries > 1 && !read.follows(&first) {
                // Padding or damage; the first entry that does not grow tells which.
                entries = self.growing_prefix(&file, entries)?;
                last = match entries {
                    0 => None,
                    n => Some(self.read_one(&file, n - 1)?),
                };
                if !self.is_zero_after(&file, entries, len)? {
                    return Ok(Err(IndexFault::Order(entries)));
                }
                file.set_len(u64::from(entries) * E::SIZE as u64)?;
            } else {
                last = Some(read);
            }
        }
        let mut state = self.state();
        state.in_file = entries;
        state.last = last;
        Ok(Ok(()))
    }

    /// Reads all entries and checks that they grow and satisfy `within`.
    pub fn check(&self, within: impl Fn(&E) -> bool) -> io::Result<Result<(), IndexFault>> {
        let mut previous: Option<E> = None;
        let mut fault = None;
        self.for_each(|n, entry| {
            if previous.is_some_and(|previous| !entry.follows(&previous)) {
                fault = Some(IndexFault::Order(n));
            } else if !within(&entry) {
                fault = Some(IndexFault::Beyond(n));
            }
            previous = Some(entry);
            fault.is_none()
        })?;
        Ok(fault.map_or(Ok(()), Err))
    }

    /// Hands the entries to `take` in order, until it returns false.
    pub fn for_each(&self, mut take: impl FnMut(u32, E) -> bool) -> io::Result<()> {
        let (in_file, pending) = {
            let state = self.state();
            (state.in_file, state.pending.clone())
        };
        let mut n = 0;
        while n < in_file {
            let file = self.slot.get()?;
            let count = SEARCH_BLOCK.min(in_file - n);
            for entry in self.read_many(&file, n, count)? {
                if !take(n, entry) {
                    return Ok(());
                }
                n += 1;
            }
        }
        for entry in pending {
            if !take(n, entry) {
                return Ok(());
            }
            n += 1;
        }
        Ok(())
    }

    pub fn entries(&self) -> u32 {
        let state = self.state();
        state.in_file + state.pending.len() as u32
    }

    /// Bytes of the file, once all entries are in it.
    pub fn bytes(&self) -> u64 {
        u64::from(self.entries()) * E::SIZE as u64
    }

    /// Whether entries wait to be written.
    pub fn has_pending(&self) -> bool {
        !self.state().pending.is_empty()
    }

    pub fn last(&self) -> Option<E> {
        self.state().last
    }

    /// Whether another entry would make the file larger than `max_bytes`, with `reserve` entries kept free.
    pub fn is_full(&self, max_bytes: u32, reserve: u32) -> bool {
        self.entries() + reserve >= max_bytes / E::SIZE as u32
    }

    /// Adds an entry if it grows; writes those that wait if they are many.
    pub fn append(&self, entry: E) -> io::Result<()> {
        let many = {
            let mut state = self.state();
            if state.last.is_some_and(|last| !entry.follows(&last)) {
                return Ok(());
            }
            state.pending.push(entry);
            state.last = Some(entry);
            state.pending.len().is_multiple_of(PENDING_MAX)
        };
        if !many {
            return Ok(());
        }
        match self.flush() {
            // The entries wait on; an index that is late is better than an append that fails for it.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            other => other,
        }
    }

    /// Writes the entries that wait, and creates the file if there is none.
    pub fn flush(&self) -> io::Result<()> {
        let _writing = self.writing.lock().expect("index writer poisoned");
        let (position, encoded, count) = {
            let state = self.state();
            let mut encoded = Vec::with_capacity(state.pending.len() * E::SIZE);
            for entry in &state.pending {
                entry.encode(self.base_offset, &mut encoded);
            }
            (
                u64::from(state.in_file) * E::SIZE as u64,
                encoded,
                state.pending.len(),
            )
        };
        let file = self.slot.get_or_create()?;
        if count == 0 {
            return Ok(());
        }
        if position == 0 {
            // Whatever has this name is left from a segment that never came to be.
            file.set_len(0)?;
        }
        file.write_all_at(&encoded, position)?;
        let mut state = self.state();
        state.pending.drain(..count);
        state.pending.shrink_to(64);
        state.in_file += count as u32;
        Ok(())
    }

    /// Writes what waits, and makes the file durable.
    pub fn sync(&self) -> io::Result<()> {
        self.flush()?;
        let file = self.slot.get_or_create()?;
        file.sync_data()
    }

    /// Writes what waits, and hands out the file and its last entry. With entries that come meanwhile the last need not
    /// be in the file.
    pub fn export(&self) -> io::Result<(Vec<u8>, Option<E>)> {
        self.flush()?;
        let _writing = self.writing.lock().expect("index writer poisoned");
        let (in_file, last) = {
            let state = self.state();
            (state.in_file, state.last)
        };
        let mut bytes = vec![0; in_file as usize * E::SIZE];
        if in_file > 0 {
            self.slot.get()?.read_exact_at(&mut bytes, 0)?;
        }
        Ok((bytes, last))
    }

    /// Takes over the file of the same segment's index elsewhere.
    pub fn import(&self, (bytes, last): &(Vec<u8>, Option<E>)) -> io::Result<()> {
        let _writing = self.writing.lock().expect("index writer poisoned");
        let file = self.slot.get_or_create()?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        *self.state() = State {
            in_file: (bytes.len() / E::SIZE) as u32,
            pending: Vec::new(),
            last: *last,
        };
        Ok(())
    }

    /// Takes `entries` in place of those that are there. Readers see the new ones at once, from memory.
    pub fn replace(&self, entries: Vec<E>) -> io::Result<()> {
        {
            let _writing = self.writing.lock().expect("index writer poisoned");
            let mut state = self.state();
            state.in_file = 0;
            state.last = entries.last().copied();
            state.pending = entries;
        }
        self.flush()
    }

    /// Keeps the entries before the first that does not satisfy `keep`.
    pub fn truncate(&self, keep: impl Fn(&E) -> bool) -> io::Result<()> {
        let _writing = self.writing.lock().expect("index writer poisoned");
        let in_file = self.state().in_file;
        let kept = if in_file == 0 {
            0
        } else {
            self.partition_point(&*self.slot.get()?, in_file, &keep)?
        };
        let mut state = self.state();
        let pending = state.pending.partition_point(&keep);
        state.pending.truncate(pending);
        state.in_file = kept;
        state.last = state.pending.last().copied();
        drop(state);
        let file = self.slot.get_or_create()?;
        file.set_len(u64::from(kept) * E::SIZE as u64)?;
        if kept > 0 && self.state().last.is_none() {
            let last = self.read_one(&file, kept - 1)?;
            self.state().last = Some(last);
        }
        Ok(())
    }

    /// The last entry of those at the start that satisfy `holds`.
    pub fn floor(&self, holds: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        let in_file = {
            let state = self.state();
            let in_memory = state.pending.partition_point(&holds);
            if in_memory > 0 {
                return Ok(Some(state.pending[in_memory - 1]));
            }
            if let Some(last) = state.last
                && state.pending.is_empty()
                && holds(&last)
            {
                return Ok(Some(last));
            }
            state.in_file
        };
        if in_file == 0 {
            return Ok(None);
        }
        let file = self.slot.get()?;
        match self.partition_point(&file, in_file, &holds)? {
            0 => Ok(None),
            n => Ok(Some(self.read_one(&file, n - 1)?)),
        }
    }

    /// The first entry that does not satisfy `holds`, when those that do come first.
    pub fn ceiling(&self, holds: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        let (in_file, first_pending) = {
            let state = self.state();
            let at = state.pending.partition_point(&holds);
            let first_pending = state.pending.get(at).copied();
            if at > 0 {
                return Ok(first_pending);
            }
            (state.in_file, first_pending)
        };
        if in_file == 0 {
            return Ok(first_pending);
        }
        let file = self.slot.get()?;
        match self.partition_point(&file, in_file, &holds)? {
            n if n < in_file => Ok(Some(self.read_one(&file, n)?)),
            _ => Ok(first_pending),
        }
    }

    pub fn close(&self) {
        self.slot.close();
    }

    /// See [`FileSlot::hold`].
    pub fn hold(&self) -> io::Result<()> {
        self.slot.hold()
    }

    /// See [`FileSlot::rename`].
    pub fn rename(&self, state: FileState) -> io::Result<Option<PathBuf>> {
        self.slot.rename(state)
    }

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().expect("index poisoned")
    }

    /// How many of the first `count` entries of the file satisfy `holds`.
    fn partition_point(
        &self,
        file: &DiskFile,
        count: u32,
        holds: &impl Fn(&E) -> bool,
    ) -> io::Result<u32> {
        let (mut low, mut high) = (0, count);
        while high - low > SEARCH_BLOCK {
            let middle = low + (high - low) / 2;
            if holds(&self.read_one(file, middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let block = self.read_many(file, low, high - low)?;
        Ok(low + block.partition_point(holds) as u32)
    }

    fn read_one(&self, file: &DiskFile, n: u32) -> io::Result<E> {
        let mut bytes = [0; 16];
        let bytes = &mut bytes[..E::SIZE];
        file.read_exact_at(bytes, u64::from(n) * E::SIZE as u64)?;
        Ok(E::decode(bytes, self.base_offset))
    }

    fn read_many(&self, file: &DiskFile, n: u32, count: u32) -> io::Result<Vec<E>> {
        let mut bytes = vec![0; count as usize * E::SIZE];
        file.read_exact_at(&mut bytes, u64::from(n) * E::SIZE as u64)?;
        Ok(bytes
            .chunks_exact(E::SIZE)
            .map(|entry| E::decode(entry, self.base_offset))
            .collect())
    }

    /// How many of the first `count` entries grow.
    fn growing_prefix(&self, file: &DiskFile, count: u32) -> io::Result<u32> {
        let mut previous: Option<E> = None;
        let mut n = 0;
        while n < count {
            for entry in self.read_many(file, n, SEARCH_BLOCK.min(count - n))? {
                if previous.is_some_and(|previous| !entry.follows(&previous)) {
                    return Ok(n);
                }
                previous = Some(entry);
                n += 1;
            }
        }
        Ok(n)
    }

    fn is_zero_after(&self, file: &DiskFile, entries: u32, len: u64) -> io::Result<bool> {
        let mut position = u64::from(entries) * E::SIZE as u64;
        let mut buf = vec![0; 64 << 10];
        while position < len {
            let n = file.read_at_most(&mut buf, position)?;
            if n == 0 {
                break;
            }
            if buf[..n].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            position += n as u64;
        }
        Ok(true)
    }
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests;
