//! Batches that Apache Kafka's own library wrote (`fixtures/Batches.java`) read here as they were meant.

use bytes::Bytes;
use ottla_records::{
    Codec, Compression, EndTxnMarker, MAX_DECOMPRESSED_BYTES, RawBatch, Record, RecordHeader,
    RecordIter, TargetCompression, TransactionResult, ValidationRules, batches,
    validate_coordinator_append,
};

const FILES: [(Codec, &[u8]); 5] = [
    (Codec::None, include_bytes!("fixtures/none.batch")),
    (Codec::Gzip, include_bytes!("fixtures/gzip.batch")),
    (Codec::Snappy, include_bytes!("fixtures/snappy.batch")),
    (Codec::Lz4, include_bytes!("fixtures/lz4.batch")),
    (Codec::Zstd, include_bytes!("fixtures/zstd.batch")),
];

fn expected(base_offset: i64) -> Vec<Record> {
    let some = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
    let header = |key: &str, value| RecordHeader {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value,
    };
    let record = |delta, timestamp, key, value| Record {
        offset: base_offset + delta,
        timestamp,
        key,
        value,
        headers: Vec::new(),
    };
    vec![
        record(0, 1000, some("key"), some("value")),
        Record {
            headers: vec![header("h", some("v")), header("null", None)],
            ..record(1, 999, None, some(&"x".repeat(5000)))
        },
        record(2, 1005, some("gone"), None),
    ]
}

fn records(bytes: &Bytes) -> Vec<Record> {
    RecordIter::new(bytes, MAX_DECOMPRESSED_BYTES)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn every_codec_of_the_java_client_is_read() {
    for (codec, file) in FILES {
        let bytes = Bytes::from_static(file);
        let batch = RawBatch::first(&bytes).unwrap().unwrap();
        batch.verify().unwrap();
        assert_eq!(batch.size(), file.len());
        assert_eq!(batch.codec(), Ok(codec));
        assert_eq!(
            (
                batch.base_offset(),
                batch.last_offset(),
                batch.record_count()
            ),
            (100, 102, 3)
        );
        assert_eq!(
            (batch.base_timestamp(), batch.max_timestamp()),
            (1000, 1005)
        );
        assert_eq!(
            (
                batch.producer_id(),
                batch.producer_epoch(),
                batch.base_sequence()
            ),
            (7, 1, 5)
        );
        assert_eq!(batch.partition_leader_epoch(), 3);
        assert!(batch.is_transactional() && !batch.is_control());
        assert_eq!(records(&bytes), expected(100), "{codec:?}");
    }
}

#[test]
fn they_validate_and_convert() {
    for (from, file) in FILES {
        for to in Codec::ALL {
            let compression = TargetCompression::Fixed(Compression::new(to));
            let rules = ValidationRules {
                compression,
                ..ValidationRules::default()
            };
            let valid =
                validate_coordinator_append(&Bytes::from_static(file), &rules, 2000).unwrap();
            assert_eq!(valid.is_rebuilt, from != to);
            let base_offset = valid.batch().base_offset();
            assert_eq!(
                records(&valid.bytes),
                expected(base_offset),
                "{from:?} {to:?}"
            );
        }
    }
}

#[test]
fn transaction_markers_are_the_same_bytes() {
    let file = include_bytes!("fixtures/commit.batch");
    let batch = batches(file).next().unwrap().unwrap();
    let marker = EndTxnMarker {
        result: TransactionResult::Commit,
        coordinator_epoch: 12,
    };
    let ours = marker.to_batch(7, 1, 2000);
    let patch = ottla_records::HeaderPatch::new(batches(&ours).next().unwrap().unwrap())
        .base_offset(50)
        .partition_leader_epoch(4);
    assert_eq!(patch.as_bytes(), batch.header().as_bytes());
    assert_eq!(&ours[61..], batch.payload());
}

#[test]
fn an_uncompressed_batch_is_built_to_the_same_bytes() {
    let file = Bytes::from_static(FILES[0].1);
    let header = RawBatch::first(&file).unwrap().unwrap().header();
    let mut builder = ottla_records::BatchBuilder::like(header, Compression::NONE);
    for record in expected(100) {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|header| (&*header.key, header.value.as_deref()))
            .collect();
        builder.append_with_headers(
            record.timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    assert_eq!(builder.build().unwrap(), file);
}
