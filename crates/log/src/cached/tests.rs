use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{cached_only, may_wait};
use crate::disk::Faults;
use crate::testing::{Fixture, append};
use crate::{Disk, LogConfig, ReadError};

/// A disk whose page cache is empty.
#[derive(Debug)]
struct Cold;

impl Faults for Cold {
    fn before_read(&self, _: &Path, may_wait: bool) -> io::Result<()> {
        match may_wait {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

#[test]
fn what_is_not_cached_is_no_failure_of_the_disk() {
    let fixture = Fixture::with_disk(LogConfig::default(), Disk::with_faults(Arc::new(Cold)));
    let log = fixture.fresh();
    append(&log, &[0, 1]);
    append(&log, &[2]);
    let (log, _) = fixture.clean(&log);
    let look = || log.read(1, 1000, true, 3);
    assert!(cached_only(look).unwrap().is_none());
    assert!(!log.log_dir().has_failed());
    assert_eq!(look().unwrap().end_offset, 3);
    let committed = || log.read_committed(1, 1000, true, 3);
    assert!(cached_only(committed).unwrap().is_none());
    assert_eq!(committed().unwrap().0.end_offset, 3);
}

#[test]
fn a_fetch_at_the_tail_needs_no_file_to_be_read() {
    let fixture = Fixture::with_disk(LogConfig::default(), Disk::with_faults(Arc::new(Cold)));
    let log = fixture.fresh();
    append(&log, &[0]);
    append(&log, &[1]);
    let range = cached_only(|| log.read(1, 1000, true, 2)).unwrap();
    assert_eq!(range.unwrap().first_offset, 1);
}

#[test]
fn bytes_in_the_page_cache_are_read_and_others_are_not_waited_for() {
    let fixture = Fixture::on_disk(LogConfig::default());
    let log = fixture.fresh();
    append(&log, &[0]);
    append(&log, &[1, 2]);
    let (log, _) = fixture.clean(&log);
    let look = || log.read(1, 1000, true, 3);
    let file = std::fs::File::open(fixture.path("00000000000000000000.log")).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let is_known_to_be_cold = cached_only(look).unwrap().is_none();
    let expected = look().unwrap();
    // A file system that cannot tell what is cached, or that never forgets, says the same both times.
    if is_known_to_be_cold && let Some(range) = cached_only(look).unwrap() {
        assert_eq!(
            (range.first_offset, range.end_offset),
            (expected.first_offset, expected.end_offset)
        );
    }
}

#[test]
fn a_thread_may_wait_again_afterwards_whatever_happened() {
    let failed = cached_only(|| {
        assert!(!may_wait());
        let source = io::ErrorKind::NotFound.into();
        Err::<(), _>(ReadError::Storage(crate::StorageError::new(
            "read", "x", source,
        )))
    });
    assert!(failed.is_err());
    assert!(may_wait());
    let panicked = std::panic::catch_unwind(|| cached_only::<()>(|| panic!("in the middle")));
    assert!(panicked.is_err());
    assert!(may_wait());
}
