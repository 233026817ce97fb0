use super::*;

#[test]
fn texts_are_those_of_kafka() {
    for (value, text) in [
        (0, "AAAAAAAAAAAAAAAAAAAAAA"),
        (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
        (u128::MAX, "_____________________w"),
        (
            0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
            "ASNFZ4mrze8BI0VniavN7w",
        ),
        (
            0xfbff_0000_0000_0000_0000_0000_0000_0000,
            "-_8AAAAAAAAAAAAAAAAAAA",
        ),
    ] {
        let uuid = Uuid::from_u128(value);
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.parse(), Ok(uuid));
        assert_eq!(format!("{text}==").parse(), Ok(uuid));
    }
    assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        "AAAA",
        "AAAAAAAAAAAAAAAAAAAAA+",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "ééééééééééé",
    ] {
        assert_eq!(text.parse::<Uuid>(), Err(InvalidUuid), "{text}");
    }
}

#[test]
fn bytes_are_in_the_order_of_the_number() {
    let uuid = Uuid::from_u128(0x0102 << 112 | 9);
    assert_eq!(uuid.as_bytes()[..3], [1, 2, 0]);
    assert_eq!(uuid.as_bytes()[15], 9);
    assert_eq!(Uuid::from_bytes(*uuid.as_bytes()), uuid);
    assert!(Uuid::ZERO.is_zero() && !uuid.is_zero());
    assert!(Uuid::from_u128(2) > Uuid::from_u128(1));
}
