//! Lets this broker follow the metadata: makes, changes and removes its partitions, then shows the new image.
//!
//! Called on the controller's thread with each committed change, in order, and once at the start with everything.
//!
//! Invariant: a partition that the image names is there before handlers can see that image, or answers with
//! KAFKA_STORAGE_ERROR: until its log can be made if the disk was full (`waiting`), else until a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ottla_config::TopicConfigs;
use ottla_controller::DirectoryAssignment;
use ottla_coordinator::DeletedTopic;
use ottla_log::Log;
use ottla_metadata::{
    ConfigResource, LocalReplica, MetadataDelta, MetadataImage, ResourceType, directory,
};
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{Str, Uuid};
use ottla_replica::{Assignment, Leader};

use crate::broker::{Broker, settings};
use crate::coordinators::homes::Homes;
use crate::groups::group_config;
use crate::partition::Partition;
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, Topic};
use crate::transactions;

mod waiting;

pub struct Publisher {
    broker: Arc<Broker>,
    /// Everything is followed for the first time: replicas that seem new have their logs already.
    is_starting: bool,
    /// Replicas that lie elsewhere than the metadata says, or of which it does not say where.
    assignments: Vec<DirectoryAssignment>,
    /// Replicas whose logs a full disk did not let begin, in the order in which they are tried again.
    waiting: VecDeque<LocalReplica>,
}

impl Publisher {
    pub fn new(broker: Arc<Broker>) -> Self {
        Self {
            broker,
            is_starting: false,
            assignments: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// What the metadata is to be told of the directories of replicas.
    pub fn take_assignments(&mut self) -> Vec<DirectoryAssignment> {
        std::mem::take(&mut self.assignments)
    }

    /// Follows everything that a start finds in the metadata log.
    pub fn publish_all(&mut self, image: MetadataImage) {
        self.set_aside_strays(&image);
        self.is_starting = true;
        let delta = MetadataDelta::of(&image);
        self.publish(image, &delta);
        self.is_starting = false;
    }

    /// Sets logs aside whose topic was deleted while the broker could not hear of it.
    fn set_aside_strays(&self, image: &MetadataImage) {
        for log in self.broker.logs.logs() {
            let partition = log.partition();
            let is_known = image.topic(&partition.topic).is_some_and(|topic| {
                topic.partition(partition.partition).is_some()
                    && log.topic_id().is_none_or(|id| id == topic.id)
            });
            if !is_known && let Err(error) = self.broker.logs.set_aside_as_stray(partition) {
                tracing::error!(%partition, %error, "a log without metadata stays in the way");
            }
        }
    }

    /// Follows one committed change.
    pub fn publish(&mut self, image: MetadataImage, delta: &MetadataDelta) {
        if delta.configs.iter().any(|resource| self.is_own(resource)) {
            self.broker.follow_own_configs(&image);
        }
        let subscriptions = delta
            .configs
            .iter()
            .filter(|r| r.kind == ResourceType::CLIENT_METRICS);
        for subscription in subscriptions {
            let configs = settings::overrides(&image, subscription);
            self.broker
                .telemetry
                .set_subscription(&subscription.name, &configs);
        }
        let changes = delta.local_changes(self.broker.node_id);
        let coordinated = self.lead(&image, changes.leaders);
        let removed: Vec<Uuid> = delta.deleted_topics.keys().copied().collect();
        let gone: Vec<_> = removed
            .iter()
            .filter_map(|id| self.broker.topics.by_id(id))
            .collect();
        self.broker.topics.change([], removed);
        // Handlers see the image before logs of topics that are gone go away: none looks for them anew.
        let image = Arc::new(image);
        self.broker.set_image(Arc::clone(&image));
        self.broker.groups.follow(&image, delta);
        let is_of_groups = |resource: &ConfigResource| {
            resource.kind == ResourceType::GROUP || self.is_own(resource)
        };
        if delta.configs.iter().any(is_of_groups) {
            let config = group_config(&self.broker.config(), &image);
            self.broker.groups.reconfigure(config);
        }
        if delta.features || delta.configs.iter().any(|resource| self.is_own(resource)) {
            transactions::reconfigure(&self.broker);
        }
        // After the image: a coordinator that resumes writes to partitions of any topic.
        self.coordinate_transactions(&image, coordinated);
        for partition in gone
            .iter()
            .flat_map(|topic| topic.partitions().to_vec())
            .flatten()
        {
            partition.wake_all();
        }
        self.remove(delta);
        self.reconfigure(&image, delta);
    }

    fn is_own(&self, resource: &ConfigResource) -> bool {
        resource.is_cluster() || *resource == ConfigResource::broker(self.broker.node_id)
    }

    /// Takes the lead of partitions: opens or makes their logs, or follows a new epoch of those that are there.
    /// Returns those of the transactions' topic that it takes.
    fn lead(&mut self, image: &MetadataImage, replicas: Vec<LocalReplica>) -> Vec<Arc<Partition>> {
        let mut coordinated = Vec::new();
        let mut by_topic: BTreeMap<Uuid, (Str, Vec<LocalReplica>)> = BTreeMap::new();
        for replica in replicas {
            let entry = by_topic
                .entry(replica.topic_id)
                .or_insert_with(|| (replica.topic.clone(), Vec::new()));
            entry.1.push(replica);
        }
        for (topic_id, (name, replicas)) in by_topic {
            let known = self.broker.topics.by_id(&topic_id);
            let topic = known
                .clone()
                .unwrap_or_else(|| Arc::new(Topic::new(name.clone(), topic_id)));
            let configs = self.broker.topic_configs(image, &name);
            let partitions: Vec<_> = replicas
                .iter()
                .filter_map(|replica| match topic.partition(replica.partition) {
                    Some(partition) => {
                        partition.set_assignment(&assignment(replica), self.broker.now_ms());
                        None
                    }
                    None => self.begin(replica, &configs),
                })
                .collect();
            topic.place(partitions.iter().cloned());
            if known.is_none() {
                self.broker.topics.change([Arc::clone(&topic)], []);
            }
            if *name == *OFFSETS_TOPIC {
                let count = image.topic(&name).map_or(0, |topic| topic.partitions.len());
                Homes::begin(&self.broker.groups, partitions, count);
            } else if *name == *TRANSACTIONS_TOPIC {
                coordinated = partitions;
            }
        }
        coordinated
    }

    /// Opens or makes a replica's log; none if its directory does not work.
    fn begin(
        &mut self,
        replica: &LocalReplica,
        configs: &Arc<TopicConfigs>,
    ) -> Option<Arc<Partition>> {
        let name = TopicPartition {
            topic: replica.topic.clone(),
            partition: replica.partition,
        };
        let config = self.broker.log_config(configs);
        let log = match self.broker.logs.get_or_create(
            &name,
            replica.topic_id,
            config,
            self.directory(replica),
            replica.is_new && !self.is_starting,
            self.broker.now_ms(),
        ) {
            Ok(log) => log,
            Err(error) => {
                self.miss(replica, error.is_full(), &error);
                return None;
            }
        };
        self.note_directory(replica, &log);
        let (log_end, high_watermark) = (log.log_end_offset(), log.high_watermark());
        let assignment = assignment(replica);
        let settings = self.broker.replica_settings(configs);
        let now_ms = self.broker.now_ms();
        let node_id = self.broker.node_id;
        let mut leader = Leader::new(
            node_id,
            &assignment,
            settings,
            log_end,
            high_watermark,
            now_ms,
        );
        if let Err(error) = log.assign_epoch_start_offset(assignment.leader_epoch, log_end) {
            self.miss(replica, error.is_full(), &error);
            return None;
        }
        // Alone in the in-sync set, a leader has what every replica of the set has.
        if let Some(high_watermark) = leader.on_append(log_end, now_ms, |_| None) {
            log.set_high_watermark(high_watermark);
        }
        Some(Arc::new(Partition::new(
            replica.topic.clone(),
            replica.partition,
            log,
            leader,
            Arc::clone(configs),
        )))
    }

    /// The directory that the metadata names for the replica, if it names one.
    fn directory(&self, replica: &LocalReplica) -> Option<Uuid> {
        let assigned = replica.registration.directory_of(self.broker.node_id)?;
        (!directory::is_reserved(assigned)).then_some(assigned)
    }

    /// With several directories the metadata has to know which one holds the replica: if it fails, others lead.
    fn note_directory(&mut self, replica: &LocalReplica, log: &Log) {
        let logs = &self.broker.logs;
        if logs.dirs().dirs().len() == 1 {
            return;
        }
        let known = replica.registration.directory_of(self.broker.node_id);
        let actual = logs.directory_id(log);
        if let Some(directory) = actual.filter(|_| known != actual) {
            self.assignments.push(DirectoryAssignment {
                topic_id: replica.topic_id,
                partition: replica.partition,
                directory,
            });
        }
    }

    fn remove(&self, delta: &MetadataDelta) {
        for topic in delta.deleted_topics.values() {
            for index in topic.partitions.keys() {
                let name = TopicPartition {
                    topic: topic.name.clone(),
                    partition: *index,
                };
                if let Err(error) =
                    self.broker
                        .logs
                        .delete(&name, Some(topic.id), self.broker.now_ms())
                {
                    tracing::error!(topic = %topic.name, partition = index, %error, "cannot delete a log");
                }
            }
        }
        if !delta.deleted_topics.is_empty() {
            let topics = delta.deleted_topics.values();
            let topics = topics.map(|topic| DeletedTopic {
                name: topic.name.clone(),
                topic_id: topic.id,
            });
            self.broker
                .groups
                .forget_topics(&topics.collect::<Vec<_>>());
        }
    }

    /// Follows changed configurations of topics, and of the broker as far as they are topics' defaults.
    fn reconfigure(&self, image: &MetadataImage, delta: &MetadataDelta) {
        let all = delta.configs.iter().any(|resource| self.is_own(resource));
        let named = delta
            .configs
            .iter()
            .filter(|resource| resource.kind == ResourceType::TOPIC);
        let topics: Vec<Arc<Topic>> = if all {
            self.broker.topics.all()
        } else {
            named
                .filter_map(|resource| self.broker.topics.by_name(&resource.name))
                .collect()
        };
        for topic in topics {
            let configs = self.broker.topic_configs(image, &topic.name);
            let (log_config, settings) = (
                self.broker.log_config(&configs),
                self.broker.replica_settings(&configs),
            );
            for partition in topic.partitions().iter().flatten() {
                partition.log.set_config(Arc::clone(&log_config));
                partition.set_configs(Arc::clone(&configs), settings, self.broker.now_ms());
            }
        }
    }
}

fn assignment(replica: &LocalReplica) -> Assignment {
    Assignment {
        replicas: replica.registration.replicas.clone(),
        isr: replica.registration.isr.clone(),
        leader_epoch: replica.registration.leader_epoch,
        partition_epoch: replica.registration.partition_epoch,
    }
}
