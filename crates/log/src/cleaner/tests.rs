use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_records::{BatchBuilder, Compression, Producer, RawBatch, RecordIter};

use super::*;
use crate::testing::{Fixture, marker};
use crate::{LeaderAppend, OpenOptions};

mod crash;
mod model;

/// Never waits.
pub(super) struct Unlimited;

impl Pace for Unlimited {
    fn spend(&self, _: u64) -> Result<(), Stopped> {
        Ok(())
    }
}

/// Does something once, in the middle of a clean.
struct Meanwhile<F>(RefCell<Option<F>>);

impl<F: FnOnce()> Meanwhile<F> {
    fn new(act: F) -> Meanwhile<F> {
        Meanwhile(RefCell::new(Some(act)))
    }
}

impl<F: FnOnce()> Pace for Meanwhile<F> {
    fn spend(&self, _: u64) -> Result<(), Stopped> {
        if let Some(act) = self.0.take() {
            act();
        }
        Ok(())
    }
}

pub(super) fn compacted() -> LogConfig {
    LogConfig {
        is_compact: true,
        is_delete: false,
        segment_bytes: 600,
        index_interval_bytes: 150,
        delete_retention_ms: 1_000,
        is_transaction_verified: false,
        ..LogConfig::default()
    }
}

pub(super) fn means() -> Means {
    Means {
        map_bytes: 1 << 20,
        map_load_factor: 0.9,
        buffer_bytes: 0,
        secret: 5,
    }
}

/// Appends one record; its offset.
fn put(log: &Log, key: &str, value: Option<&str>) -> i64 {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(10, Some(key.as_bytes()), value.map(str::as_bytes));
    append(log, builder.build().unwrap())
}

fn append(log: &Log, bytes: Bytes) -> i64 {
    let info = log
        .append_as_leader(&[bytes], &LeaderAppend::coordinator(0), 0)
        .unwrap();
    log.set_high_watermark(log.log_end_offset());
    info.first_offset
}

fn clean_at(log: &Log, now_ms: i64) -> Result<CleanStats, CleanError> {
    clean_with(log, now_ms, &Unlimited)
}

fn clean_with(log: &Log, now_ms: i64, pace: &dyn Pace) -> Result<CleanStats, CleanError> {
    let cleanable = log.cleanable(now_ms).unwrap();
    log.clean(&cleanable, &means(), pace, now_ms)
}

type Row = (i64, String, Option<String>);

/// Offset, key and value of all records that a consumer sees from the start.
fn rows(log: &Log) -> Vec<Row> {
    rows_from(log, log.log_start_offset())
}

fn rows_from(log: &Log, from: i64) -> Vec<Row> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut rows = Vec::new();
    let mut offset = from;
    while offset < log.log_end_offset() {
        let range = log.read(offset, 250, true, i64::MAX).unwrap();
        if range.is_empty() {
            break;
        }
        let mut bytes = range.read().unwrap();
        while !bytes.is_empty() {
            let batch = RawBatch::first(&bytes).unwrap().unwrap();
            batch.verify().unwrap();
            let (size, is_control) = (batch.size(), batch.is_control());
            for record in RecordIter::new(&bytes, 1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset >= from && !is_control {
                    let key = text(record.key.as_deref().unwrap_or_default());
                    rows.push((record.offset, key, record.value.as_deref().map(text)));
                }
            }
            bytes = bytes.slice(size..);
        }
        assert!(range.end_offset > offset);
        offset = range.end_offset;
    }
    rows
}

/// The last value of each key.
fn latest(rows: &[Row]) -> BTreeMap<String, Option<String>> {
    rows.iter()
        .map(|(_, key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Sixty records of five keys, and the roll that makes all of them cleanable.
fn filled(fixture: &Fixture) -> Arc<Log> {
    let log = fixture.fresh();
    for n in 0..60 {
        put(&log, &format!("k{}", n % 5), Some(&format!("value {n}")));
    }
    log.roll(0).unwrap();
    log
}

#[test]
fn of_each_key_the_last_record_stays_where_it_was() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    let before = rows(&log);
    let segments = log.segment_count();
    let stats = clean_at(&log, 0).unwrap();
    let after = rows(&log);
    assert_eq!(after, before[55..]);
    assert_eq!((stats.end_offset, stats.keys), (60, 5));
    assert_eq!((stats.records_read, stats.records_kept), (60, 5));
    assert_eq!(log.cleaned_until(), Some(60));
    // They become fewer at the next clean: only then are they known to be small.
    assert!(segments > 5 && log.segment_count() == segments);
    // A consumer in the middle of what went finds the next record.
    for from in 0..60 {
        let rest: Vec<Row> = after.iter().filter(|row| row.0 >= from).cloned().collect();
        assert_eq!(rows_from(&log, from), rest);
    }
    assert_eq!(log.cleanable(0).unwrap().cleanable_bytes, 0);
    // Nor does a restart see anything else.
    let (log, report) = fixture.clean(&log);
    assert_eq!(report.notes, []);
    assert_eq!((rows(&log), log.log_end_offset()), (after.clone(), 60));
    let (log, report) = fixture.crashed(&log);
    assert_eq!(report.notes, []);
    assert_eq!((rows(&log), log.log_end_offset()), (after, 60));
}

#[test]
fn segments_that_become_one_leave_no_file_behind_once_their_time_has_passed() {
    let fixture = Fixture::new(LogConfig {
        file_delete_delay_ms: 500,
        ..compacted()
    });
    let log = filled(&fixture);
    clean_at(&log, 1_000).unwrap();
    put(&log, "another", Some("1"));
    log.roll(0).unwrap();
    clean_at(&log, 1_000).unwrap();
    assert_eq!(log.segment_count(), 2);
    assert!(
        fixture
            .files()
            .iter()
            .any(|name| name.ends_with(".log.deleted"))
    );
    fixture.environment.run_deletes(1_499);
    assert!(
        fixture
            .files()
            .iter()
            .any(|name| name.ends_with(".deleted"))
    );
    fixture.environment.run_deletes(1_500);
    let files = fixture.files();
    assert!(
        !files.iter().any(|name| name.ends_with(".deleted")),
        "{files:?}"
    );
    let bases = |suffix: &str| -> Vec<String> {
        let names = files.iter().filter_map(|name| name.strip_suffix(suffix));
        names.map(str::to_owned).collect()
    };
    assert_eq!(bases(".log").len(), log.segment_count());
    assert_eq!(bases(".index"), bases(".log"));
    assert_eq!(bases(".timeindex"), bases(".log"));
    assert!(
        bases(".snapshot")
            .iter()
            .all(|base| bases(".log").contains(base))
    );
}

#[test]
fn a_reader_that_holds_the_old_segments_goes_on_with_them() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    let before = log.segments.load_full();
    let range = log.read(0, 1 << 20, true, i64::MAX).unwrap();
    let bytes = range.read().unwrap();
    for segment in before.iter() {
        segment.close_files();
    }
    clean_at(&log, 0).unwrap();
    put(&log, "another", Some("1"));
    log.roll(0).unwrap();
    clean_at(&log, 0).unwrap();
    assert_eq!(range.read().unwrap(), bytes);
    // Also one that has the list and has not opened the file yet.
    let late = before[0].file().unwrap();
    assert_eq!(late.len().unwrap(), before[0].size());
    let mut again = vec![0; range.len];
    late.read_exact_at(&mut again, range.position).unwrap();
    assert_eq!(again, bytes);
    assert_eq!(
        before[0]
            .locate(3, before[0].size(), None)
            .unwrap()
            .unwrap()
            .base_offset,
        3
    );
}

#[test]
fn timestamps_are_found_in_what_is_left() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    for n in 0..60 {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.append(
            n * 10,
            Some(&[(n % 5) as u8]),
            Some(b"a value of some length"),
        );
        append(&log, builder.build().unwrap());
    }
    log.roll(0).unwrap();
    clean_at(&log, 0).unwrap();
    for (timestamp, expected) in [(0, Some(55)), (551, Some(56)), (590, Some(59)), (591, None)] {
        let found = log.offset_for_timestamp(timestamp).unwrap();
        assert_eq!(found.map(|found| found.offset), expected, "{timestamp}");
    }
    let (log, _) = fixture.crashed(&log);
    assert_eq!(log.offset_for_timestamp(551).unwrap().unwrap().offset, 56);
}

#[test]
fn a_deleted_key_is_remembered_for_the_delete_retention() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    put(&log, "a", Some("1"));
    put(&log, "b", Some("1"));
    put(&log, "a", None);
    log.roll(0).unwrap();
    clean_at(&log, 10).unwrap();
    let with_tombstone = [
        (1, "b".to_owned(), Some("1".to_owned())),
        (2, "a".to_owned(), None),
    ];
    assert_eq!(rows(&log), with_tombstone);
    for (now_ms, expected) in [(1_009, 2), (1_010, 1)] {
        put(&log, "c", Some("1"));
        log.roll(0).unwrap();
        clean_at(&log, now_ms).unwrap();
        let left = rows(&log).into_iter().filter(|row| row.1 != "c").count();
        assert_eq!(left, expected);
    }
}

fn transactional(producer_id: i64, sequence: i32, key: &str, value: &str) -> Bytes {
    let producer = Producer {
        id: producer_id,
        epoch: 0,
        base_sequence: sequence,
    };
    let mut builder = BatchBuilder::new(Compression::NONE)
        .producer(producer)
        .transactional(true);
    builder.append(10, Some(key.as_bytes()), Some(value.as_bytes()));
    builder.build().unwrap()
}

#[test]
fn an_aborted_transaction_vanishes_in_steps_and_is_never_seen() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    put(&log, "a", Some("kept"));
    append(&log, transactional(7, 0, "a", "aborted"));
    append(&log, marker(7, 0, true));
    append(&log, transactional(8, 0, "b", "committed"));
    append(&log, marker(8, 0, false));
    log.roll(0).unwrap();
    put(&log, "z", Some("end"));
    assert_eq!(log.aborted_transactions(0, 5).unwrap().len(), 1);
    clean_at(&log, 0).unwrap();
    // The aborted batch was its producer's last: it stays, empty, and so does the marker that tells what it was.
    assert_eq!(rows(&log)[0], (0, "a".to_owned(), Some("kept".to_owned())));
    assert_eq!(rows(&log).len(), 3);
    assert_eq!(log.aborted_transactions(0, 5).unwrap().len(), 1);
    // When the producer is forgotten, the batch goes, then the marker, a delete retention later.
    log.writer().producers.remove_expired(i64::MAX, 1);
    for now_ms in [10, 20, 1_020] {
        put(&log, "y", Some("end"));
        log.roll(0).unwrap();
        clean_at(&log, now_ms).unwrap();
    }
    assert!(log.aborted_transactions(0, 5).unwrap().is_empty());
    let range = log.read(0, 100, true, 5).unwrap();
    assert_eq!((range.first_offset, rows(&log)[0].0), (0, 0));
    let (log, report) = fixture.crashed(&log);
    assert_eq!(report.notes, []);
    assert_eq!(
        rows(&log)[1],
        (3, "b".to_owned(), Some("committed".to_owned()))
    );
    assert_eq!(log.last_stable_offset(), log.high_watermark());
    assert_eq!(log.first_unstable_offset(), None);
}

#[test]
fn what_read_committed_is_told_belongs_to_what_it_reads() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    append(&log, transactional(7, 0, "a", "aborted"));
    append(&log, marker(7, 0, true));
    append(&log, transactional(7, 1, "b", "kept"));
    append(&log, marker(7, 0, false));
    log.roll(0).unwrap();
    let (range, aborted) = log.read_committed(0, 1 << 20, true, 4).unwrap();
    assert_eq!((range.first_offset, aborted.len()), (0, 1));
    log.writer().producers.remove_expired(i64::MAX, 1);
    let old = log.segments.load_full();
    clean_at(&log, 0).unwrap();
    put(&log, "c", Some("1"));
    log.roll(0).unwrap();
    clean_at(&log, 0).unwrap();
    let (range, aborted) = log.read_committed(0, 1 << 20, true, 4).unwrap();
    assert_eq!((range.first_offset, aborted.len()), (1, 0));
    // Who holds the segments from before finds both as they were.
    assert_eq!(old[0].txn_index.search(0, 4).unwrap().aborted.len(), 1);
    assert_eq!(old[0].batch_at(0).unwrap().unwrap().base_offset, 0);
}

#[test]
fn an_open_transaction_holds_the_cleaner_back() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    put(&log, "a", Some("1"));
    put(&log, "a", Some("2"));
    log.roll(0).unwrap();
    append(&log, transactional(7, 0, "a", "open"));
    put(&log, "a", Some("3"));
    log.roll(0).unwrap();
    clean_at(&log, 0).unwrap();
    assert_eq!(log.cleaned_until(), Some(2));
    let values: Vec<_> = rows(&log).into_iter().map(|row| row.2.unwrap()).collect();
    assert_eq!(values, ["2", "open", "3"]);
}

#[test]
fn a_producer_goes_on_after_its_records_were_cleaned_away() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    let idempotent = |sequence: i32| {
        let producer = Producer {
            id: 7,
            epoch: 0,
            base_sequence: sequence,
        };
        let mut builder = BatchBuilder::new(Compression::NONE).producer(producer);
        builder.append(10, Some(b"a"), Some(b"1"));
        builder.build().unwrap()
    };
    for sequence in 0..20 {
        append(&log, idempotent(sequence));
    }
    put(&log, "a", Some("2"));
    log.roll(0).unwrap();
    clean_at(&log, 0).unwrap();
    assert_eq!(rows(&log).len(), 1);
    // Without any snapshot the state is what the batches say.
    for name in fixture.files() {
        if name.ends_with(".snapshot") {
            std::fs::remove_file(fixture.path(&name)).unwrap();
        }
    }
    let (log, _) = fixture.crashed(&log);
    let retried = log
        .append_as_leader(&[idempotent(19)], &LeaderAppend::client(0), 0)
        .unwrap();
    assert!(retried.is_duplicate);
    assert_eq!(retried.last_offset, 19);
    let next = log
        .append_as_leader(&[idempotent(20)], &LeaderAppend::client(0), 0)
        .unwrap();
    assert_eq!(next.first_offset, 21);
}

#[test]
fn a_log_that_is_cut_meanwhile_is_left_as_it_is() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    let before = rows(&log);
    let cut = Meanwhile::new(|| {
        log.truncate_to(20, 0).unwrap();
    });
    let result = clean_with(&log, 0, &cut);
    assert!(matches!(result, Err(CleanError::Overtaken)), "{result:?}");
    assert_eq!(rows(&log), before[..20]);
    assert_eq!(log.cleaned_until(), None);
    let left = fixture.files();
    assert!(
        !left
            .iter()
            .any(|name| name.contains("cleaned") || name.contains("swap"))
    );
    let (log, report) = fixture.crashed(&log);
    assert_eq!((rows(&log), report.notes), (before[..20].to_vec(), vec![]));
}

#[test]
fn segments_that_are_removed_meanwhile_do_not_come_back() {
    let fixture = Fixture::new(LogConfig {
        is_delete: true,
        ..compacted()
    });
    let log = filled(&fixture);
    let before = rows(&log);
    let remove = Meanwhile::new(|| {
        log.advance_log_start_offset(25).unwrap();
        assert!(log.run_retention(0).unwrap() > 0);
    });
    let result = clean_with(&log, 0, &remove);
    assert!(matches!(result, Err(CleanError::Overtaken)), "{result:?}");
    assert_eq!(rows(&log), before[25..]);
    clean_at(&log, 0).unwrap();
    assert_eq!(rows(&log), before[55..]);
}

#[test]
fn a_policy_without_compaction_ends_a_clean() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    let before = rows(&log);
    let change = Meanwhile::new(|| {
        let config = LogConfig {
            is_compact: false,
            ..compacted()
        };
        log.set_config(Arc::new(config));
    });
    let result = clean_with(&log, 0, &change);
    assert!(matches!(result, Err(CleanError::Overtaken)), "{result:?}");
    assert_eq!(rows(&log), before);
}

#[test]
fn a_cut_lowers_what_is_known_to_be_clean() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    clean_at(&log, 0).unwrap();
    log.truncate_to(58, 0).unwrap();
    assert_eq!(log.cleaned_until(), Some(58));
    log.truncate_fully_and_start_at(10, None, 0).unwrap();
    assert_eq!(log.cleaned_until(), Some(10));
}

#[test]
fn damage_stops_a_clean_and_nothing_is_lost() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    let segments = log.segment_count();
    let path = log.segments.load()[3].path(FileKind::Log);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let result = clean_at(&log, 0);
    assert!(matches!(result, Err(CleanError::Damaged(_))), "{result:?}");
    assert_eq!(log.segment_count(), segments);
    assert!(!log.log_dir().has_failed());
    assert_eq!(log.cleaned_until(), None);
}

#[test]
fn a_map_that_is_too_small_for_all_cleans_a_part_at_a_time() {
    let fixture = Fixture::new(compacted());
    let log = fixture.fresh();
    for n in 0..90 {
        put(
            &log,
            &format!("k{}", n % 30),
            Some("a value of some length"),
        );
    }
    log.roll(0).unwrap();
    let small = Means {
        map_bytes: 12 * 16,
        ..means()
    };
    let before = latest(&rows(&log));
    let mut rounds = 0;
    while log.cleanable(0).unwrap().cleanable_bytes > 0 {
        let cleanable = log.cleanable(0).unwrap();
        let stats = log.clean(&cleanable, &small, &Unlimited, 0).unwrap();
        assert!(stats.end_offset > cleanable.first_dirty);
        rounds += 1;
        assert_eq!(latest(&rows(&log)), before);
    }
    assert!((9..=10).contains(&rounds), "{rounds}");
    assert!(rows(&log).len() < 60);
}

#[test]
fn a_batch_with_more_keys_than_the_map_takes_is_told() {
    let fixture = Fixture::new(LogConfig {
        segment_bytes: 5_000,
        ..compacted()
    });
    let log = fixture.fresh();
    let mut builder = BatchBuilder::new(Compression::NONE);
    for n in 0..50u8 {
        builder.append(1, Some(&[n]), Some(b"v"));
    }
    append(&log, builder.build().unwrap());
    log.roll(0).unwrap();
    let small = Means {
        map_bytes: 12 * 16,
        ..means()
    };
    let result = log.clean(&log.cleanable(0).unwrap(), &small, &Unlimited, 0);
    assert!(
        matches!(result, Err(CleanError::MapTooSmall { offset: 0, .. })),
        "{result:?}"
    );
}

#[test]
fn an_error_of_the_disk_takes_the_directory_offline() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    std::fs::create_dir(fixture.path("00000000000000000000.log.cleaned")).unwrap();
    let result = clean_at(&log, 0);
    assert!(matches!(result, Err(CleanError::Storage(_))), "{result:?}");
    assert!(log.log_dir().has_failed());
}

#[test]
fn batches_larger_than_the_buffer_are_read() {
    let fixture = Fixture::new(LogConfig {
        segment_bytes: 100_000,
        ..compacted()
    });
    let log = fixture.fresh();
    let large = "x".repeat(30_000);
    for n in 0..6 {
        put(&log, &format!("k{}", n % 2), Some(&large));
    }
    log.roll(0).unwrap();
    clean_at(&log, 0).unwrap();
    assert_eq!(rows(&log).len(), 2);
}

#[test]
fn the_cleaned_segment_is_as_old_as_its_last_source() {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    let segments = log.segments.load_full();
    let when = UNIX_EPOCH + Duration::from_secs(1_000_000);
    for segment in segments.iter() {
        segment.file().unwrap().file().set_modified(when).unwrap();
    }
    clean_at(&log, 0).unwrap();
    assert_eq!(log.segments.load()[0].modified_ms().unwrap(), 1_000_000_000);
}

/// Opens after an unclean stop at which everything was durable.
fn reopened(fixture: &Fixture, log: &Log) -> Arc<Log> {
    let (log, report) = fixture.open(OpenOptions {
        recovery_point: log.log_end_offset(),
        is_clean: false,
        ..OpenOptions::fresh(None, 0)
    });
    assert_eq!(report.notes, []);
    log
}
