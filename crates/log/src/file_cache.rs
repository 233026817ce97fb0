//! A bounded number of open files for an unbounded number of segments.
//!
//! Invariant: a [`FileSlot`] is opened when it is used, and at most `capacity` slots (and those whose users still hold
//! the handle) are open at a time. A handle that a reader holds stays valid when its slot is closed, and when the file
//! is renamed or removed. A slot follows its file through [`FileSlot::rename`]: whoever still holds the slot opens that
//! file and no other that has taken its name.
//! Called by segments and their indexes.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::disk::{Disk, DiskFile, with_suffix};
use crate::error::{Context, StorageError};
use crate::names::{FileKind, FileState};

/// Files kept open at most, unless the broker is configured otherwise. Below the 20,000 that a process may have on
/// common machines, with room for as many connections.
pub const DEFAULT_OPEN_FILES_MAX: usize = 8_000;

/// A log's directory; all its slots share it, so that a rename moves them together.
#[derive(Debug)]
pub(crate) struct DirPath {
    path: ArcSwap<PathBuf>,
    renaming: RwLock<()>,
}

impl DirPath {
    pub fn new(path: PathBuf) -> Arc<DirPath> {
        Arc::new(DirPath {
            path: ArcSwap::from_pointee(path),
            renaming: RwLock::new(()),
        })
    }

    pub fn path(&self) -> Arc<PathBuf> {
        self.path.load_full()
    }

    /// Keeps the directory's name as it is for as long as the answer lives; no lock may be taken meanwhile.
    pub fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.renaming.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renames the directory; whoever opens a file of it does so before or after.
    pub fn rename(&self, disk: &Disk, to: PathBuf) -> io::Result<()> {
        let _renaming = self
            .renaming
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        disk.rename(&self.path(), &to)?;
        self.path.store(Arc::new(to));
        Ok(())
    }

    /// Makes the names of the directory's files durable.
    pub fn sync(&self, disk: &Disk) -> Result<(), StorageError> {
        let _held = self.hold();
        let path = self.path();
        disk.sync_dir(&path).context("sync", &*path)
    }

    pub fn file(&self, base_offset: i64, kind: FileKind) -> PathBuf {
        self.path.load().join(kind.file_name(base_offset))
    }

    pub fn file_in(&self, base_offset: i64, kind: FileKind, state: FileState) -> PathBuf {
        with_suffix(&self.file(base_offset, kind), state.suffix())
    }
}

/// The open files, in the order in which they will be looked at for closing.
#[derive(Debug)]
pub struct FileCache {
    disk: Disk,
    capacity: usize,
    ring: Mutex<VecDeque<Weak<FileSlot>>>,
}

impl FileCache {
    pub fn new(disk: Disk, capacity: usize) -> Arc<FileCache> {
        Arc::new(FileCache {
            disk,
            capacity: capacity.max(1),
            ring: Mutex::new(VecDeque::new()),
        })
    }

    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Slots that are open or were so until lately.
    pub fn open_files(&self) -> usize {
        self.ring.lock().expect("file cache poisoned").len()
    }

    /// Notes that `slot` is open, and closes others if there are too many: those not used since they were last looked
    /// at go first (a clock, not a strict order of use, so that a use costs one store and no lock).
    fn admit(&self, slot: &Arc<FileSlot>) {
        let mut closed = Vec::new();
        let mut ring = self.ring.lock().expect("file cache poisoned");
        if !slot.listed.swap(true, Ordering::AcqRel) {
            ring.push_back(Arc::downgrade(slot));
        }
        // Each listed slot is visited twice at most: once to take its mark, once to close it.
        let mut visits = ring.len() * 2;
        while ring.len() > self.capacity && visits > 0 {
            visits -= 1;
            let Some(oldest) = ring.pop_front() else {
                break;
            };
            let Some(candidate) = oldest.upgrade() else {
                continue;
            };
            if candidate.held.load(Ordering::Acquire) {
                candidate.listed.store(false, Ordering::Release);
                continue;
            }
            let is_open = candidate.file.load().is_some();
            if is_open && candidate.used.swap(false, Ordering::AcqRel) {
                ring.push_back(oldest);
                continue;
            }
            candidate.listed.store(false, Ordering::Release);
            closed.push(candidate.file.swap(None));
        }
        drop(ring);
        // Closing happens here, outside of the lock.
        drop(closed);
    }
}

/// One file that is opened on demand.
#[derive(Debug)]
pub(crate) struct FileSlot {
    cache: Arc<FileCache>,
    dir: Arc<DirPath>,
    base_offset: i64,
    kind: FileKind,
    /// Which of the names the file has: a [`FileState`].
    state: AtomicU8,
    /// Held while the file is opened or renamed, so that no name is opened that is just being given away.
    naming: Mutex<()>,
    file: ArcSwapOption<DiskFile>,
    /// Used since the cache last looked.
    used: AtomicBool,
    /// In the cache's ring.
    listed: AtomicBool,
    /// Open for as long as the slot lives.
    held: AtomicBool,
}

impl FileSlot {
    pub fn new(
        cache: &Arc<FileCache>,
        dir: &Arc<DirPath>,
        base_offset: i64,
        kind: FileKind,
        state: FileState,
    ) -> Arc<FileSlot> {
        Arc::new(FileSlot {
            cache: Arc::clone(cache),
            dir: Arc::clone(dir),
            base_offset,
            kind,
            state: AtomicU8::new(state as u8),
            naming: Mutex::new(()),
            file: ArcSwapOption::empty(),
            used: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            held: AtomicBool::new(false),
        })
    }

    pub fn path(&self) -> PathBuf {
        self.dir.file_in(self.base_offset, self.kind, self.state())
    }

    fn state(&self) -> FileState {
        FileState::ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    /// Gives the file the name that it has in `state`. Returns its path, or nothing if there is no such file.
    pub fn rename(&self, state: FileState) -> io::Result<Option<PathBuf>> {
        let _naming = self.naming();
        let _held = self.dir.hold();
        let from = self.path();
        let to = self.dir.file_in(self.base_offset, self.kind, state);
        let renamed = match self.cache.disk.rename(&from, &to) {
            Ok(()) => Some(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.state.store(state as u8, Ordering::Release);
        Ok(renamed)
    }

    /// Guards no data: after a panic the file has one of its two names, and the log is broken.
    fn naming(&self) -> MutexGuard<'_, ()> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file; an error if it does not exist.
    pub fn get(self: &Arc<FileSlot>) -> io::Result<Arc<DiskFile>> {
        self.open(false)
    }

    /// The open file, created if need be.
    pub fn get_or_create(self: &Arc<FileSlot>) -> io::Result<Arc<DiskFile>> {
        self.open(true)
    }

    fn open(self: &Arc<FileSlot>, create: bool) -> io::Result<Arc<DiskFile>> {
        if let Some(file) = self.file.load_full() {
            if !self.used.load(Ordering::Relaxed) {
                self.used.store(true, Ordering::Relaxed);
            }
            return Ok(file);
        }
        let naming = self.naming();
        if let Some(file) = self.file.load_full() {
            return Ok(file);
        }
        let held = self.dir.hold();
        let file = Arc::new(self.cache.disk.open(&self.path(), create)?);
        drop(held);
        self.used.store(true, Ordering::Relaxed);
        self.file.store(Some(Arc::clone(&file)));
        drop(naming);
        self.cache.admit(self);
        Ok(file)
    }

    /// Opens the file, if there is one, and keeps it open: another is about to take its name.
    pub fn hold(self: &Arc<FileSlot>) -> io::Result<()> {
        self.held.store(true, Ordering::Release);
        match self.get() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Lets go of the file; users that hold it keep it.
    pub fn close(&self) {
        if !self.held.load(Ordering::Acquire) {
            self.file.store(None);
        }
    }
}

#[cfg(test)]
mod tests;
