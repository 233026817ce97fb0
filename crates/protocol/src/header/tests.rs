use bytes::Bytes;

use super::*;

#[test]
fn the_client_id_has_a_long_length_in_both_headers() {
    let header = RequestHeader::new(ApiKey::Metadata, 12, 5, Some("me".into()));
    for (version, expected) in [
        (1, &b"\x00\x03\x00\x0c\x00\x00\x00\x05\x00\x02me"[..]),
        (2, b"\x00\x03\x00\x0c\x00\x00\x00\x05\x00\x02me\x00"),
    ] {
        let mut e = Encoder::new();
        header.encode(&mut e, version).unwrap();
        assert_eq!(&e.finish().buf[..], expected);
    }
}

#[test]
fn the_header_version_follows_from_the_api() {
    let read = |bytes: &'static [u8]| {
        let mut d = Decoder::new(Bytes::from_static(bytes));
        RequestHeader::decode(&mut d).map(|(header, api)| (header.api_version, api, d.remaining()))
    };
    // Metadata 8 is the last version that is not flexible.
    assert_eq!(
        read(b"\0\x03\0\x08\0\0\0\x01\xff\xffbody"),
        Ok((8, ApiKey::Metadata, 4))
    );
    assert_eq!(
        read(b"\0\x03\0\x09\0\0\0\x01\xff\xff\0body"),
        Ok((9, ApiKey::Metadata, 4))
    );
    // A version from the future: the header can still be read, to answer ApiVersions.
    assert_eq!(
        read(b"\0\x12\0\x63\0\0\0\x01\xff\xff\0"),
        Ok((99, ApiKey::ApiVersions, 0))
    );
    assert_eq!(
        read(b"\0\x04\0\0\0\0\0\x01\xff\xff"),
        Err(UnknownApiKey(4).into())
    );
    let short = DecodeError::Truncated {
        needed: 4,
        remaining: 1,
    };
    assert_eq!(read(b"\0\x03\0\x08\0"), Err(short.into()));
}

#[test]
fn headers_survive_a_round_trip() {
    let tagged = vec![TaggedField {
        tag: 3,
        data: Bytes::from_static(b"x"),
    }];
    let request = RequestHeader {
        unknown_tagged_fields: tagged.clone(),
        ..RequestHeader::new(ApiKey::Fetch, 17, -1, None)
    };
    let mut e = Encoder::new();
    request.encode(&mut e, 2).unwrap();
    let mut d = Decoder::new(e.finish().buf);
    assert_eq!(RequestHeader::decode(&mut d), Ok((request, ApiKey::Fetch)));

    let response = ResponseHeader {
        unknown_tagged_fields: tagged,
        ..ResponseHeader::new(77)
    };
    let mut e = Encoder::new();
    response.encode(&mut e, 1).unwrap();
    assert_eq!(
        ResponseHeader::decode(&mut Decoder::new(e.finish().buf), 1),
        Ok(response.clone())
    );
    assert_eq!(
        response.encode(&mut Encoder::new(), 0),
        Err(EncodeError::TagsNotInVersion)
    );
}
