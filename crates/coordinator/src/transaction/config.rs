//! The limits and intervals that rule a transaction coordinator.
//!
//! Invariant: every bound the machine enforces is named here, with Kafka's default where Kafka has one.
//! The shell fills it from the broker's configuration and may replace it at any time with `set_config`.

/// `transaction.max.timeout.ms`.
pub const DEFAULT_MAX_TIMEOUT_MS: i32 = 15 * 60 * 1_000;
/// `transactional.id.expiration.ms`.
pub const DEFAULT_ID_EXPIRATION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
pub const DEFAULT_ABORT_TIMED_OUT_INTERVAL_MS: i64 = 10_000;
/// `transaction.remove.expired.transaction.cleanup.interval.ms`.
pub const DEFAULT_REMOVE_EXPIRED_INTERVAL_MS: i64 = 60 * 60 * 1_000;
/// The newest `transaction.version`: an epoch for each transaction.
pub const LATEST_TRANSACTION_VERSION: i16 = 2;
/// From this `transaction.version` on, ending a transaction bumps the epoch of its producer.
pub(crate) const EPOCH_BUMP_VERSION: i16 = 2;
/// From this `transaction.version` on, records have tagged fields.
pub(crate) const FLEXIBLE_RECORDS_VERSION: i16 = 1;

/// Transactional ids that one partition may hold. Kafka has no bound; ours keeps a client that invents
/// ids from filling memory.
pub const DEFAULT_MAX_TRANSACTIONAL_IDS: usize = 200_000;
/// How long a marker or a final record that could not be written waits for its next attempt.
pub const RETRY_BACKOFF_MS: i64 = 100;
/// Tombstones that one append carries at most, and the bytes of their keys; far below any sensible
/// `max.message.bytes`.
pub const MAX_TOMBSTONES_PER_APPEND: usize = 1_000;
pub const MAX_TOMBSTONE_BYTES_PER_APPEND: usize = 128 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    pub max_timeout_ms: i32,
    pub id_expiration_ms: i64,
    pub abort_timed_out_interval_ms: i64,
    pub remove_expired_interval_ms: i64,
    /// `transaction.two.phase.commit.enable`.
    pub two_phase_commit_enabled: bool,
    /// The finalized feature `transaction.version` of the cluster.
    pub transaction_version: i16,
    pub max_transactional_ids: usize,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            max_timeout_ms: DEFAULT_MAX_TIMEOUT_MS,
            id_expiration_ms: DEFAULT_ID_EXPIRATION_MS,
            abort_timed_out_interval_ms: DEFAULT_ABORT_TIMED_OUT_INTERVAL_MS,
            remove_expired_interval_ms: DEFAULT_REMOVE_EXPIRED_INTERVAL_MS,
            two_phase_commit_enabled: false,
            transaction_version: LATEST_TRANSACTION_VERSION,
            max_transactional_ids: DEFAULT_MAX_TRANSACTIONAL_IDS,
        }
    }
}
