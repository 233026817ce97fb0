use super::*;

#[test]
fn positions_are_read_as_people_write_them() {
    let now = 1_795_497_660_000;
    for (text, expected) in [
        ("earliest", Some(Position::Earliest)),
        ("latest", Some(Position::Latest)),
        ("0", Some(Position::Offset(0))),
        ("9223372036854775807", Some(Position::Offset(i64::MAX))),
        ("-10", Some(Position::Last(10))),
        ("15m", Some(Position::Timestamp(now - 900_000))),
        ("2h", Some(Position::Timestamp(now - 7_200_000))),
        ("@1000", Some(Position::Timestamp(1000))),
        ("2026-11-24T05:21:00Z", Some(Position::Timestamp(now))),
        ("", None),
        ("-", None),
        ("--10", None),
        ("h", None),
        ("yesterday", None),
        ("9223372036854775808", None),
    ] {
        assert_eq!(position(text, now), expected, "{text}");
    }
}

#[test]
fn the_error_says_what_is_possible() {
    assert!(
        parse_position("soon")
            .unwrap_err()
            .contains("earliest, latest")
    );
}
