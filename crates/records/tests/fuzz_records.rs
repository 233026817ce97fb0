//! Hostile batches: `cargo test` throws random ones, `cargo bolero test` (with a fuzzer's engine) searches.
//!
//! The harness makes length and checksum right, so that the bytes get past them to the code behind.

use bolero::check;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use ottla_records::{
    HEADER_LEN, LOG_OVERHEAD, RawBatch, RecordIter, RecordViews, ValidationRules, batches,
    validate_produce,
};

const NOW_MS: i64 = 1 << 40;
const PRODUCE_VERSION: i16 = 13;
const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

#[test]
fn any_bytes() {
    check!().for_each(|input: &[u8]| {
        let mut found = batches(input);
        let sizes: usize = found.by_ref().flatten().map(|batch| batch.size()).sum();
        assert_eq!(sizes, found.consumed());
        for batch in batches(input).flatten() {
            read_all(batch);
        }
        validate_soundly(&Bytes::copy_from_slice(input));
    });
}

#[test]
fn any_payload_and_attributes() {
    check!()
        .with_type::<(u8, u8, Vec<u8>)>()
        .for_each(|(attributes, count, payload)| {
            let header = Header {
                attributes: *attributes,
                count: i32::from(*count),
            };
            let bytes = header.seal(payload);
            read_all(RawBatch::first(&bytes).unwrap().unwrap());
            validate_soundly(&bytes);
        });
}

/// The fields of a header that matter to the code behind the checksum.
struct Header {
    attributes: u8,
    count: i32,
}

impl Header {
    fn seal(&self, payload: &[u8]) -> Bytes {
        let mut bytes = vec![0; HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(
            8,
            &((HEADER_LEN - LOG_OVERHEAD + payload.len()) as i32).to_be_bytes(),
        );
        put(16, &[2]);
        put(22, &[self.attributes]);
        put(23, &(self.count - 1).to_be_bytes());
        put(43, &(-1i64).to_be_bytes());
        put(57, &self.count.to_be_bytes());
        bytes.extend_from_slice(payload);
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &bytes[ATTRIBUTES_AT..]) as u32;
        bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(bytes)
    }
}

fn read_all(batch: RawBatch<'_>) {
    if let Ok(payload) = batch.decompress(DECOMPRESSED_BYTES_MAX)
        && let Ok(views) = RecordViews::new(batch.header(), &payload)
    {
        let headers: usize = views.flatten().map(|view| view.headers.count()).sum();
        assert!(headers <= payload.len());
    }
    if let Ok(Some(found)) = batch.first_at_or_after(5, 0, DECOMPRESSED_BYTES_MAX) {
        assert!(found.timestamp >= 5);
    }
}

fn validate_soundly(bytes: &Bytes) {
    let rules = ValidationRules {
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        ..ValidationRules::default()
    };
    if let Ok(valid) = validate_produce(bytes, &rules, PRODUCE_VERSION, NOW_MS) {
        valid.batch().verify().unwrap();
        let records = RecordIter::new(&valid.bytes, DECOMPRESSED_BYTES_MAX).unwrap();
        let count = records
            .zip(0..)
            .map(|(record, offset)| assert_eq!(record.unwrap().offset, offset))
            .count();
        assert_eq!(count, valid.batch().record_count() as usize);
    }
}
