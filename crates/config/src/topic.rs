//! A topic's configuration as the log reads it: the topic's own settings over the broker's.
//!
//! Invariant: a field is what the topic overrides, or else what the first broker key of its
//! synonym chain says (`retention.ms` ← `log.retention.ms` ← `log.retention.minutes` ←
//! `log.retention.hours`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alter::AlterError;
use crate::keys;
use crate::settings::Settings;
use crate::value::{BadValue, Value};

/// A broker key whose value a topic key takes, and what turns its unit into the topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    pub broker_key: &'static str,
    pub factor: i64,
}

const fn same(broker_key: &'static str) -> Synonym {
    Synonym {
        broker_key,
        factor: 1,
    }
}

const fn minutes(broker_key: &'static str) -> Synonym {
    Synonym {
        broker_key,
        factor: 60 * 1000,
    }
}

const fn hours(broker_key: &'static str) -> Synonym {
    Synonym {
        broker_key,
        factor: 60 * 60 * 1000,
    }
}

/// The broker keys behind each topic key; the first that is set counts. Sorted by topic key.
const SYNONYMS: &[(&str, &[Synonym])] = &[
    ("cleanup.policy", &[same("log.cleanup.policy")]),
    ("compression.gzip.level", &[same("compression.gzip.level")]),
    ("compression.lz4.level", &[same("compression.lz4.level")]),
    ("compression.type", &[same("compression.type")]),
    ("compression.zstd.level", &[same("compression.zstd.level")]),
    (
        "delete.retention.ms",
        &[same("log.cleaner.delete.retention.ms")],
    ),
    (
        "file.delete.delay.ms",
        &[same("log.segment.delete.delay.ms")],
    ),
    ("flush.messages", &[same("log.flush.interval.messages")]),
    (
        "flush.ms",
        &[
            same("log.flush.interval.ms"),
            same("log.flush.scheduler.interval.ms"),
        ],
    ),
    ("index.interval.bytes", &[same("log.index.interval.bytes")]),
    (
        "local.retention.bytes",
        &[same("log.local.retention.bytes")],
    ),
    ("local.retention.ms", &[same("log.local.retention.ms")]),
    (
        "max.compaction.lag.ms",
        &[same("log.cleaner.max.compaction.lag.ms")],
    ),
    ("max.message.bytes", &[same("message.max.bytes")]),
    (
        "message.timestamp.after.max.ms",
        &[same("log.message.timestamp.after.max.ms")],
    ),
    (
        "message.timestamp.before.max.ms",
        &[same("log.message.timestamp.before.max.ms")],
    ),
    (
        "message.timestamp.type",
        &[same("log.message.timestamp.type")],
    ),
    (
        "min.cleanable.dirty.ratio",
        &[same("log.cleaner.min.cleanable.ratio")],
    ),
    (
        "min.compaction.lag.ms",
        &[same("log.cleaner.min.compaction.lag.ms")],
    ),
    ("min.insync.replicas", &[same("min.insync.replicas")]),
    ("preallocate", &[same("log.preallocate")]),
    ("retention.bytes", &[same("log.retention.bytes")]),
    (
        "retention.ms",
        &[
            same("log.retention.ms"),
            minutes("log.retention.minutes"),
            hours("log.retention.hours"),
        ],
    ),
    ("segment.bytes", &[same("log.segment.bytes")]),
    ("segment.index.bytes", &[same("log.index.size.max.bytes")]),
    (
        "segment.jitter.ms",
        &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
    ),
    (
        "segment.ms",
        &[same("log.roll.ms"), hours("log.roll.hours")],
    ),
    (
        "unclean.leader.election.enable",
        &[same("unclean.leader.election.enable")],
    ),
];

/// The broker keys behind a topic key, none if it has no default on the broker.
pub fn topic_synonyms(topic_key: &str) -> &'static [Synonym] {
    match SYNONYMS.binary_search_by(|(name, _)| (*name).cmp(topic_key)) {
        Ok(at) => SYNONYMS[at].1,
        Err(_) => &[],
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer compressed.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// The effective configuration of one topic. Cheap to clone and to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfigs {
    pub cleanup_compact: bool,
    pub cleanup_delete: bool,
    pub compression_type: CompressionType,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    /// Unflushed records after which an append flushes; `i64::MAX` is never.
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub follower_throttled_replicas: Arc<[String]>,
    pub leader_throttled_replicas: Arc<[String]>,
    pub index_interval_bytes: i32,
    pub local_retention_bytes: i64,
    pub local_retention_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: i32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    pub remote_copy_disable: bool,
    pub remote_delete_on_disable: bool,
    pub remote_storage_enable: bool,
    /// Negative is no limit.
    pub retention_bytes: i64,
    /// Negative is no limit.
    pub retention_ms: i64,
    /// Of `segment.bytes`, or of `internal.segment.bytes` where a test sets it.
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
}

impl TopicConfigs {
    /// What a topic has that overrides nothing.
    pub(crate) fn of_broker(settings: &Settings) -> Self {
        let mut configs = Self::unset();
        for key in keys::topic_keys() {
            configs.set(key.name, &broker_value(settings, key.name).0);
        }
        configs
    }

    /// This, under the overrides of a topic. The first value that its key does not take is an
    /// error; unknown names are passed over, as they are no business of the log's.
    pub fn with_overrides<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadValue> {
        let mut configs = self.clone();
        let mut internal_segment_bytes = None;
        for (name, text) in overrides {
            let Some(key) = keys::topic_key(name) else {
                continue;
            };
            let value = key.parse(text)?;
            if name == INTERNAL_SEGMENT_BYTES {
                internal_segment_bytes = Some(value);
            } else {
                configs.set(name, &value);
            }
        }
        // Wins over segment.bytes in whichever order the two come.
        if let Some(value) = internal_segment_bytes {
            configs.set(INTERNAL_SEGMENT_BYTES, &value);
        }
        Ok(configs)
    }

    /// The age at which the active segment is rolled: compaction must reach its records in time.
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_compact && self.max_compaction_lag_ms > 0 {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }

    /// `local.retention.ms`, where -2 follows `retention.ms`.
    pub fn effective_local_retention_ms(&self) -> i64 {
        if self.local_retention_ms == FOLLOWS {
            self.retention_ms
        } else {
            self.local_retention_ms
        }
    }

    /// `local.retention.bytes`, where -2 follows `retention.bytes`.
    pub fn effective_local_retention_bytes(&self) -> i64 {
        if self.local_retention_bytes == FOLLOWS {
            self.retention_bytes
        } else {
            self.local_retention_bytes
        }
    }

    /// Every field still to be set.
    fn unset() -> Self {
        Self {
            cleanup_compact: false,
            cleanup_delete: false,
            compression_type: CompressionType::Producer,
            compression_gzip_level: 0,
            compression_lz4_level: 0,
            compression_zstd_level: 0,
            delete_retention_ms: 0,
            file_delete_delay_ms: 0,
            flush_messages: 0,
            flush_ms: 0,
            follower_throttled_replicas: Arc::default(),
            leader_throttled_replicas: Arc::default(),
            index_interval_bytes: 0,
            local_retention_bytes: 0,
            local_retention_ms: 0,
            max_compaction_lag_ms: 0,
            max_message_bytes: 0,
            message_timestamp_after_max_ms: 0,
            message_timestamp_before_max_ms: 0,
            message_timestamp_type: TimestampType::CreateTime,
            min_cleanable_dirty_ratio: 0.0,
            min_compaction_lag_ms: 0,
            min_insync_replicas: 0,
            preallocate: false,
            remote_copy_disable: false,
            remote_delete_on_disable: false,
            remote_storage_enable: false,
            retention_bytes: 0,
            retention_ms: 0,
            segment_bytes: 0,
            segment_index_bytes: 0,
            segment_jitter_ms: 0,
            segment_ms: 0,
            unclean_leader_election_enable: false,
        }
    }

    fn set(&mut self, name: &str, value: &Value) {
        match name {
            "cleanup.policy" => {
                self.cleanup_compact = has(value, "compact");
                self.cleanup_delete = has(value, "delete");
            }
            "compression.gzip.level" => self.compression_gzip_level = int(value),
            "compression.lz4.level" => self.compression_lz4_level = int(value),
            "compression.type" => self.compression_type = compression_type(value),
            "compression.zstd.level" => self.compression_zstd_level = int(value),
            "delete.retention.ms" => self.delete_retention_ms = long(value),
            "file.delete.delay.ms" => self.file_delete_delay_ms = long(value),
            "flush.messages" => self.flush_messages = long(value),
            "flush.ms" => self.flush_ms = long(value),
            "follower.replication.throttled.replicas" => {
                self.follower_throttled_replicas = entries(value);
            }
            "leader.replication.throttled.replicas" => {
                self.leader_throttled_replicas = entries(value);
            }
            "index.interval.bytes" => self.index_interval_bytes = int(value),
            "local.retention.bytes" => self.local_retention_bytes = long(value),
            "local.retention.ms" => self.local_retention_ms = long(value),
            "max.compaction.lag.ms" => self.max_compaction_lag_ms = long(value),
            "max.message.bytes" => self.max_message_bytes = int(value),
            "message.timestamp.after.max.ms" => self.message_timestamp_after_max_ms = long(value),
            "message.timestamp.before.max.ms" => self.message_timestamp_before_max_ms = long(value),
            "message.timestamp.type" => self.message_timestamp_type = timestamp_type(value),
            "min.cleanable.dirty.ratio" => self.min_cleanable_dirty_ratio = double(value),
            "min.compaction.lag.ms" => self.min_compaction_lag_ms = long(value),
            "min.insync.replicas" => self.min_insync_replicas = int(value),
            "preallocate" => self.preallocate = boolean(value),
            "remote.log.copy.disable" => self.remote_copy_disable = boolean(value),
            "remote.log.delete.on.disable" => self.remote_delete_on_disable = boolean(value),
            "remote.storage.enable" => self.remote_storage_enable = boolean(value),
            "retention.bytes" => self.retention_bytes = long(value),
            "retention.ms" => self.retention_ms = long(value),
            INTERNAL_SEGMENT_BYTES if *value == Value::Null => {}
            "segment.bytes" | INTERNAL_SEGMENT_BYTES => self.segment_bytes = int(value),
            "segment.index.bytes" => self.segment_index_bytes = int(value),
            "segment.jitter.ms" => self.segment_jitter_ms = long(value),
            "segment.ms" => self.segment_ms = long(value),
            "unclean.leader.election.enable" => {
                self.unclean_leader_election_enable = boolean(value);
            }
            other => unreachable!("topic key {other} has no field"),
        }
    }
}

const INTERNAL_SEGMENT_BYTES: &str = "internal.segment.bytes";

/// What `local.retention.*` says to follow `retention.*`.
const FOLLOWS: i64 = -2;

/// The value that the broker gives a topic key, and the broker key it came from.
pub(crate) fn broker_value(
    settings: &Settings,
    topic_key: &'static str,
) -> (Value, Option<&'static str>) {
    let synonyms = topic_synonyms(topic_key);
    if synonyms.is_empty() {
        let key = keys::topic_key(topic_key).unwrap_or_else(|| unreachable!("no {topic_key}"));
        return (key.default_value(), None);
    }
    let names: Vec<_> = synonyms.iter().map(|synonym| synonym.broker_key).collect();
    let (name, value) = settings.first_of(&names);
    let factor = synonyms
        .iter()
        .find(|synonym| synonym.broker_key == name)
        .map_or(1, |found| found.factor);
    let value = match value {
        Value::Integer(number) => Value::Integer(in_unit(topic_key, number, factor)),
        value => value,
    };
    (value, Some(name))
}

/// Every negative retention time means no limit, whatever its unit.
fn in_unit(topic_key: &str, number: i64, factor: i64) -> i64 {
    if topic_key == "retention.ms" && number < 0 {
        -1
    } else {
        number.saturating_mul(factor)
    }
}

fn boolean(value: &Value) -> bool {
    match value {
        Value::Boolean(value) => *value,
        other => unreachable!("not a boolean: {other:?}"),
    }
}

fn long(value: &Value) -> i64 {
    match value {
        Value::Integer(value) => *value,
        other => unreachable!("not a whole number: {other:?}"),
    }
}

fn int(value: &Value) -> i32 {
    i32::try_from(long(value)).expect("a key of 32 bits")
}

fn double(value: &Value) -> f64 {
    match value {
        Value::Double(value) => *value,
        other => unreachable!("not a number: {other:?}"),
    }
}

fn entries(value: &Value) -> Arc<[String]> {
    match value {
        Value::List(entries) => entries.as_slice().into(),
        other => unreachable!("not a list: {other:?}"),
    }
}

fn has(value: &Value, entry: &str) -> bool {
    matches!(value, Value::List(entries) if entries.iter().any(|known| known == entry))
}

fn compression_type(value: &Value) -> CompressionType {
    match value {
        Value::Text(name) => match name.as_str() {
            "producer" => CompressionType::Producer,
            "uncompressed" => CompressionType::Uncompressed,
            "gzip" => CompressionType::Gzip,
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4,
            "zstd" => CompressionType::Zstd,
            other => unreachable!("not a compression type: {other}"),
        },
        other => unreachable!("not a compression type: {other:?}"),
    }
}

fn timestamp_type(value: &Value) -> TimestampType {
    match value {
        Value::Text(name) if name == "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    }
}

/// Checks all settings of a topic together, as a change would leave them.
///
/// `before` are the topic's settings until then, and `tiering` says whether the broker has remote
/// storage at all.
pub(crate) fn validate_topic(
    defaults: &TopicConfigs,
    configs: &BTreeMap<String, String>,
    before: &BTreeMap<String, String>,
    tiering: bool,
) -> Result<TopicConfigs, AlterError> {
    for name in configs.keys() {
        if keys::topic_key(name).is_none() {
            return Err(AlterError::config(format!(
                "Unknown topic config name: {name}"
            )));
        }
    }
    let pairs = configs
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let effective = defaults
        .with_overrides(pairs)
        .map_err(|bad_value| AlterError::config(bad_value.to_string()))?;
    let (min, max) = (
        effective.min_compaction_lag_ms,
        effective.max_compaction_lag_ms,
    );
    if min > max {
        return Err(AlterError::config(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > \
             max.compaction.lag.ms ({max})"
        )));
    }
    if effective.remote_storage_enable {
        validate_tiered(&effective, tiering)?;
    } else if before
        .get("remote.storage.enable")
        .is_some_and(|text| text == "true")
        && !effective.remote_delete_on_disable
    {
        return Err(AlterError::config(
            "remote.storage.enable cannot be turned off while remote data is kept. Set \
             remote.log.copy.disable=true to stop uploading and keep the data, or \
             remote.log.delete.on.disable=true to delete it"
                .to_owned(),
        ));
    }
    Ok(effective)
}

fn validate_tiered(topic: &TopicConfigs, tiering: bool) -> Result<(), AlterError> {
    if !tiering {
        return Err(AlterError::config(
            "Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage."
                .to_owned(),
        ));
    }
    if topic.cleanup_compact {
        return Err(AlterError::config(
            "Remote log storage only supports topics with cleanup.policy=delete \
             or cleanup.policy being an empty list."
                .to_owned(),
        ));
    }
    for (unit, local, total) in [
        ("bytes", topic.local_retention_bytes, topic.retention_bytes),
        ("ms", topic.local_retention_ms, topic.retention_ms),
    ] {
        if local == FOLLOWS {
            continue;
        }
        if topic.remote_copy_disable && local != total {
            return Err(AlterError::config(format!(
                "With remote.log.copy.disable, local.retention.{unit} and retention.{unit} \
                 must be the same, as nothing more is copied to remote storage"
            )));
        }
        let fault = match local {
            -1 if total > -1 => {
                format!("Value must not be -1 as retention.{unit} value is set as {total}.")
            }
            local if total > -1 && local > total => {
                format!("Value must not be more than retention.{unit} property value: {total}")
            }
            _ => continue,
        };
        return Err(AlterError::config(format!(
            "Invalid value {local} for configuration local.retention.{unit}: {fault}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
