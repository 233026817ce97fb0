//! Bytes of `__transaction_state`, after Kafka's schema.

use super::*;
use crate::transaction::TransactionState;

fn ongoing() -> Metadata {
    let mut metadata = Metadata::born(0x0102, 60_000, 5);
    metadata.state = TransactionState::Ongoing;
    metadata.producer_epoch = 3;
    metadata.previous_producer_id = 0x0101;
    metadata.start_ms = 4;
    metadata.client_version = 2;
    metadata.partitions.insert("t", 1);
    metadata.partitions.insert("t", 0);
    metadata
}

#[test]
fn version_0_has_no_tags() {
    let (key, value) = encode(&"id".into(), &ongoing(), 0);
    assert_eq!(&key[..], b"\0\0\0\x02id");
    let expected: Vec<u8> = [
        &[0, 0][..],
        &0x0102i64.to_be_bytes(),
        &3i16.to_be_bytes(),
        &60_000i32.to_be_bytes(),
        &[1],
        &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1],
        &5i64.to_be_bytes(),
        &4i64.to_be_bytes(),
    ]
    .concat();
    assert_eq!(value.as_deref(), Some(&expected[..]));
}

#[test]
fn version_1_tags_what_differs_from_the_default() {
    let (_, value) = encode(&"id".into(), &ongoing(), 2);
    let expected: Vec<u8> = [
        &[0, 1][..],
        &0x0102i64.to_be_bytes(),
        &3i16.to_be_bytes(),
        &60_000i32.to_be_bytes(),
        &[1],
        &[2, 2, b't', 3, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &5i64.to_be_bytes(),
        &4i64.to_be_bytes(),
        // Two tags: the previous producer id and the client's version.
        &[2, 0, 8],
        &0x0101i64.to_be_bytes(),
        &[2, 2, 0, 2],
    ]
    .concat();
    assert_eq!(value.as_deref(), Some(&expected[..]));
}

#[test]
fn what_is_written_is_read() {
    for version in 0..=2 {
        for state in TransactionState::ALL {
            let mut written = ongoing();
            written.state = state;
            if state == TransactionState::Empty {
                written.partitions = Partitions::default();
            }
            if version == 0 {
                written.previous_producer_id = -1;
                written.client_version = 0;
            }
            let (key, value) = encode(&"id".into(), &written, version);
            let read = decode(&key, value.as_deref())
                .expect("readable")
                .expect("known");
            assert_eq!(read.transactional_id, "id");
            assert_eq!(read.metadata, Some(written), "version {version}, {state:?}");
        }
    }
    let read = decode(&tombstone_key(&"id".into()), None).expect("readable");
    assert_eq!(read.expect("known").metadata, None);
}

#[test]
fn strange_records_are_told_apart() {
    let (key, value) = encode(&"id".into(), &ongoing(), 2);
    let value = value.expect("a value");
    assert_eq!(decode(b"\0\x09", None), Ok(None), "an unknown kind");
    assert_eq!(
        decode(&key, Some(b"\0\x09")),
        Ok(None),
        "an unknown version"
    );
    let mut dead = value.to_vec();
    dead[16] = 6;
    assert_eq!(decode(&key, Some(&dead)), Err(RecordError::UnknownState(6)));
    for length in 0..value.len() {
        assert!(
            matches!(
                decode(&key, Some(&value[..length])),
                Err(RecordError::Decode(_))
            ),
            "cut at {length}"
        );
    }
}
