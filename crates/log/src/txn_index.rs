//! The aborted transactions of a segment, in Kafka's `.txnindex` file.
//!
//! ```text
//! version 0 (i16) | producer id (i64) | first offset (i64) | last offset: the marker (i64) | last stable offset (i64)
//! ```
//!
//! Invariant: last offsets grow. The file exists only where a transaction was aborted, so most segments have none, and
//! nothing is kept in memory or open for them.
//! Called by [`Segment`](crate::segment::Segment).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use crate::disk::DiskFile;
use crate::file_cache::{DirPath, FileCache};
use crate::names::{FileKind, FileState};

const ENTRY_SIZE: usize = 34;
const VERSION: i16 = 0;
/// Entries that one read fetches.
const READ_BLOCK: usize = 240;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
    /// The last stable offset just after the abort.
    pub last_stable_offset: i64,
}

impl AbortedTxn {
    fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.last_offset.to_be_bytes());
        bytes[26..34].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<AbortedTxn> {
        let long =
            |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if i16::from_be_bytes([bytes[0], bytes[1]]) != VERSION {
            return None;
        }
        Some(AbortedTxn {
            producer_id: long(2),
            first_offset: long(10),
            last_offset: long(18),
            last_stable_offset: long(26),
        })
    }
}

/// What a search found, and whether later segments can have more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TxnSearch {
    pub aborted: Vec<AbortedTxn>,
    pub is_complete: bool,
}

#[derive(Debug)]
pub(crate) struct TxnIndex {
    cache: Arc<FileCache>,
    dir: Arc<DirPath>,
    base_offset: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes of entries in the file; 0 while there is none.
    len: u64,
    /// Of those, bytes that are durable, and with them the file's name.
    synced: u64,
    /// Entries that found the disk full.
    pending: Vec<AbortedTxn>,
    /// Which of its names the file has; changed and used under the lock, so that no other file is taken for it.
    name: FileState,
    /// The file, once another is about to take its name.
    held: Option<Arc<DiskFile>>,
}

/// An entry that cannot be one of this segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} is not an aborted transaction of this segment")]
pub(crate) struct TxnIndexFault(u64);

impl TxnIndex {
    pub fn new(
        cache: &Arc<FileCache>,
        dir: &Arc<DirPath>,
        base_offset: i64,
        name: FileState,
    ) -> TxnIndex {
        TxnIndex {
            cache: Arc::clone(cache),
            dir: Arc::clone(dir),
            base_offset,
            state: Mutex::new(State {
                len: 0,
                synced: 0,
                pending: Vec::new(),
                name,
                held: None,
            }),
        }
    }

    /// Keeps the file open, if there is one: another is about to take its name.
    pub fn hold(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.len > 0 {
            state.held = Some(self.open(&state, false)?);
        }
        Ok(())
    }

    fn open(&self, state: &State, create: bool) -> io::Result<Arc<DiskFile>> {
        if let Some(held) = &state.held {
            return Ok(Arc::clone(held));
        }
        let _held = self.dir.hold();
        let file = self.cache.disk().open(&self.path_in(state), create)?;
        Ok(Arc::new(file))
    }

    pub fn path(&self) -> PathBuf {
        self.path_in(&self.state())
    }

    fn path_in(&self, state: &State) -> PathBuf {
        self.dir
            .file_in(self.base_offset, FileKind::TxnIndex, state.name)
    }

    /// Gives the file the name that it has in `name`. Returns its path, or nothing if there is no such file.
    pub fn rename(&self, name: FileState) -> io::Result<Option<PathBuf>> {
        let mut state = self.state();
        let _held = self.dir.hold();
        let from = self.path_in(&state);
        let to = self.dir.file_in(self.base_offset, FileKind::TxnIndex, name);
        let renamed = match self.cache.disk().rename(&from, &to) {
            Ok(()) => Some(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        state.name = name;
        Ok(renamed)
    }

    /// Takes the entries that the file has; a part of an entry at the end is not one.
    pub fn load(&self) -> io::Result<Result<(), TxnIndexFault>> {
        let len = match std::fs::metadata(self.path()) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        self.state().len = len - len % ENTRY_SIZE as u64;
        let mut previous = i64::MIN;
        let mut fault = None;
        self.for_each(|n, txn| {
            match txn {
                Some(txn) if txn.last_offset >= self.base_offset && txn.last_offset > previous => {
                    previous = txn.last_offset;
                }
                _ => fault = Some(TxnIndexFault(n)),
            }
            fault.is_none()
        })?;
        Ok(fault.map_or(Ok(()), Err))
    }

    pub fn append(&self, txn: AbortedTxn) -> io::Result<()> {
        let mut state = self.state();
        state.pending.push(txn);
        match self.write_pending(&mut state) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            other => other,
        }
    }

    fn write_pending(&self, state: &mut State) -> io::Result<()> {
        let file = self.open(state, true)?;
        let encoded: Vec<u8> = state.pending.iter().flat_map(AbortedTxn::encode).collect();
        file.write_all_at(&encoded, state.len)?;
        state.len += encoded.len() as u64;
        state.pending.clear();
        Ok(())
    }

    /// Writes what waits, and hands out the file.
    pub fn export(&self) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        if !state.pending.is_empty() {
            self.write_pending(&mut state)?;
        }
        let mut bytes = vec![0; state.len as usize];
        if state.len > 0 {
            self.open(&state, false)?.read_exact_at(&mut bytes, 0)?;
        }
        Ok(bytes)
    }

    /// Takes over the file of the same segment's index elsewhere, which has grown if this is not the first time.
    pub fn import(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if let Some(grown) = bytes
            .get(state.len as usize..)
            .filter(|more| !more.is_empty())
        {
            self.open(&state, true)?.write_all_at(grown, state.len)?;
            state.len = bytes.len() as u64;
        }
        Ok(())
    }

    /// The aborted transactions that have offsets in `[from, upper)`.
    pub fn search(&self, from: i64, upper: i64) -> io::Result<TxnSearch> {
        let mut found = TxnSearch::default();
        self.for_each(|_, txn| {
            let Some(txn) = txn else {
                return true;
            };
            if txn.last_offset >= from && txn.first_offset < upper {
                found.aborted.push(txn);
            }
            found.is_complete = txn.last_stable_offset >= upper;
            !found.is_complete
        })?;
        Ok(found)
    }

    pub fn is_empty(&self) -> bool {
        let state = self.state();
        state.len == 0 && state.pending.is_empty()
    }

    /// Forgets the transactions that end at `offset` or later.
    pub fn truncate(&self, offset: i64) -> io::Result<()> {
        if self.is_empty() && !self.path().exists() {
            return Ok(());
        }
        let mut kept = 0;
        self.for_each(|n, txn| {
            let keep = txn.is_some_and(|txn| txn.last_offset < offset);
            if keep {
                kept = (n + 1) * ENTRY_SIZE as u64;
            }
            keep
        })?;
        let mut state = self.state();
        let kept = kept.min(state.len);
        state.pending.retain(|txn| txn.last_offset < offset);
        self.open(&state, true)?.set_len(kept)?;
        state.len = kept;
        state.synced = state.synced.min(kept);
        Ok(())
    }

    /// Makes the entries durable. Returns whether the file's name is not, for which the directory must be synced too.
    pub fn sync(&self) -> io::Result<bool> {
        let mut state = self.state();
        if !state.pending.is_empty() {
            self.write_pending(&mut state)?;
        }
        if state.synced >= state.len {
            return Ok(false);
        }
        let (file, len) = (self.open(&state, true)?, state.len);
        drop(state);
        file.sync_data()?;
        let mut state = self.state();
        // Cut meanwhile, or not: what is left was synced.
        let is_fresh = state.synced == 0;
        state.synced = len.min(state.len);
        Ok(is_fresh)
    }

    fn for_each(&self, mut take: impl FnMut(u64, Option<AbortedTxn>) -> bool) -> io::Result<()> {
        let (len, pending, file) = {
            let state = self.state();
            let file = match state.len {
                0 => None,
                _ => Some(self.open(&state, false)?),
            };
            (state.len, state.pending.clone(), file)
        };
        if let Some(file) = file
            && !for_each_in_file(&file, len, &mut take)?
        {
            return Ok(());
        }
        for (n, txn) in (len / ENTRY_SIZE as u64..).zip(pending) {
            if !take(n, Some(txn)) {
                break;
            }
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("transaction index poisoned")
    }
}

/// Returns whether `take` wants more.
fn for_each_in_file(
    file: &DiskFile,
    len: u64,
    take: &mut impl FnMut(u64, Option<AbortedTxn>) -> bool,
) -> io::Result<bool> {
    let mut buf = vec![0; READ_BLOCK * ENTRY_SIZE];
    let mut position = 0;
    while position < len {
        let want = buf.len().min((len - position) as usize);
        file.read_exact_at(&mut buf[..want], position)?;
        for entry in buf[..want].chunks_exact(ENTRY_SIZE) {
            if !take(position / ENTRY_SIZE as u64, AbortedTxn::decode(entry)) {
                return Ok(false);
            }
            position += ENTRY_SIZE as u64;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    fn index(dir: &std::path::Path) -> TxnIndex {
        let cache = FileCache::new(Disk::new(), 4);
        TxnIndex::new(
            &cache,
            &DirPath::new(dir.to_path_buf()),
            10,
            FileState::Live,
        )
    }

    fn txn(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id,
            first_offset: first,
            last_offset: last,
            last_stable_offset: stable,
        }
    }

    #[test]
    fn search_stops_where_later_entries_cannot_matter() {
        let dir = tempfile::tempdir().unwrap();
        let aborted = index(dir.path());
        assert!(aborted.is_empty());
        assert!(!aborted.path().exists());
        let txns = [txn(1, 10, 20, 15), txn(2, 15, 30, 25), txn(3, 40, 50, 51)];
        for txn in txns {
            aborted.append(txn).unwrap();
        }
        let reopened = index(dir.path());
        reopened.load().unwrap().unwrap();
        let found = reopened.search(12, 24).unwrap();
        assert_eq!(found.aborted, txns[..2]);
        assert!(found.is_complete);
        let found = reopened.search(21, 100).unwrap();
        assert_eq!(found.aborted, txns[1..]);
        assert!(!found.is_complete);
        reopened.truncate(50).unwrap();
        assert_eq!(reopened.search(0, 100).unwrap().aborted, txns[..2]);
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let dir = tempfile::tempdir().unwrap();
        let aborted = index(dir.path());
        aborted.append(txn(1, 2, 11, 4)).unwrap();
        let bytes = std::fs::read(aborted.path()).unwrap();
        let mut expected = vec![0, 0];
        for value in [1i64, 2, 11, 4] {
            expected.extend_from_slice(&value.to_be_bytes());
        }
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_entry_of_another_segment_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let aborted = index(dir.path());
        aborted.append(txn(1, 2, 9, 4)).unwrap();
        assert_eq!(index(dir.path()).load().unwrap(), Err(TxnIndexFault(0)));
    }
}
