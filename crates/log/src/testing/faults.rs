//! Disks that are full, that write half, and that fail.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Fixture, append, batch, records};
use crate::disk::{Faults, WriteFault};
use crate::{AppendError, Disk, LeaderAppend, LogConfig};

/// Takes so many more bytes, then answers with an error.
#[derive(Debug)]
struct Limited {
    left: AtomicU64,
    kind: io::ErrorKind,
    syncs_fail: AtomicBool,
}

impl Limited {
    fn new(kind: io::ErrorKind) -> Arc<Limited> {
        Arc::new(Limited {
            left: AtomicU64::new(u64::MAX),
            kind,
            syncs_fail: AtomicBool::new(false),
        })
    }

    fn leave(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }
}

impl Faults for Limited {
    fn before_write(&self, _: &Path, _: u64, len: usize) -> WriteFault {
        let left = self.left.load(Ordering::Relaxed);
        if left >= len as u64 {
            self.left.store(left - len as u64, Ordering::Relaxed);
            return WriteFault::None;
        }
        self.left.store(0, Ordering::Relaxed);
        WriteFault::Short(left as usize, self.kind.into())
    }

    fn before_sync(&self, _: &Path) -> io::Result<()> {
        if self.syncs_fail.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(())
    }
}

fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room_again() {
    for left in [0, 1, 60, 61, 90, 150, 290] {
        let disk = Limited::new(io::ErrorKind::StorageFull);
        let fixture = Fixture::with_disk(small_segments(), Disk::with_faults(disk.clone()));
        let log = fixture.fresh();
        let mut appended = 0;
        for _ in 0..7 {
            append(&log, &[appended]);
            appended += 1;
        }
        disk.leave(left);
        let mut refused = 0;
        for _ in 0..8 {
            let bytes = [batch(&[appended])];
            match log.append_as_leader(&bytes, &LeaderAppend::client(0), 0) {
                Ok(_) => appended += 1,
                Err(AppendError::DiskFull { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 0);
        assert!(!log.log_dir().has_failed());
        let expected: Vec<_> = (0..appended).map(|n| (n, n)).collect();
        assert_eq!(records(&log, 0, 300), expected);
        disk.leave(u64::MAX);
        for _ in 0..20 {
            append(&log, &[appended]);
            appended += 1;
        }
        let expected: Vec<_> = (0..appended).map(|n| (n, n)).collect();
        assert_eq!(records(&log, 0, 300), expected);
        let (log, report) = fixture.crashed(&log);
        assert_eq!(report.notes, []);
        assert_eq!(records(&log, 0, 300), expected);
    }
}

#[test]
fn a_write_error_takes_the_directory_offline_and_leaves_a_whole_log() {
    let disk = Limited::new(io::ErrorKind::Other);
    let fixture = Fixture::with_disk(small_segments(), Disk::with_faults(disk.clone()));
    let log = fixture.fresh();
    append(&log, &[0]);
    disk.leave(40);
    let bytes = [batch(&[1])];
    let result = log.append_as_leader(&bytes, &LeaderAppend::client(0), 0);
    assert!(matches!(result, Err(AppendError::Storage(_))));
    assert!(log.log_dir().has_failed());
    disk.leave(u64::MAX);
    let result = log.append_as_leader(&bytes, &LeaderAppend::client(0), 0);
    assert!(matches!(result, Err(AppendError::Storage(_))));
    assert!(log.flush().is_err());
    assert_eq!(log.log_end_offset(), 1);
    let (log, _) = fixture.crashed(&log);
    assert_eq!(records(&log, 0, 300), [(0, 0)]);
}

#[test]
fn a_sync_that_fails_moves_no_recovery_point() {
    let disk = Limited::new(io::ErrorKind::Other);
    let fixture = Fixture::with_disk(small_segments(), Disk::with_faults(disk.clone()));
    let log = fixture.fresh();
    append(&log, &[0]);
    disk.syncs_fail.store(true, Ordering::Relaxed);
    assert!(log.flush().is_err());
    assert_eq!(log.recovery_point(), 0);
    disk.syncs_fail.store(false, Ordering::Relaxed);
    // The kernel may have dropped what it could not write: a second sync that succeeds proves nothing.
    assert!(log.flush().is_err());
    assert_eq!(log.recovery_point(), 0);
}
