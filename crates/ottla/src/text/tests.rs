use super::*;

#[test]
fn times_are_written_and_read_back() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_795_497_660_123, "2026-11-24T05:21:00.123Z"),
        (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(format_time(ms), text);
        assert_eq!(parse_time(text), Some(ms), "{text}");
    }
    assert_eq!(format_time(-1), "-");
}

#[test]
fn times_may_be_short() {
    let day = 1_795_478_400_000;
    for (text, ms) in [
        ("2026-11-24", day),
        ("2026-11-24T05:21", day + 19_260_000),
        ("2026-11-24 05:21:07", day + 19_267_000),
        ("2026-11-24T05:21:07.5Z", day + 19_267_500),
        ("@17", 17),
    ] {
        assert_eq!(parse_time(text), Some(ms), "{text}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "2026",
        "2026-11",
        "2026-11-31",
        "2025-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-11-24T24:00",
        "2026-11-24T05:60",
        "2026-11-24T05:21:60",
        "2026-11-24T5:21",
        "2026-11-24T05:21:00.1234",
        "@x",
        "26-11-24",
        "+026-11-24",
        "2026-11-24T05:21:00.",
    ] {
        assert_eq!(parse_time(text), None, "{text}");
    }
}

#[test]
fn bytes_become_text_that_can_be_read() {
    assert_eq!(printable(b"plain \xc3\xa4"), "plain ä");
    assert_eq!(printable(b"a\nb\t\x00"), "a\\nb\\t\\u{0}");
    assert_eq!(printable(b"a\xff\xfeb"), "a\\xff\\xfeb");
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
    assert_eq!(base64(&[0xff, 0xef]), "/+8=");
}

#[test]
fn sizes_have_units() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "16384.0 PiB"),
    ] {
        assert_eq!(format_bytes(bytes), text);
    }
}

#[test]
fn escapes_are_those_of_the_shell() {
    assert_eq!(unescape(r"a\tb\nc\\d\q\"), "a\tb\nc\\d\\q\\");
}
