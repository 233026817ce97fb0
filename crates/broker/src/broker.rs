//! What all handlers share: the metadata image, the partitions, the homes of the machines.
//!
//! Invariant: handlers only read here; `publisher.rs` changes image and partitions, as the metadata log says.

pub mod settings;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use ottla_config::{BrokerConfig, TopicConfigs};
use ottla_controller::{DirectoryAssignment, NewTopic, ProducerIdBlock};
use ottla_log::{LogConfig, LogManager};
use ottla_metadata::{GROUP_VERSION_FEATURE, MetadataImage};
use ottla_protocol::{ErrorCode, Str};
use ottla_replica::Settings;

use crate::clock::Clock;
use crate::controller::ControllerHandle;
use crate::fetch_session::SessionCache;
use crate::groups::{Groups, group_config};
use crate::loggers::Loggers;
use crate::producer_ids::ProducerIds;
use crate::telemetry::Telemetry;
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, Topics};
use crate::transactions::Transactions;
use settings::{effective_config, millis};

/// `min.incremental.fetch.session.eviction.ms`, which Kafka does not let anybody configure either.
const FETCH_SESSION_EVICTION_MS: i64 = 120_000;

type ConfigFollower = Box<dyn Fn(&BrokerConfig) + Send + Sync>;

pub struct Broker {
    pub node_id: i32,
    pub cluster_id: Str,
    pub clock: Clock,
    /// As given in files and on the command line.
    static_config: Arc<BrokerConfig>,
    /// The same under the dynamic configuration.
    config: ArcSwap<BrokerConfig>,
    image: ArcSwap<MetadataImage>,
    pub topics: Topics,
    pub logs: Arc<LogManager>,
    pub groups: Arc<Groups>,
    pub transactions: Transactions,
    pub producer_ids: ProducerIds,
    pub fetch_sessions: Mutex<SessionCache>,
    pub loggers: Loggers,
    pub telemetry: Arc<Telemetry>,
    /// What lies outside of the broker and follows its configuration: the server's limits.
    config_follower: OnceLock<ConfigFollower>,
    /// Partitions wait for room on the disk to have a log.
    pub has_waiting_logs: AtomicBool,
    /// None before the controller has started and after it has stopped.
    controller: ArcSwapOption<ControllerHandle>,
}

impl Broker {
    pub fn new(
        cluster_id: Str,
        config: Arc<BrokerConfig>,
        logs: Arc<LogManager>,
        clock: Clock,
    ) -> Self {
        let groups = Groups::new(clock, group_config(&config, &MetadataImage::default()));
        let fetch_sessions =
            SessionCache::new(config.fetch.session_cache_slots, FETCH_SESSION_EVICTION_MS);
        let telemetry_bytes_max = config.network.telemetry_bytes_max;
        Self {
            node_id: config.node_id,
            cluster_id,
            clock,
            config: ArcSwap::new(Arc::clone(&config)),
            static_config: config,
            image: ArcSwap::default(),
            topics: Topics::default(),
            logs,
            groups: Arc::new(groups),
            transactions: Transactions::default(),
            producer_ids: ProducerIds::default(),
            fetch_sessions: Mutex::new(fetch_sessions),
            loggers: Loggers::default(),
            telemetry: Arc::new(Telemetry::new(telemetry_bytes_max)),
            config_follower: OnceLock::new(),
            has_waiting_logs: AtomicBool::new(false),
            controller: ArcSwapOption::empty(),
        }
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    /// The cluster as the metadata log has it. Later calls may see later images.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    pub(crate) fn set_image(&self, image: Arc<MetadataImage>) {
        self.image.store(image);
    }

    pub(crate) fn set_controller(&self, controller: ControllerHandle) {
        self.controller.store(Some(Arc::new(controller)));
    }

    /// Lets go of the controller, which ends when its last commands are done.
    pub(crate) fn stop_controller(&self) {
        self.controller.store(None);
    }

    /// The way to the controller.
    pub fn controller(&self) -> Result<Arc<ControllerHandle>, ErrorCode> {
        self.controller.load_full().ok_or(ErrorCode::NotController)
    }

    /// Has `follow` called with the configuration in force, now and after each change of it.
    pub(crate) fn set_config_follower(&self, follow: ConfigFollower) {
        assert!(
            self.config_follower.set(follow).is_ok(),
            "a broker has one server"
        );
        // After it is set, so that no change is missed.
        if let Some(follow) = self.config_follower.get() {
            follow(&self.config());
        }
    }

    /// Follows dynamic configuration of this broker, or of all.
    pub(crate) fn follow_own_configs(&self, image: &MetadataImage) {
        self.config
            .store(effective_config(&self.static_config, image));
        if let Some(follow) = self.config_follower.get() {
            follow(&self.config());
        }
    }

    /// What is told of a partition that is not here: one that ought to be has no log, because its directory is offline
    /// or its disk was full.
    pub fn why_missing(&self, topic: &str, partition: i32) -> ErrorCode {
        match self.image.load().partition(topic, partition) {
            Some(known) if known.replicas.contains(&self.node_id) => ErrorCode::KafkaStorageError,
            Some(_) => ErrorCode::NotLeaderOrFollower,
            None => ErrorCode::UnknownTopicOrPartition,
        }
    }

    /// Whether the group protocol of KIP-848 is switched on.
    pub fn has_consumer_groups(&self) -> bool {
        self.config.load().group.consumer.is_enabled
            && self.image.load().features.level(GROUP_VERSION_FEATURE) > 0
    }

    /// What a topic's configuration comes to: its own over the broker's.
    pub fn topic_configs(&self, image: &MetadataImage, topic: &str) -> Arc<TopicConfigs> {
        settings::topic_configs(&self.config(), image, topic)
    }

    /// The part of a topic's configuration that its logs need.
    pub fn log_config(&self, configs: &TopicConfigs) -> Arc<LogConfig> {
        settings::log_config(&self.config(), configs)
    }

    pub fn replica_settings(&self, configs: &TopicConfigs) -> Settings {
        Settings {
            lag_time_ms_max: millis(self.config().replication.lag_ms_max),
            min_insync_replicas: configs.min_insync_replicas.max(1) as usize,
        }
    }

    /// Creates topics that a client asked for as if they were there; returns the errors of those that are not.
    ///
    /// Unlike Kafka, which answers before the creation is done, this waits for it: the client need not ask again.
    pub async fn auto_create_topics(
        &self,
        names: Vec<Str>,
        may_create: bool,
    ) -> HashMap<Str, ErrorCode> {
        let mut errors = HashMap::new();
        let mut topics = Vec::with_capacity(names.len());
        for name in names {
            match ottla_controller::validate_topic_name(&name) {
                Err(error) => {
                    errors.insert(name, error.code());
                }
                Ok(()) if may_create => topics.push(self.new_topic(&name)),
                Ok(()) => {}
            }
        }
        if topics.is_empty() {
            return errors;
        }
        let Ok(controller) = self.controller() else {
            return errors;
        };
        let created = controller
            .run(move |controller, context| controller.create_topics(context, &topics, false))
            .await;
        match created {
            Ok(answers) => {
                let failed = answers
                    .into_iter()
                    .filter_map(|(name, answer)| Some((name, answer.err()?.code())));
                // Somebody else was faster: the topic is there.
                errors.extend(failed.filter(|(_, code)| *code != ErrorCode::TopicAlreadyExists));
            }
            Err(error) => tracing::warn!(%error, "cannot create topics that clients ask for"),
        }
        errors
    }

    /// A topic with the defaults of its kind.
    fn new_topic(&self, name: &Str) -> NewTopic {
        let config = self.config();
        let alive = self
            .image()
            .brokers
            .values()
            .filter(|broker| !broker.fenced)
            .count()
            .max(1);
        let replicas = |configured: i16| i32::from(configured).min(alive as i32);
        let text =
            |key: &'static str, value: String| (Str::from_static(key), Some(Str::from(value)));
        if **name == *OFFSETS_TOPIC {
            return NewTopic {
                partitions: config.group.offsets_topic_partitions,
                replication_factor: replicas(config.group.offsets_topic_replication_factor),
                configs: vec![
                    text("cleanup.policy", "compact".to_string()),
                    text("compression.type", "producer".to_string()),
                    text(
                        "segment.bytes",
                        config.group.offsets_topic_segment_bytes.to_string(),
                    ),
                ],
                ..NewTopic::with_defaults(name.detached())
            };
        }
        if **name == *TRANSACTIONS_TOPIC {
            let transaction = &config.transaction;
            let replication_factor = replicas(transaction.state_topic_replication_factor);
            // More in-sync replicas than there are replicas would make every append fail.
            let min_isr = transaction.state_topic_min_isr.min(replication_factor);
            return NewTopic {
                partitions: transaction.state_topic_partitions,
                replication_factor,
                configs: vec![
                    text("unclean.leader.election.enable", "false".to_string()),
                    text("compression.type", "uncompressed".to_string()),
                    text("cleanup.policy", "compact".to_string()),
                    text("min.insync.replicas", min_isr.to_string()),
                    text(
                        "segment.bytes",
                        transaction.state_topic_segment_bytes.to_string(),
                    ),
                ],
                ..NewTopic::with_defaults(name.detached())
            };
        }
        NewTopic::with_defaults(name.detached())
    }

    /// Has the metadata say in which log directory this broker's replica is.
    pub(crate) async fn assign_directory(
        &self,
        assignment: DirectoryAssignment,
    ) -> Result<(), ErrorCode> {
        let node_id = self.node_id;
        let epoch = self.image().broker(node_id).map(|broker| broker.epoch);
        let epoch = epoch.ok_or(ErrorCode::BrokerIdNotRegistered)?;
        let controller = self.controller()?;
        let assigned = controller
            .run(move |controller, _| {
                controller.assign_replicas_to_directories(node_id, epoch, &[assignment])
            })
            .await;
        let answers = assigned.map_err(|error| error.code())?;
        answers.into_iter().collect()
    }

    /// Takes the next block of producer ids out of the metadata log.
    pub async fn allocate_producer_ids(&self) -> Result<std::ops::Range<i64>, ErrorCode> {
        let node_id = self.node_id;
        let epoch = self.image().broker(node_id).map(|broker| broker.epoch);
        let epoch = epoch.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let controller = self.controller()?;
        let allocated = controller
            .run(move |controller, _| controller.allocate_producer_ids(node_id, epoch))
            .await;
        let block: ProducerIdBlock = allocated.map_err(|error| error.code())?;
        Ok(block.first_id..block.first_id + i64::from(block.len))
    }
}
