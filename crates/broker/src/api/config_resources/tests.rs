use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;

fn asked(kind: i8, name: &'static str, keys: &[&'static str]) -> Asked<'static> {
    Asked {
        kind,
        name,
        keys: keys.to_vec(),
        nulls: Vec::new(),
    }
}

/// Who decides, in one word or in the words of the refusal.
fn decisions(asked: &[Asked<'_>], with_loggers: bool) -> Vec<String> {
    let word = |decision| match decision {
        Decision::Controller => "controller".to_string(),
        Decision::Loggers => "loggers".to_string(),
        Decision::Refused(failure) => format!("{}: {}", failure.code.code(), failure.text()),
    };
    sort(asked, with_loggers).into_iter().map(word).collect()
}

#[test]
fn each_kind_goes_where_it_is_decided() {
    let request = [
        asked(TOPIC, "t", &["a", "b"]),
        asked(BROKER, "", &["a"]),
        asked(LOGGER, "1", &[]),
        asked(3, "x", &[]),
    ];
    assert_eq!(
        decisions(&request, true),
        [
            "controller",
            "controller",
            "loggers",
            "42: Unknown resource type 3"
        ]
    );
    assert_eq!(decisions(&request, false)[2], "42: Unknown resource type 8");
}

#[test]
fn a_resource_that_comes_twice_is_refused_each_time() {
    let request = [
        asked(TOPIC, "t", &["a"]),
        asked(BROKER, "t", &["a"]),
        asked(TOPIC, "t", &["b"]),
    ];
    let twice = "42: Each resource must appear at most once.";
    assert_eq!(decisions(&request, true), [twice, "controller", twice]);
}

#[test]
fn keys_come_once_and_with_a_value() {
    let nulls = Asked {
        nulls: vec!["a", "b"],
        ..asked(TOPIC, "u", &["a", "b"])
    };
    let request = [asked(TOPIC, "t", &["a", "a"]), nulls];
    assert_eq!(
        decisions(&request, true),
        [
            "42: Error due to duplicate config keys",
            "42: Null value not supported for : a, b"
        ]
    );
}
