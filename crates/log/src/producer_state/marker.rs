//! The record inside a transaction marker's control batch.
//!
//! ```text
//! key    version (i16) | type (i16): 0 abort, 1 commit
//! value  version (i16) | coordinator epoch (i32)
//! ```
//!
//! Invariant: malformed input gives `None`.
//! Called by append and replay.

/// Payload of a marker batch at most; a marker takes a few dozen bytes.
pub(crate) const MARKER_LEN_MAX: usize = 4096;

const TYPE_ABORT: i16 = 0;
const TYPE_COMMIT: i16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndTxnMarker {
    pub is_abort: bool,
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads the first record of an uncompressed payload.
    pub fn parse(payload: &[u8]) -> Option<EndTxnMarker> {
        let mut rest = payload;
        let _length = varint(&mut rest)?;
        let _attributes = take(&mut rest, 1)?;
        let _timestamp_delta = varint(&mut rest)?;
        let _offset_delta = varint(&mut rest)?;
        let key_len = usize::try_from(varint(&mut rest)?).ok()?;
        let key = take(&mut rest, key_len)?;
        let value_len = usize::try_from(varint(&mut rest)?).ok()?;
        let value = take(&mut rest, value_len)?;
        let is_abort = match i16::from_be_bytes(key.get(2..4)?.try_into().ok()?) {
            TYPE_ABORT => true,
            TYPE_COMMIT => false,
            _ => return None,
        };
        Some(EndTxnMarker {
            is_abort,
            coordinator_epoch: i32::from_be_bytes(value.get(2..6)?.try_into().ok()?),
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

/// A zigzag varint of up to ten bytes.
fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// length 16, attributes, timestamp 0, offset 0, key of 4, value of 6, no headers.
    const COMMIT: [u8; 17] = [32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 9, 0];

    #[test]
    fn a_marker_is_read() {
        assert_eq!(
            EndTxnMarker::parse(&COMMIT),
            Some(EndTxnMarker {
                is_abort: false,
                coordinator_epoch: 9
            })
        );
        let mut abort = COMMIT;
        abort[8] = 0;
        assert!(EndTxnMarker::parse(&abort).unwrap().is_abort);
    }

    #[test]
    fn parts_and_other_records_are_none() {
        for len in 0..16 {
            assert_eq!(EndTxnMarker::parse(&COMMIT[..len]), None);
        }
        let mut leader_change = COMMIT;
        leader_change[8] = 2;
        assert_eq!(EndTxnMarker::parse(&leader_change), None);
        assert_eq!(EndTxnMarker::parse(&[0xff; 40]), None);
    }
}
