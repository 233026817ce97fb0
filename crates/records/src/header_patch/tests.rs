use super::*;
use crate::batch::tests::GOLDEN;

fn patched(patch: impl FnOnce(HeaderPatch) -> HeaderPatch) -> Vec<u8> {
    let batch = RawBatch::first(&GOLDEN).unwrap().unwrap();
    [patch(HeaderPatch::new(batch)).as_bytes(), batch.payload()].concat()
}

#[test]
fn offset_and_epoch_leave_the_rest_alone() {
    let bytes = patched(|patch| patch.base_offset(1 << 40).partition_leader_epoch(9));
    let batch = RawBatch::first(&bytes).unwrap().unwrap();
    batch.verify().unwrap();
    assert_eq!(
        (batch.base_offset(), batch.partition_leader_epoch()),
        (1 << 40, 9)
    );
    let untouched = patched(|patch| patch.base_offset(42).partition_leader_epoch(3));
    assert_eq!(untouched, GOLDEN);
}

#[test]
fn timestamps_keep_the_checksum_right() {
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        for max_timestamp in [-1, 0, 1000, 1001, i64::MAX] {
            let bytes = patched(|patch| patch.timestamps(timestamp_type, max_timestamp));
            let batch = RawBatch::first(&bytes).unwrap().unwrap();
            batch.verify().unwrap();
            assert_eq!(batch.timestamp_type(), timestamp_type);
            assert_eq!(batch.max_timestamp(), max_timestamp);
        }
    }
}

#[test]
fn a_wrong_checksum_is_not_made_right() {
    let mut damaged = GOLDEN;
    damaged[70] ^= 1;
    let batch = RawBatch::first(&damaged).unwrap().unwrap();
    let patch = HeaderPatch::new(batch).timestamps(TimestampType::LogAppendTime, 5);
    let bytes = [patch.as_bytes(), batch.payload()].concat();
    assert!(RawBatch::first(&bytes).unwrap().unwrap().verify().is_err());
}
