use expect_test::{Expect, expect};

use super::*;
use crate::keys;

fn check(file: &str, overrides: &[&str], expected: Expect) {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let path = Path::new("server.properties");
    let outcome = match Settings::parse(Some((path, file.as_bytes())), &overrides) {
        Err(error) => format!("{error}\n"),
        Ok(settings) => {
            let set = settings.fixed().iter();
            let set = set.map(|(key, set)| format!("{key}={} ({})\n", set.text, set.source));
            let warnings = settings.warnings().iter();
            set.chain(warnings.map(|warning| format!("warning: {warning}\n")))
                .collect()
        }
    };
    expected.assert_eq(&outcome);
}

#[test]
fn a_file_and_overrides() {
    check(
        "# a comment\n\nnum.partitions = 3\nlog.dirs=/a,\\\n  /b\n! another\nbroker.rack:east",
        &["num.partitions=5", " default.replication.factor = 1 "],
        expect![[r#"
            broker.rack=east (server.properties:7)
            default.replication.factor=1 (--override)
            log.dirs=/a,/b (server.properties:4)
            num.partitions=5 (--override)
        "#]],
    );
}

#[test]
fn node_id_and_broker_id_stand_for_each_other() {
    check(
        "broker.id=7",
        &[],
        expect![[r#"
            broker.id=7 (server.properties:1)
            node.id=7 (server.properties:1)
        "#]],
    );
    check(
        "",
        &["node.id=3"],
        expect![[r#"
            broker.id=3 (--override)
            node.id=3 (--override)
        "#]],
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check(
        "num.partition=3\nnum.partitions=none\ncompression.type=zip\nssl.client.auth=maybe",
        &[
            "min.insync.replicas=0",
            "nonsense",
            "=3",
            "completely.unheard.of.by.anyone=1",
        ],
        expect![[r#"
            server.properties:1: unknown key 'num.partition'; did you mean 'num.partitions'?
            server.properties:2: Invalid value none for configuration num.partitions: Not a number of type INT (allowed: a whole number of 32 bits, at least 1)
            server.properties:3: Invalid value zip for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer (allowed: one of uncompressed, zstd, lz4, snappy, gzip, producer)
            server.properties:4: Invalid value maybe for configuration ssl.client.auth: String must be one of: required, requested, none (allowed: one of required, requested, none)
            --override: Invalid value 0 for configuration min.insync.replicas: Value must be at least 1 (allowed: a whole number of 32 bits, at least 1)
            --override nonsense: expected key=value
            --override =3: expected key=value
            --override: unknown key 'completely.unheard.of.by.anyone'
        "#]],
    );
}

#[test]
fn a_broken_file() {
    check(
        "log.dirs=\\u12",
        &[],
        expect![[r#"
            server.properties:1: not a line of a properties file: Malformed \uxxxx encoding: not enough digits.
        "#]],
    );
    let missing = Settings::load(Some(Path::new("/nonexistent/server.properties")), &[]);
    expect!["cannot read /nonexistent/server.properties: No such file or directory (os error 2)"]
        .assert_eq(&missing.expect_err("there is no such file").to_string());
}

#[test]
fn warnings_name_the_key_and_the_place() {
    check(
        "num.io.threads=8\nzookeeper.connect=zk:2181\nlog.dir=/a\nlog.dir=/b\nrsm.config.x=1\n\
         listener.name.internal.ssl.key.password=secret",
        &["log.dir=/c"],
        expect![[r#"
            listener.name.internal.ssl.key.password=secret (server.properties:6)
            log.dir=/c (--override)
            num.io.threads=8 (server.properties:1)
            rsm.config.x=1 (server.properties:5)
            warning: server.properties:2: 'zookeeper.connect' is not a key of Kafka 4 any more and is ignored: metadata is kept without ZooKeeper
            warning: server.properties:4: 'log.dir' was set before, in line 3; this one counts
            warning: server.properties:6: 'listener.name.internal.ssl.key.password' is known but has no effect yet
            warning: server.properties:1: 'num.io.threads' is known but has no effect yet
            warning: server.properties:5: 'rsm.config.x' is known but has no effect yet
        "#]],
    );
}

#[test]
fn rates_are_only_set_while_the_broker_runs() {
    check(
        "leader.replication.throttled.rate=10",
        &[],
        expect![[r#"
            server.properties:1: 'leader.replication.throttled.rate' can only be set while the broker runs, with AlterConfigs
        "#]],
    );
}

#[test]
fn the_highest_layer_counts() {
    let fixed = Settings::parse(
        Some((
            Path::new("f"),
            b"background.threads=4\nmessage.max.bytes=1\nnum.io.threads=3",
        )),
        &["num.io.threads=5".to_owned()],
    )
    .expect("valid");
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let settings = fixed.with_dynamic(
        map(&[("background.threads", "5"), ("message.max.bytes", "2")]),
        map(&[("message.max.bytes", "3")]),
    );
    let seen: Vec<_> = [
        "num.io.threads",
        "background.threads",
        "message.max.bytes",
        "num.partitions",
    ]
    .iter()
    .map(|name| {
        let key = keys::broker_key(name).expect("a key");
        format!(
            "{name}={:?} ({})",
            settings.value(key),
            settings.source(name)
        )
    })
    .collect();
    expect![[r#"
        num.io.threads=Integer(5) (--override)
        background.threads=Integer(5) (dynamic default of the cluster)
        message.max.bytes=Integer(3) (dynamic setting of this broker)
        num.partitions=Integer(1) (default)"#]]
    .assert_eq(&seen.join("\n"));
}

#[test]
fn a_listener_may_have_its_own_value() {
    let settings = Settings::parse(
        Some((
            Path::new("f"),
            b"max.connections=9\nlistener.name.internal.max.connections=2",
        )),
        &[],
    )
    .expect("valid");
    assert_eq!(
        settings.listener_value("INTERNAL", "max.connections"),
        Value::Integer(2)
    );
    assert_eq!(
        settings.listener_value("OTHER", "max.connections"),
        Value::Integer(9)
    );
}
