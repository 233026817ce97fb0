use ottla_records::{Codec, Producer};

use super::*;
use crate::testing::marker;

const NOW_MS: i64 = 1_000_000;
const RETENTION_MS: i64 = 5_000;

/// A record of a test: key, value.
type Entry = (Option<&'static str>, Option<&'static str>);

fn build(base_offset: i64, builder: BatchBuilder, entries: &[Entry]) -> Bytes {
    let mut builder = builder.base_offset(base_offset);
    for (n, (key, value)) in entries.iter().enumerate() {
        let bytes = |text: &Option<&'static str>| text.map(str::as_bytes);
        builder.append(100 + n as i64, bytes(key), bytes(value));
    }
    builder.build().unwrap()
}

fn plain(base_offset: i64, entries: &[Entry]) -> Bytes {
    build(base_offset, BatchBuilder::default(), entries)
}

fn of_producer(id: i64, is_transactional: bool) -> BatchBuilder {
    BatchBuilder::default()
        .producer(Producer {
            id,
            epoch: 3,
            base_sequence: 40,
        })
        .transactional(is_transactional)
}

struct Scene {
    map: OffsetMap,
    transactions: CleanedTransactions,
    last_records: HashMap<i64, LastRecord>,
    upper_bound: i64,
    now_ms: i64,
}

impl Scene {
    /// The dirty part ends before offset 100, and has these keys last at these offsets.
    fn new(keys: &[(&str, i64)]) -> Scene {
        let mut map = OffsetMap::new(4096, 0.9, 1);
        let mut keys = keys.to_vec();
        keys.sort_by_key(|(_, offset)| *offset);
        for (key, offset) in &keys {
            map.put(map.digest(key.as_bytes()), *offset).unwrap();
        }
        map.set_latest_offset(99);
        Scene {
            map,
            transactions: CleanedTransactions::default(),
            last_records: HashMap::new(),
            upper_bound: 100,
            now_ms: NOW_MS,
        }
    }

    fn try_filter(&mut self, bytes: &[u8]) -> Result<Filtered, DamageReason> {
        let rules = Rules {
            map: &self.map,
            now_ms: self.now_ms,
            delete_retention_ms: RETENTION_MS,
            upper_bound: self.upper_bound,
            last_records: &self.last_records,
        };
        let batch = RawBatch::first(bytes).unwrap().unwrap();
        filter(
            &batch,
            &mut self.transactions,
            &rules,
            &mut Scratch::default(),
        )
    }

    fn filter(&mut self, bytes: &[u8]) -> Left {
        self.try_filter(bytes).unwrap().left
    }

    fn rewritten(&mut self, bytes: &[u8]) -> Bytes {
        match self.filter(bytes) {
            Left::Batch(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }
}

/// Offset, timestamp, key, value of each record.
fn records(bytes: &Bytes) -> Vec<(i64, i64, String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    RawBatch::first(bytes).unwrap().unwrap().verify().unwrap();
    ottla_records::RecordIter::new(bytes, MAX_DECOMPRESSED_BYTES)
        .unwrap()
        .map(|record| record.unwrap())
        .map(|r| {
            let key = text(&r.key.unwrap());
            (
                r.offset,
                r.timestamp,
                key,
                r.value.map(|value| text(&value)),
            )
        })
        .collect()
}

fn header(bytes: &Bytes) -> RawBatch<'_> {
    RawBatch::first(bytes).unwrap().unwrap()
}

#[test]
fn a_batch_whose_records_are_all_the_latest_stays_byte_for_byte() {
    let mut scene = Scene::new(&[("a", 10), ("b", 11)]);
    let batch = plain(10, &[(Some("a"), Some("1")), (Some("b"), Some("2"))]);
    assert_eq!(scene.filter(&batch), Left::AsItIs);
    // A key that the dirty part does not have is the latest too.
    let batch = plain(10, &[(Some("c"), Some("1"))]);
    assert_eq!(scene.filter(&batch), Left::AsItIs);
}

#[test]
fn older_records_of_a_key_go_and_the_others_keep_offset_and_timestamp() {
    for codec in Codec::ALL {
        let mut scene = Scene::new(&[("a", 50), ("b", 12)]);
        let builder = BatchBuilder::new(Compression::new(codec)).partition_leader_epoch(7);
        let entries = [
            (Some("a"), Some("1")),
            (Some("b"), Some("1")),
            (Some("b"), Some("2")),
            (Some("a"), Some("2")),
        ];
        let left = scene.rewritten(&build(10, builder, &entries));
        let expected = vec![(12, 102, "b".to_owned(), Some("2".to_owned()))];
        assert_eq!(records(&left), expected);
        let header = header(&left);
        assert_eq!((header.base_offset(), header.last_offset()), (10, 13));
        assert_eq!(header.codec().unwrap(), codec);
        assert_eq!(header.partition_leader_epoch(), 7);
        assert_eq!(header.max_timestamp(), 102);
        assert_eq!(header.record_count(), 1);
    }
}

#[test]
fn records_above_the_mapped_part_are_not_judged() {
    let mut scene = Scene::new(&[("a", 120)]);
    let batch = plain(100, &[(Some("a"), Some("1")), (None, Some("2"))]);
    assert_eq!(scene.filter(&batch), Left::AsItIs);
}

#[test]
fn records_without_a_key_go() {
    let mut scene = Scene::new(&[]);
    let batch = plain(10, &[(None, Some("1")), (Some("a"), Some("2"))]);
    let filtered = scene.try_filter(&batch).unwrap();
    assert_eq!((filtered.keyless, filtered.records_kept), (1, 1));
}

#[test]
fn a_tombstone_stays_until_its_horizon_which_is_set_when_it_is_first_cleaned() {
    let mut scene = Scene::new(&[("a", 10)]);
    let batch = plain(10, &[(Some("a"), None), (Some("b"), Some("1"))]);
    assert_eq!(header(&batch).delete_horizon_ms(), None);
    let first = scene.rewritten(&batch);
    assert_eq!(
        header(&first).delete_horizon_ms(),
        Some(NOW_MS + RETENTION_MS)
    );
    let both = records(&first);
    assert_eq!(both[0], (10, 100, "a".to_owned(), None));
    assert_eq!(both[1].1, 101);
    // Until then it stays, byte for byte.
    scene.now_ms = NOW_MS + RETENTION_MS - 1;
    assert_eq!(scene.filter(&first), Left::AsItIs);
    scene.now_ms += 1;
    let second = scene.rewritten(&first);
    let expected = vec![(11, 101, "b".to_owned(), Some("1".to_owned()))];
    assert_eq!(records(&second), expected);
    // The horizon of the batch is kept, and with it the meaning of its base timestamp.
    assert_eq!(
        header(&second).delete_horizon_ms(),
        header(&first).delete_horizon_ms()
    );
}

#[test]
fn a_tombstone_that_is_not_the_latest_of_its_key_goes_at_once() {
    let mut scene = Scene::new(&[("a", 50)]);
    assert_eq!(
        scene.filter(&plain(10, &[(Some("a"), None)])),
        Left::Nothing
    );
}

#[test]
fn the_last_batch_of_an_active_producer_stays_without_its_records() {
    let mut scene = Scene::new(&[("a", 50)]);
    let batch = build(
        10,
        of_producer(5, false),
        &[(Some("a"), Some("1")), (Some("a"), Some("2"))],
    );
    assert_eq!(scene.filter(&batch), Left::Nothing);
    let last = LastRecord {
        data_offset: Some(11),
        producer_epoch: 3,
    };
    scene.last_records.insert(5, last);
    let left = scene.rewritten(&batch);
    assert_eq!(records(&left), []);
    let left = header(&left);
    assert_eq!((left.base_offset(), left.last_offset()), (10, 11));
    assert_eq!((left.base_sequence(), left.last_sequence()), (40, 41));
    assert_eq!((left.producer_id(), left.producer_epoch()), (5, 3));
    assert_eq!(left.max_timestamp(), 101);
}

#[test]
fn the_batch_that_ends_the_cleaned_part_stays_without_its_records() {
    let mut scene = Scene::new(&[("a", 50)]);
    scene.upper_bound = 11;
    let left = scene.rewritten(&plain(10, &[(Some("a"), Some("1"))]));
    assert_eq!(header(&left).next_offset(), 11);
    assert_eq!(header(&left).record_count(), 0);
}

fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTxn {
    AbortedTxn {
        producer_id,
        first_offset,
        last_offset,
        last_stable_offset: first_offset,
    }
}

fn marker_at(offset: i64, is_abort: bool) -> Vec<u8> {
    let mut bytes = marker(5, 3, is_abort).to_vec();
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes
}

#[test]
fn what_was_aborted_goes_and_the_marker_follows_a_horizon_later() {
    let mut scene = Scene::new(&[("a", 10)]);
    scene.transactions.add_aborted(&[aborted(5, 10, 11)]);
    let data = build(10, of_producer(5, true), &[(Some("a"), Some("1"))]);
    assert_eq!(scene.filter(&data), Left::Nothing);
    let marker = marker_at(11, true);
    let filtered = scene.try_filter(&marker).unwrap();
    assert_eq!(filtered.left, Left::AsItIs);
    assert_eq!(filtered.aborted, Some(aborted(5, 10, 11)));
    // The next run meets the marker alone, and sets its horizon.
    let mut scene = Scene::new(&[]);
    let filtered = scene.try_filter(&marker).unwrap();
    assert_eq!(filtered.aborted, None);
    let Left::Batch(marked) = filtered.left else {
        panic!("the horizon is set")
    };
    assert_eq!(
        header(&marked).delete_horizon_ms(),
        Some(NOW_MS + RETENTION_MS)
    );
    assert!(header(&marked).is_control() && header(&marked).is_transactional());
    scene.now_ms = NOW_MS + RETENTION_MS - 1;
    assert_eq!(scene.filter(&marked), Left::AsItIs);
    scene.now_ms += 1;
    assert_eq!(scene.filter(&marked), Left::Nothing);
}

#[test]
fn a_marker_stays_while_a_batch_of_its_transaction_does() {
    let mut scene = Scene::new(&[("a", 10)]);
    let data = build(10, of_producer(5, true), &[(Some("a"), Some("1"))]);
    assert_eq!(scene.filter(&data), Left::AsItIs);
    scene.now_ms = i64::MAX;
    assert_eq!(scene.filter(&marker_at(11, false)), Left::AsItIs);
}

#[test]
fn a_producer_known_by_its_marker_alone_keeps_it_without_the_record() {
    let mut scene = Scene::new(&[]);
    let marked = scene.rewritten(&marker_at(11, false));
    let last = LastRecord {
        data_offset: None,
        producer_epoch: 3,
    };
    scene.last_records.insert(5, last);
    scene.now_ms = NOW_MS + RETENTION_MS;
    let left = scene.rewritten(&marked);
    assert_eq!(header(&left).record_count(), 0);
    assert!(header(&left).is_control());
}

#[test]
fn log_append_time_is_kept() {
    let mut scene = Scene::new(&[("a", 50)]);
    let builder = BatchBuilder::default().log_append_time(777);
    let batch = build(
        10,
        builder,
        &[(Some("a"), Some("1")), (Some("b"), Some("2"))],
    );
    let left = scene.rewritten(&batch);
    assert_eq!(records(&left)[0].1, 777);
    assert_eq!(header(&left).max_timestamp(), 777);
}

#[test]
fn headers_of_records_are_kept() {
    let mut builder = BatchBuilder::default();
    builder.append(1, Some(b"a"), Some(b"1"));
    builder.append_with_headers(
        1,
        Some(b"b"),
        Some(b"2"),
        &[(b"h", Some(b"v")), (b"n", None)],
    );
    let mut scene = Scene::new(&[("a", 50)]);
    let left = scene.rewritten(&builder.build().unwrap());
    let record = ottla_records::RecordIter::new(&left, 1000)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|header| (&header.key[..], header.value.as_deref()))
        .collect();
    assert_eq!(headers, [(&b"h"[..], Some(&b"v"[..])), (b"n", None)]);
}

#[test]
fn bytes_that_no_writer_makes_are_damage_and_no_panic() {
    let mut scene = Scene::new(&[]);
    let mut batch = plain(10, &[(Some("a"), None)]).to_vec();
    batch[43..51].copy_from_slice(&9i64.to_be_bytes());
    assert_eq!(scene.try_filter(&batch), Err(DamageReason::ProducerFields));
    // A record beyond the offsets that the batch covers.
    let mut batch = plain(10, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]).to_vec();
    batch[23..27].copy_from_slice(&0i32.to_be_bytes());
    assert!(matches!(
        scene.try_filter(&batch),
        Err(DamageReason::OffsetGoesBack { found: 11, .. })
    ));
    // More records than there are.
    let mut batch = plain(10, &[(Some("a"), Some("1"))]).to_vec();
    batch[57..61].copy_from_slice(&7i32.to_be_bytes());
    assert!(matches!(
        scene.try_filter(&batch),
        Err(DamageReason::Record(_))
    ));
}
