use expect_test::{Expect, expect};

use super::*;

fn map(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn show(outcome: Result<Overrides, AlterError>) -> String {
    match outcome {
        Ok(after) => after
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => format!("{}: {error}", error.code.code()),
    }
}

fn check(before: &[(&str, &str)], alterations: &[(&str, i8, Option<&str>)], expected: Expect) {
    let outcome = alterations
        .iter()
        .map(|(name, op, value)| {
            Ok(Alteration {
                name,
                op: AlterOp::from_code(*op)?,
                value: *value,
            })
        })
        .collect::<Result<Vec<_>, _>>()
        .and_then(|alterations| incremental(ResourceType::Topic, &map(before), &alterations));
    expected.assert_eq(&show(outcome));
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

#[test]
fn set_and_delete() {
    check(
        &[("retention.ms", "1"), ("segment.ms", "2")],
        &[
            ("retention.ms", SET, Some("5")),
            ("segment.ms", DELETE, None),
            ("flush.ms", DELETE, None),
        ],
        expect!["retention.ms=5"],
    );
}

#[test]
fn append_starts_from_the_default() {
    let compact = Some("compact");
    check(
        &[],
        &[("cleanup.policy", APPEND, compact)],
        expect!["cleanup.policy=delete,compact"],
    );
    check(
        &[("cleanup.policy", "compact")],
        &[("cleanup.policy", APPEND, Some("compact,delete"))],
        expect!["cleanup.policy=compact,delete"],
    );
    check(
        &[("cleanup.policy", "")],
        &[("cleanup.policy", APPEND, compact)],
        expect!["cleanup.policy=compact"],
    );
}

#[test]
fn subtract() {
    check(
        &[("cleanup.policy", "compact,delete")],
        &[("cleanup.policy", SUBTRACT, Some("delete,shred"))],
        expect!["cleanup.policy=compact"],
    );
    check(
        &[],
        &[("cleanup.policy", SUBTRACT, Some("delete"))],
        expect!["cleanup.policy="],
    );
}

#[test]
fn refused_operations() {
    check(
        &[],
        &[("retention.ms", APPEND, Some("1"))],
        expect!["40: Can't APPEND to key retention.ms because its type is not LIST."],
    );
    check(
        &[],
        &[("no.such.key", SUBTRACT, Some("1"))],
        expect!["40: Can't SUBTRACT to key no.such.key because its type is not LIST."],
    );
    check(
        &[],
        &[("retention.ms", 4, Some("1"))],
        expect!["42: Unknown operations type 4"],
    );
    check(
        &[],
        &[
            ("retention.ms", SET, None),
            ("segment.ms", DELETE, None),
            ("flush.ms", SET, None),
        ],
        expect!["42: Null value not supported for : retention.ms, flush.ms"],
    );
    check(
        &[],
        &[
            ("retention.ms", SET, Some("1")),
            ("retention.ms", DELETE, None),
        ],
        expect!["42: Error due to duplicate config keys"],
    );
    check(
        &[],
        &[(
            "leader.replication.throttled.replicas",
            SET,
            Some(&"1:1,".repeat(10_000)),
        )],
        expect![
            "40: The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."
        ],
    );
}

#[test]
fn legacy_alter_configs_replaces_everything() {
    let outcome = |configs: &[(&str, Option<&str>)]| show(legacy(configs.iter().copied()));
    expect!["a=1 b="].assert_eq(&outcome(&[("a", Some("1")), ("b", Some(""))]));
    expect!["42: Null value not supported for : a"].assert_eq(&outcome(&[("a", None)]));
    expect!["42: Error due to duplicate config keys"]
        .assert_eq(&outcome(&[("a", Some("1")), ("a", Some("2"))]));
}

#[test]
fn changes_are_what_the_metadata_log_needs() {
    let before = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let after = map(&[("a", "1"), ("b", "5"), ("d", "4")]);
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        ("b".to_owned(), some("5")),
        ("d".to_owned(), some("4")),
        ("c".to_owned(), None),
    ];
    assert_eq!(changes(&before, &after), expected);
    assert_eq!(changes(&before, &before), []);
}

#[test]
fn resources_are_named() {
    let broker = BrokerConfig::load(None, &[]).expect("valid");
    let check = |resource, name, configs, expected: Expect| {
        let outcome = validate(&broker, resource, name, &Overrides::new(), &map(configs));
        let outcome = outcome.map_err(|error| format!("{}: {error}", error.code.code()));
        expected.assert_eq(&format!("{outcome:?}"));
    };
    check(
        ResourceType::Topic,
        "",
        &[],
        expect![[r#"Err("42: Default topic resources are not allowed.")"#]],
    );
    check(
        ResourceType::Topic,
        "t",
        &[("retention.ms", "1")],
        expect!["Ok(())"],
    );
    check(
        ResourceType::Topic,
        "t",
        &[("retention.ms", "-9")],
        expect![[
            r#"Err("40: Invalid value -9 for configuration retention.ms: Value must be at least -1")"#
        ]],
    );
    check(
        ResourceType::Group,
        "",
        &[],
        expect![[r#"Err("42: Default group resources are not allowed.")"#]],
    );
    check(
        ResourceType::ClientMetrics,
        "",
        &[],
        expect![[r#"Err("42: Subscription name can't be empty")"#]],
    );
    check(
        ResourceType::Broker,
        "x",
        &[],
        expect![[r#"Err("42: Node id must be an integer, but it is: x")"#]],
    );
    check(
        ResourceType::Broker,
        "2",
        &[],
        expect![[r#"Err("42: Unexpected broker id, expected 1, but received 2")"#]],
    );
    check(
        ResourceType::Broker,
        "1",
        &[("log.cleaner.threads", "2")],
        expect!["Ok(())"],
    );
    check(
        ResourceType::BrokerLogger,
        "1",
        &[],
        expect![[r#"Err("42: Log levels are not kept with the configuration")"#]],
    );
    assert_eq!(
        validate_new_topic(&broker, &map(&[("segment.ms", "5")])),
        Ok(())
    );
    assert!(validate_new_topic(&broker, &map(&[("segment.ms", "0")])).is_err());
}

#[test]
fn codes_of_resources_are_kafkas() {
    for (code, resource) in [
        (2, ResourceType::Topic),
        (4, ResourceType::Broker),
        (8, ResourceType::BrokerLogger),
        (16, ResourceType::ClientMetrics),
        (32, ResourceType::Group),
    ] {
        assert_eq!(ResourceType::from_code(code), Some(resource));
        assert_eq!(resource.code(), code);
    }
    assert_eq!(ResourceType::from_code(3), None);
}

#[test]
fn subscriptions_have_no_lists() {
    let append = Alteration {
        name: "metrics",
        op: AlterOp::Append,
        value: Some("org.apache.kafka.producer."),
    };
    let outcome = incremental(ResourceType::ClientMetrics, &map(&[]), &[append]);
    expect!["40: Can't APPEND to key metrics because its type is not LIST."]
        .assert_eq(&show(outcome));
}
