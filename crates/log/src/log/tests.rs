use ottla_records::Producer;

use crate::testing::{Fixture, append, batch, batch_of, marker, records};
use crate::{
    AppendError, AppendOrigin, LeaderAppend, LogConfig, ProducerError, ReadError, VerificationGuard,
};

fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 200,
        is_transaction_verified: false,
        ..LogConfig::default()
    }
}

#[test]
fn what_is_appended_is_read_in_whole_batches() {
    let fixture = Fixture::new(LogConfig::default());
    let log = fixture.fresh();
    let first = append(&log, &[1, 2, 3]);
    assert_eq!((first.first_offset, first.last_offset), (0, 2));
    let second = append(&log, &[4]);
    assert_eq!((second.first_offset, second.last_offset), (3, 3));
    assert_eq!(log.log_end_offset(), 4);

    // An offset in the middle of a batch gives the batch.
    let range = log.read(1, 1 << 20, false, i64::MAX).unwrap();
    assert_eq!((range.first_offset, range.end_offset), (0, 4));
    assert_eq!(range.len as u64, first.bytes + second.bytes);
    // A limit leaves out what does not fit as a whole.
    let limit = (first.bytes + second.bytes - 1) as usize;
    let range = log.read(0, limit, false, i64::MAX).unwrap();
    assert_eq!((range.len as u64, range.end_offset), (first.bytes, 3));
    // Too large is told, unless one batch is wanted whatever its size.
    let range = log.read(0, 10, false, i64::MAX).unwrap();
    assert!(range.is_empty() && range.is_first_too_large);
    let range = log.read(0, 10, true, i64::MAX).unwrap();
    assert_eq!((range.len as u64, range.end_offset), (first.bytes, 3));
    // The bound hides what lies behind it.
    let range = log.read(0, 1 << 20, true, 3).unwrap();
    assert_eq!(range.len as u64, first.bytes);
    assert!(log.read(3, 1 << 20, true, 3).unwrap().is_empty());
    assert!(log.read(4, 1 << 20, true, i64::MAX).unwrap().is_empty());
    for offset in [-1, 5] {
        assert!(matches!(
            log.read(offset, 1, true, i64::MAX),
            Err(ReadError::OffsetOutOfRange {
                log_start_offset: 0,
                log_end_offset: 4,
                ..
            })
        ));
    }
}

#[test]
fn segments_roll_by_size_and_reads_cross_them() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    let mut expected = Vec::new();
    for n in 0..60 {
        append(&log, &[n * 10, n * 10 + 1]);
        expected.extend([(2 * n, n * 10), (2 * n + 1, n * 10 + 1)]);
    }
    assert!(log.segment_count() > 5, "{}", log.segment_count());
    for max_bytes in [1, 150, 333, 5000] {
        assert_eq!(records(&log, 0, max_bytes), expected);
    }
    assert_eq!(records(&log, 77, 500), expected[77..]);
    assert_eq!(log.recovery_point(), log.active_segment().base_offset);
    let (log, report) = fixture.clean(&log);
    assert_eq!(report.notes, []);
    assert_eq!(records(&log, 0, 333), expected);
    append(&log, &[9999]);
    assert_eq!(records(&log, 120, 333), [(120, 9999)]);
}

#[test]
fn segments_roll_when_their_records_grow_old() {
    let fixture = Fixture::new(LogConfig {
        segment_ms: 1000,
        ..LogConfig::default()
    });
    let log = fixture.fresh();
    append(&log, &[5000]);
    append(&log, &[6000]);
    assert_eq!(log.segment_count(), 1);
    append(&log, &[6001]);
    assert_eq!(log.segment_count(), 2);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    let timestamps: Vec<i64> = (0..100).collect();
    let result = log.append_as_leader(&[batch(&timestamps)], &LeaderAppend::client(0), 0);
    assert!(matches!(result, Err(AppendError::LargerThanSegment { .. })));
    let part = batch(&[1, 2]).slice(..70);
    let result = log.append_as_leader(&[part], &LeaderAppend::client(0), 0);
    assert!(matches!(
        result,
        Err(AppendError::Incomplete { bytes: 70, .. })
    ));
    assert_eq!(log.log_end_offset(), 0);
}

#[test]
fn a_retried_batch_gets_its_old_offsets_and_a_gap_is_refused() {
    let fixture = Fixture::new(LogConfig::default());
    let log = fixture.fresh();
    let send = |log: &crate::Log, sequence, count: i64| {
        let producer = Producer {
            id: 7,
            epoch: 0,
            base_sequence: sequence,
        };
        let timestamps: Vec<i64> = (0..count).collect();
        log.append_as_leader(
            &[batch_of(&timestamps, producer, false)],
            &LeaderAppend::client(0),
            0,
        )
    };
    send(&log, 0, 3).unwrap();
    send(&log, 3, 2).unwrap();
    let again = send(&log, 0, 3).unwrap();
    assert!(again.is_duplicate);
    assert_eq!((again.first_offset, again.last_offset), (0, 2));
    let gap = send(&log, 6, 1).unwrap_err();
    assert!(matches!(
        gap,
        AppendError::Producer {
            source: ProducerError::OutOfOrderSequence { expected: 5, .. },
            ..
        }
    ));
    assert_eq!(log.log_end_offset(), 5);
    // After a clean stop the last batch is known; after a crash all five are, from the log.
    let (log, _) = fixture.clean(&log);
    assert!(send(&log, 3, 2).unwrap().is_duplicate);
    send(&log, 5, 1).unwrap();
    let (log, _) = fixture.crashed(&log);
    assert!(send(&log, 5, 1).unwrap().is_duplicate);
    assert!(!send(&log, 6, 1).unwrap().is_duplicate);
}

#[test]
fn transactions_bound_the_stable_offset_and_leave_their_aborts() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    let coordinator = LeaderAppend {
        transaction_version: 0,
        ..LeaderAppend::coordinator(0)
    };
    let send = |log: &crate::Log, id, sequence| {
        let producer = Producer {
            id,
            epoch: 0,
            base_sequence: sequence,
        };
        let bytes = batch_of(&[1, 2], producer, true);
        log.append_as_leader(&[bytes], &LeaderAppend::client(0), 0)
            .unwrap();
        log.set_high_watermark(log.log_end_offset());
    };
    let end = |log: &crate::Log, id, is_abort| {
        log.append_as_leader(&[marker(id, 0, is_abort)], &coordinator, 0)
            .unwrap();
        log.set_high_watermark(log.log_end_offset());
    };
    send(&log, 1, 0); // 0, 1
    send(&log, 2, 0); // 2, 3
    assert_eq!(log.last_stable_offset(), 0);
    end(&log, 1, true); // 4
    assert_eq!(log.last_stable_offset(), 2);
    for n in 0..10 {
        send(&log, 3, n * 2); // 5 .. 24
    }
    assert!(log.segment_count() > 1);
    end(&log, 3, true); // 25
    end(&log, 2, false); // 26
    assert_eq!(log.last_stable_offset(), 27);
    let check = |log: &crate::Log| {
        let aborted = log.aborted_transactions(0, 27).unwrap();
        let found: Vec<_> = aborted
            .iter()
            .map(|txn| (txn.producer_id, txn.first_offset, txn.last_offset))
            .collect();
        assert_eq!(found, [(1, 0, 4), (3, 5, 25)]);
        let aborted = log.aborted_transactions(6, 20).unwrap();
        assert_eq!(aborted.len(), 1);
    };
    check(&log);
    let (log, report) = fixture.clean(&log);
    assert_eq!(report.notes, []);
    check(&log);
    send(&log, 4, 0);
    let (log, _) = fixture.crashed(&log);
    check(&log);
    log.set_high_watermark(i64::MAX);
    assert_eq!(log.last_stable_offset(), 27);
    assert!(log.has_ongoing_transaction(4, 0));
    end(&log, 4, true);
    assert_eq!(log.last_stable_offset(), log.log_end_offset());
}

#[test]
fn an_unverified_transaction_does_not_begin() {
    let fixture = Fixture::new(LogConfig::default());
    let log = fixture.fresh();
    let producer = Producer {
        id: 1,
        epoch: 0,
        base_sequence: 0,
    };
    let bytes = [batch_of(&[1], producer, true)];
    let mut how = LeaderAppend::client(0);
    assert!(matches!(
        log.append_as_leader(&bytes, &how, 0),
        Err(AppendError::Producer {
            source: ProducerError::InvalidTxnState { producer_id: 1 },
            ..
        })
    ));
    how.guard = log.start_verification(1, 0, 0, false, 0).unwrap();
    assert_ne!(how.guard, VerificationGuard::NONE);
    assert_eq!(how.origin, AppendOrigin::Client);
    log.append_as_leader(&bytes, &how, 0).unwrap();
}

#[test]
fn followers_take_the_leaders_offsets_and_epochs() {
    let leader_files = Fixture::new(small_segments());
    let leader = leader_files.fresh();
    for n in 0..30 {
        let how = LeaderAppend::client((n / 10) as i32);
        leader
            .append_as_leader(&[batch(&[n, n + 1])], &how, 0)
            .unwrap();
    }
    let follower_files = Fixture::new(small_segments());
    let follower = follower_files.fresh();
    while follower.log_end_offset() < leader.log_end_offset() {
        let range = leader
            .read(follower.log_end_offset(), 700, true, i64::MAX)
            .unwrap();
        follower
            .append_as_follower(&range.read().unwrap(), 5, 0)
            .unwrap()
            .unwrap();
    }
    assert_eq!(records(&follower, 0, 500), records(&leader, 0, 500));
    assert_eq!(follower.epoch_entries(), leader.epoch_entries());
    let end = follower.end_offset_for_epoch(1).unwrap();
    assert_eq!((end.epoch, end.end_offset), (1, 40));

    let range = leader
        .read(10, 100, true, i64::MAX)
        .unwrap()
        .read()
        .unwrap();
    assert!(matches!(
        follower.append_as_follower(&range, 5, 0),
        Err(AppendError::UnexpectedOffset {
            first_offset: 10,
            ..
        })
    ));
    // A leader that was deposed must not be followed.
    let how = LeaderAppend::client(9);
    leader.append_as_leader(&[batch(&[99])], &how, 0).unwrap();
    let range = leader.read(60, 1000, true, i64::MAX).unwrap();
    let appended = follower
        .append_as_follower(&range.read().unwrap(), 8, 0)
        .unwrap();
    assert_eq!(appended, None);
}

#[test]
fn offsets_are_found_by_timestamp() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    for n in 0..50 {
        // Not in order within the batch, nor from batch to batch.
        append(&log, &[n * 100 + 50, n * 100, n * 100 + 20]);
    }
    let find = |log: &crate::Log, timestamp| {
        log.offset_for_timestamp(timestamp)
            .unwrap()
            .map(|found| (found.offset, found.timestamp))
    };
    let check = |log: &crate::Log| {
        assert_eq!(find(log, 0), Some((0, 50)));
        assert_eq!(find(log, 51), Some((3, 150)));
        assert_eq!(find(log, 2150), Some((63, 2150)));
        assert_eq!(find(log, 2151), Some((66, 2250)));
        assert_eq!(find(log, 4950), Some((147, 4950)));
        assert_eq!(find(log, 4951), None);
        let max = log.max_timestamp_offset().unwrap().unwrap();
        assert_eq!((max.offset, max.timestamp), (147, 4950));
        assert_eq!(max.leader_epoch, Some(0));
    };
    check(&log);
    let (log, _) = fixture.clean(&log);
    check(&log);
    log.set_high_watermark(150);
    log.advance_log_start_offset(64).unwrap();
    assert_eq!(find(&log, 0), Some((64, 2100)));
}

#[test]
fn truncation_forgets_everything_behind_it() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    let mut expected = Vec::new();
    for n in 0..40 {
        let how = LeaderAppend::client((n / 10) as i32);
        log.append_as_leader(&[batch(&[n, n])], &how, 0).unwrap();
        expected.extend([(2 * n, n), (2 * n + 1, n)]);
    }
    assert!(!log.truncate_to(80, 0).unwrap());
    // Into the middle of a batch: the batch goes.
    assert!(log.truncate_to(51, 0).unwrap());
    assert_eq!(log.log_end_offset(), 51);
    assert_eq!(records(&log, 0, 400), expected[..50]);
    assert_eq!(log.latest_epoch(), Some(2));
    assert_eq!(log.recovery_point(), log.recovery_point().min(51));
    let info = log
        .append_as_leader(&[batch(&[777])], &LeaderAppend::client(3), 0)
        .unwrap();
    assert_eq!(info.first_offset, 51);
    let (log, _) = fixture.crashed(&log);
    assert_eq!(log.log_end_offset(), 52);
    assert_eq!(log.max_timestamp_offset().unwrap().unwrap().offset, 51);

    log.truncate_fully_and_start_at(1000, None, 0).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (1000, 1000));
    assert_eq!(log.latest_epoch(), None);
    assert_eq!(append(&log, &[5]).first_offset, 1000);
    let (log, _) = fixture.crashed(&log);
    assert_eq!(records(&log, 1000, 100), [(1000, 5)]);
}

#[test]
fn retention_removes_whole_segments_from_the_front() {
    let fixture = Fixture::new(LogConfig {
        retention_ms: 1000,
        file_delete_delay_ms: 60,
        ..small_segments()
    });
    let log = fixture.fresh();
    for n in 0..40 {
        append(&log, &[n * 10]);
    }
    let before = log.segment_count();
    assert_eq!(log.run_retention(1000).unwrap(), 0);
    let removed = log.run_retention(1201).unwrap();
    assert!(removed > 0 && removed < before);
    let start = log.log_start_offset();
    assert!(start <= 21, "{start}");
    assert!(log.read(start - 1, 10, true, 40).is_err());
    let is_marked = |name: &String| name.ends_with(".deleted");
    assert!(fixture.files().iter().any(is_marked));
    fixture.environment.run_deletes(1201 + 59);
    assert!(fixture.files().iter().any(is_marked));
    fixture.environment.run_deletes(1201 + 60);
    assert!(!fixture.files().iter().any(is_marked));

    // When all is old, the active segment rolls and goes too; offsets go on.
    log.run_retention(10_000).unwrap();
    assert_eq!((log.log_start_offset(), log.segment_count()), (40, 1));
    assert_eq!(log.size(), 0);
    let (log, _) = fixture.clean(&log);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (40, 40));
}

#[test]
fn retention_by_size_keeps_at_least_what_was_asked_for() {
    let fixture = Fixture::new(LogConfig {
        retention_bytes: 2500,
        retention_ms: -1,
        ..small_segments()
    });
    let log = fixture.fresh();
    for n in 0..100 {
        append(&log, &[n]);
    }
    log.run_retention(0).unwrap();
    assert!((2500..3500).contains(&log.size()), "{}", log.size());
    // Nothing at or above the high watermark goes.
    let fixture = Fixture::new(fixture.config.clone());
    let log = fixture.fresh();
    for n in 0..100 {
        append(&log, &[n]);
    }
    log.set_high_watermark(0);
    assert_eq!(log.run_retention(0).unwrap(), 0);
}

#[test]
fn deleted_records_are_gone_and_their_segments_follow() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    for n in 0..40 {
        append(&log, &[n]);
    }
    assert!(log.advance_log_start_offset(41).is_err());
    assert!(log.advance_log_start_offset(25).unwrap());
    assert!(!log.advance_log_start_offset(25).unwrap());
    assert_eq!(records(&log, 25, 300).first(), Some(&(25, 25)));
    assert!(log.read(24, 300, true, 40).is_err());
    let before = log.segment_count();
    assert!(log.run_retention(0).unwrap() > 0);
    assert!(log.segment_count() < before);
    assert_eq!(log.log_start_offset(), 25);
    let (log, _) = fixture.crashed(&log);
    assert_eq!(log.log_start_offset(), 25);
}

#[test]
fn files_of_a_clean_log_hold_nothing_that_kafka_would_not_write() {
    let fixture = Fixture::new(small_segments());
    let log = fixture.fresh();
    for n in 0..30 {
        append(&log, &[n]);
    }
    log.close().unwrap();
    for name in fixture.files() {
        let bytes = std::fs::read(fixture.path(&name)).unwrap();
        if name.ends_with(".index") {
            assert_eq!(bytes.len() % 8, 0, "{name}");
        }
        if name.ends_with(".timeindex") {
            assert_eq!(bytes.len() % 12, 0, "{name}");
            assert!(!bytes.is_empty(), "a sealed segment has its last timestamp");
        }
    }
    let log_files = fixture
        .files()
        .iter()
        .filter(|name| name.ends_with(".log"))
        .count();
    assert_eq!(log_files, log.segment_count());
    assert!(
        fixture
            .files()
            .contains(&"00000000000000000030.snapshot".to_owned())
    );
}

#[test]
fn a_reserve_is_not_seen_and_is_given_back() {
    use std::os::unix::fs::MetadataExt;

    let fixture = Fixture::on_disk(LogConfig::default());
    let log = fixture.fresh();
    let big: Vec<i64> = (0..2_000).collect();
    for n in 0..40 {
        log.append_as_leader(&[batch(&big)], &LeaderAppend::client(0), n * 100)
            .unwrap();
    }
    let path = fixture.path("00000000000000000000.log");
    let metadata = || std::fs::metadata(&path).unwrap();
    assert_eq!(metadata().len(), log.size());
    let reserved = metadata().blocks() * 512;
    assert!(
        reserved > log.size() + (128 << 10),
        "{reserved} of {}",
        log.size()
    );
    log.close().unwrap();
    assert_eq!(metadata().len(), log.size());
    let left = metadata().blocks() * 512;
    assert!(left < log.size() + (64 << 10), "{left} of {}", log.size());
}

#[test]
fn readers_and_flushers_go_along_with_an_appender() {
    use crate::{Background, Disk, Environment, Log, LogDir, OpenOptions};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const BATCHES: i64 = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let threads = Background::threads(2, "test");
    let environment = Environment::new(Disk::new(), 20, threads);
    let config = Arc::new(LogConfig {
        segment_bytes: 20_000,
        ..LogConfig::default()
    });
    let open = |options: OpenOptions| {
        let log_dir = LogDir::new(dir.path());
        Log::open(
            &environment,
            &log_dir,
            &Fixture::partition(),
            Arc::clone(&config),
            &options,
        )
        .unwrap()
    };
    let (log, _) = open(OpenOptions::fresh(None, 0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                let mut offset = 0;
                while !done.load(Ordering::Relaxed) || offset < BATCHES * 2 {
                    let max_bytes = if reader == 0 { 1 } else { 3_000 };
                    let range = log.read(offset, max_bytes, true, i64::MAX).unwrap();
                    if range.is_empty() {
                        std::thread::yield_now();
                        continue;
                    }
                    assert_eq!(range.first_offset, offset);
                    let bytes = range.read().unwrap();
                    for raw in ottla_records::batches(&bytes) {
                        let raw = raw.unwrap();
                        raw.verify().unwrap();
                        assert_eq!(raw.base_offset(), offset);
                        offset = raw.next_offset();
                    }
                    assert_eq!(offset, range.end_offset);
                }
            });
        }
        for _ in 0..2 {
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let end = log.log_end_offset();
                    log.flush_to(end).unwrap();
                    assert!(
                        log.recovery_point() >= end - 1,
                        "at most a roll came between"
                    );
                }
            });
        }
        for n in 0..BATCHES {
            append(&log, &[n, n]);
        }
        done.store(true, Ordering::Relaxed);
    });
    log.close().unwrap();
    let expected: Vec<_> = (0..BATCHES)
        .flat_map(|n| [(2 * n, n), (2 * n + 1, n)])
        .collect();
    assert_eq!(records(&log, 0, 1 << 20), expected);
    let (log, report) = open(OpenOptions {
        recovery_point: log.recovery_point(),
        ..OpenOptions::fresh(None, 0)
    });
    assert_eq!(report.notes, []);
    assert_eq!(log.log_end_offset(), BATCHES * 2);
    for n in (0..BATCHES).step_by(97) {
        let found = log.offset_for_timestamp(n).unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (2 * n, n));
    }
}

#[test]
fn an_index_that_lies_is_found_out_and_built_again() {
    let fixture = Fixture::new(LogConfig {
        segment_bytes: 8_000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    });
    let log = fixture.fresh();
    for n in 0..150 {
        append(&log, &[n, n]);
    }
    let (log, _) = {
        let path = fixture.path("00000000000000000000.index");
        log.close().unwrap();
        let original = std::fs::read(&path).unwrap();
        // Positions in the middle are off by a little, and still grow.
        let mut lying = original.clone();
        for entry in lying[8..40].chunks_exact_mut(8) {
            entry[7] ^= 3;
        }
        std::fs::write(&path, &lying).unwrap();
        let reopened = fixture.open(crate::OpenOptions {
            recovery_point: log.recovery_point(),
            ..crate::OpenOptions::fresh(None, 0)
        });
        for offset in 0..100 {
            let range = reopened.0.read(offset, 1, true, 300).unwrap();
            assert!(range.first_offset <= offset && offset < range.end_offset);
        }
        assert_eq!(std::fs::read(&path).unwrap(), original);
        reopened
    };
    log.set_high_watermark(300);
    assert_eq!(records(&log, 0, 300).len(), 300);
}

/// What was aborted stays so when a crash follows a clean start without an append in between.
#[test]
fn a_crash_after_a_clean_start_keeps_the_aborted_transactions() {
    let fixture = Fixture::new(LogConfig {
        is_transaction_verified: false,
        ..LogConfig::default()
    });
    let log = fixture.fresh();
    let producer = Producer {
        id: 7,
        epoch: 0,
        base_sequence: 0,
    };
    for bytes in [batch_of(&[1], producer, true), marker(7, 0, true)] {
        log.append_as_leader(&[bytes], &LeaderAppend::coordinator(0), 0)
            .unwrap();
    }
    log.set_high_watermark(2);
    assert_eq!(log.aborted_transactions(0, 2).unwrap().len(), 1);
    let (log, _) = fixture.clean(&log);
    let (log, report) = fixture.crashed(&log);
    assert_eq!(report.notes, []);
    assert_eq!(log.aborted_transactions(0, 2).unwrap().len(), 1);
}

/// Makes the files old, so that whoever writes to one is seen.
fn age(fixture: &Fixture) -> Vec<(String, std::time::SystemTime)> {
    for name in fixture.files() {
        let file = std::fs::File::options()
            .write(true)
            .open(fixture.path(&name))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    modified(fixture)
}

fn modified(fixture: &Fixture) -> Vec<(String, std::time::SystemTime)> {
    let of = |name: &String| {
        let metadata = std::fs::metadata(fixture.path(name)).unwrap();
        metadata.modified().unwrap()
    };
    let names = fixture.files();
    names
        .into_iter()
        .map(|name| (name.clone(), of(&name)))
        .collect()
}

#[test]
fn starts_and_stops_write_nothing_into_a_log_that_nobody_wrote_to() {
    let fixture = Fixture::new(LogConfig::default());
    let log = fixture.fresh();
    log.assign_epoch_start_offset(1, 0).unwrap();
    assert!(fixture.path("leader-epoch-checkpoint").exists());
    let before = age(&fixture);

    let (log, report) = fixture.crashed(&log);
    assert_eq!(report.notes, []);
    log.assign_epoch_start_offset(2, 0).unwrap();
    let (log, report) = fixture.clean(&log);
    assert_eq!(report.notes, []);
    log.assign_epoch_start_offset(2, 0).unwrap();
    assert_eq!(modified(&fixture), before);

    // The first batch brings its epoch into the file.
    let origin = LeaderAppend::client(2);
    log.append_as_leader(&[batch(&[1])], &origin, 0).unwrap();
    let (log, _) = fixture.crashed(&log);
    assert_eq!(log.log_end_offset(), 1);
    let epochs: Vec<i32> = log
        .epoch_entries()
        .iter()
        .map(|entry| entry.epoch)
        .collect();
    assert_eq!(epochs, [2]);
}

#[test]
fn a_crash_gives_an_empty_log_the_index_back_that_it_lost() {
    let fixture = Fixture::new(LogConfig::default());
    let log = fixture.fresh();
    let index = fixture.path("00000000000000000000.index");
    std::fs::remove_file(&index).unwrap();
    fixture.crashed(&log);
    assert!(index.exists());
}
