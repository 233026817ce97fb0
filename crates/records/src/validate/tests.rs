use expect_test::{Expect, expect};
use ottla_protocol::ErrorCode;
use proptest::prelude::*;

use super::*;
use crate::batch::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, BASE_SEQUENCE_AT, CRC_AT, HEADER_LEN, LAST_OFFSET_DELTA_AT,
    LENGTH_AT, MAGIC_AT, PRODUCER_EPOCH_AT, RECORD_COUNT_AT, crc32c,
};
use crate::control::{EndTxnMarker, TransactionResult};
use crate::record::tests::{arbitrary_record, build};
use crate::record::{Record, RecordIter};

const NOW_MS: i64 = 1_000_000;

fn rules() -> ValidationRules {
    ValidationRules::default()
}

fn three_records(codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::new(codec));
    builder.append(NOW_MS, Some(b"a"), Some(b"first"));
    builder.append(NOW_MS + 5, None, Some(b"second"));
    builder.append(NOW_MS - 5, Some(b"c"), None);
    builder.build().unwrap()
}

/// The newest version of the produce request.
const PRODUCE_VERSION: i16 = 13;

fn produce(records: &Bytes, rules: &ValidationRules) -> Result<ValidatedBatch, ValidationError> {
    validate_produce(records, rules, PRODUCE_VERSION, NOW_MS)
}

/// What the log makes of a validated batch.
fn stored(valid: &ValidatedBatch, base_offset: i64) -> Bytes {
    let batch = valid.batch();
    let mut patch = HeaderPatch::new(batch)
        .base_offset(base_offset)
        .partition_leader_epoch(4);
    if let Some(now_ms) = valid.log_append_time_ms {
        patch = patch.timestamps(TimestampType::LogAppendTime, now_ms);
    }
    Bytes::from([patch.as_bytes(), batch.payload()].concat())
}

/// Overwrites bytes of a batch and makes the checksum right again.
fn changed(batch: &Bytes, at: usize, field: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at..at + field.len()].copy_from_slice(field);
    let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

fn describe(result: Result<ValidatedBatch, ValidationError>) -> String {
    match result {
        Ok(valid) => {
            let bytes = stored(&valid, 0);
            let header = batches(&bytes).next().unwrap().unwrap();
            let (kind, max, rebuilt) = (
                header.timestamp_type(),
                header.max_timestamp(),
                valid.is_rebuilt,
            );
            format!(
                "ok {} {kind:?} max={max} rebuilt={rebuilt}",
                header.codec().unwrap().name()
            )
        }
        Err(error) => {
            let listed = error
                .rejected_records()
                .iter()
                .map(|record| record.index)
                .collect::<Vec<_>>();
            format!("{:?} {listed:?}: {error}", error.error_code())
        }
    }
}

fn check(records: &Bytes, rules: &ValidationRules, expected: Expect) {
    expected.assert_eq(&describe(produce(records, rules)));
}

#[test]
fn good_batches_pass_as_they_are() {
    for codec in Codec::ALL {
        let bytes = three_records(codec);
        let valid = produce(&bytes, &rules()).unwrap();
        assert!(!valid.is_rebuilt, "{codec:?}");
        assert_eq!(valid.bytes, bytes, "{codec:?}");
        assert_eq!(valid.bytes.as_ptr(), bytes.as_ptr(), "no copy");
        let stored = stored(&valid, 77);
        let batch = RawBatch::first(&stored).unwrap().unwrap();
        batch.verify().unwrap();
        assert_eq!(
            (
                batch.base_offset(),
                batch.last_offset(),
                batch.partition_leader_epoch()
            ),
            (77, 79, 4)
        );
    }
}

#[test]
fn one_batch_of_the_right_format() {
    let good = three_records(Codec::None);
    check(
        &Bytes::new(),
        &rules(),
        expect![
            "InvalidRecord []: produce requests must have at least one record batch per partition"
        ],
    );
    check(
        &good.slice(..good.len() - 1),
        &rules(),
        expect![
            "InvalidRecord []: produce requests must have at least one record batch per partition"
        ],
    );
    check(
        &[good.clone(), good.clone()].concat().into(),
        &rules(),
        expect![
            "InvalidRecord []: produce requests are only allowed to contain exactly one record batch per partition"
        ],
    );
    check(
        &[&good[..], &good[..70]].concat().into(),
        &rules(),
        expect!["ok none CreateTime max=1000005 rebuilt=false"],
    );
    check(
        &[&good[..], &[0; 12]].concat().into(),
        &rules(),
        expect!["CorruptMessage []: record batch length 0 is less than the minimum 14"],
    );
    check(
        &changed(&good, MAGIC_AT, &[1]),
        &rules(),
        expect![
            "InvalidRecord []: record batch has the old message format 1, which is not supported"
        ],
    );
    check(
        &changed(&good, MAGIC_AT, &[3]),
        &rules(),
        expect!["CorruptMessage []: invalid magic 3 in record batch"],
    );
    check(
        &changed(&good, LENGTH_AT, &10i32.to_be_bytes()),
        &rules(),
        expect!["CorruptMessage []: record batch length 10 is less than the minimum 14"],
    );
    check(
        &changed(&good, BASE_OFFSET_AT, &7i64.to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: the base offset of the record batch should be 0, but it is 7"],
    );
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    check(
        &damaged.into(),
        &rules(),
        expect![
            "CorruptMessage []: record batch is corrupt (stored crc = 631863752, computed crc = 3619879627)"
        ],
    );
    let limited = |batch_bytes_max| ValidationRules {
        batch_bytes_max,
        ..rules()
    };
    check(
        &good,
        &limited(good.len()),
        expect!["ok none CreateTime max=1000005 rebuilt=false"],
    );
    check(
        &good,
        &limited(good.len() - 1),
        expect![
            "MessageTooLarge []: the record batch size is 95 bytes, which exceeds the maximum configured value of 94"
        ],
    );
}

#[test]
fn codecs_that_clients_may_use() {
    let produce_of = |produce_version, codec| {
        describe(validate_produce(
            &three_records(codec),
            &rules(),
            produce_version,
            NOW_MS,
        ))
    };
    expect!["UnsupportedCompressionType []: produce requests with version 6 are not allowed to use zstd compression"].assert_eq(&produce_of(6, Codec::Zstd));
    expect!["ok zstd CreateTime max=1000005 rebuilt=false"].assert_eq(&produce_of(7, Codec::Zstd));
    expect!["ok lz4 CreateTime max=1000005 rebuilt=false"].assert_eq(&produce_of(3, Codec::Lz4));
    check(
        &changed(&three_records(Codec::None), ATTRIBUTES_AT, &[0, 5]),
        &rules(),
        expect!["UnsupportedCompressionType []: unknown compression codec 5 in record batch"],
    );
    // Says gzip, is not.
    check(
        &changed(&three_records(Codec::None), ATTRIBUTES_AT, &[0, 1]),
        &rules(),
        expect!["InvalidRecord []: gzip data is corrupt: invalid gzip header"],
    );
}

#[test]
fn header_fields_that_clients_may_write() {
    let good = three_records(Codec::None);
    check(
        &changed(&good, RECORD_COUNT_AT, &0i32.to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: the record batch has no records"],
    );
    check(
        &changed(&good, RECORD_COUNT_AT, &(-1i32).to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: invalid record count -1 in record batch"],
    );
    check(
        &changed(&good, RECORD_COUNT_AT, &2i32.to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: the record batch has 2 records, but its last offset delta is 2"],
    );
    check(
        &changed(&good, LAST_OFFSET_DELTA_AT, &3i32.to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: the record batch has 3 records, but its last offset delta is 3"],
    );
    check(
        &changed(&good, LAST_OFFSET_DELTA_AT, &(-1i32).to_be_bytes()),
        &rules(),
        expect![
            "InvalidRecord []: invalid offset range in record batch: base offset 0, last offset delta -1"
        ],
    );
    check(
        &changed(&good, ATTRIBUTES_AT, &[0, 0x20]),
        &rules(),
        expect!["InvalidRecord []: clients are not allowed to write control records"],
    );
    check(
        &changed(&good, ATTRIBUTES_AT, &[0, 0x40]),
        &rules(),
        expect!["InvalidRecord []: clients are not allowed to set a delete horizon"],
    );
    check(
        &changed(&good, ATTRIBUTES_AT, &[0, 0x10]),
        &rules(),
        expect!["InvalidRecord []: transactional record batch without a producer id"],
    );

    let producer = Producer {
        id: 5,
        epoch: 0,
        base_sequence: 0,
    };
    let mut builder = BatchBuilder::default()
        .producer(producer)
        .transactional(true);
    builder.append(NOW_MS, None, None);
    let idempotent = builder.build().unwrap();
    check(
        &idempotent,
        &rules(),
        expect!["ok none CreateTime max=1000000 rebuilt=false"],
    );
    check(
        &changed(&idempotent, BASE_SEQUENCE_AT, &(-1i32).to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: invalid sequence number -1 in record batch with producer id 5"],
    );
    check(
        &changed(&idempotent, PRODUCER_EPOCH_AT, &(-1i16).to_be_bytes()),
        &rules(),
        expect!["InvalidRecord []: invalid producer epoch -1 in record batch with producer id 5"],
    );
}

#[test]
fn record_counts_and_structure() {
    for codec in [Codec::None, Codec::Lz4] {
        let good = three_records(codec);
        let stated = |count: i32| {
            let counted = changed(&good, RECORD_COUNT_AT, &count.to_be_bytes());
            changed(&counted, LAST_OFFSET_DELTA_AT, &(count - 1).to_be_bytes())
        };
        check(
            &stated(2),
            &rules(),
            expect!["InvalidRecord []: bytes remain after the last record"],
        );
        check(
            &stated(4),
            &rules(),
            expect!["InvalidRecord []: records end in the middle of a record"],
        );
        check(
            &stated(i32::MAX),
            &rules(),
            expect!["InvalidRecord []: records end in the middle of a record"],
        );
    }
    // A record that states a byte more than it has.
    let good = three_records(Codec::None);
    let size = good[HEADER_LEN];
    check(
        &changed(&good, HEADER_LEN, &[size + 2]),
        &rules(),
        expect![
            "InvalidRecord []: invalid record size: expected 13 bytes in record payload, but read 12"
        ],
    );
}

#[test]
fn timestamps() {
    let mut builder = BatchBuilder::default();
    for timestamp in [
        NOW_MS,
        -1,
        NOW_MS - 101,
        NOW_MS - 100,
        NOW_MS + 10,
        NOW_MS + 11,
    ] {
        builder.append(timestamp, None, None);
    }
    let bytes = builder.build().unwrap();
    let bounded = ValidationRules {
        timestamp_before_max_ms: 100,
        timestamp_after_max_ms: 10,
        ..rules()
    };
    check(
        &bytes,
        &bounded,
        expect![
            "InvalidTimestamp [2, 5]: 2 records have been rejected, the first of them: record 2: timestamp 999899 is out of range: it should be within [999900, 1000010]; record 5: timestamp 1000011 is out of range: it should be within [999900, 1000010]"
        ],
    );
    check(
        &bytes,
        &rules(),
        expect!["ok none CreateTime max=1000011 rebuilt=false"],
    );
    let by_log = ValidationRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..bounded
    };
    check(
        &bytes,
        &by_log,
        expect!["ok none LogAppendTime max=1000000 rebuilt=false"],
    );
    let stored = stored(&produce(&bytes, &by_log).unwrap(), 0);
    RawBatch::first(&stored).unwrap().unwrap().verify().unwrap();
    assert!(
        RecordIter::new(&stored, 0)
            .unwrap()
            .all(|record| record.unwrap().timestamp == NOW_MS)
    );
}

#[test]
fn producers_do_not_stamp_for_the_log() {
    let mut builder = BatchBuilder::default().log_append_time(NOW_MS);
    builder.append(3, None, None);
    let claimed = builder.build().unwrap();
    let by_log = ValidationRules {
        timestamp_type: TimestampType::LogAppendTime,
        ..rules()
    };
    check(
        &claimed,
        &by_log,
        expect![
            "InvalidTimestamp [0]: 1 records have been rejected, the first of them: record 0: producers should not set the timestamp type to LogAppendTime"
        ],
    );
    // A topic with create time drops the claim; the records' own times count again, also when written anew.
    check(
        &claimed,
        &rules(),
        expect!["ok none CreateTime max=3 rebuilt=false"],
    );
    let target = TargetCompression::Fixed(Compression::new(Codec::Lz4));
    check(
        &claimed,
        &ValidationRules {
            compression: target,
            ..rules()
        },
        expect!["ok lz4 CreateTime max=3 rebuilt=true"],
    );
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    let bytes = changed(&three_records(Codec::Snappy), 35, &5i64.to_be_bytes());
    check(
        &bytes,
        &rules(),
        expect!["ok snappy CreateTime max=1000005 rebuilt=false"],
    );
    let stored = stored(&produce(&bytes, &rules()).unwrap(), 0);
    RawBatch::first(&stored).unwrap().unwrap().verify().unwrap();
}

#[test]
fn compacted_topics_need_keys() {
    let compacted = ValidationRules {
        is_compacted: true,
        ..rules()
    };
    for codec in Codec::ALL {
        check(
            &three_records(codec),
            &compacted,
            expect![[
                r#"InvalidRecord [1]: 1 records have been rejected, the first of them: record 1: compacted topic cannot accept message without key"#
            ]],
        );
    }
    let mut builder = BatchBuilder::default();
    for _ in 0..3000 {
        builder.append(NOW_MS, None, None);
    }
    let error = produce(&builder.build().unwrap(), &compacted).unwrap_err();
    assert_eq!(error.rejected_records().len(), REJECTED_RECORDS_MAX);
    assert!(error.to_string().starts_with("3000 records"), "{error}");
    // A late record turns the whole answer into one about time.
    let mut builder = BatchBuilder::default();
    builder.append(NOW_MS, None, None);
    builder.append(i64::MAX, Some(b"k"), None);
    check(
        &builder.build().unwrap(),
        &compacted,
        expect![
            "InvalidTimestamp [0, 1]: 2 records have been rejected, the first of them: record 0: compacted topic cannot accept message without key; record 1: timestamp 9223372036854775807 is out of range: it should be within [-9223372036853775807, 4600000]"
        ],
    );
}

#[test]
fn coordinators_write_what_clients_may_not() {
    let marker = EndTxnMarker {
        result: TransactionResult::Commit,
        coordinator_epoch: 1,
    };
    let bytes = marker.to_batch(5, 0, NOW_MS);
    let rules = ValidationRules {
        compression: TargetCompression::Fixed(Compression::new(Codec::Zstd)),
        is_compacted: true,
        ..rules()
    };
    let coordinate = |bytes: &Bytes| describe(validate_coordinator_append(bytes, &rules, NOW_MS));
    expect!["ok none CreateTime max=1000000 rebuilt=false"].assert_eq(&coordinate(&bytes));
    check(
        &bytes,
        &rules,
        expect!["InvalidRecord []: clients are not allowed to write control records"],
    );
    let mut builder = BatchBuilder::default().base_offset(10);
    builder.append_at(12, NOW_MS, Some(b"k"), None, std::iter::empty());
    expect!["ok zstd CreateTime max=1000000 rebuilt=true"]
        .assert_eq(&coordinate(&builder.build().unwrap()));
}

#[test]
fn bombs_are_too_large() {
    let mut builder = BatchBuilder::new(Compression::new(Codec::Zstd));
    builder.append(NOW_MS, None, Some(&vec![0; 20 << 20]));
    let bytes = builder.build().unwrap();
    assert!(bytes.len() < 1 << 20);
    check(
        &bytes,
        &rules(),
        expect!["ok zstd CreateTime max=1000000 rebuilt=false"],
    );
    check(
        &bytes,
        &ValidationRules {
            decompressed_bytes_max: 1 << 20,
            ..rules()
        },
        expect!["MessageTooLarge []: records decompress to more than 1048576 bytes"],
    );
    // What is harmless compressed may be too large without.
    let target = TargetCompression::Fixed(Compression::NONE);
    check(
        &bytes,
        &ValidationRules {
            compression: target,
            ..rules()
        },
        expect!["MessageTooLarge []: records decompress to more than 1048588 bytes"],
    );
}

fn contents(bytes: &Bytes) -> Vec<Record> {
    RecordIter::new(bytes, MAX_DECOMPRESSED_BYTES)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn other_codecs_are_written_anew() {
    let producer = Producer {
        id: 5,
        epoch: 2,
        base_sequence: 9,
    };
    for from in Codec::ALL {
        for to in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::new(from))
                .producer(producer)
                .transactional(true);
            builder.append_with_headers(
                NOW_MS,
                Some(b"a"),
                Some(b"1"),
                &[(b"h", Some(b"v")), (b"n", None)],
            );
            builder.append(NOW_MS + 1, None, Some(b"2"));
            let bytes = builder.build().unwrap();
            let target = TargetCompression::Fixed(Compression::new(to));
            let valid = produce(
                &bytes,
                &ValidationRules {
                    compression: target,
                    ..rules()
                },
            )
            .unwrap();
            assert_eq!(valid.is_rebuilt, from != to);
            let stored = stored(&valid, 0);
            let batch = RawBatch::first(&stored).unwrap().unwrap();
            batch.verify().unwrap();
            assert_eq!(batch.codec(), Ok(to));
            assert_eq!(
                (
                    batch.producer_id(),
                    batch.producer_epoch(),
                    batch.base_sequence()
                ),
                (5, 2, 9)
            );
            assert!(batch.is_transactional());
            assert_eq!(batch.max_timestamp(), NOW_MS + 1);
            assert_eq!(contents(&stored), contents(&bytes));
        }
    }
}

#[test]
fn gaps_within_are_closed() {
    for codec in [Codec::None, Codec::Gzip] {
        let mut builder = BatchBuilder::new(Compression::new(codec));
        builder.append_at(0, NOW_MS, Some(b"a"), None, std::iter::empty());
        builder.append_at(5, NOW_MS, Some(b"b"), None, std::iter::empty());
        let bytes = changed(
            &builder.build().unwrap(),
            LAST_OFFSET_DELTA_AT,
            &1i32.to_be_bytes(),
        );
        let valid = produce(&bytes, &rules()).unwrap();
        assert!(valid.is_rebuilt);
        let offsets: Vec<i64> = contents(&stored(&valid, 0))
            .iter()
            .map(|record| record.offset)
            .collect();
        assert_eq!(offsets, [0, 1]);
    }
}

#[test]
fn every_truncation_is_refused() {
    for codec in Codec::ALL {
        let good = three_records(codec);
        for len in 0..good.len() {
            let error = produce(&good.slice(..len), &rules()).unwrap_err();
            assert!(
                matches!(error, ValidationError::NoBatch),
                "{codec:?} {len}: {error}"
            );
            // The same with a length that agrees, which is what a hostile client sends.
            if len >= HEADER_LEN {
                let length = (len - 12) as i32;
                let agreeing = changed(&good.slice(..len), LENGTH_AT, &length.to_be_bytes());
                let error = produce(&agreeing, &rules()).unwrap_err();
                assert_eq!(
                    error.error_code(),
                    ErrorCode::InvalidRecord,
                    "{codec:?} {len}: {error}"
                );
            }
        }
    }
}

/// What is accepted must be readable by everybody.
fn assert_sound(bytes: &Bytes, rules: &ValidationRules) {
    let Ok(valid) = produce(bytes, rules) else {
        return;
    };
    let stored = stored(&valid, 1000);
    let batch = RawBatch::first(&stored).unwrap().unwrap();
    batch.verify().unwrap();
    assert_eq!(batch.size(), stored.len());
    let records: Vec<Record> = RecordIter::new(&stored, rules.decompressed_bytes_max)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(records.len(), batch.record_count() as usize);
    assert!(
        records
            .iter()
            .zip(1000..)
            .all(|(record, offset)| record.offset == offset)
    );
    assert_eq!(
        records
            .iter()
            .map(|record| record.timestamp.max(NO_TIMESTAMP))
            .max(),
        Some(batch.max_timestamp())
    );
}

#[test]
fn flipped_bits_with_a_right_checksum_are_refused_or_sound() {
    for codec in Codec::ALL {
        let good = three_records(codec);
        for bit in 0..good.len() * 8 {
            let byte = [good[bit / 8] ^ 1 << (bit % 8)];
            assert_sound(&changed(&good, bit / 8, &byte), &rules());
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_payloads_are_refused_or_sound(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        codec in 0..8u8,
        count in 1..5i32,
    ) {
        let mut bytes = three_records(Codec::None)[..HEADER_LEN].to_vec();
        bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&(payload.len() as i32 + 49).to_be_bytes());
        bytes[LAST_OFFSET_DELTA_AT..LAST_OFFSET_DELTA_AT + 4].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[RECORD_COUNT_AT..].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&payload);
        assert_sound(&changed(&bytes.into(), ATTRIBUTES_AT + 1, &[codec]), &rules());
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_sound(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        assert_sound(&Bytes::from(bytes), &rules());
    }

    #[test]
    fn good_records_are_accepted_for_every_codec(
        records in proptest::collection::vec(arbitrary_record(), 1..20),
        from in proptest::sample::select(Codec::ALL.to_vec()),
        to in proptest::option::of(proptest::sample::select(Codec::ALL.to_vec())),
    ) {
        let records: Vec<Record> = records
            .into_iter()
            .zip(0..)
            .map(|(record, offset)| Record { offset, timestamp: record.timestamp.rem_euclid(NOW_MS), ..record })
            .collect();
        let bytes = build(BatchBuilder::new(Compression::new(from)), &records);
        let compression = match to {
            None => TargetCompression::Producer,
            Some(codec) => TargetCompression::Fixed(Compression::new(codec)),
        };
        let valid = produce(&bytes, &ValidationRules { compression, ..rules() }).unwrap();
        prop_assert_eq!(contents(&stored(&valid, 0)), records);
    }
}
