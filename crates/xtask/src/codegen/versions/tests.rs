use super::*;

fn versions(text: &str) -> Versions {
    Versions::parse(text).expect("valid").expect("not none")
}

#[test]
fn ranges_are_read_as_the_schemas_write_them() {
    for (text, lowest, highest) in [("3", 3, 3), ("1-4", 1, 4), ("2+", 2, i16::MAX)] {
        assert_eq!(versions(text), Versions { lowest, highest });
    }
    assert!(Versions::parse("none").expect("valid").is_none());
    for text in ["", "x", "1-", "+", "1-2-3", "40000"] {
        assert!(Versions::parse(text).is_err(), "{text}");
    }
}

#[test]
fn conditions_say_only_what_is_not_known() {
    let within = versions("3-9");
    for (text, condition, negation) in [
        ("0+", None, None),
        ("3-9", None, None),
        ("5+", Some("version >= 5"), Some("version < 5")),
        ("0-4", Some("version <= 4"), Some("version > 4")),
        ("9+", Some("version == 9"), Some("version < 9")),
        (
            "5-6",
            Some("(5..=6).contains(&version)"),
            Some("!(5..=6).contains(&version)"),
        ),
    ] {
        let field = versions(text).intersect(within).expect("overlap");
        assert_eq!(
            field.condition_within(within).as_deref(),
            condition,
            "{text}"
        );
        assert_eq!(field.negation_within(within).as_deref(), negation, "{text}");
    }
    assert_eq!(versions("0-2").intersect(within), None);
}
