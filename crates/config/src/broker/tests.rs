use expect_test::{Expect, expect};

use super::*;

fn load(overrides: &[&str]) -> Result<BrokerConfig, ConfigError> {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    BrokerConfig::load(None, &overrides)
}

fn check(overrides: &[&str], expected: Expect) {
    let outcome = match load(overrides) {
        Ok(config) => config
            .warnings()
            .iter()
            .map(|warning| format!("warning: {warning}\n"))
            .collect(),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&outcome);
}

#[test]
fn a_broker_starts_without_a_file() {
    let config = load(&[]).expect("the defaults are a configuration");
    assert_eq!(config.warnings(), []);
    assert_eq!(config.node_id, 1);
    assert_eq!(
        config.roles,
        Roles {
            broker: true,
            controller: true
        }
    );
    assert_eq!(config.log.dirs, [PathBuf::from("./ottla-data")]);
    assert_eq!(config.metadata.dir, PathBuf::from("./ottla-data"));
    assert_eq!(config.log.flush_interval_bytes, 104_857_600);
    assert_eq!(config.topics.partitions_default, 1);
    assert!(config.topics.auto_create);
    assert_eq!(config.group.initial_rebalance_delay_ms, 3_000);
    assert_eq!(config.group.offsets_retention_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.group.offsets_topic_partitions, 50);
    assert_eq!(config.group.offsets_topic_replication_factor, 1);
    assert_eq!(config.network.connection_idle_ms_max, Some(600_000));
    assert_eq!(config.network.queued_request_bytes_max, None);
    assert_eq!(config.metadata.snapshot_interval_ms, Some(3_600_000));
}

#[test]
fn fields_follow_their_keys() {
    let config = load(&[
        "broker.id=9",
        "log.dirs=/a, /b",
        "metadata.log.dir=/m",
        "max.connections.per.ip.overrides=10.0.0.1:5, [::1]:7",
        "socket.send.buffer.bytes=-1",
        "metadata.log.max.snapshot.interval.ms=0",
        "controller.quorum.voters=9@localhost:9093,10@[::1]:9094",
    ])
    .expect("valid");
    assert_eq!(config.node_id, 9);
    assert_eq!(config.value("node.id").as_deref(), Some("9"));
    assert_eq!(config.value("log.dirs").as_deref(), Some("/a,/b"));
    assert_eq!(config.value("log.retention.ms"), None);
    assert_eq!(config.value("no.such.key"), None);
    assert_eq!(config.log.dirs, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.metadata.dir, PathBuf::from("/m"));
    let overrides = [("10.0.0.1".to_owned(), 5), ("::1".to_owned(), 7)];
    assert_eq!(config.network.connections_per_ip_overrides, overrides);
    assert_eq!(config.network.send_buffer_bytes, None);
    assert_eq!(config.metadata.snapshot_interval_ms, None);
    let voters = [
        (9, "localhost".to_owned(), 9093),
        (10, "::1".to_owned(), 9094),
    ];
    assert_eq!(config.quorum.voters, voters);
}

#[test]
fn keys_must_fit_together() {
    check(
        &["node.id=1", "broker.id=2"],
        expect![[r#"
            node.id is 1 but broker.id is 2; they must be the same
        "#]],
    );
    check(
        &[
            "log.roll.ms=0",
            "log.retention.minutes=0",
            "log.flush.interval.ms=-1",
        ],
        expect![[r#"
            log.roll.ms must be at least 1, but is 0
            log.flush.interval.ms must be at least 0, but is -1
            log.retention.ms must be -1 (no limit) or at least 1, but is 0
        "#]],
    );
    check(
        &["replica.fetch.wait.max.ms=40000"],
        expect![[r#"
            replica.fetch.wait.max.ms (40000) must not be greater than replica.socket.timeout.ms (30000)
            replica.fetch.wait.max.ms (40000) must not be greater than replica.lag.time.max.ms (30000)
        "#]],
    );
    check(
        &["queued.max.request.bytes=1024"],
        expect![[r#"
            socket.request.max.bytes (104857600) must not be greater than queued.max.request.bytes (1024)
        "#]],
    );
    check(
        &["log.cleaner.threads=200"],
        expect![[r#"
            log.cleaner.dedupe.buffer.size must be at least 209715201, but is 134217728
        "#]],
    );
    check(
        &[
            "log.cleaner.min.compaction.lag.ms=10",
            "log.cleaner.max.compaction.lag.ms=5",
        ],
        expect![[r#"
            log.cleaner.min.compaction.lag.ms (10) must not be greater than log.cleaner.max.compaction.lag.ms (5)
        "#]],
    );
    check(
        &["max.connections.per.ip=0"],
        expect![[r#"
            max.connections.per.ip may be 0 only if max.connections.per.ip.overrides is set
        "#]],
    );
    check(
        &["max.connections.per.ip.overrides=10.0.0.1"],
        expect![[r#"
            --override: max.connections.per.ip.overrides: '10.0.0.1' is not of the form address:count
        "#]],
    );
    check(
        &["group.coordinator.rebalance.protocols=consumer"],
        expect![[r#"
            group.coordinator.rebalance.protocols must include classic
        "#]],
    );
    check(
        &["cordoned.log.dirs=/elsewhere"],
        expect![[r#"
            cordoned.log.dirs names /elsewhere, which is not among log.dirs
        "#]],
    );
    check(
        &["cordoned.log.dirs=*,./ottla-data"],
        expect![[r#"
            cordoned.log.dirs is * and must then name nothing else
        "#]],
    );
}

#[test]
fn a_node_knows_its_controllers() {
    let broker = ["process.roles=broker", "controller.listener.names=CTL"];
    check(
        &broker,
        expect![[r#"
            process.roles is broker, so controller.quorum.bootstrap.servers or controller.quorum.voters must say where the controllers are
        "#]],
    );
    check(
        &["controller.quorum.voters=2@a:1"],
        expect![[r#"
            node.id 1 is a controller and must be among controller.quorum.voters
        "#]],
    );
    check(
        &[broker[0], broker[1], "controller.quorum.voters=1@a:1"],
        expect![[r#"
            node.id 1 is only a broker and must not be among controller.quorum.voters
        "#]],
    );
    check(
        &[
            broker[0],
            broker[1],
            "controller.quorum.voters=2@a:1",
            "controller.quorum.auto.join.enable=true",
        ],
        expect![[r#"
            controller.quorum.auto.join.enable is for controllers, but process.roles is broker
        "#]],
    );
}

#[test]
fn a_heartbeat_that_is_too_slow_is_a_warning() {
    check(
        &["broker.heartbeat.interval.ms=5000"],
        expect![[r#"
            warning: --override: 'broker.heartbeat.interval.ms' is known but has no effect yet
            warning: broker.heartbeat.interval.ms (5000) should be at most half of broker.session.timeout.ms (9000), or one lost heartbeat fences the broker
        "#]],
    );
}
