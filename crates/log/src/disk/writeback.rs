//! `sync_file_range`, which the safe wrapper that is used elsewhere does not have.
//!
//! Invariant: asks for writeback only; it never waits for it and makes nothing durable.
//! Called by [`DiskFile::start_writeback`](super::DiskFile::start_writeback).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

pub(super) fn start(file: &File, position: u64, len: u64) -> io::Result<()> {
    let (Ok(position), Ok(len)) = (i64::try_from(position), i64::try_from(len)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours.
    let result = unsafe {
        libc::sync_file_range(file.as_raw_fd(), position, len, libc::SYNC_FILE_RANGE_WRITE)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
