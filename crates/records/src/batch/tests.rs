use super::*;

/// One record (`key` → `value`) from producer 7, epoch 1, sequence 5, created at 1000 ms.
#[rustfmt::skip]
pub(crate) const GOLDEN: [u8; 76] = [
    0, 0, 0, 0, 0, 0, 0, 42,              // base offset
    0, 0, 0, 64,                          // length
    0, 0, 0, 3,                           // partition leader epoch
    2,                                    // magic
    0x24, 0xa6, 0xb1, 0x8d,               // crc
    0, 0x10,                              // attributes: transactional
    0, 0, 0, 0,                           // last offset delta
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,         // base timestamp
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,         // max timestamp
    0, 0, 0, 0, 0, 0, 0, 7,               // producer id
    0, 1,                                 // producer epoch
    0, 0, 0, 5,                           // base sequence
    0, 0, 0, 1,                           // record count
    28, 0, 0, 0,                          // record: length 14, attributes, timestamp delta, offset delta
    6, b'k', b'e', b'y',
    10, b'v', b'a', b'l', b'u', b'e',
    0,                                    // headers
];

#[test]
fn getters_read_the_golden_bytes() {
    let batch = RawBatch::first(&GOLDEN).unwrap().unwrap();
    batch.verify().unwrap();
    assert_eq!(batch.base_offset(), 42);
    assert_eq!((batch.batch_length(), batch.size()), (64, 76));
    assert_eq!(batch.partition_leader_epoch(), 3);
    assert_eq!(batch.magic(), 2);
    assert_eq!(batch.codec(), Ok(Codec::None));
    assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
    assert!(batch.is_transactional() && !batch.is_control());
    assert_eq!(batch.delete_horizon_ms(), None);
    assert_eq!(
        (batch.base_timestamp(), batch.max_timestamp()),
        (1000, 1000)
    );
    assert_eq!((batch.producer_id(), batch.producer_epoch()), (7, 1));
    assert_eq!((batch.base_sequence(), batch.last_sequence()), (5, 5));
    assert_eq!(
        (
            batch.last_offset(),
            batch.next_offset(),
            batch.record_count()
        ),
        (42, 43, 1)
    );
    assert_eq!(batch.payload(), &GOLDEN[HEADER_LEN..]);
}

#[test]
fn iteration_stops_at_a_partial_batch_and_says_where() {
    let mut bytes = [GOLDEN, GOLDEN].concat();
    for cut in 0..GOLDEN.len() {
        let mut found = batches(&bytes[..GOLDEN.len() + cut]);
        assert!(found.next().unwrap().is_ok(), "cut {cut}");
        assert_eq!(found.next(), None, "cut {cut}");
        assert_eq!(found.consumed(), GOLDEN.len());
    }
    bytes.push(0);
    let mut found = batches(&bytes);
    assert_eq!(found.by_ref().count(), 2);
    assert_eq!(found.consumed(), 2 * GOLDEN.len());
}

#[test]
fn iteration_ends_after_an_error() {
    for (at, value, error) in [
        (
            LENGTH_AT + 3,
            13,
            BatchError::LengthTooSmall {
                length: 13,
                min: 14,
            },
        ),
        (
            LENGTH_AT + 3,
            48,
            BatchError::LengthTooSmall {
                length: 48,
                min: 49,
            },
        ),
        (
            LENGTH_AT,
            0x80,
            BatchError::LengthTooSmall {
                length: i32::MIN + 64,
                min: 14,
            },
        ),
        (MAGIC_AT, 0, BatchError::OldMagic(0)),
        (MAGIC_AT, 1, BatchError::OldMagic(1)),
        (MAGIC_AT, 3, BatchError::UnknownMagic(3)),
        (MAGIC_AT, 0xff, BatchError::UnknownMagic(-1)),
    ] {
        let mut bytes = [GOLDEN, GOLDEN].concat();
        bytes[GOLDEN.len() + at] = value;
        let mut found = batches(&bytes);
        assert!(found.next().unwrap().is_ok());
        assert_eq!(found.next(), Some(Err(error)));
        assert_eq!(found.next(), None);
        assert_eq!(found.consumed(), GOLDEN.len());
    }
}

#[test]
fn every_flipped_bit_under_the_checksum_is_found() {
    for bit in ATTRIBUTES_AT * 8..GOLDEN.len() * 8 {
        let mut bytes = GOLDEN;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let batch = RawBatch::first(&bytes).unwrap().unwrap();
        assert!(
            matches!(batch.verify(), Err(BatchError::Checksum { .. })),
            "bit {bit}"
        );
    }
}

#[test]
fn impossible_counts_and_offsets_are_refused() {
    let refused = |at: usize, value: &[u8]| {
        let mut bytes = GOLDEN;
        bytes[at..at + value.len()].copy_from_slice(value);
        BatchHeader::parse(&bytes)
            .unwrap()
            .unwrap()
            .check_ranges()
            .unwrap_err()
    };
    assert_eq!(
        refused(RECORD_COUNT_AT, &(-1i32).to_be_bytes()),
        BatchError::NegativeRecordCount(-1)
    );
    for base_offset in [-1, i64::MIN, i64::MAX] {
        let error = refused(BASE_OFFSET_AT, &base_offset.to_be_bytes());
        assert_eq!(
            error,
            BatchError::OffsetRange {
                base_offset,
                last_offset_delta: 0
            }
        );
    }
    for last_offset_delta in [-1, i32::MIN] {
        let error = refused(LAST_OFFSET_DELTA_AT, &last_offset_delta.to_be_bytes());
        assert_eq!(
            error,
            BatchError::OffsetRange {
                base_offset: 42,
                last_offset_delta
            }
        );
    }
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(increment_sequence(5, 3), 8);
    assert_eq!(increment_sequence(i32::MAX, 1), 0);
    assert_eq!(increment_sequence(i32::MAX - 1, 4), 2);
    assert_eq!(decrement_sequence(8, 3), 5);
    assert_eq!(decrement_sequence(0, 1), i32::MAX);
    assert_eq!(decrement_sequence(2, 4), i32::MAX - 1);
}

#[test]
fn codecs_know_their_names() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_id(codec.id()), Some(codec));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Codec::from_id(5), None);
}
