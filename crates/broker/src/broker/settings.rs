//! From the configuration of a broker and the metadata to what each part is configured with.
//!
//! Plain functions: the same for the logs that are loaded at the start and for topics that are created later.

use std::sync::Arc;

use ottla_config::{BrokerConfig, Overrides, TopicConfigs};
use ottla_log::{CleanerSettings, LogConfig, MoverSettings};
use ottla_metadata::{ConfigResource, MetadataImage};

/// The configuration under the dynamic settings that the metadata log holds for this broker and for all.
pub fn effective_config(base: &Arc<BrokerConfig>, image: &MetadataImage) -> Arc<BrokerConfig> {
    let cluster = overrides(image, &ConfigResource::cluster());
    let own = overrides(image, &ConfigResource::broker(base.node_id));
    match base.with_dynamic(&cluster, &own) {
        Ok(config) => Arc::new(config),
        Err(error) => {
            tracing::error!(%error, "dynamic configuration cannot be used; the static one is");
            Arc::clone(base)
        }
    }
}

/// What the metadata log holds for a resource.
pub fn overrides(image: &MetadataImage, resource: &ConfigResource) -> Overrides {
    let map = image.config(resource);
    let pairs = map.iter();
    pairs
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// What a topic's configuration comes to: its own over the broker's.
pub fn topic_configs(
    config: &BrokerConfig,
    image: &MetadataImage,
    topic: &str,
) -> Arc<TopicConfigs> {
    let overrides = image.config(&ConfigResource::topic(topic));
    let pairs = overrides
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Arc::new(config.topic_defaults.with_overrides(pairs).unwrap_or_else(|error| {
        // Only a log written by another version can hold what this one refuses.
        tracing::error!(topic, %error, "the topic's configuration cannot be read; the broker's is used");
        config.topic_defaults.clone()
    }))
}

/// The part of a topic's configuration that its logs need.
pub fn log_config(config: &BrokerConfig, configs: &TopicConfigs) -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: configs.segment_bytes.max(0) as u32,
        segment_ms: configs.segment_ms_max(),
        segment_jitter_ms: configs.segment_jitter_ms,
        segment_index_bytes: configs.segment_index_bytes.max(0) as u32,
        index_interval_bytes: configs.index_interval_bytes.max(0) as u32,
        retention_ms: configs.retention_ms,
        retention_bytes: configs.retention_bytes,
        is_delete: configs.cleanup_delete,
        is_compact: configs.cleanup_compact,
        min_cleanable_dirty_ratio: configs.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: configs.min_compaction_lag_ms,
        max_compaction_lag_ms: configs.max_compaction_lag_ms,
        delete_retention_ms: configs.delete_retention_ms,
        file_delete_delay_ms: configs.file_delete_delay_ms,
        flush_messages: configs.flush_messages,
        flush_ms: configs.flush_ms,
        flush_bytes: config.log.flush_interval_bytes,
        producer_id_expiration_ms: millis(config.transaction.producer_id_expiration_ms),
        is_transaction_verified: config.transaction.partition_verification,
    })
}

/// How compacted topics are cleaned.
pub fn cleaner_settings(config: &BrokerConfig) -> CleanerSettings {
    let log = &config.log;
    CleanerSettings {
        is_enabled: log.cleaner_enabled,
        threads: log.cleaner_threads,
        dedupe_buffer_bytes: log.cleaner_dedupe_buffer_bytes,
        dedupe_buffer_load_factor: log.cleaner_dedupe_buffer_load_factor,
        io_buffer_bytes: log.cleaner_io_buffer_bytes,
        io_bytes_per_second_max: log.cleaner_io_bytes_per_second_max,
        backoff_ms: log.cleaner_backoff_ms,
    }
}

/// How logs move to other log directories.
pub fn mover_settings(config: &BrokerConfig) -> MoverSettings {
    MoverSettings {
        threads: config.log.mover_threads.unwrap_or(config.log.dirs.len()),
        bytes_per_second_max: config.log.mover_bytes_per_second_max as f64,
    }
}

/// A duration of the configuration; what is longer than time itself is for ever.
pub fn millis(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
