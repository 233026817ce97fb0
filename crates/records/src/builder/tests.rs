use super::*;
use crate::batch::tests::GOLDEN;
use crate::batch::{RawBatch, batches};

#[test]
fn builds_the_golden_bytes() {
    let mut builder = BatchBuilder::default()
        .base_offset(42)
        .partition_leader_epoch(3)
        .producer(Producer {
            id: 7,
            epoch: 1,
            base_sequence: 5,
        })
        .transactional(true);
    builder.append(1000, Some(b"key"), Some(b"value"));
    assert_eq!(builder.build().unwrap(), &GOLDEN[..]);
}

#[test]
fn header_fields_follow_the_records() {
    let mut builder = BatchBuilder::default().base_offset(10);
    builder.append(7, Some(b"a"), None);
    builder.append(9, None, Some(b"b"));
    builder.append_at(15, 8, None, None, [(&b"h"[..], None)].into_iter());
    let size = builder.uncompressed_size();
    let bytes = builder.build().unwrap();
    let batch = RawBatch::first(&bytes).unwrap().unwrap();
    batch.verify().unwrap();
    assert_eq!(batch.size(), size);
    assert_eq!(
        (
            batch.base_offset(),
            batch.last_offset(),
            batch.record_count()
        ),
        (10, 15, 3)
    );
    assert_eq!((batch.base_timestamp(), batch.max_timestamp()), (7, 9));
    assert_eq!(
        (
            batch.producer_id(),
            batch.producer_epoch(),
            batch.base_sequence()
        ),
        (-1, -1, -1)
    );
    assert_eq!(batch.last_sequence(), -1);
}

#[test]
fn stand_ins_keep_what_must_survive_compaction() {
    let original = RawBatch::first(&GOLDEN).unwrap().unwrap();
    let bytes = empty_batch(original.header());
    let batch = RawBatch::first(&bytes).unwrap().unwrap();
    batch.verify().unwrap();
    assert_eq!(batch.size(), HEADER_LEN);
    assert_eq!(
        (
            batch.base_offset(),
            batch.last_offset(),
            batch.record_count()
        ),
        (42, 42, 0)
    );
    assert_eq!(
        (batch.base_timestamp(), batch.max_timestamp()),
        (NO_TIMESTAMP, 1000)
    );
    assert_eq!(
        (
            batch.producer_id(),
            batch.producer_epoch(),
            batch.last_sequence()
        ),
        (7, 1, 5)
    );
    assert!(batch.is_transactional());

    let mut builder = BatchBuilder::like(original.header(), Compression::NONE)
        .delete_horizon_ms(500)
        .last_offset(49);
    builder.append_at(44, 1000, Some(b"k"), None, std::iter::empty());
    let bytes = builder.build().unwrap();
    let batch = RawBatch::first(&bytes).unwrap().unwrap();
    batch.verify().unwrap();
    assert_eq!(
        (
            batch.base_offset(),
            batch.last_offset(),
            batch.record_count()
        ),
        (42, 49, 1)
    );
    assert_eq!(
        (batch.delete_horizon_ms(), batch.max_timestamp()),
        (Some(500), 1000)
    );
}

#[test]
fn size_bounds_hold() {
    let key = vec![1; 100];
    let headers: [(&[u8], Option<&[u8]>); 2] = [(b"first", Some(b"1")), (b"second", None)];
    let mut builder = BatchBuilder::default();
    builder.append_with_headers(0, None, None, &[]);
    let before = builder.uncompressed_size();
    builder.append_with_headers(i64::MIN, Some(&key), Some(b""), &headers);
    let added = builder.uncompressed_size() - before;
    let bound = BatchBuilder::record_size_max(Some(&key), Some(b""), &headers);
    assert!(added <= bound && bound < added + 40, "{added} {bound}");
}

#[test]
fn levels_change_the_size() {
    let text: Vec<u8> = (0..200_000u32)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8 & 15)
        .collect();
    for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Zstd, -5, 19)] {
        let size = |level| {
            let mut builder = BatchBuilder::new(Compression::with_level(codec, level));
            builder.append(0, None, Some(&text));
            let bytes = builder.build().unwrap();
            assert_eq!(batches(&bytes).next().unwrap().unwrap().codec(), Ok(codec));
            bytes.len()
        };
        assert!(size(high) < size(low), "{codec:?}");
    }
}

#[test]
#[should_panic(expected = "transactional batch needs a producer id")]
fn contradictory_producers_panic() {
    BatchBuilder::default().transactional(true).build().unwrap();
}

#[test]
#[should_panic(expected = "does not continue")]
fn falling_offsets_panic() {
    let mut builder = BatchBuilder::default();
    builder.append_at(5, 0, None, None, std::iter::empty());
    builder.append_at(5, 0, None, None, std::iter::empty());
}
