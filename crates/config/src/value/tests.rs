use expect_test::{Expect, expect};

use super::*;
use crate::alter::ResourceType;

fn check(resource: ResourceType, name: &str, text: &str, expected: Expect) {
    let key = resource
        .key(name)
        .unwrap_or_else(|| panic!("no key {name}"));
    let outcome = match key.parse(text) {
        Ok(value) => {
            let rendered = value.render().expect("a parsed value is not null");
            let again = key.parse(&rendered).expect("a rendered value parses");
            assert_eq!(again.render().as_ref(), Some(&rendered));
            rendered
        }
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&outcome);
}

fn topic(name: &str, text: &str, expected: Expect) {
    check(ResourceType::Topic, name, text, expected);
}

fn broker(name: &str, text: &str, expected: Expect) {
    check(ResourceType::Broker, name, text, expected);
}

#[test]
fn numbers() {
    topic("retention.ms", " 5 ", expect!["5"]);
    topic("retention.ms", "+5", expect!["5"]);
    topic("retention.ms", "-1", expect!["-1"]);
    topic(
        "retention.ms",
        "-2",
        expect![
            "error: Invalid value -2 for configuration retention.ms: Value must be at least -1"
        ],
    );
    topic(
        "retention.ms",
        "7d",
        expect![
            "error: Invalid value 7d for configuration retention.ms: Not a number of type LONG"
        ],
    );
    topic(
        "retention.ms",
        "",
        expect!["error: Invalid value  for configuration retention.ms: Not a number of type LONG"],
    );
    topic(
        "retention.ms",
        "9223372036854775808",
        expect![
            "error: Invalid value 9223372036854775808 for configuration retention.ms: Not a number of type LONG"
        ],
    );
    topic(
        "segment.bytes",
        "2147483648",
        expect![
            "error: Invalid value 2147483648 for configuration segment.bytes: Not a number of type INT"
        ],
    );
    topic(
        "segment.bytes",
        "1024",
        expect![
            "error: Invalid value 1024 for configuration segment.bytes: Value must be at least 1048576"
        ],
    );
    broker(
        "offsets.topic.replication.factor",
        "40000",
        expect![
            "error: Invalid value 40000 for configuration offsets.topic.replication.factor: Not a number of type SHORT"
        ],
    );
    topic(
        "compression.lz4.level",
        "18",
        expect![
            "error: Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17"
        ],
    );
    topic("compression.gzip.level", "-1", expect!["-1"]);
    topic(
        "compression.gzip.level",
        "0",
        expect![
            "error: Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"
        ],
    );
}

#[test]
fn fractions_are_printed_as_java_prints_them() {
    topic("min.cleanable.dirty.ratio", "0.50", expect!["0.5"]);
    topic("min.cleanable.dirty.ratio", "1", expect!["1.0"]);
    topic("min.cleanable.dirty.ratio", "1e-5", expect!["1.0E-5"]);
    topic(
        "min.cleanable.dirty.ratio",
        "1.5",
        expect![
            "error: Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"
        ],
    );
    topic(
        "min.cleanable.dirty.ratio",
        "NaN",
        expect![
            "error: Invalid value NaN for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE"
        ],
    );
    broker(
        "log.cleaner.io.max.bytes.per.second",
        "12500000",
        expect!["1.25E7"],
    );
}

#[test]
fn booleans_and_names() {
    topic("preallocate", "TRUE", expect!["true"]);
    topic(
        "preallocate",
        "yes",
        expect![
            "error: Invalid value yes for configuration preallocate: Expected value to be either true or false"
        ],
    );
    topic("compression.type", "zstd", expect!["zstd"]);
    topic(
        "compression.type",
        "none",
        expect![
            "error: Invalid value none for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"
        ],
    );
    broker(
        "group.consumer.migration.policy",
        "Upgrade",
        expect!["Upgrade"],
    );
    broker(
        "group.consumer.migration.policy",
        "sideways",
        expect![
            "error: Invalid value sideways for configuration group.consumer.migration.policy: String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL"
        ],
    );
    broker(
        "remote.log.storage.manager.class.name",
        " ",
        expect![
            "error: Invalid value   for configuration remote.log.storage.manager.class.name: String must be non-empty"
        ],
    );
}

#[test]
fn lists() {
    topic(
        "cleanup.policy",
        "compact , delete",
        expect!["compact,delete"],
    );
    topic("cleanup.policy", "", expect![""]);
    topic(
        "cleanup.policy",
        "compact,compact",
        expect!["error: Configuration 'cleanup.policy' values must not be duplicated."],
    );
    topic(
        "cleanup.policy",
        "compact,",
        expect!["error: Configuration 'cleanup.policy' values must not be empty."],
    );
    topic(
        "cleanup.policy",
        "shred",
        expect![
            "error: Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete"
        ],
    );
    broker(
        "process.roles",
        "",
        expect![
            "error: Configuration 'process.roles' must not be empty. Valid values include: [broker, controller]"
        ],
    );
    broker(
        "log.dirs",
        " ",
        expect![
            "error: Configuration 'log.dirs' must not be empty. Valid values include: any non-empty value"
        ],
    );
    topic(
        "leader.replication.throttled.replicas",
        "0:1,12:3",
        expect!["0:1,12:3"],
    );
    topic("leader.replication.throttled.replicas", "*", expect!["*"]);
    topic(
        "leader.replication.throttled.replicas",
        "0-1",
        expect![
            "error: Invalid value [0-1] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        ],
    );
}

#[test]
fn addresses() {
    broker(
        "controller.quorum.voters",
        "1@a:9093,2@[::1]:9093",
        expect!["1@a:9093,2@[::1]:9093"],
    );
    broker(
        "controller.quorum.voters",
        "a:9093",
        expect![
            "error: Invalid value a:9093 for configuration controller.quorum.voters: Each entry should be in the form `{id}@{host}:{port}`, but one is a:9093"
        ],
    );
    broker(
        "controller.quorum.bootstrap.servers",
        "a:1,b",
        expect![
            "error: Invalid value a:1,b for configuration controller.quorum.bootstrap.servers: Each entry should be in the form `{host}:{port}`, but one is b"
        ],
    );
}

#[test]
fn where_share_groups_start() {
    for (text, fits) in [
        ("latest", true),
        ("earliest", true),
        ("by_duration:PT1H", true),
        ("by_duration:P1DT2H3M4.5S", true),
        ("by_duration:P1D", true),
        ("by_duration:P", false),
        ("by_duration:PT", false),
        ("by_duration:-PT1H", false),
        ("by_duration:PT1M1H", false),
        ("by_duration:1h", false),
        ("by_duration", false),
        ("newest", false),
    ] {
        let key = ResourceType::Group
            .key("share.auto.offset.reset")
            .expect("a key");
        assert_eq!(key.parse(text).is_ok(), fits, "{text}");
    }
}

#[test]
fn secrets_stay_out_of_messages() {
    let key = ResourceType::Broker.key("ssl.key.password").expect("a key");
    assert_eq!(
        key.parse(" hunter2 "),
        Ok(Value::Text("hunter2".to_owned()))
    );
    let bad = BadValue {
        key: "k".into(),
        value: HIDDEN.into(),
        fault: Fault::EmptyText,
    };
    expect!["Invalid value [hidden] for configuration k: String must be non-empty"]
        .assert_eq(&bad.to_string());
}
