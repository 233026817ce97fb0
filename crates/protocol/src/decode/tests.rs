//! The primitives, byte by byte.

use bytes::Bytes;

use super::*;

fn decoder(bytes: &'static [u8]) -> Decoder<'static> {
    Decoder::new(Bytes::from_static(bytes))
}

#[test]
fn numbers_are_big_endian() {
    let mut d = decoder(&[
        0xff, 0x80, 0x00, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 2, 0,
    ]);
    assert_eq!(d.i8(), Ok(-1));
    assert_eq!(d.i16(), Ok(i16::MIN));
    assert_eq!(d.i32(), Ok(-2));
    assert_eq!(d.i64(), Ok(9));
    assert_eq!(d.u16(), Ok(u16::MAX));
    assert_eq!(d.u32(), Ok(u32::MAX));
    assert_eq!(d.f64(), Ok(1.5));
    assert_eq!(d.bool(), Ok(true));
    assert_eq!(d.position(), 30);
    assert_eq!(
        d.i16(),
        Err(DecodeError::Truncated {
            needed: 2,
            remaining: 1
        })
    );
    assert_eq!(d.bool(), Ok(false));
    assert_eq!(d.remaining(), 0);
}

#[test]
fn varints_end_within_32_bits() {
    for (bytes, value) in [
        (&[0][..], Ok(0)),
        (&[0x7f], Ok(127)),
        (&[0x80, 0x01], Ok(128)),
        (&[0x80, 0x00], Ok(0)),
        (&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX)),
        (
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            Err(DecodeError::InvalidVarint),
        ),
        (
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            Err(DecodeError::InvalidVarint),
        ),
        (
            &[0x80],
            Err(DecodeError::Truncated {
                needed: 1,
                remaining: 0,
            }),
        ),
    ] {
        assert_eq!(Decoder::copying(bytes).varint(), value, "{bytes:?}");
    }
}

#[test]
fn strings_are_checked_for_length_and_for_utf8() {
    assert_eq!(decoder(b"\x00\x02hi!").string(false), Ok("hi".into()));
    assert_eq!(decoder(b"\x03hi!").string(true), Ok("hi".into()));
    assert_eq!(decoder(b"\xff\xff").nullable_string(false), Ok(None));
    assert_eq!(decoder(b"\x00").nullable_string(true), Ok(None));
    assert_eq!(
        decoder(b"\xff\xff").string(false),
        Err(DecodeError::UnexpectedNull)
    );
    assert_eq!(
        decoder(b"\xff\xfe").nullable_string(false),
        Err(DecodeError::InvalidLength(-2))
    );
    assert_eq!(
        decoder(b"\x00\x02\xc3\x28").string(false),
        Err(DecodeError::InvalidUtf8)
    );
    let short = DecodeError::Truncated {
        needed: 3,
        remaining: 2,
    };
    assert_eq!(decoder(b"\x00\x03hi").string(false), Err(short));
    // 32768, one more than a string may have, and more than there is.
    let long = DecodeError::StringTooLong(32768);
    assert_eq!(decoder(b"\x81\x80\x02").string(true), Err(long));
}

#[test]
fn lengths_that_no_signed_integer_holds_are_refused() {
    let most = DecodeError::InvalidLength(i64::from(u32::MAX) - 1);
    assert_eq!(decoder(b"\xff\xff\xff\xff\x0f").bytes(true), Err(most));
    assert_eq!(
        decoder(b"\x80\0\0\0").bytes(false),
        Err(DecodeError::InvalidLength(i32::MIN.into()))
    );
}

#[test]
fn shared_frames_are_sliced_and_borrowed_ones_copied() {
    let frame = Bytes::from(b"\x00\x00\x00\x05bytes".to_vec());
    let sliced = Decoder::new(frame.clone()).bytes(false).unwrap();
    assert_eq!(sliced.as_ptr(), frame[4..].as_ptr());
    let copied = Decoder::copying(&frame).bytes(false).unwrap();
    assert_eq!(copied, sliced);
    assert_ne!(copied.as_ptr(), sliced.as_ptr());
}

#[test]
fn arrays_are_bounded_by_count_and_by_what_remains() {
    let array = |bytes: &[u8]| Decoder::copying(bytes).array::<i8>(0, false);
    assert_eq!(array(b"\0\0\0\x02\x01\x02"), Ok(vec![1, 2]));
    assert_eq!(array(b"\0\0\0\0"), Ok(vec![]));
    assert_eq!(array(b"\xff\xff\xff\xff"), Err(DecodeError::UnexpectedNull));
    let short = DecodeError::Truncated {
        needed: 3,
        remaining: 2,
    };
    assert_eq!(array(b"\0\0\0\x03\x01\x02"), Err(short));

    let mut frame = (MAX_ARRAY_ELEMENTS as u32 + 1).to_be_bytes().to_vec();
    frame.resize(MAX_ARRAY_ELEMENTS + 100, 7);
    let many = DecodeError::TooManyElements(MAX_ARRAY_ELEMENTS + 1);
    assert_eq!(array(&frame), Err(many));
    frame[..4].copy_from_slice(&(MAX_ARRAY_ELEMENTS as u32).to_be_bytes());
    assert_eq!(
        array(&frame).map(|elements| elements.len()),
        Ok(MAX_ARRAY_ELEMENTS)
    );
}

#[test]
fn nullable_structs_have_a_mark_before_them() {
    let read = |bytes| Decoder::copying(bytes).nullable_struct::<i16>(0, true);
    assert_eq!(read(b"\xff"), Ok(None));
    assert_eq!(read(b"\x01\x00\x05"), Ok(Some(5)));
    let tagged = |bytes| Decoder::copying(bytes).tagged_nullable_struct::<i16>(0, true);
    assert_eq!(tagged(b"\x00"), Ok(None));
    assert_eq!(tagged(b"\x01\x00\x05"), Ok(Some(5)));
}

fn field(tag: u32, data: &'static [u8]) -> TaggedField {
    TaggedField {
        tag,
        data: Bytes::from_static(data),
    }
}

/// Reads tag 1 as an i16 and leaves others.
fn tagged(bytes: &[u8]) -> Result<(Option<i16>, Vec<TaggedField>)> {
    let mut known = None;
    let unknown = Decoder::copying(bytes).tagged_fields(&mut |d, tag| {
        if tag == 1 {
            known = Some(d.i16()?);
        }
        Ok(tag == 1)
    })?;
    Ok((known, unknown))
}

#[test]
fn unknown_tagged_fields_are_kept_in_the_order_of_their_tags() {
    assert_eq!(tagged(b"\x00"), Ok((None, vec![])));
    assert_eq!(
        tagged(b"\x03\x09\x01z\x01\x02\x00\x05\x02\x00"),
        Ok((Some(5), vec![field(2, b""), field(9, b"z")]))
    );
}

#[test]
fn tagged_fields_are_bounded_and_checked() {
    let many = DecodeError::TooManyTaggedFields(MAX_TAGGED_FIELDS + 1);
    assert_eq!(tagged(b"\x91\x4e"), Err(many));
    let short = DecodeError::Truncated {
        needed: 1000,
        remaining: 1,
    };
    assert_eq!(tagged(b"\x01\x05\xe8\x07x"), Err(short));
    let size = DecodeError::TaggedFieldSize {
        tag: 1,
        claimed: 3,
        actual: 2,
    };
    assert_eq!(tagged(b"\x01\x01\x03\x00\x05\x00"), Err(size));
    assert_eq!(
        tagged(b"\x02\x05\x00\x05\x00"),
        Err(DecodeError::DuplicateTag(5))
    );
}
