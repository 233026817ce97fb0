//! The `kafka-protocol` crate and this one read each other's batches.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use ottla_records::{
    BatchBuilder, Codec, Compression, MAX_DECOMPRESSED_BYTES, Producer, RawBatch, Record,
    RecordHeader, RecordIter, ValidationRules, validate_produce,
};
use proptest::prelude::*;

const PRODUCER: Producer = Producer {
    id: 77,
    epoch: 3,
    base_sequence: 0,
};
const NOW_MS: i64 = 1 << 40;

fn their_codec(codec: Codec) -> theirs::Compression {
    match codec {
        Codec::None => theirs::Compression::None,
        Codec::Gzip => theirs::Compression::Gzip,
        Codec::Snappy => theirs::Compression::Snappy,
        Codec::Lz4 => theirs::Compression::Lz4,
        Codec::Zstd => theirs::Compression::Zstd,
    }
}

fn to_theirs(record: &Record) -> theirs::Record {
    theirs::Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: PRODUCER.id,
        producer_epoch: PRODUCER.epoch,
        timestamp_type: theirs::TimestampType::Creation,
        offset: record.offset,
        sequence: record.offset as i32,
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record
            .headers
            .iter()
            .map(|header| {
                (
                    StrBytes::try_from(header.key.clone()).unwrap(),
                    header.value.clone(),
                )
            })
            .collect::<IndexMap<_, _>>(),
    }
}

fn from_theirs(record: &theirs::Record) -> Record {
    Record {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| RecordHeader {
                key: key.clone().into_bytes(),
                value: value.clone(),
            })
            .collect(),
    }
}

fn record() -> impl Strategy<Value = Record> {
    let bytes = || {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..500).prop_map(Bytes::from))
    };
    let headers =
        proptest::collection::btree_map("[a-z]{0,8}", bytes(), 0..4).prop_map(|headers| {
            headers
                .into_iter()
                .map(|(key, value)| RecordHeader {
                    key: key.into(),
                    value,
                })
                .collect()
        });
    (0..NOW_MS, bytes(), bytes(), headers).prop_map(|(timestamp, key, value, headers)| Record {
        offset: 0,
        timestamp,
        key,
        value,
        headers,
    })
}

proptest! {
    #[test]
    fn both_read_both(
        records in proptest::collection::vec(record(), 1..20),
        codec in proptest::sample::select(Codec::ALL.to_vec()),
    ) {
        let records: Vec<Record> =
            records.into_iter().zip(0..).map(|(record, offset)| Record { offset, ..record }).collect();

        let mut encoded = BytesMut::new();
        let their_records: Vec<_> = records.iter().map(to_theirs).collect();
        let options = theirs::RecordEncodeOptions { version: 2, compression: their_codec(codec) };
        theirs::RecordBatchEncoder::encode(&mut encoded, &their_records, &options).unwrap();
        let encoded = encoded.freeze();
        let valid = validate_produce(&encoded, &ValidationRules::default(), 9, NOW_MS).unwrap();
        prop_assert_eq!(&valid.bytes, &encoded);
        let batch = RawBatch::first(&encoded).unwrap().unwrap();
        prop_assert_eq!(batch.codec(), Ok(codec));
        prop_assert_eq!(batch.producer_id(), PRODUCER.id);
        let read: Vec<Record> =
            RecordIter::new(&encoded, MAX_DECOMPRESSED_BYTES).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&read, &records);

        let mut builder = BatchBuilder::new(Compression::new(codec)).producer(PRODUCER).transactional(true);
        for record in &records {
            let headers = record.headers.iter().map(|header| (&*header.key, header.value.as_deref()));
            builder.append_at(
                record.offset, record.timestamp, record.key.as_deref(), record.value.as_deref(), headers,
            );
        }
        let mut ours = builder.build().unwrap();
        let decoded = theirs::RecordBatchDecoder::decode(&mut ours).unwrap();
        prop_assert_eq!(decoded.records.iter().map(from_theirs).collect::<Vec<_>>(), records);
        prop_assert!(decoded.records.iter().all(|record| record.producer_id == PRODUCER.id && record.transactional));
    }
}
