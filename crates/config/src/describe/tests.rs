use expect_test::{Expect, expect};

use super::*;

fn map(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn broker(overrides: &[&str]) -> BrokerConfig {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    BrokerConfig::load(None, &overrides).expect("valid")
}

fn show(entries: &[ConfigEntry]) -> String {
    let mut lines = String::new();
    for entry in entries {
        let synonyms: Vec<_> = entry
            .synonyms
            .iter()
            .map(|s| {
                format!(
                    "{:?} {}={}",
                    s.source,
                    s.name,
                    s.value.as_deref().unwrap_or("null")
                )
            })
            .collect();
        lines += &format!(
            "{}={} ({:?}{}{}, {:?}) [{}]\n",
            entry.name,
            entry.value.as_deref().unwrap_or("null"),
            entry.source,
            if entry.sensitive { ", secret" } else { "" },
            if entry.read_only { ", read-only" } else { "" },
            entry.kind,
            synonyms.join(", "),
        );
    }
    lines
}

#[test]
fn a_topic_shows_where_its_values_come_from() {
    let broker = broker(&["log.retention.hours=1", "min.insync.replicas=2"]);
    let overrides = map(&[
        ("cleanup.policy", "compact, delete"),
        ("max.message.bytes", "5"),
    ]);
    let names = [
        "cleanup.policy",
        "retention.ms",
        "min.insync.replicas",
        "remote.storage.enable",
    ];
    expect![[r#"
        cleanup.policy=compact,delete (Topic, Some(List)) [Topic cleanup.policy=compact,delete, Default log.cleanup.policy=delete]
        min.insync.replicas=2 (StaticBroker, Some(Int)) [StaticBroker min.insync.replicas=2, Default min.insync.replicas=1]
        remote.storage.enable=false (Default, Some(Boolean)) []
        retention.ms=3600000 (Default, Some(Long)) []
    "#]]
    .assert_eq(&show(&describe_topic(&broker, &overrides, Some(&names))));

    let all = describe_topic(&broker, &overrides, None);
    assert_eq!(all.len(), keys::topic_keys().len() - 1);
    assert!(
        all.iter()
            .all(|entry| entry.documentation.is_some() && !entry.sensitive)
    );
    assert!(
        !all.iter()
            .any(|entry| entry.name == "internal.segment.bytes")
    );
    let internal = map(&[("internal.segment.bytes", "7")]);
    assert_eq!(
        describe_topic(&broker, &internal, None).len(),
        keys::topic_keys().len()
    );
}

#[test]
fn a_value_that_does_not_parse_is_shown_as_it_is() {
    let overrides = map(&[("retention.ms", "later")]);
    let entries = describe_topic(&broker(&[]), &overrides, Some(&["retention.ms"]));
    assert_eq!(entries[0].value.as_deref(), Some("later"));
}

fn check_broker(config: &BrokerConfig, names: &[&str], expected: Expect) {
    expected.assert_eq(&show(&describe_broker(config, Some(names))));
}

#[test]
fn a_broker_shows_its_layers() {
    let config = broker(&["log.retention.minutes=5", "message.max.bytes=10"])
        .with_dynamic(
            &map(&[
                ("message.max.bytes", "20"),
                ("leader.replication.throttled.rate", "1"),
            ]),
            &map(&[("message.max.bytes", "30")]),
        )
        .expect("valid");
    check_broker(
        &config,
        &[
            "message.max.bytes",
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
            "leader.replication.throttled.rate",
            "follower.replication.throttled.rate",
            "unstable.api.versions.enable",
        ],
        expect![[r#"
            message.max.bytes=30 (DynamicBroker, Some(Int)) [DynamicBroker message.max.bytes=30, DynamicDefaultBroker message.max.bytes=20, StaticBroker message.max.bytes=10, Default message.max.bytes=1048588]
            log.retention.hours=168 (Default, read-only, Some(Int)) [Default log.retention.hours=168]
            log.retention.minutes=5 (StaticBroker, read-only, Some(Int)) [StaticBroker log.retention.minutes=5, Default log.retention.hours=168]
            log.retention.ms=null (Default, Some(Long)) []
            leader.replication.throttled.rate=1 (DynamicDefaultBroker, Some(Long)) [DynamicDefaultBroker leader.replication.throttled.rate=1, Default leader.replication.throttled.rate=9223372036854775807]
        "#]],
    );
    expect![[r#"
        leader.replication.throttled.rate=1 (DynamicDefaultBroker, Some(Long)) [DynamicDefaultBroker leader.replication.throttled.rate=1]
        message.max.bytes=20 (DynamicDefaultBroker, Some(Int)) [DynamicDefaultBroker message.max.bytes=20]
    "#]]
    .assert_eq(&show(&describe_broker_defaults(&config, None)));
}

#[test]
fn secrets_and_what_may_be_one_are_hidden() {
    let config = broker(&[
        "ssl.key.password=hunter2",
        "listener.name.a.ssl.keystore.password=hunter2",
        "listener.name.a.max.connections=5",
        "rsm.config.password=hunter2",
    ]);
    let names = [
        "ssl.key.password",
        "listener.name.a.ssl.keystore.password",
        "listener.name.a.max.connections",
        "rsm.config.password",
    ];
    check_broker(
        &config,
        &names,
        expect![[r#"
            ssl.key.password=null (StaticBroker, secret, Some(Password)) [StaticBroker ssl.key.password=null]
            listener.name.a.max.connections=5 (StaticBroker, read-only, Some(Int)) [StaticBroker listener.name.a.max.connections=5, Default max.connections=2147483647]
            listener.name.a.ssl.keystore.password=null (StaticBroker, secret, read-only, Some(Password)) [StaticBroker listener.name.a.ssl.keystore.password=null]
            rsm.config.password=null (StaticBroker, secret, read-only, None) [StaticBroker rsm.config.password=null]
        "#]],
    );
    let printed = format!("{:?}", print_config(&config));
    assert!(printed.contains("[hidden]") && !printed.contains("hunter2"));
}

#[test]
fn groups_and_client_metrics() {
    let config = broker(&["group.consumer.session.timeout.ms=50000"]);
    let overrides = map(&[("share.isolation.level", "read_committed")]);
    let names = [
        "consumer.session.timeout.ms",
        "share.isolation.level",
        "share.auto.offset.reset",
    ];
    expect![[r#"
        consumer.session.timeout.ms=50000 (StaticBroker, Some(Int)) [StaticBroker group.consumer.session.timeout.ms=50000, Default group.consumer.session.timeout.ms=45000]
        share.auto.offset.reset=latest (Default, Some(String)) [Default share.auto.offset.reset=latest]
        share.isolation.level=read_committed (Group, Some(String)) [Group share.isolation.level=read_committed, Default share.isolation.level=read_uncommitted]
    "#]]
    .assert_eq(&show(&describe_group(&config, &overrides, Some(&names))));
    expect![[r#"
        interval.ms=1000 (ClientMetrics, Some(Int)) [ClientMetrics interval.ms=1000]
        match= (Default, Some(List)) []
        metrics= (Default, Some(List)) []
    "#]]
    .assert_eq(&show(&describe_client_metrics(
        &map(&[("interval.ms", "1000")]),
        None,
    )));
}

#[test]
fn print_config_shows_every_key() {
    let config = broker(&["num.io.threads=4"]);
    let printed = print_config(&config);
    let line = |name: &str| {
        let key = printed
            .iter()
            .find(|key| key.name == name)
            .expect("every key is shown");
        format!(
            "{}={} ({}, supported {})",
            key.name, key.value, key.source, key.supported
        )
    };
    expect!["num.io.threads=4 (--override, supported false)"].assert_eq(&line("num.io.threads"));
    expect!["num.partitions=1 (default, supported true)"].assert_eq(&line("num.partitions"));
    expect!["log.retention.ms= (default, supported true)"].assert_eq(&line("log.retention.ms"));
    assert!(printed.iter().all(|key| !key.doc.is_empty()));
    let visible = keys::broker_keys().filter(|key| !key.hidden && !keys::is_dynamic_only(key.name));
    assert_eq!(printed.len(), visible.count());
}
