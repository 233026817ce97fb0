//! The `.snapshot` file: the producers as of an offset, in Kafka's format.
//!
//! ```text
//! version 1 (i16) | CRC-32C of all that follows (u32) | count (i32), then per producer:
//!   producer id (i64) | epoch (i16) | last sequence (i32) | last offset (i64) | offset delta (i32) | timestamp (i64)
//!   | coordinator epoch (i32) | first offset of the open transaction or -1 (i64)
//! ```
//!
//! Invariant: decoding takes nothing that its checksum does not cover.
//! Called when a log rolls, closes, or is flushed, and by recovery.

use crc_fast::CrcAlgorithm;
use ottla_records::NO_SEQUENCE;

use super::entry::{ProducerEntry, WrittenBatch};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;
const ENTRIES_AT: usize = 10;
const ENTRY_SIZE: usize = 46;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotFault {
    #[error("it is shorter than its head")]
    Short,
    #[error("its version {0} is unknown")]
    Version(i16),
    #[error("its checksum does not hold")]
    Checksum,
    #[error("it has {bytes} bytes for {count} producers")]
    Count { count: i32, bytes: usize },
}

pub(crate) fn encode<'a>(entries: impl ExactSizeIterator<Item = &'a ProducerEntry>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRIES_AT + entries.len() * ENTRY_SIZE);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(entries.len() as i32).to_be_bytes());
    for entry in entries {
        let last = entry.last_batch();
        bytes.extend_from_slice(&entry.producer_id.to_be_bytes());
        bytes.extend_from_slice(&entry.producer_epoch.to_be_bytes());
        bytes.extend_from_slice(
            &last
                .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
                .to_be_bytes(),
        );
        bytes.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
        bytes.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        bytes.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = crc(&bytes);
    bytes[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<ProducerEntry>, SnapshotFault> {
    if bytes.len() < ENTRIES_AT {
        return Err(SnapshotFault::Short);
    }
    let version = i16::from_be_bytes([bytes[0], bytes[1]]);
    if version != VERSION {
        return Err(SnapshotFault::Version(version));
    }
    let stored = u32::from_be_bytes(bytes[CRC_AT..COUNT_AT].try_into().expect("four bytes"));
    if stored != crc(bytes) {
        return Err(SnapshotFault::Checksum);
    }
    let count = i32::from_be_bytes(bytes[COUNT_AT..ENTRIES_AT].try_into().expect("four bytes"));
    let body = &bytes[ENTRIES_AT..];
    if usize::try_from(count)
        .ok()
        .map(|count| count.saturating_mul(ENTRY_SIZE))
        != Some(body.len())
    {
        return Err(SnapshotFault::Count {
            count,
            bytes: body.len(),
        });
    }
    Ok(body.chunks_exact(ENTRY_SIZE).map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8]) -> ProducerEntry {
    let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let int = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let producer_epoch = i16::from_be_bytes([bytes[8], bytes[9]]);
    let mut entry = ProducerEntry::unknown(long(0));
    entry.producer_epoch = producer_epoch;
    let (last_sequence, last_offset, offset_delta) = (int(10), long(14), int(22));
    if last_offset >= 0 {
        entry.add_batch(
            producer_epoch,
            WrittenBatch {
                last_sequence,
                last_offset,
                offset_delta,
                timestamp: long(26),
            },
        );
    }
    entry.last_timestamp = long(26);
    entry.coordinator_epoch = int(34);
    entry.txn_first_offset = Some(long(38)).filter(|&offset| offset >= 0);
    entry
}

fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes[COUNT_AT..]) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> ProducerEntry {
        let mut entry = ProducerEntry::unknown(0x0102);
        entry.add_batch(
            3,
            WrittenBatch {
                last_sequence: 9,
                last_offset: 100,
                offset_delta: 4,
                timestamp: 7,
            },
        );
        entry.coordinator_epoch = 5;
        entry.txn_first_offset = Some(96);
        entry
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let bytes = encode([&entry()].into_iter());
        let mut expected = vec![0, 1];
        expected.extend_from_slice(&bytes[2..6]);
        expected.extend_from_slice(&[0, 0, 0, 1]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 2, 0, 3, 0, 0, 0, 9]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 4]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 5]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 96]);
        assert_eq!(bytes, expected);
        assert_eq!(decode(&bytes).unwrap(), [entry()]);
        assert_eq!(decode(&encode([].into_iter())).unwrap(), []);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode([&entry(), &ProducerEntry::unknown(9)].into_iter());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "byte {at} bit {bit}");
            }
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
