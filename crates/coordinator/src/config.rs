//! The limits and timeouts that rule a group coordinator.
//!
//! Invariant: every bound the machine enforces is a field here, with Kafka's default where Kafka has one.
//! The shell fills it from the broker's configuration and may replace it at any time with `set_config`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::Str;

/// `group.min.session.timeout.ms`.
pub const DEFAULT_MIN_SESSION_TIMEOUT_MS: i32 = 6_000;
/// `group.max.session.timeout.ms`.
pub const DEFAULT_MAX_SESSION_TIMEOUT_MS: i32 = 1_800_000;
/// `group.initial.rebalance.delay.ms`.
pub const DEFAULT_INITIAL_REBALANCE_DELAY_MS: i32 = 3_000;
/// `group.max.size`.
pub const DEFAULT_MAX_SIZE: usize = i32::MAX as usize;
/// `offset.metadata.max.bytes`; counted in UTF-16 units, as Kafka counts.
pub const DEFAULT_OFFSET_METADATA_MAX_BYTES: usize = 4_096;
/// `offsets.retention.minutes`, in milliseconds.
pub const DEFAULT_OFFSETS_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// `offsets.retention.check.interval.ms`.
pub const DEFAULT_OFFSETS_RETENTION_CHECK_INTERVAL_MS: i64 = 600_000;
/// How long a member that has no id of its own yet may stay parked in its first join.
/// It cannot heartbeat, so only this bound removes it when its client is gone. Kafka's constant.
pub const DEFAULT_NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1_000;

/// `group.consumer.session.timeout.ms`.
pub const DEFAULT_CONSUMER_SESSION_TIMEOUT_MS: i32 = 45_000;
/// `group.consumer.heartbeat.interval.ms`.
pub const DEFAULT_CONSUMER_HEARTBEAT_INTERVAL_MS: i32 = 5_000;
/// `group.consumer.max.size`.
pub const DEFAULT_CONSUMER_MAX_SIZE: usize = i32::MAX as usize;
/// `group.consumer.assignment.interval.ms`.
pub const DEFAULT_CONSUMER_ASSIGNMENT_INTERVAL_MS: i32 = 1_000;
/// `group.consumer.regex.refresh.interval.ms`.
pub const DEFAULT_CONSUMER_REGEX_REFRESH_INTERVAL_MS: i32 = 600_000;

/// Groups that one `__consumer_offsets` partition may hold. Kafka has no bound; ours keeps a client
/// that invents group ids from filling memory.
pub const DEFAULT_MAX_GROUPS: usize = 100_000;
/// Ids handed out by MEMBER_ID_REQUIRED that have not come back yet, per group.
pub const DEFAULT_MAX_PENDING_MEMBERS: usize = 10_000;
/// Names and metadata of all protocols that one member offers.
pub const DEFAULT_MAX_PROTOCOL_BYTES: usize = 16 * 1024 * 1024;
/// Records that one append of tombstones carries when it need not be atomic.
pub const MAX_RECORDS_PER_CLEANUP_APPEND: usize = 1_000;

/// `group.consumer.migration.policy`: between which protocols groups change while they have members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MigrationPolicy {
    Disabled,
    Upgrade,
    Downgrade,
    #[default]
    Bidirectional,
}

impl MigrationPolicy {
    pub(crate) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    pub(crate) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }

    pub(crate) fn allows_classic_members(self) -> bool {
        self != Self::Disabled
    }
}

/// What a group of the consumer protocol may have of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSettings {
    pub session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment_interval_ms: i32,
}

/// Configuration of both group protocols and of committed offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    pub initial_rebalance_delay_ms: i32,
    pub max_size: usize,
    pub new_member_join_timeout_ms: i32,
    pub offset_metadata_max_bytes: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_interval_ms: i64,
    pub max_groups: usize,
    pub max_pending_members: usize,
    pub max_protocol_bytes: usize,
    /// Of groups that have none of their own.
    pub consumer: ConsumerSettings,
    /// Of groups that are configured, by their ids.
    pub consumer_own: Arc<BTreeMap<Str, ConsumerSettings>>,
    pub consumer_max_size: usize,
    pub consumer_regex_refresh_interval_ms: i32,
    pub consumer_migration: MigrationPolicy,
}

impl GroupConfig {
    /// The settings of one group.
    pub(crate) fn consumer_of(&self, group_id: &str) -> ConsumerSettings {
        *self.consumer_own.get(group_id).unwrap_or(&self.consumer)
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: DEFAULT_MIN_SESSION_TIMEOUT_MS,
            max_session_timeout_ms: DEFAULT_MAX_SESSION_TIMEOUT_MS,
            initial_rebalance_delay_ms: DEFAULT_INITIAL_REBALANCE_DELAY_MS,
            max_size: DEFAULT_MAX_SIZE,
            new_member_join_timeout_ms: DEFAULT_NEW_MEMBER_JOIN_TIMEOUT_MS,
            offset_metadata_max_bytes: DEFAULT_OFFSET_METADATA_MAX_BYTES,
            offsets_retention_ms: DEFAULT_OFFSETS_RETENTION_MS,
            offsets_retention_check_interval_ms: DEFAULT_OFFSETS_RETENTION_CHECK_INTERVAL_MS,
            max_groups: DEFAULT_MAX_GROUPS,
            max_pending_members: DEFAULT_MAX_PENDING_MEMBERS,
            max_protocol_bytes: DEFAULT_MAX_PROTOCOL_BYTES,
            consumer: ConsumerSettings {
                session_timeout_ms: DEFAULT_CONSUMER_SESSION_TIMEOUT_MS,
                heartbeat_interval_ms: DEFAULT_CONSUMER_HEARTBEAT_INTERVAL_MS,
                assignment_interval_ms: DEFAULT_CONSUMER_ASSIGNMENT_INTERVAL_MS,
            },
            consumer_own: Arc::default(),
            consumer_max_size: DEFAULT_CONSUMER_MAX_SIZE,
            consumer_regex_refresh_interval_ms: DEFAULT_CONSUMER_REGEX_REFRESH_INTERVAL_MS,
            consumer_migration: MigrationPolicy::default(),
        }
    }
}
