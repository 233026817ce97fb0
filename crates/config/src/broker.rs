//! A broker's configuration as the broker reads it: named fields of the right types.
//!
//! Invariant: built from checked [`Settings`] only, and passes the checks across keys. A dynamic
//! change makes another `BrokerConfig`; none changes in place.

use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Conflict, Problem, Warning};
use crate::listeners::{Listeners, Roles};
use crate::settings::Settings;
use crate::topic::TopicConfigs;
use crate::value::{parse_host_port, parse_voter};

#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    pub node_id: i32,
    pub rack: Option<String>,
    pub roles: Roles,
    pub listeners: Listeners,
    pub network: NetworkConfig,
    pub log: LogConfig,
    pub topics: TopicCreationConfig,
    pub fetch: FetchConfig,
    pub replication: ReplicationConfig,
    pub group: GroupConfig,
    pub transaction: TransactionConfig,
    pub metadata: MetadataConfig,
    pub quorum: QuorumConfig,
    /// What a topic has that overrides nothing.
    pub topic_defaults: TopicConfigs,
    settings: Settings,
    warnings: Vec<Warning>,
}

/// Sockets and connections.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    pub request_bytes_max: usize,
    /// `None` leaves the bound to the broker.
    pub queued_request_bytes_max: Option<u64>,
    /// `None` means never.
    pub connection_idle_ms_max: Option<u64>,
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    /// Exceptions to `connections_per_ip_max`, by address or host name.
    pub connections_per_ip_overrides: Vec<(String, usize)>,
    pub connection_creation_rate_max: u32,
    /// `None` leaves the size to the system.
    pub send_buffer_bytes: Option<usize>,
    pub receive_buffer_bytes: Option<usize>,
    pub listen_backlog: u32,
    /// Largest batch of metrics that a client may push.
    pub telemetry_bytes_max: usize,
}

/// Directories, flushing and retention that are not a topic's own.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    pub dirs: Vec<PathBuf>,
    pub recovery_threads_per_dir: usize,
    /// Unflushed bytes of a partition after which it is flushed in the background.
    pub flush_interval_bytes: u64,
    pub flush_offset_checkpoint_interval_ms: u64,
    pub flush_start_offset_checkpoint_interval_ms: u64,
    pub retention_check_interval_ms: u64,
    pub cleaner_enabled: bool,
    pub cleaner_threads: usize,
    pub cleaner_dedupe_buffer_bytes: u64,
    pub cleaner_dedupe_buffer_load_factor: f64,
    pub cleaner_io_buffer_bytes: usize,
    pub cleaner_io_bytes_per_second_max: f64,
    pub cleaner_backoff_ms: u64,
    /// Logs that move to other directories at a time; as many as there are directories if none.
    pub mover_threads: Option<usize>,
    pub mover_bytes_per_second_max: u64,
}

/// What a topic gets that is created without saying so.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicCreationConfig {
    pub auto_create: bool,
    pub deletable: bool,
    pub partitions_default: i32,
    pub replication_factor_default: i16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchConfig {
    pub response_bytes_max: usize,
    pub session_cache_slots: usize,
    /// Of one DescribeTopicPartitions answer.
    pub partitions_per_description_max: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReplicationConfig {
    pub lag_ms_max: u64,
    pub fetch_bytes_max: usize,
    pub fetch_response_bytes_max: usize,
    pub fetch_wait_ms_max: u64,
    pub fetch_min_bytes: usize,
    pub fetch_backoff_ms: u64,
    pub fetchers: usize,
    pub high_watermark_checkpoint_interval_ms: u64,
    pub request_timeout_ms: u64,
    pub auto_leader_rebalance: bool,
    pub leader_imbalance_check_interval_ms: u64,
}

/// The group coordinator and `__consumer_offsets`.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupConfig {
    pub initial_rebalance_delay_ms: u64,
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    pub members_max: usize,
    pub offset_metadata_bytes_max: usize,
    pub offsets_commit_timeout_ms: u64,
    pub offsets_retention_ms: u64,
    pub offsets_retention_check_interval_ms: u64,
    pub offsets_topic_partitions: i32,
    pub offsets_topic_replication_factor: i16,
    pub offsets_topic_segment_bytes: i32,
    /// A codec's number.
    pub offsets_topic_compression: i32,
    pub consumer: ConsumerGroupConfig,
}

/// Groups of the consumer protocol (KIP-848).
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerGroupConfig {
    /// The protocol is among `group.coordinator.rebalance.protocols`.
    pub is_enabled: bool,
    pub session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub members_max: usize,
    pub assignment_interval_ms: i32,
    pub regex_refresh_interval_ms: i32,
    /// Groups with members may change from the classic protocol to this one.
    pub upgrade: bool,
    /// And back.
    pub downgrade: bool,
}

/// The transaction coordinator, `__transaction_state` and producer ids.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionConfig {
    pub producer_id_expiration_ms: u64,
    pub producer_id_expiration_check_interval_ms: u64,
    pub partition_verification: bool,
    pub add_partitions_retry_backoff_ms: u64,
    pub add_partitions_retry_ms_max: u64,
    pub two_phase_commit: bool,
    pub timeout_ms_max: i32,
    pub transactional_id_expiration_ms: u64,
    pub abort_timed_out_interval_ms: u64,
    pub remove_expired_interval_ms: u64,
    pub state_topic_partitions: i32,
    pub state_topic_replication_factor: i16,
    pub state_topic_min_isr: i32,
    pub state_topic_segment_bytes: i32,
}

/// The cluster metadata log.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataConfig {
    pub dir: PathBuf,
    pub segment_bytes: u32,
    pub segment_ms: u64,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    /// Bytes of records after which a snapshot is written.
    pub snapshot_after_bytes: u64,
    /// `None` writes none by time.
    pub snapshot_interval_ms: Option<u64>,
}

/// Controllers, and how brokers keep in touch with them.
#[derive(Debug, Clone, PartialEq)]
pub struct QuorumConfig {
    pub voters: Vec<(i32, String, u16)>,
    pub bootstrap_servers: Vec<(String, u16)>,
    pub broker_session_timeout_ms: u64,
    pub broker_heartbeat_interval_ms: u64,
    pub registration_timeout_ms: u64,
    pub election_timeout_ms: u64,
    pub fetch_timeout_ms: u64,
}

impl BrokerConfig {
    /// Reads `file`, if any, and lays `overrides` (each `key=value`) over it.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, ConfigError> {
        Self::new(Settings::load(file, overrides)?)
    }

    /// Builds the configuration and checks what depends on more than one key.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let roles = roles(&settings);
        let network = network(&settings)?;
        let listeners = Listeners::build(&settings, roles)?;
        let config = Self {
            node_id: settings.int("node.id"),
            rack: settings.text("broker.rack"),
            roles,
            listeners,
            network,
            log: log(&settings),
            topics: topics(&settings),
            fetch: fetch(&settings),
            replication: replication(&settings),
            group: group(&settings),
            transaction: transaction(&settings),
            metadata: metadata(&settings),
            quorum: quorum(&settings),
            topic_defaults: TopicConfigs::of_broker(&settings),
            warnings: Vec::new(),
            settings,
        };
        let conflicts = config.conflicts();
        if !conflicts.is_empty() {
            let problems = conflicts.into_iter().map(Problem::Conflict).collect();
            return Err(ConfigError { problems });
        }
        Ok(config.with_warnings())
    }

    /// The raw settings, by key.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The effective value of a broker key as text; `None` for null and for unknown keys.
    pub fn value(&self, name: &str) -> Option<String> {
        self.settings.value(crate::keys::broker_key(name)?).render()
    }

    /// What the user should know; the broker logs it at its start.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn add_warnings(&mut self, warnings: Vec<Warning>) {
        self.warnings.extend(warnings);
    }

    fn with_warnings(mut self) -> Self {
        self.warnings = self.settings.warnings().to_vec();
        let heartbeat_ms = self.settings.int("broker.heartbeat.interval.ms");
        let session_ms = self.settings.int("broker.session.timeout.ms");
        if i64::from(heartbeat_ms) * 2 > i64::from(session_ms) {
            self.warnings.push(Warning::SlowHeartbeat {
                heartbeat_ms,
                session_ms,
            });
        }
        self
    }

    fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = self.log_conflicts();
        let settings = &self.settings;
        let broker_id = settings.int("broker.id");
        if broker_id != self.node_id {
            conflicts.push(Conflict::NodeId {
                node_id: self.node_id,
                broker_id,
            });
        }
        conflicts.extend(
            [
                ordered(
                    settings,
                    "replica.fetch.wait.max.ms",
                    "replica.socket.timeout.ms",
                ),
                ordered(
                    settings,
                    "replica.fetch.wait.max.ms",
                    "replica.lag.time.max.ms",
                ),
                ordered(
                    settings,
                    "group.min.session.timeout.ms",
                    "group.max.session.timeout.ms",
                ),
            ]
            .into_iter()
            .flatten(),
        );
        if settings.long("queued.max.request.bytes") > 0 {
            conflicts.extend(ordered(
                settings,
                "socket.request.max.bytes",
                "queued.max.request.bytes",
            ));
        }
        let network = &self.network;
        if network.connections_per_ip_max == 0 && network.connections_per_ip_overrides.is_empty() {
            conflicts.push(Conflict::NoConnections);
        }
        let protocols = settings
            .list("group.coordinator.rebalance.protocols")
            .unwrap_or_default();
        if !protocols.iter().any(|protocol| protocol == "classic") {
            conflicts.push(Conflict::NoClassicProtocol);
        }
        conflicts.extend(self.quorum_conflict());
        conflicts
    }

    fn log_conflicts(&self) -> Vec<Conflict> {
        let settings = &self.settings;
        let topic = &self.topic_defaults;
        let mut conflicts = Vec::new();
        for (key, min, value) in [
            ("log.roll.ms", 1, topic.segment_ms),
            ("log.roll.jitter.ms", 0, topic.segment_jitter_ms),
            ("log.flush.interval.ms", 0, topic.flush_ms),
        ] {
            if value < min {
                conflicts.push(Conflict::TooSmall { key, min, value });
            }
        }
        if topic.retention_ms == 0 {
            conflicts.push(Conflict::RetentionMs(0));
        }
        let lags = (
            "log.cleaner.min.compaction.lag.ms",
            "log.cleaner.max.compaction.lag.ms",
        );
        conflicts.extend(ordered(settings, lags.0, lags.1));
        // Kafka's floor: a thread with less cannot track enough keys to make headway.
        const DEDUPE_BYTES_PER_THREAD_MIN: i64 = 1024 * 1024;
        let dedupe = "log.cleaner.dedupe.buffer.size";
        let bytes = settings.long(dedupe);
        let min = settings.long("log.cleaner.threads").max(1) * DEDUPE_BYTES_PER_THREAD_MIN + 1;
        if bytes < min {
            conflicts.push(Conflict::TooSmall {
                key: dedupe,
                min,
                value: bytes,
            });
        }
        let cordoned = settings.list("cordoned.log.dirs").unwrap_or_default();
        if cordoned.iter().any(|dir| dir == "*") {
            if cordoned.len() > 1 {
                conflicts.push(Conflict::CordonedDirsMixed);
            }
        } else if let Some(dir) = cordoned
            .iter()
            .find(|dir| !self.log.dirs.contains(&PathBuf::from(dir)))
        {
            conflicts.push(Conflict::CordonedDirUnknown { dir: dir.clone() });
        }
        conflicts
    }

    fn quorum_conflict(&self) -> Option<Conflict> {
        let Roles { broker, controller } = self.roles;
        let node_id = self.node_id;
        let quorum = &self.quorum;
        let has_quorum = !quorum.voters.is_empty() || !quorum.bootstrap_servers.is_empty();
        let is_voter = quorum.voters.iter().any(|(id, ..)| *id == node_id);
        let is_alone = broker && controller;
        if !has_quorum && !is_alone {
            let roles = if broker { "broker" } else { "controller" };
            return Some(Conflict::NoQuorum {
                roles: roles.to_owned(),
            });
        }
        if controller && !quorum.voters.is_empty() && !is_voter {
            return Some(Conflict::NotAVoter { node_id });
        }
        if !controller && is_voter {
            return Some(Conflict::BrokerIsVoter { node_id });
        }
        if !controller && self.settings.boolean("controller.quorum.auto.join.enable") {
            return Some(Conflict::AutoJoinOnBroker);
        }
        None
    }
}

fn ordered(settings: &Settings, smaller: &'static str, greater: &'static str) -> Option<Conflict> {
    let (smaller_value, greater_value) = (settings.long(smaller), settings.long(greater));
    (smaller_value > greater_value).then_some(Conflict::Order {
        smaller,
        smaller_value,
        greater,
        greater_value,
    })
}

/// A number that is not negative; where Kafka sets no bound, a negative one counts as 0.
fn unsigned(settings: &Settings, name: &'static str) -> u64 {
    u64::try_from(settings.long(name)).unwrap_or(0)
}

fn size(settings: &Settings, name: &'static str) -> usize {
    usize::try_from(unsigned(settings, name)).unwrap_or(usize::MAX)
}

/// `None` for the negative numbers that stand for "no limit" or "leave it".
fn non_negative(settings: &Settings, name: &'static str) -> Option<u64> {
    u64::try_from(settings.long(name)).ok()
}

fn short(settings: &Settings, name: &'static str) -> i16 {
    i16::try_from(settings.int(name).max(1)).unwrap_or(i16::MAX)
}

fn roles(settings: &Settings) -> Roles {
    let roles = settings.list("process.roles").unwrap_or_default();
    let has = |role: &str| roles.iter().any(|known| known == role);
    Roles {
        broker: has("broker"),
        controller: has("controller"),
    }
}

fn network(settings: &Settings) -> Result<NetworkConfig, Problem> {
    const OVERRIDES: &str = "max.connections.per.ip.overrides";
    let text = settings.text(OVERRIDES).unwrap_or_default();
    let connections_per_ip_overrides = parse_ip_overrides(&text).map_err(|entry| {
        let cause = crate::error::ListenerFault::NotAnOverride { entry };
        Problem::Listeners {
            key: OVERRIDES,
            origin: settings.source(OVERRIDES),
            cause,
        }
    })?;
    let buffer = |name| non_negative(settings, name).and_then(|bytes| usize::try_from(bytes).ok());
    Ok(NetworkConfig {
        request_bytes_max: size(settings, "socket.request.max.bytes"),
        queued_request_bytes_max: non_negative(settings, "queued.max.request.bytes")
            .filter(|bytes| *bytes > 0),
        connection_idle_ms_max: non_negative(settings, "connections.max.idle.ms"),
        connections_max: size(settings, "max.connections"),
        connections_per_ip_max: size(settings, "max.connections.per.ip"),
        connections_per_ip_overrides,
        connection_creation_rate_max: unsigned(settings, "max.connection.creation.rate")
            .try_into()
            .unwrap_or(u32::MAX),
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
        telemetry_bytes_max: size(settings, "telemetry.max.bytes"),
        listen_backlog: unsigned(settings, "socket.listen.backlog.size")
            .try_into()
            .unwrap_or(u32::MAX),
    })
}

/// Takes `address:count` pairs apart, or returns the one that is none.
fn parse_ip_overrides(text: &str) -> Result<Vec<(String, usize)>, String> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    let parse = |entry: &str| {
        let (host, count) = entry.rsplit_once(':')?;
        let host = host.trim().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || !crate::value::is_host(host) {
            return None;
        }
        Some((host.to_owned(), count.trim().parse().ok()?))
    };
    entries
        .map(|entry| parse(entry).ok_or_else(|| entry.to_owned()))
        .collect()
}

fn log(settings: &Settings) -> LogConfig {
    let dirs = settings
        .list("log.dirs")
        .or_else(|| settings.list("log.dir"))
        .unwrap_or_default();
    LogConfig {
        dirs: dirs.into_iter().map(PathBuf::from).collect(),
        recovery_threads_per_dir: size(settings, "num.recovery.threads.per.data.dir"),
        flush_interval_bytes: unsigned(settings, "log.flush.interval.bytes"),
        flush_offset_checkpoint_interval_ms: unsigned(
            settings,
            "log.flush.offset.checkpoint.interval.ms",
        ),
        flush_start_offset_checkpoint_interval_ms: unsigned(
            settings,
            "log.flush.start.offset.checkpoint.interval.ms",
        ),
        retention_check_interval_ms: unsigned(settings, "log.retention.check.interval.ms"),
        cleaner_enabled: settings.boolean("log.cleaner.enable"),
        cleaner_threads: size(settings, "log.cleaner.threads"),
        cleaner_dedupe_buffer_bytes: unsigned(settings, "log.cleaner.dedupe.buffer.size"),
        cleaner_dedupe_buffer_load_factor: settings.double("log.cleaner.io.buffer.load.factor"),
        cleaner_io_buffer_bytes: size(settings, "log.cleaner.io.buffer.size"),
        cleaner_io_bytes_per_second_max: settings.double("log.cleaner.io.max.bytes.per.second"),
        cleaner_backoff_ms: unsigned(settings, "log.cleaner.backoff.ms"),
        mover_threads: settings
            .optional_long("num.replica.alter.log.dirs.threads")
            .and_then(|threads| usize::try_from(threads).ok()),
        mover_bytes_per_second_max: unsigned(
            settings,
            "replica.alter.log.dirs.io.max.bytes.per.second",
        ),
    }
}

fn topics(settings: &Settings) -> TopicCreationConfig {
    TopicCreationConfig {
        auto_create: settings.boolean("auto.create.topics.enable"),
        deletable: settings.boolean("delete.topic.enable"),
        partitions_default: settings.int("num.partitions"),
        replication_factor_default: short(settings, "default.replication.factor"),
    }
}

fn fetch(settings: &Settings) -> FetchConfig {
    FetchConfig {
        response_bytes_max: size(settings, "fetch.max.bytes"),
        session_cache_slots: size(settings, "max.incremental.fetch.session.cache.slots"),
        partitions_per_description_max: size(settings, "max.request.partition.size.limit"),
    }
}

fn replication(settings: &Settings) -> ReplicationConfig {
    ReplicationConfig {
        lag_ms_max: unsigned(settings, "replica.lag.time.max.ms"),
        fetch_bytes_max: size(settings, "replica.fetch.max.bytes"),
        fetch_response_bytes_max: size(settings, "replica.fetch.response.max.bytes"),
        fetch_wait_ms_max: unsigned(settings, "replica.fetch.wait.max.ms"),
        fetch_min_bytes: size(settings, "replica.fetch.min.bytes"),
        fetch_backoff_ms: unsigned(settings, "replica.fetch.backoff.ms"),
        fetchers: size(settings, "num.replica.fetchers"),
        high_watermark_checkpoint_interval_ms: unsigned(
            settings,
            "replica.high.watermark.checkpoint.interval.ms",
        ),
        request_timeout_ms: unsigned(settings, "request.timeout.ms"),
        auto_leader_rebalance: settings.boolean("auto.leader.rebalance.enable"),
        leader_imbalance_check_interval_ms: unsigned(
            settings,
            "leader.imbalance.check.interval.seconds",
        )
        .saturating_mul(1000),
    }
}

fn group(settings: &Settings) -> GroupConfig {
    const MS_PER_MINUTE: u64 = 60 * 1000;
    GroupConfig {
        initial_rebalance_delay_ms: unsigned(settings, "group.initial.rebalance.delay.ms"),
        session_timeout_ms_min: settings.int("group.min.session.timeout.ms"),
        session_timeout_ms_max: settings.int("group.max.session.timeout.ms"),
        members_max: size(settings, "group.max.size"),
        offset_metadata_bytes_max: size(settings, "offset.metadata.max.bytes"),
        offsets_commit_timeout_ms: unsigned(settings, "offsets.commit.timeout.ms"),
        offsets_retention_ms: unsigned(settings, "offsets.retention.minutes") * MS_PER_MINUTE,
        offsets_retention_check_interval_ms: unsigned(
            settings,
            "offsets.retention.check.interval.ms",
        ),
        offsets_topic_partitions: settings.int("offsets.topic.num.partitions"),
        offsets_topic_replication_factor: short(settings, "offsets.topic.replication.factor"),
        offsets_topic_segment_bytes: settings.int("offsets.topic.segment.bytes"),
        offsets_topic_compression: settings.int("offsets.topic.compression.codec"),
        consumer: consumer_group(settings),
    }
}

fn consumer_group(settings: &Settings) -> ConsumerGroupConfig {
    let policy = settings
        .text("group.consumer.migration.policy")
        .unwrap_or_default();
    let allows = |way: &str| {
        policy.eq_ignore_ascii_case(way) || policy.eq_ignore_ascii_case("bidirectional")
    };
    ConsumerGroupConfig {
        is_enabled: settings
            .list("group.coordinator.rebalance.protocols")
            .is_some_and(|protocols| protocols.iter().any(|protocol| protocol == "consumer")),
        session_timeout_ms: settings.int("group.consumer.session.timeout.ms"),
        heartbeat_interval_ms: settings.int("group.consumer.heartbeat.interval.ms"),
        members_max: size(settings, "group.consumer.max.size"),
        assignment_interval_ms: settings.int("group.consumer.assignment.interval.ms"),
        regex_refresh_interval_ms: settings.int("group.consumer.regex.refresh.interval.ms"),
        upgrade: allows("upgrade"),
        downgrade: allows("downgrade"),
    }
}

fn transaction(settings: &Settings) -> TransactionConfig {
    TransactionConfig {
        producer_id_expiration_ms: unsigned(settings, "producer.id.expiration.ms"),
        producer_id_expiration_check_interval_ms: unsigned(
            settings,
            "producer.id.expiration.check.interval.ms",
        ),
        partition_verification: settings.boolean("transaction.partition.verification.enable"),
        add_partitions_retry_backoff_ms: unsigned(
            settings,
            "add.partitions.to.txn.retry.backoff.ms",
        ),
        add_partitions_retry_ms_max: unsigned(
            settings,
            "add.partitions.to.txn.retry.backoff.max.ms",
        ),
        two_phase_commit: settings.boolean("transaction.two.phase.commit.enable"),
        timeout_ms_max: settings.int("transaction.max.timeout.ms"),
        transactional_id_expiration_ms: unsigned(settings, "transactional.id.expiration.ms"),
        abort_timed_out_interval_ms: unsigned(
            settings,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        ),
        remove_expired_interval_ms: unsigned(
            settings,
            "transaction.remove.expired.transaction.cleanup.interval.ms",
        ),
        state_topic_partitions: settings.int("transaction.state.log.num.partitions"),
        state_topic_replication_factor: short(settings, "transaction.state.log.replication.factor"),
        state_topic_min_isr: settings.int("transaction.state.log.min.isr"),
        state_topic_segment_bytes: settings.int("transaction.state.log.segment.bytes"),
    }
}

fn metadata(settings: &Settings) -> MetadataConfig {
    let first_dir = || log(settings).dirs.into_iter().next().unwrap_or_default();
    MetadataConfig {
        dir: settings
            .text("metadata.log.dir")
            .map_or_else(first_dir, PathBuf::from),
        segment_bytes: unsigned(settings, "metadata.log.segment.bytes")
            .try_into()
            .unwrap_or(u32::MAX),
        segment_ms: unsigned(settings, "metadata.log.segment.ms"),
        retention_bytes: settings.long("metadata.max.retention.bytes"),
        retention_ms: settings.long("metadata.max.retention.ms"),
        snapshot_after_bytes: unsigned(settings, "metadata.log.max.record.bytes.between.snapshots"),
        snapshot_interval_ms: Some(unsigned(settings, "metadata.log.max.snapshot.interval.ms"))
            .filter(|ms| *ms > 0),
    }
}

fn quorum(settings: &Settings) -> QuorumConfig {
    let entries = |name| settings.list(name).unwrap_or_default();
    QuorumConfig {
        voters: entries("controller.quorum.voters")
            .iter()
            .filter_map(|entry| parse_voter(entry))
            .collect(),
        bootstrap_servers: entries("controller.quorum.bootstrap.servers")
            .iter()
            .filter_map(|entry| parse_host_port(entry))
            .collect(),
        broker_session_timeout_ms: unsigned(settings, "broker.session.timeout.ms"),
        broker_heartbeat_interval_ms: unsigned(settings, "broker.heartbeat.interval.ms"),
        registration_timeout_ms: unsigned(settings, "initial.broker.registration.timeout.ms"),
        election_timeout_ms: unsigned(settings, "controller.quorum.election.timeout.ms"),
        fetch_timeout_ms: unsigned(settings, "controller.quorum.fetch.timeout.ms"),
    }
}

#[cfg(test)]
mod tests;
