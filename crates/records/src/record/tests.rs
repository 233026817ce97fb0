use proptest::prelude::*;

use super::*;
use crate::batch::tests::GOLDEN;
use crate::builder::BatchBuilder;
use crate::compress::Compression;
use crate::decompress::MAX_DECOMPRESSED_BYTES;

pub(crate) fn arbitrary_record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let header = (bytes(), proptest::option::of(bytes()))
        .prop_map(|(key, value)| RecordHeader { key, value });
    (
        any::<i64>(),
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        proptest::collection::vec(header, 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| Record {
            offset: 0,
            timestamp,
            key,
            value,
            headers,
        })
}

pub(crate) fn build(mut builder: BatchBuilder, records: &[Record]) -> Bytes {
    for record in records {
        let headers = record
            .headers
            .iter()
            .map(|header| (&*header.key, header.value.as_deref()));
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.append_at(record.offset, record.timestamp, key, value, headers);
    }
    builder.build().unwrap()
}

fn read(batch: &Bytes) -> Result<Vec<Record>, RecordError> {
    RecordIter::new(batch, MAX_DECOMPRESSED_BYTES)?.collect()
}

proptest! {
    #[test]
    fn what_is_built_reads_back(
        records in proptest::collection::vec((arbitrary_record(), 1..100i64), 1..20),
        codec in proptest::sample::select(Codec::ALL.to_vec()),
        base_offset in 0..i64::MAX / 2,
    ) {
        let mut next = base_offset;
        let records: Vec<Record> = records
            .into_iter()
            .map(|(record, step)| {
                let offset = next;
                next += step;
                Record { offset, ..record }
            })
            .collect();
        let batch = build(BatchBuilder::new(Compression::new(codec)).base_offset(base_offset), &records);
        RawBatch::first(&batch).unwrap().unwrap().verify().unwrap();
        prop_assert_eq!(read(&batch).unwrap(), records);
    }
}

#[test]
fn views_read_the_golden_bytes() {
    let batch = RawBatch::first(&GOLDEN).unwrap().unwrap();
    let payload = batch.decompress(0).unwrap();
    let views: Vec<_> = RecordViews::new(batch.header(), &payload)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [view] = &views[..] else {
        panic!("one record")
    };
    assert_eq!((view.offset, view.timestamp, view.sequence), (42, 1000, 5));
    assert_eq!(
        (view.key, view.value),
        (Some(&b"key"[..]), Some(&b"value"[..]))
    );
    assert_eq!(view.headers.clone().count(), 0);
}

#[test]
fn log_append_time_replaces_timestamps() {
    let mut builder = BatchBuilder::default().log_append_time(99);
    builder.append(5, None, None);
    let records = read(&builder.build().unwrap()).unwrap();
    assert_eq!(records[0].timestamp, 99);
}

/// A batch that states `count` records over the given bytes.
fn batch_of(count: i32, payload: &[u8]) -> Bytes {
    let mut bytes = [&GOLDEN[..HEADER_LEN], payload].concat();
    bytes[8..12].copy_from_slice(&(payload.len() as i32 + 49).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    Bytes::from(bytes)
}

#[test]
fn wrong_structure_is_an_error() {
    let good = &GOLDEN[HEADER_LEN..];
    assert_eq!(read(&batch_of(1, good)).unwrap().len(), 1);
    assert_eq!(read(&batch_of(0, &[])).unwrap().len(), 0);
    assert_eq!(read(&batch_of(2, good)), Err(RecordError::Truncated));
    assert_eq!(
        read(&batch_of(-1, good)),
        Err(BatchError::NegativeRecordCount(-1).into())
    );
    assert_eq!(read(&batch_of(i32::MAX, good)), Err(RecordError::Truncated));
    assert_eq!(
        read(&batch_of(1, &[good, &[0]].concat())),
        Err(RecordError::TrailingBytes)
    );
    for len in 0..good.len() {
        assert_eq!(
            read(&batch_of(1, &good[..len])),
            Err(RecordError::Truncated),
            "{len}"
        );
    }
    let changed = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        read(&batch_of(1, &bytes)).unwrap_err()
    };
    assert_eq!(changed(0, 1), RecordError::NegativeSize(-1));
    assert_eq!(
        changed(0, 26),
        RecordError::SizeMismatch {
            stated: 13,
            actual: 14
        }
    );
    assert_eq!(
        changed(0, 30),
        RecordError::SizeMismatch {
            stated: 15,
            actual: 14
        }
    );
    assert_eq!(changed(14, 1), RecordError::HeaderCount(-1));
    assert_eq!(changed(14, 2), RecordError::HeaderCount(1));
    assert_eq!(changed(8, 40), RecordError::Truncated);
    // A header whose key has a negative length.
    let header = [30, 0, 0, 0, 1, 1, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        read(&batch_of(1, &header)),
        Err(RecordError::HeaderKeyLength(-1))
    );
    let batch = RecordIter::new(&Bytes::from_static(&GOLDEN[..70]), 0);
    assert_eq!(batch.map(|_| ()), Err(RecordError::IncompleteBatch));
}

#[test]
fn iteration_ends_after_an_error() {
    let batch = batch_of(5, &GOLDEN[HEADER_LEN..]);
    let found: Vec<_> = RecordIter::new(&batch, 0).unwrap().collect();
    assert_eq!(found.len(), 2);
    assert!(found[0].is_ok() && found[1] == Err(RecordError::Truncated));
}

#[test]
fn a_large_header_count_allocates_nothing() {
    // 2^27 - 1 headers in a record that states a length to match, over a few bytes.
    let bytes = [
        0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x00,
    ];
    assert_eq!(read(&batch_of(1, &bytes)), Err(RecordError::Truncated));
}

#[test]
fn a_compressed_batch_may_be_empty() {
    let mut bytes = batch_of(0, &[]).to_vec();
    bytes[22] |= Codec::Lz4.id();
    assert_eq!(read(&bytes.into()), Ok(Vec::new()));
}
