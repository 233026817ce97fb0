use expect_test::{Expect, expect};

use super::*;
use crate::key::{Kind, Update};

fn all_tables() -> Vec<&'static [Key]> {
    let mut tables = BROKER_TABLES.to_vec();
    tables.extend([
        resource::TOPIC,
        resource::GROUP_RESOURCE,
        resource::CLIENT_METRICS,
    ]);
    tables
}

#[test]
fn tables_are_sorted_and_broker_names_unique() {
    for table in all_tables() {
        let names: Vec<_> = table.iter().map(|key| key.name).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
    assert_eq!(BROKER_INDEX.len(), broker_keys().count());
}

#[test]
fn every_default_is_a_value_that_its_key_takes() {
    for key in all_tables().into_iter().flatten() {
        if let Some(text) = key.default {
            let value = key.parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(value.render().as_deref(), Some(text), "{}", key.name);
        }
    }
}

#[test]
fn every_key_is_documented_in_one_sentence() {
    for key in all_tables().into_iter().flatten() {
        assert!(
            key.doc.ends_with('.') && !key.doc.contains('\n'),
            "{}: {}",
            key.name,
            key.doc
        );
        assert!(!key.allowed().is_empty(), "{}", key.name);
    }
}

#[test]
fn the_tables_hold_all_keys_of_kafka_4_3() {
    let count = |update| broker_keys().filter(|key| key.update == update).count();
    expect![[r#"
        broker keys 366 (read-only 263, per broker 37, cluster-wide 66), 10 secrets
        topic keys 34, group keys 17, client metrics keys 3"#]]
    .assert_eq(&format!(
        "broker keys {} (read-only {}, per broker {}, cluster-wide {}), {} secrets\n\
         topic keys {}, group keys {}, client metrics keys {}",
        broker_keys().count(),
        count(Update::ReadOnly),
        count(Update::PerBroker),
        count(Update::ClusterWide),
        broker_keys()
            .filter(|key| key.kind == Kind::Password)
            .count(),
        topic_keys().len(),
        group_keys().len(),
        client_metrics_keys().len(),
    ));
}

#[test]
fn names_are_told_apart() {
    let check = |name: &str, expected: Expect| {
        let text = match classify(name) {
            Name::Key(key) => format!("key {}", key.name),
            Name::OfListener(key) => format!("listener's {}", key.name),
            Name::OfPlugin => "plugin's".to_owned(),
            Name::Removed(instead) => format!("removed: {instead}"),
            Name::Unknown => format!("unknown, like {:?}", nearest_broker_key(name)),
        };
        expected.assert_eq(&text);
    };
    check("num.partitions", expect!["key num.partitions"]);
    check(
        "listener.name.internal.ssl.keystore.location",
        expect!["listener's ssl.keystore.location"],
    );
    check(
        "listener.name.internal.scram-sha-256.sasl.jaas.config",
        expect!["listener's sasl.jaas.config"],
    );
    check(
        "listener.name.internal.no.such.key",
        expect!["unknown, like None"],
    );
    check("listener.name.", expect!["unknown, like None"]);
    check("rlmm.config.anything", expect!["plugin's"]);
    check(
        "zookeeper.connect",
        expect!["removed: metadata is kept without ZooKeeper"],
    );
    check("port", expect!["removed: use listeners"]);
    check(
        "num.partition",
        expect![[r#"unknown, like Some("num.partitions")"#]],
    );
    check(
        "NUM_PARTITIONS",
        expect![[r#"unknown, like Some("num.partitions")"#]],
    );
    check(
        "log.retention.hour",
        expect![[r#"unknown, like Some("log.retention.hours")"#]],
    );
    check(
        "autocreate.topics.enable",
        expect![[r#"unknown, like Some("auto.create.topics.enable")"#]],
    );
    check("something.else.entirely", expect!["unknown, like None"]);
    check(&"x".repeat(1 << 20), expect!["unknown, like None"]);
}
