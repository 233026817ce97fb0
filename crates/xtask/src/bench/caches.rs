//! Makes what a broker reads next come from the disk: its files alone, or all that the kernel holds.
//!
//! Invariant: nothing that was written is lost by it, and what could not be made cold is an error. Called
//! by `load.rs` for the word `cold`, and by `run.rs` for restarts with `drop_caches`.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Where the kernel is told to let go of what it could read again.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";
/// The page cache, and the entries and inodes of directories.
const EVERYTHING: &str = "3\n";

#[derive(Debug, thiserror::Error)]
#[error(
    "{DROP_CACHES}: {0}; run as root where the kernel's settings may be written, or leave out this case"
)]
pub struct Error(io::Error);

/// Writes everything below `directory` to the disk, and lets the page cache forget it.
pub fn forget_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            forget_files(&path)?;
        } else {
            let file = match File::open(&path) {
                // Brokers remove files, too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            file.sync_all()?;
            rustix::fs::fadvise(file.as_fd(), 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// As after a boot: the machine's pages, directory entries and inodes are read from the disk again, of
/// data and of programs.
pub fn drop_all() -> Result<(), Error> {
    // What is dirty stays where it is.
    rustix::fs::sync();
    fs::write(DROP_CACHES, EVERYTHING).map_err(Error)
}
