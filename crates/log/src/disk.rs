//! The one door to the file system: every write, sync, truncation, rename and removal of the log goes through here.
//!
//! Invariant: with no faults installed, a call costs what the system call costs. With faults installed (tests), each
//! call may be refused, cut short, or noted, so that a test can crash a disk that lost what was only written.
//! Called by everything in this crate that touches files.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cached;

mod held;
mod writeback;

pub use held::HeldSyncs;

/// What a test can do to the disk; what it leaves out happens as on any disk.
pub trait Faults: Send + Sync + fmt::Debug {
    /// How many of `len` bytes may be written at `position`; fewer than all is a short write followed by the error.
    fn before_write(&self, _path: &Path, _position: u64, _len: usize) -> WriteFault {
        WriteFault::None
    }
    /// Whether the file may be read: by somebody who may wait for the disk, or takes only what is in the page cache
    /// and is told `WouldBlock` if it is not there.
    fn before_read(&self, _path: &Path, _may_wait: bool) -> io::Result<()> {
        Ok(())
    }
    /// Whether the file or directory may be synced.
    fn before_sync(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    /// Whether the file may be renamed or removed.
    fn before_change(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    /// The content (or, for a directory, the entries) as of now would survive a crash.
    fn synced(&self, _path: &Path) {}
    /// Everything at and below the directory, as of now, would survive a crash.
    fn synced_all(&self, _dir: &Path) {}
    /// A file moved.
    fn renamed(&self, _from: &Path, _to: &Path) {}
    /// A file is gone.
    fn removed(&self, _path: &Path) {}
}

/// The outcome that a test wants of one write.
#[derive(Debug)]
pub enum WriteFault {
    None,
    /// This many bytes arrive, then the error does.
    Short(usize, io::Error),
}

/// A reserve may take no more than this share of the free space: what is reserved looks like data to everybody else.
const FREE_PER_RESERVE: u64 = 32;

/// The room of a file system, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    pub total: u64,
    /// What this process may still write.
    pub free: u64,
}

impl Space {
    /// Of the file system that the file or directory is in.
    pub fn of(path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space {
            total: bytes(stat.f_blocks),
            free: bytes(stat.f_bavail),
        })
    }

    /// How much may be reserved at a time.
    pub fn for_reserve(self) -> u64 {
        self.free / FREE_PER_RESERVE
    }
}

/// A handle to the file system, with faults if a test installed some.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    faults: Option<Arc<dyn Faults>>,
}

impl Disk {
    pub fn new() -> Disk {
        Disk::default()
    }

    pub fn with_faults(faults: Arc<dyn Faults>) -> Disk {
        Disk {
            faults: Some(faults),
        }
    }

    /// Opens for reading and writing; creates the file if `create`.
    pub fn open(&self, path: &Path, create: bool) -> io::Result<DiskFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(path)?;
        Ok(self.wrap(file, path))
    }

    /// Opens a file that must not exist yet.
    pub fn create_new(&self, path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(self.wrap(file, path))
    }

    fn wrap(&self, file: File, path: &Path) -> DiskFile {
        let faults = self
            .faults
            .as_ref()
            .map(|faults| Box::new((path.to_path_buf(), Arc::clone(faults))));
        DiskFile { file, faults }
    }

    /// Makes the directory's entries durable.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if let Some(faults) = &self.faults {
            faults.before_sync(path)?;
        }
        File::open(path)?.sync_all()?;
        if let Some(faults) = &self.faults {
            faults.synced(path);
        }
        Ok(())
    }

    /// Makes the whole file system durable that the directory is in: contents, lengths and names of all files, whoever
    /// wrote them. Costs what was not durable yet, however many files there are.
    pub fn sync_file_system(&self, dir: &Path) -> io::Result<()> {
        if let Some(faults) = &self.faults {
            faults.before_sync(dir)?;
        }
        rustix::fs::syncfs(File::open(dir)?)?;
        if let Some(faults) = &self.faults {
            faults.synced_all(dir);
        }
        Ok(())
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.allow_change(from)?;
        std::fs::rename(from, to)?;
        if let Some(faults) = &self.faults {
            faults.renamed(from, to);
        }
        Ok(())
    }

    fn allow_change(&self, path: &Path) -> io::Result<()> {
        match &self.faults {
            Some(faults) => faults.before_change(path),
            None => Ok(()),
        }
    }

    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.allow_change(path)?;
        std::fs::remove_file(path)?;
        if let Some(faults) = &self.faults {
            faults.removed(path);
        }
        Ok(())
    }

    /// Removes the file; its absence is fine.
    pub fn remove_file_if_exists(&self, path: &Path) -> io::Result<bool> {
        match self.remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file with `content` so that a crash leaves the old one or the new one, never a mixture:
    /// temporary file, sync, rename, sync of the directory.
    pub fn replace_file(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.replace_file_no_dir_sync(path, content)?;
        match path.parent() {
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }

    /// As [`Disk::replace_file`], but which of the two a crash leaves is open until the directory is synced.
    pub fn replace_file_no_dir_sync(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = with_suffix(path, ".tmp");
        self.write_file(&temporary, content, true)?;
        self.rename(&temporary, path)
    }

    /// As [`Disk::replace_file`], but durable only after the file and its directory are synced. A crash may leave the
    /// file empty, which its reader must know.
    pub fn replace_file_unsynced(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = with_suffix(path, ".tmp");
        self.write_file(&temporary, content, false)?;
        self.rename(&temporary, path)
    }

    /// Writes a file from its start, and cuts what an earlier version had beyond.
    pub fn write_file(&self, path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
        let file = self.open(path, true)?;
        file.set_len(0)?;
        file.write_all_at(content, 0)?;
        if sync {
            file.sync_data()?;
        }
        Ok(())
    }
}

/// An open file.
pub struct DiskFile {
    file: File,
    faults: Option<Box<(PathBuf, Arc<dyn Faults>)>>,
}

impl DiskFile {
    /// The file itself, for whoever sends ranges of it.
    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    pub fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        match self.read_at_most(buf, position)? {
            read if read == buf.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads until the buffer is full or the file ends; returns how much there was.
    pub fn read_at_most(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        if let Some(faults) = &self.faults {
            faults.1.before_read(&faults.0, cached::may_wait())?;
        }
        let mut filled = 0;
        while filled < buf.len() {
            match cached::read_at(&self.file, &mut buf[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    pub fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let (allowed, error) = self.allow(position, buf.len());
        self.file.write_all_at(&buf[..allowed], position)?;
        error.map_or(Ok(()), Err)
    }

    /// Writes all slices one after the other at `position`, in as few calls as the system allows.
    pub fn write_vectored_at(
        &self,
        mut slices: &mut [IoSlice<'_>],
        mut position: u64,
    ) -> io::Result<()> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        let (allowed, error) = self.allow(position, total);
        if let Some(error) = error {
            let mut flat = Vec::with_capacity(total);
            for slice in slices.iter() {
                flat.write_all(slice)?;
            }
            self.file.write_all_at(&flat[..allowed], position)?;
            return Err(error);
        }
        while !slices.is_empty() {
            let batch = slices.len().min(IOV_MAX);
            match rustix::io::pwritev(&self.file, &slices[..batch], position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    position += n as u64;
                    IoSlice::advance_slices(&mut slices, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn allow(&self, position: u64, len: usize) -> (usize, Option<io::Error>) {
        let Some(faults) = &self.faults else {
            return (len, None);
        };
        match faults.1.before_write(&faults.0, position, len) {
            WriteFault::None => (len, None),
            WriteFault::Short(allowed, error) => (allowed.min(len), Some(error)),
        }
    }

    /// Makes the content durable.
    pub fn sync_data(&self) -> io::Result<()> {
        if let Some(faults) = &self.faults {
            faults.1.before_sync(&faults.0)?;
        }
        self.file.sync_data()?;
        if let Some(faults) = &self.faults {
            faults.1.synced(&faults.0);
        }
        Ok(())
    }

    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// Reserves blocks behind the end, without changing the length that others see.
    pub fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.file, flags, position, len).map_err(io::Error::from)
    }

    /// Has the kernel begin to write dirty pages, without waiting for them. Nothing is durable after it.
    pub fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        writeback::start(&self.file, position, len)
    }
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

/// Slices per vectored write; what Linux takes.
const IOV_MAX: usize = 1024;

/// `path` with `suffix` after its file name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl std::os::fd::AsFd for DiskFile {
    /// For whoever sends a range of the file: that goes past this door, for reads need no faults.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}
