//! The controller's state, and what all commands share.
//!
//! A command is a method that takes `&self` or changes soft state only, and returns an [`Outcome`]:
//! records and an answer. The caller appends the records to the metadata log, feeds them to
//! [`Controller::replay`] when they are committed, and only then gives the answer away.
//!
//! Invariant: the image changes by `replay` alone; what is not in the log (sessions of brokers) can
//! be lost without harm.

use std::sync::Arc;

use ottla_config::{BrokerConfig, Overrides, TopicConfigs};
use ottla_metadata::{
    ConfigMap, ConfigResource, MetadataDelta, MetadataImage, MetadataVersion, Partition,
    ReplayError, Topic, directory,
};
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{Str, Uuid};

use crate::change::{ChangeContext, PartitionChange};
use crate::error::ControlError;
use crate::names::Collisions;
use crate::random::Random;
use crate::sessions::Sessions;

/// How many records one command may write.
pub const RECORDS_PER_COMMAND_MAX: usize = 10_000;

/// What a command may know of the world.
pub struct Context<'a> {
    pub now_ms: i64,
    /// The offset that the first record of the outcome will have, which is what numbers broker epochs.
    pub next_offset: i64,
    pub random: &'a mut dyn Random,
}

/// What a command decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<T> {
    pub records: Vec<MetadataRecord>,
    /// Whether the records must become visible together, as one batch or in a transaction.
    pub atomic: bool,
    pub answer: T,
}

impl<T> Outcome<T> {
    pub(crate) fn atomic(records: Vec<MetadataRecord>, answer: T) -> Outcome<T> {
        Outcome {
            records,
            atomic: true,
            answer,
        }
    }

    pub(crate) fn stepwise(records: Vec<MetadataRecord>, answer: T) -> Outcome<T> {
        Outcome {
            records,
            atomic: false,
            answer,
        }
    }

    /// The answer alone, as after a dry run.
    pub(crate) fn dry(answer: T) -> Outcome<T> {
        Outcome::atomic(Vec::new(), answer)
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome {
            records: self.records,
            atomic: self.atomic,
            answer: f(self.answer),
        }
    }
}

/// One thing that a request asked for, and what came of it.
pub type Answer<T> = Result<T, ControlError>;

/// An answer for each topic of a request.
pub type TopicAnswers<T> = Vec<(Str, Answer<T>)>;

#[derive(Debug, Clone)]
pub struct Controller {
    pub(crate) cluster_id: Str,
    /// What was configured in files and on the command line.
    base_config: Arc<BrokerConfig>,
    /// The same under the dynamic configuration in the image.
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) image: MetadataImage,
    pub(crate) collisions: Collisions,
    pub(crate) sessions: Sessions,
}

impl Controller {
    /// Takes over at `image`, the state that the whole log yields.
    ///
    /// Brokers that are not fenced count as heard from, so that a new controller fences nobody too early.
    pub fn new(
        cluster_id: impl Into<Str>,
        config: Arc<BrokerConfig>,
        image: MetadataImage,
        now_ms: i64,
    ) -> Controller {
        let session_timeout_ms =
            i64::try_from(config.quorum.broker_session_timeout_ms).unwrap_or(i64::MAX);
        let mut controller = Controller {
            cluster_id: cluster_id.into(),
            base_config: config.clone(),
            config,
            collisions: Collisions::of(&image),
            sessions: Sessions::of(&image, session_timeout_ms, now_ms),
            image,
        };
        controller.refresh_config();
        controller
    }

    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The configuration of this node, the dynamic part of it included.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        &self.config
    }

    /// Takes records that are committed, the first of them at `base_offset`. They are the ones that a
    /// command decided, or come from the log of another leader.
    pub fn replay(
        &mut self,
        records: &[MetadataRecord],
        base_offset: i64,
    ) -> Result<MetadataDelta, ReplayError> {
        let (mut image, delta) = self.image.apply(records)?;
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        image.provenance.offset = base_offset.saturating_add(count).saturating_sub(1);
        self.collisions.on_delta(&delta);
        self.sessions.on_records(records, base_offset, &image);
        self.image = image;
        if delta.configs.iter().any(|r| self.is_own_config(r)) {
            self.refresh_config();
        }
        Ok(delta)
    }

    fn is_own_config(&self, resource: &ConfigResource) -> bool {
        resource.is_cluster() || *resource == ConfigResource::broker(self.config.node_id)
    }

    fn refresh_config(&mut self) {
        let cluster = overrides(&self.image.config(&ConfigResource::cluster()));
        let node = overrides(
            &self
                .image
                .config(&ConfigResource::broker(self.base_config.node_id)),
        );
        // A combination that the configuration refuses leaves what was configured in files.
        self.config = match self.base_config.with_dynamic(&cluster, &node) {
            Ok(config) => Arc::new(config),
            Err(_) => self.base_config.clone(),
        };
    }

    pub(crate) fn metadata_version(&self) -> MetadataVersion {
        self.image
            .features
            .metadata_version
            .unwrap_or(MetadataVersion::LATEST_PRODUCTION)
    }

    /// What a topic's configuration comes to.
    pub(crate) fn topic_configs(&self, topic: &str) -> TopicConfigs {
        let map = self.image.config(&ConfigResource::topic(topic));
        let pairs = map
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        // A value that came from another version and that we cannot read counts as not set.
        self.config
            .topic_defaults
            .with_overrides(pairs)
            .unwrap_or_else(|_| self.config.topic_defaults.clone())
    }

    /// Whether a broker may lead: registered, not fenced, not shutting down.
    pub(crate) fn is_active(&self, broker: i32) -> bool {
        self.image.broker(broker).is_some_and(|b| b.is_active())
    }

    /// The directory of a replica that is new on a broker: the broker's only one, or its own choice.
    pub(crate) fn default_directory(&self, broker: i32) -> Uuid {
        match self.image.broker(broker).map(|b| &b.log_dirs[..]) {
            Some([]) => directory::MIGRATING,
            Some([only]) => *only,
            _ => directory::UNASSIGNED,
        }
    }

    /// Whether the broker's replica of the partition lies in a directory that works.
    pub(crate) fn has_online_replica(&self, partition: &Partition, broker: i32) -> bool {
        match (partition.directory_of(broker), self.image.broker(broker)) {
            (Some(dir), Some(broker)) => broker.has_online_dir(dir),
            _ => false,
        }
    }

    pub(crate) fn check_broker_epoch(&self, broker: i32, epoch: i64) -> Result<(), ControlError> {
        let registered = self
            .image
            .broker(broker)
            .ok_or(ControlError::BrokerNotFound(broker))?;
        if registered.epoch != epoch {
            return Err(ControlError::StaleBrokerEpoch {
                expected: registered.epoch,
                found: epoch,
            });
        }
        Ok(())
    }

    /// Builds a change of a partition; `active` says which brokers may lead.
    pub(crate) fn change_partition<R>(
        &self,
        topic: &Topic,
        configs: &TopicConfigs,
        partition_id: i32,
        partition: &Partition,
        active: &dyn Fn(i32) -> bool,
        set: impl FnOnce(&mut PartitionChange<'_>) -> R,
    ) -> Option<MetadataRecord> {
        let acceptable = |broker: i32| active(broker) && self.has_online_replica(partition, broker);
        let default_directory = |broker: i32| self.default_directory(broker);
        let context = ChangeContext {
            metadata_version: self.metadata_version(),
            elr_enabled: self.image.features.eligible_leader_replicas(),
            min_isr: usize::try_from(configs.min_insync_replicas)
                .unwrap_or(1)
                .min(topic.replication_factor()),
            is_acceptable_leader: &acceptable,
            default_directory: &default_directory,
        };
        let mut change = PartitionChange::new(topic.id, partition_id, partition, context);
        set(&mut change);
        change.build().map(MetadataRecord::from)
    }
}

/// The dynamic configuration of a resource, in the words of the configuration crate.
pub(crate) fn overrides(map: &ConfigMap) -> Overrides {
    map.iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}
