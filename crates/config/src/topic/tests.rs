use expect_test::{Expect, expect};

use super::*;
use crate::{BrokerConfig, Overrides};

fn broker(overrides: &[&str]) -> BrokerConfig {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    BrokerConfig::load(None, &overrides).expect("valid")
}

fn map(pairs: &[(&str, &str)]) -> Overrides {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

/// Kafka's documented defaults of topics. The one that differs on purpose is `flush.ms`.
#[test]
fn topic_defaults_are_kafkas() {
    let kafka = TopicConfigs {
        cleanup_compact: false,
        cleanup_delete: true,
        compression_type: CompressionType::Producer,
        compression_gzip_level: -1,
        compression_lz4_level: 9,
        compression_zstd_level: 3,
        delete_retention_ms: 86_400_000,
        file_delete_delay_ms: 60_000,
        flush_messages: i64::MAX,
        flush_ms: i64::MAX,
        follower_throttled_replicas: Arc::default(),
        leader_throttled_replicas: Arc::default(),
        index_interval_bytes: 4096,
        local_retention_bytes: -2,
        local_retention_ms: -2,
        max_compaction_lag_ms: i64::MAX,
        max_message_bytes: 1_048_588,
        message_timestamp_after_max_ms: 3_600_000,
        message_timestamp_before_max_ms: i64::MAX,
        message_timestamp_type: TimestampType::CreateTime,
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: 0,
        min_insync_replicas: 1,
        preallocate: false,
        remote_copy_disable: false,
        remote_delete_on_disable: false,
        remote_storage_enable: false,
        retention_bytes: -1,
        retention_ms: 604_800_000,
        segment_bytes: 1_073_741_824,
        segment_index_bytes: 10_485_760,
        segment_jitter_ms: 0,
        segment_ms: 604_800_000,
        unclean_leader_election_enable: false,
    };
    let ours = TopicConfigs {
        flush_ms: 10_000,
        ..kafka.clone()
    };
    assert_eq!(broker(&[]).topic_defaults, ours);

    // The defaults of the topic keys themselves say the same as those of the broker keys.
    let defaults = keys::topic_keys()
        .iter()
        .filter_map(|key| Some((key.name, key.default?)));
    assert_eq!(ours.with_overrides(defaults), Ok(ours));
}

#[test]
fn every_synonym_is_a_broker_key_of_the_same_type() {
    assert!(SYNONYMS.is_sorted_by_key(|(name, _)| *name));
    for (name, synonyms) in SYNONYMS {
        let topic_key = keys::topic_key(name).expect("a topic key");
        for synonym in *synonyms {
            let broker_key = keys::broker_key(synonym.broker_key).expect("a broker key");
            if synonym.factor == 1 {
                assert_eq!(topic_key.kind, broker_key.kind, "{name}");
                assert_eq!(broker_key.support, topic_key.support, "{name}");
            }
        }
    }
}

fn check_chain(overrides: &[&str], expected: Expect) {
    let topic = broker(overrides).topic_defaults;
    expected.assert_eq(&format!(
        "retention {} roll {} jitter {} flush {}",
        topic.retention_ms, topic.segment_ms, topic.segment_jitter_ms, topic.flush_ms
    ));
}

#[test]
fn the_first_key_of_a_chain_that_is_set_counts() {
    check_chain(
        &[],
        expect!["retention 604800000 roll 604800000 jitter 0 flush 10000"],
    );
    check_chain(
        &[
            "log.retention.hours=2",
            "log.roll.hours=3",
            "log.roll.jitter.hours=1",
        ],
        expect!["retention 7200000 roll 10800000 jitter 3600000 flush 10000"],
    );
    check_chain(
        &[
            "log.retention.hours=2",
            "log.retention.minutes=5",
            "log.roll.hours=3",
            "log.roll.ms=7",
        ],
        expect!["retention 300000 roll 7 jitter 0 flush 10000"],
    );
    check_chain(
        &[
            "log.retention.minutes=5",
            "log.retention.ms=9",
            "log.flush.scheduler.interval.ms=4",
        ],
        expect!["retention 9 roll 604800000 jitter 0 flush 4"],
    );
    check_chain(
        &[
            "log.flush.interval.ms=6",
            "log.flush.scheduler.interval.ms=4",
        ],
        expect!["retention 604800000 roll 604800000 jitter 0 flush 6"],
    );
    check_chain(
        &["log.retention.hours=-1"],
        expect!["retention -1 roll 604800000 jitter 0 flush 10000"],
    );
}

#[test]
fn overrides_lie_over_the_broker() {
    let defaults = broker(&["log.segment.bytes=2097152", "compression.type=zstd"]).topic_defaults;
    let topic = defaults
        .with_overrides([
            ("internal.segment.bytes", "100"),
            ("segment.bytes", "1048576"),
            ("cleanup.policy", "compact"),
            ("compression.type", "gzip"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.compaction.lag.ms", "1000"),
            ("leader.replication.throttled.replicas", "0:1"),
            ("not.a.key.of.topics", "1"),
        ])
        .expect("valid");
    assert_eq!(topic.segment_bytes, 100);
    assert!(topic.cleanup_compact && !topic.cleanup_delete);
    assert_eq!(topic.compression_type, CompressionType::Gzip);
    assert_eq!(topic.message_timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(topic.segment_ms_max(), 1000);
    assert_eq!(*topic.leader_throttled_replicas, ["0:1".to_owned()]);
    assert_eq!(topic.effective_local_retention_ms(), topic.retention_ms);
    assert_eq!(
        topic.effective_local_retention_bytes(),
        topic.retention_bytes
    );
    assert_eq!(defaults.segment_bytes, 2_097_152);
    assert_eq!(defaults.compression_type, CompressionType::Zstd);
    assert_eq!(defaults.segment_ms_max(), defaults.segment_ms);
}

fn check(configs: &[(&str, &str)], before: &[(&str, &str)], tiering: bool, expected: Expect) {
    let defaults = broker(&[]).topic_defaults;
    let outcome = match validate_topic(&defaults, &map(configs), &map(before), tiering) {
        Ok(_) => "allowed".to_owned(),
        Err(error) => format!("{:?}: {error}", error.code),
    };
    expected.assert_eq(&outcome);
}

#[test]
fn a_topic_is_checked_as_a_whole() {
    check(&[("retention.ms", "1000")], &[], false, expect!["allowed"]);
    check(
        &[("retention.msec", "1000")],
        &[],
        false,
        expect!["InvalidConfig: Unknown topic config name: retention.msec"],
    );
    check(
        &[("retention.ms", "soon")],
        &[],
        false,
        expect![
            "InvalidConfig: Invalid value soon for configuration retention.ms: Not a number of type LONG"
        ],
    );
    check(
        &[
            ("min.compaction.lag.ms", "2"),
            ("max.compaction.lag.ms", "1"),
        ],
        &[],
        false,
        expect![
            "InvalidConfig: conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)"
        ],
    );
}

#[test]
fn tiered_topics() {
    let on = ("remote.storage.enable", "true");
    check(
        &[on],
        &[],
        false,
        expect![
            "InvalidConfig: Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
        ],
    );
    check(&[on], &[], true, expect!["allowed"]);
    check(
        &[on, ("cleanup.policy", "compact,delete")],
        &[],
        true,
        expect![
            "InvalidConfig: Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy being an empty list."
        ],
    );
    check(
        &[on, ("retention.ms", "5"), ("local.retention.ms", "6")],
        &[],
        true,
        expect![
            "InvalidConfig: Invalid value 6 for configuration local.retention.ms: Value must not be more than retention.ms property value: 5"
        ],
    );
    check(
        &[
            on,
            ("retention.bytes", "5"),
            ("local.retention.bytes", "-1"),
        ],
        &[],
        true,
        expect![
            "InvalidConfig: Invalid value -1 for configuration local.retention.bytes: Value must not be -1 as retention.bytes value is set as 5."
        ],
    );
    check(
        &[
            on,
            ("retention.ms", "5"),
            ("local.retention.ms", "4"),
            ("remote.log.copy.disable", "true"),
        ],
        &[],
        true,
        expect![
            "InvalidConfig: With remote.log.copy.disable, local.retention.ms and retention.ms must be the same, as nothing more is copied to remote storage"
        ],
    );
    check(
        &[],
        &[on],
        true,
        expect![
            "InvalidConfig: remote.storage.enable cannot be turned off while remote data is kept. Set remote.log.copy.disable=true to stop uploading and keep the data, or remote.log.delete.on.disable=true to delete it"
        ],
    );
    check(
        &[("remote.log.delete.on.disable", "true")],
        &[on],
        true,
        expect!["allowed"],
    );
}
