use expect_test::{Expect, expect};

use super::*;

fn check(name: &str, text: &str, expected: Expect) {
    let after = Overrides::from([(name.to_owned(), text.to_owned())]);
    let outcome = match validate(&after) {
        Ok(()) => "allowed".to_owned(),
        Err(error) => format!("{:?}: {error}", error.code),
    };
    expected.assert_eq(&outcome);
}

#[test]
fn subscriptions() {
    check(
        "metrics",
        "org.apache.kafka.producer.,org.apache.kafka.consumer.",
        expect!["allowed"],
    );
    check("metrics", "*", expect!["allowed"]);
    check("interval.ms", "100", expect!["allowed"]);
    check(
        "interval.ms",
        "99",
        expect![
            "InvalidRequest: Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)"
        ],
    );
    check(
        "interval.ms",
        "often",
        expect![
            "InvalidConfig: Invalid value often for configuration interval.ms: Not a number of type INT"
        ],
    );
    check(
        "match",
        "client_id=a.*, client_software_name = Java",
        expect!["allowed"],
    );
    check(
        "match",
        "client_id",
        expect!["InvalidConfig: Illegal client matching pattern: client_id"],
    );
    check(
        "match",
        "colour=red",
        expect!["InvalidConfig: Illegal client matching pattern: colour=red"],
    );
    check(
        "match",
        "client_source_address=10.*,client_source_port=9.*",
        expect!["allowed"],
    );
    check(
        "match",
        "client_id=(",
        expect!["InvalidConfig: Illegal client matching pattern: client_id=("],
    );
    check(
        "match",
        "client_id=a=b",
        expect!["InvalidConfig: Illegal client matching pattern: client_id=a=b"],
    );
    check(
        "metric",
        "a",
        expect!["InvalidRequest: Unknown client metrics configuration: metric"],
    );
}
