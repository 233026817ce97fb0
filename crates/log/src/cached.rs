//! Reads that take what the page cache has, and wait for no disk.
//!
//! A thread that serves sockets plans a fetch: it looks at a few index entries and batch headers, which mostly are in
//! the page cache. If one is not, everybody whose socket the thread serves would wait for the disk as well; so the plan
//! is given up, and made by a thread that may wait.
//!
//! Invariant: within [`cached_only`] no read of a file waits, whoever calls it from wherever in this crate.
//! Called by the broker's fetch path; [`DiskFile`](crate::DiskFile) asks how to read.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::error::ReadError;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(true) };
}

/// Puts back what was there before.
struct Restored(bool);

impl Drop for Restored {
    fn drop(&mut self) {
        MAY_WAIT.set(self.0);
    }
}

/// Does `work` with reads that do not wait for the disk; `None` if it needs something that is not in the page cache.
pub fn cached_only<T>(work: impl FnOnce() -> Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    let _restored = Restored(MAY_WAIT.replace(false));
    match work() {
        Err(ReadError::Storage(error)) if error.source.kind() == io::ErrorKind::WouldBlock => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Whether reads of this thread may wait for the disk.
pub(crate) fn may_wait() -> bool {
    MAY_WAIT.get()
}

/// Reads some bytes, none at the file's end. `WouldBlock` if this thread may not wait for them.
pub(crate) fn read_at(file: &File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    if may_wait() {
        return file.read_at(buf, position);
    }
    let mut slices = [io::IoSliceMut::new(buf)];
    match preadv2(file, &mut slices, position, ReadWriteFlags::NOWAIT) {
        // A file system that cannot tell may have to wait.
        Err(Errno::OPNOTSUPP) => Err(io::ErrorKind::WouldBlock.into()),
        read => Ok(read?),
    }
}

#[cfg(test)]
mod tests;
