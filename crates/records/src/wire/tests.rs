use proptest::prelude::*;

use super::*;

fn read_int(bytes: &[u8]) -> Result<i32, RecordError> {
    let mut source = SliceSource::new(bytes);
    let value = varint(&mut source)?;
    assert_eq!(source.is_at_end(), Ok(true));
    Ok(value)
}

fn read_long(bytes: &[u8]) -> Result<i64, RecordError> {
    let mut source = SliceSource::new(bytes);
    let value = varlong(&mut source)?;
    assert_eq!(source.is_at_end(), Ok(true));
    Ok(value)
}

proptest! {
    #[test]
    fn varints_survive(value in any::<i64>(), shift in 0..64u32) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        put_varlong(&mut bytes, value);
        prop_assert_eq!(bytes.len(), varlong_len(value));
        prop_assert_eq!(read_long(&bytes).unwrap(), value);
        if let Ok(small) = i32::try_from(value) {
            prop_assert_eq!(read_int(&bytes).unwrap(), small);
        }
    }
}

#[test]
fn golden_varints() {
    for (value, bytes) in [
        (0i64, vec![0u8]),
        (-1, vec![1]),
        (1, vec![2]),
        (63, vec![0x7e]),
        (-64, vec![0x7f]),
        (64, vec![0x80, 0x01]),
        (8192, vec![0x80, 0x80, 0x01]),
        (i64::from(i32::MAX), vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
        (i64::from(i32::MIN), vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let mut out = Vec::new();
        put_varlong(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(read_int(&bytes), Ok(value as i32));
    }
    for value in [i64::MIN, i64::MAX] {
        let mut out = Vec::new();
        put_varlong(&mut out, value);
        assert_eq!((out.len(), read_long(&out)), (10, Ok(value)));
    }
}

#[test]
fn endless_varints_are_refused() {
    assert_eq!(read_int(&[0x80; 5]), Err(RecordError::Varint));
    assert_eq!(read_long(&[0x80; 10]), Err(RecordError::Varint));
    assert_eq!(read_int(&[0x80; 4]), Err(RecordError::Truncated));
    assert_eq!(read_long(&[0x80; 9]), Err(RecordError::Truncated));
}
