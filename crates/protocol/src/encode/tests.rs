//! The primitives, byte by byte, and the splices.

use super::*;

fn written(write: impl FnOnce(&mut Encoder) -> Result<()>) -> Vec<u8> {
    let mut e = Encoder::new();
    write(&mut e).unwrap();
    e.finish().into_bytes().unwrap().to_vec()
}

fn field(tag: u32, data: &'static [u8]) -> TaggedField {
    TaggedField {
        tag,
        data: Bytes::from_static(data),
    }
}

#[test]
fn lengths_are_fixed_or_compact() {
    assert_eq!(written(|e| e.string("hi", false)), b"\x00\x02hi");
    assert_eq!(written(|e| e.string("hi", true)), b"\x03hi");
    assert_eq!(written(|e| e.nullable_string(None, false)), b"\xff\xff");
    assert_eq!(written(|e| e.nullable_string(None, true)), b"\x00");
    assert_eq!(written(|e| e.bytes(b"xy", false)), b"\x00\x00\x00\x02xy");
    assert_eq!(
        written(|e| e.nullable_bytes(None, false)),
        b"\xff\xff\xff\xff"
    );
    assert_eq!(
        written(|e| e.array(&[1_i16, -1], 0, true)),
        b"\x03\x00\x01\xff\xff"
    );
    assert_eq!(
        written(|e| e.nullable_array::<i8>(None, 0, false)),
        b"\xff\xff\xff\xff"
    );
    assert_eq!(
        written(|e| e.nullable_struct(Some(&7_i8), 0, true)),
        b"\x01\x07"
    );
    assert_eq!(written(|e| e.nullable_struct::<i8>(None, 0, true)), b"\xff");
}

#[test]
fn varints_grow_by_seven_bits() {
    for (value, bytes) in [
        (0, &[0][..]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (16_384, &[0x80, 0x80, 0x01]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let mut e = Encoder::new();
        e.varint(value);
        assert_eq!(&e.finish().buf[..], bytes, "{value}");
    }
}

#[test]
fn strings_longer_than_their_length_field_are_refused() {
    let longest = "x".repeat(MAX_STRING_LENGTH);
    assert_eq!(
        written(|e| e.string(&longest, false)).len(),
        MAX_STRING_LENGTH + 2
    );
    let long = longest + "x";
    let error = EncodeError::TooLong {
        len: MAX_STRING_LENGTH + 1,
        max: MAX_STRING_LENGTH,
    };
    for flexible in [false, true] {
        assert_eq!(Encoder::new().string(&long, flexible), Err(error.clone()));
    }
}

#[test]
fn tags_are_merged_in_order_and_counted() {
    let unknown = [field(0, b"a"), field(2, b""), field(300, b"z")];
    let bytes = written(|e| {
        let mut tags = e.begin_tags(&unknown);
        e.tag(&mut tags, 1, &mut |e| e.string("k", true))?;
        e.tag(&mut tags, 3, &mut |e| {
            e.i16(7);
            Ok(())
        })?;
        e.end_tags(tags)
    });
    assert_eq!(
        bytes,
        b"\x05\x00\x01a\x01\x02\x02k\x02\x00\x03\x02\x00\x07\xac\x02\x01z"
    );
}

#[test]
fn a_long_tagged_field_moves_what_follows_its_size() {
    let text = "y".repeat(200);
    let bytes = written(|e| {
        let mut tags = e.begin_tags(&[]);
        e.tag(&mut tags, 0, &mut |e| e.string(&text, true))?;
        e.end_tags(tags)
    });
    let expected = [b"\x01\x00\xca\x01\xc9\x01", text.as_bytes()].concat();
    assert_eq!(bytes, expected);
}

#[test]
fn many_tags_widen_their_count() {
    let unknown: Vec<TaggedField> = (0..200).map(|tag| field(tag, b"")).collect();
    let bytes = written(|e| e.unknown_tags(&unknown, true));
    assert_eq!(bytes[..6], *b"\xc8\x01\x00\x00\x01\x00");
    assert_eq!(bytes.len(), 2 + 128 * 2 + 72 * 3);
}

#[test]
fn tags_out_of_order_or_out_of_place_are_refused() {
    let mut e = Encoder::new();
    let unordered = [field(3, b""), field(2, b"")];
    assert_eq!(
        e.unknown_tags(&unordered, true),
        Err(EncodeError::TagOrder(2))
    );
    let twice = [field(3, b""), field(3, b"")];
    assert_eq!(e.unknown_tags(&twice, true), Err(EncodeError::TagOrder(3)));
    assert_eq!(
        e.unknown_tags(&twice, false),
        Err(EncodeError::TagsNotInVersion)
    );
    let known = [field(4, b"")];
    let mut tags = e.begin_tags(&known);
    assert_eq!(
        e.tag(&mut tags, 4, &mut |_| Ok(())),
        Err(EncodeError::TagOrder(4))
    );
}

#[test]
fn external_records_leave_their_length_and_a_splice() {
    let mut e = Encoder::new();
    e.i8(1);
    e.records(
        Some(&Records::External {
            token: 7,
            len: 1000,
        }),
        true,
    )
    .unwrap();
    e.i8(2);
    e.records(Some(&Records::Bytes(Bytes::from_static(b"rec"))), true)
        .unwrap();
    e.records(Some(&Records::External { token: 8, len: 0 }), false)
        .unwrap();
    e.records(None, false).unwrap();
    assert_eq!(e.len(), 1016);
    let encoded = e.finish();
    assert_eq!(
        &encoded.buf[..],
        b"\x01\xe9\x07\x02\x04rec\0\0\0\0\xff\xff\xff\xff"
    );
    let splices = [
        Splice {
            at: 3,
            token: 7,
            len: 1000,
        },
        Splice {
            at: 12,
            token: 8,
            len: 0,
        },
    ];
    assert_eq!(encoded.splices, splices);
    assert_eq!(encoded.len(), 1016);
    assert_eq!(encoded.into_bytes(), Err(EncodeError::UnexpectedSplices(2)));
}

#[test]
fn a_splice_inside_a_tagged_field_moves_with_it() {
    let mut e = Encoder::new();
    e.records(Some(&Records::External { token: 1, len: 5 }), true)
        .unwrap();
    let mut tags = e.begin_tags(&[]);
    e.tag(&mut tags, 0, &mut |e| {
        e.raw(&[9; 200]);
        e.records(Some(&Records::External { token: 2, len: 5 }), true)
    })
    .unwrap();
    let encoded = e.finish();
    assert_eq!(encoded.splices[0].at, 1);
    // The first length, the count, the tag, two bytes of size, 200 bytes, the length of the records.
    assert_eq!(encoded.splices[1].at, 1 + 1 + 1 + 2 + 200 + 1);
    assert_eq!(encoded.splices[1].at, encoded.buf.len());
}
