use expect_test::{Expect, expect};

use super::*;

fn map(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn broker() -> BrokerConfig {
    BrokerConfig::load(None, &["log.cleaner.threads=2".to_owned()]).expect("valid")
}

fn check(per_broker: bool, after: &[(&str, &str)], expected: Expect) {
    let outcome = match validate(&broker(), per_broker, &map(after)) {
        Ok(()) => "allowed".to_owned(),
        Err(error) => format!("{:?}: {error}", error.code),
    };
    expected.assert_eq(&outcome);
}

#[test]
fn what_may_change_and_where() {
    check(true, &[("log.retention.ms", "1000")], expect!["allowed"]);
    check(false, &[("log.retention.ms", "1000")], expect!["allowed"]);
    check(
        false,
        &[("leader.replication.throttled.rate", "1000")],
        expect!["allowed"],
    );
    check(
        true,
        &[("num.partitions", "2")],
        expect!["InvalidRequest: Cannot update these configs dynamically: [num.partitions]"],
    );
    check(
        false,
        &[("listeners", "PLAINTEXT://:1")],
        expect![
            "InvalidRequest: Cannot update these configs at default cluster level, broker id must be specified: [listeners]"
        ],
    );
    check(true, &[("listeners", "PLAINTEXT://:1")], expect!["allowed"]);
    check(
        true,
        &[("ssl.keystore.location", "/a")],
        expect![
            "InvalidRequest: These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]"
        ],
    );
    check(
        true,
        &[("listener.name.a.ssl.keystore.location", "/a")],
        expect!["allowed"],
    );
    check(
        false,
        &[("listener.name.a.ssl.keystore.location", "/a")],
        expect![
            "InvalidRequest: Cannot update these configs at default cluster level, broker id must be specified: [listener.name.a.ssl.keystore.location]"
        ],
    );
    check(
        false,
        &[("listener.name.a.max.connections", "5")],
        expect!["allowed"],
    );
    check(
        true,
        &[("log.retention.msec", "5")],
        expect![
            "InvalidRequest: Unknown broker config name: log.retention.msec; did you mean log.retention.ms?"
        ],
    );
    check(
        true,
        &[("message.max.bytes", "-5")],
        expect![
            "InvalidRequest: Invalid value -5 for configuration message.max.bytes: Value must be at least 0"
        ],
    );
}

#[test]
fn changes_must_fit_the_rest() {
    check(
        true,
        &[("log.retention.ms", "0")],
        expect!["InvalidRequest: log.retention.ms must be -1 (no limit) or at least 1, but is 0"],
    );
    check(
        true,
        &[("listeners", "OTHER://:1")],
        expect![
            "InvalidRequest: dynamic setting of this broker: listeners: listener OTHER has no entry in listener.security.protocol.map"
        ],
    );
}

#[test]
fn thread_pools_change_by_steps() {
    check(true, &[("num.io.threads", "16")], expect!["allowed"]);
    check(true, &[("num.io.threads", "4")], expect!["allowed"]);
    check(
        true,
        &[("num.io.threads", "17")],
        expect![
            "InvalidRequest: Dynamic thread count update validation failed for num.io.threads=17, value should not be greater than double the current value 8"
        ],
    );
    check(
        true,
        &[("num.io.threads", "3")],
        expect![
            "InvalidRequest: Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the current value 8"
        ],
    );
}

#[test]
fn cleaner_threads_change_by_steps() {
    check(true, &[("log.cleaner.threads", "2")], expect!["allowed"]);
    check(
        true,
        &[("log.cleaner.threads", "5")],
        expect![
            "InvalidRequest: Log cleaner threads cannot be increased to more than double the current value 2"
        ],
    );
    check(
        true,
        &[("log.cleaner.threads", "0")],
        expect!["InvalidRequest: Log cleaner threads should be at least 1"],
    );
}

#[test]
fn dynamic_settings_make_another_configuration() {
    let before = broker();
    let cluster = map(&[("log.retention.ms", "5"), ("message.max.bytes", "7")]);
    let own = map(&[("message.max.bytes", "9")]);
    let config = before.with_dynamic(&cluster, &own).expect("valid");
    assert_eq!(config.topic_defaults.retention_ms, 5);
    assert_eq!(config.topic_defaults.max_message_bytes, 9);
    assert_eq!(config.log.cleaner_threads, 2);
    assert_eq!(before.topic_defaults.retention_ms, 604_800_000);

    // The next set replaces the one before.
    let config = config
        .with_dynamic(&Overrides::new(), &Overrides::new())
        .expect("valid");
    assert_eq!(config.topic_defaults, before.topic_defaults);
}

#[test]
fn what_another_version_left_in_the_metadata_log_is_passed_over() {
    let cluster = map(&[
        ("listeners", "A://:1"),
        ("confluent.thing", "1"),
        ("log.retention.ms", "5"),
    ]);
    let own = map(&[("num.partitions", "7"), ("message.max.bytes", "many")]);
    let config = broker()
        .with_dynamic(&cluster, &own)
        .expect("the rest is valid");
    assert_eq!(config.topic_defaults.retention_ms, 5);
    let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
    expect![[r#"
        dynamic default of the cluster: 'confluent.thing' is ignored: Unknown broker config name: confluent.thing
        dynamic default of the cluster: 'listeners' is ignored: Cannot update these configs at default cluster level, broker id must be specified: [listeners]
        dynamic setting of this broker: 'message.max.bytes' is ignored: Invalid value many for configuration message.max.bytes: Not a number of type INT
        dynamic setting of this broker: 'num.partitions' is ignored: Cannot update these configs dynamically: [num.partitions]"#]]
    .assert_eq(&warnings.join("\n"));
}

#[test]
fn what_keys_allow_and_a_running_broker_does_not() {
    let mut lines = String::new();
    for (name, value) in [
        ("max.connections", "0"),
        ("max.connections", "1"),
        ("listener.name.plaintext.max.connection.creation.rate", "0"),
        ("num.network.threads", "7"),
        ("listener.name.plaintext.num.network.threads", "7"),
        ("listener.name.plaintext.num.network.threads", "6"),
        ("remote.log.reader.threads", "100"),
        ("log.local.retention.ms", "-1"),
        ("log.local.retention.ms", "604800001"),
        ("log.local.retention.ms", "604800000"),
        ("log.local.retention.bytes", "7"),
    ] {
        let verdict = match validate(&broker(), true, &map(&[(name, value)])) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        lines += &format!("{name}={value}: {verdict}\n");
    }
    expect![[r#"
        max.connections=0: Invalid max.connections 0
        max.connections=1: ok
        listener.name.plaintext.max.connection.creation.rate=0: Invalid max.connection.creation.rate 0
        num.network.threads=7: Dynamic thread count update validation failed for num.network.threads=7, value should not be greater than double the current value 3
        listener.name.plaintext.num.network.threads=7: Dynamic thread count update validation failed for num.network.threads=7, value should not be greater than double the current value 3
        listener.name.plaintext.num.network.threads=6: ok
        remote.log.reader.threads=100: Dynamic thread count update validation failed for remote.log.reader.threads=100, value should not be greater than double the current value 10
        log.local.retention.ms=-1: Invalid value -1 for configuration log.local.retention.ms: Value must not be -1 as log.retention.ms value is set as 604800000.
        log.local.retention.ms=604800001: Invalid value 604800001 for configuration log.local.retention.ms: Value must not be more than log.retention.ms property value: 604800000
        log.local.retention.ms=604800000: ok
        log.local.retention.bytes=7: ok
    "#]].assert_eq(&lines);
}
