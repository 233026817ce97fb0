//! What a log needs to know from the configuration.
//!
//! Invariant: a plain value; the broker fills it from topic and broker keys, and hands in another when those change.

/// Settings of one log. Sharing one `Arc` among logs that have the same saves memory.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond it rolls.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment rolls when a record is this much later than its first.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment_ms`, so that logs do not roll together.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment whose index would grow beyond it rolls.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log per index entry.
    pub index_interval_bytes: u32,
    /// `retention.ms`; negative is for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative is without limit.
    pub retention_bytes: i64,
    /// `cleanup.policy` contains `delete`.
    pub is_delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub is_compact: bool,
    /// `min.cleanable.dirty.ratio`: a log is cleaned when more than this part of it is dirty.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: records younger than this are not cleaned.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: records that wait for longer are cleaned however little is dirty.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: tombstones and markers stay for so long after they were first cleaned.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`: how long files stay after they were marked as deleted.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`: appends ask for a flush when so many records wait for one.
    pub flush_messages: i64,
    /// `flush.ms`: records wait for a flush no longer than this.
    pub flush_ms: i64,
    /// `log.flush.interval.bytes` (ours): a flush is started when so many bytes wait for one.
    pub flush_bytes: u64,
    /// `producer.id.expiration.ms`: a producer that wrote nothing for so long is forgotten.
    pub producer_id_expiration_ms: i64,
    /// `transaction.partition.verification.enable`: a transaction begins only with a guard.
    pub is_transaction_verified: bool,
}

impl Default for LogConfig {
    /// Kafka's defaults, save for `flush_ms` and `flush_bytes`, which bound recovery.
    fn default() -> Self {
        const HOUR_MS: i64 = 3_600_000;
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * HOUR_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * HOUR_MS,
            retention_bytes: -1,
            is_delete: true,
            is_compact: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * HOUR_MS,
            file_delete_delay_ms: 60_000,
            flush_messages: i64::MAX,
            flush_ms: 10_000,
            flush_bytes: 100 << 20,
            producer_id_expiration_ms: 24 * HOUR_MS,
            is_transaction_verified: true,
        }
    }
}
