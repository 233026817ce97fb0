use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::testing::{Fixture, append, batch};
use crate::{AppendError, LeaderAppend, LogConfig};

const VMSTAT: &str = "nr_free_pages 7\nnr_dirty 100\nnr_writeback 11\nnr_writeback_temp 5\n\
                      nr_dirty_threshold 1000\nnr_dirty_background_threshold 500\n";

fn reading(dirty_bytes: u64, free_bytes: u64) -> Reading {
    Reading {
        dirty_bytes,
        dirty_background_bytes: 1_000,
        dirty_max_bytes: 2_000,
        free_bytes,
        total_bytes: 1 << 40,
    }
}

#[test]
fn what_the_system_says_is_read() {
    let expected = Reading {
        dirty_bytes: 111 * 4096,
        dirty_background_bytes: 500 * 4096,
        dirty_max_bytes: 1000 * 4096,
        free_bytes: 3,
        total_bytes: 4,
    };
    assert_eq!(Reading::of(VMSTAT, 4096, 3, 4), expected);
    let silent = Reading::of("nonsense\nnr_dirty many\n", 4096, 1 << 30, 1 << 40);
    assert!(!silent.is_over() && !silent.is_short());
}

#[test]
fn answers_are_held_before_the_kernel_brakes_and_before_the_space_is_scarce() {
    for (dirty, free, is_over) in [
        (0, 0, false),
        (1_250, 1 << 30, false),
        (1_251, 1 << 30, true),
        (100, 300, false),
        (101, 300, true),
    ] {
        assert_eq!(reading(dirty, free).is_over(), is_over, "{dirty} of {free}");
    }
}

#[test]
fn clients_leave_a_reserve_that_fits_the_disk() {
    let of = |free_bytes, total_bytes| Reading {
        free_bytes,
        total_bytes,
        ..reading(0, 0)
    };
    assert!(of((64 << 20) - 1, 1 << 40).is_short());
    assert!(!of(64 << 20, 1 << 40).is_short());
    assert!(of(9_999, 1_000_000).is_short());
    assert!(!of(10_000, 1_000_000).is_short());
}

#[test]
fn whoever_holds_an_answer_is_told_once_the_disk_has_caught_up() {
    let pressure = Arc::new(Pressure::default());
    let released = Arc::new(AtomicU32::new(0));
    let hold = || {
        let released = Arc::clone(&released);
        pressure.when_released(move || {
            released.fetch_add(1, Ordering::Relaxed);
        });
    };
    hold();
    assert_eq!(released.load(Ordering::Relaxed), 1, "nothing to wait for");
    let (mut looks, mut pauses) = (0, 0);
    pressure.watch(
        || {
            looks += 1;
            Some(reading(if looks < 4 { 2_000 } else { 0 }, 1 << 30))
        },
        || {
            pauses += 1;
            assert!(pressure.is_held());
            hold();
            assert_eq!(released.load(Ordering::Relaxed), 1);
        },
    );
    assert_eq!((looks, pauses), (4, 3));
    assert!(!pressure.is_held());
    assert_eq!(released.load(Ordering::Relaxed), 4);
}

#[test]
fn nobody_is_held_for_ever() {
    let pressure = Pressure::default();
    let mut pauses = 0;
    pressure.watch(|| Some(reading(2_000, 1 << 30)), || pauses += 1);
    assert!(!pressure.is_held());
    assert_eq!(LOOK_AGAIN * pauses, Duration::from_secs(1));
}

#[test]
fn a_short_disk_takes_no_more_from_clients_and_all_from_coordinators() {
    let fixture = Fixture::new(LogConfig::default());
    let log = fixture.fresh();
    append(&log, &[1]);
    log.log_dir().is_short.store(true, Ordering::Relaxed);
    let client = log.append_as_leader(&[batch(&[2])], &LeaderAppend::client(0), 0);
    assert!(matches!(client, Err(AppendError::DiskFull { .. })));
    log.append_as_leader(&[batch(&[2])], &LeaderAppend::coordinator(0), 0)
        .unwrap();
    // The next look finds the room that there is.
    look_at_space(&log.log_dir());
    append(&log, &[3]);
    assert_eq!(log.log_end_offset(), 3);
}
