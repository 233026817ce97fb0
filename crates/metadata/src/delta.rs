//! What a batch of records changed, so that those who follow an image do work for that alone.
//!
//! Invariant: `before` is the state in the image that the records were applied to, however often
//! the records changed it since; a topic that came and went within the batch leaves no trace.
//! Produced by [`MetadataImage::apply`](crate::MetadataImage::apply); consumed by the broker's publishers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::{Str, Uuid};

use crate::access::{QuotaEntity, ScramUser};
use crate::config::ConfigResource;
use crate::features::Features;
use crate::image::MetadataImage;
use crate::topic::{Partition, Topic};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetadataDelta {
    /// Topics that were created or changed and are there.
    pub topics: BTreeMap<Uuid, TopicDelta>,
    /// Topics that are gone, as they were.
    pub deleted_topics: BTreeMap<Uuid, Arc<Topic>>,
    /// Brokers that registered, changed or went.
    pub brokers: BTreeSet<i32>,
    pub controllers: BTreeSet<i32>,
    pub configs: BTreeSet<ConfigResource>,
    pub features: bool,
    pub producer_ids: bool,
    pub client_quotas: BTreeSet<QuotaEntity>,
    pub acls: BTreeSet<Uuid>,
    pub scram: BTreeSet<ScramUser>,
    pub delegation_tokens: BTreeSet<Str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TopicDelta {
    pub name: Str,
    pub created: bool,
    pub partitions: BTreeMap<i32, PartitionDelta>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionDelta {
    pub before: Option<Arc<Partition>>,
    pub after: Arc<Partition>,
}

/// What one broker has to do about its replicas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LocalChanges {
    /// Replicas to remove, with the reason that decides whether the log goes at once.
    pub removed: Vec<LocalRemoval>,
    /// Partitions that the broker leads and whose epochs moved.
    pub leaders: Vec<LocalReplica>,
    /// Partitions that it follows and whose epochs moved.
    pub followers: Vec<LocalReplica>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRemoval {
    pub topic: Str,
    pub topic_id: Uuid,
    pub partition: i32,
    /// The topic is gone, and not only this replica of it.
    pub topic_deleted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReplica {
    pub topic: Str,
    pub topic_id: Uuid,
    pub partition: i32,
    /// The replica was not there before.
    pub is_new: bool,
    /// A leader epoch began: fetchers restart, delayed operations end.
    pub new_leader_epoch: bool,
    pub registration: Arc<Partition>,
}

impl MetadataDelta {
    pub fn is_empty(&self) -> bool {
        *self == MetadataDelta::default()
    }

    /// All of an image as a change from nothing.
    pub fn of(image: &MetadataImage) -> MetadataDelta {
        let created = |topic: &Arc<Topic>| {
            let partitions = topic.partitions.iter().map(|(index, partition)| {
                let delta = PartitionDelta {
                    before: None,
                    after: Arc::clone(partition),
                };
                (*index, delta)
            });
            let delta = TopicDelta {
                name: topic.name.clone(),
                created: true,
                partitions: partitions.collect(),
            };
            (topic.id, delta)
        };
        MetadataDelta {
            topics: image.topics().map(created).collect(),
            deleted_topics: BTreeMap::new(),
            brokers: image.brokers.keys().copied().collect(),
            controllers: image.controllers.keys().copied().collect(),
            configs: image.configs.keys().cloned().collect(),
            features: image.features != Features::default(),
            producer_ids: image.next_producer_id.is_some(),
            client_quotas: image.client_quotas.keys().cloned().collect(),
            acls: image.acls.keys().copied().collect(),
            scram: image.scram.keys().cloned().collect(),
            delegation_tokens: image.delegation_tokens.keys().cloned().collect(),
        }
    }

    pub fn local_changes(&self, broker: i32) -> LocalChanges {
        let mut changes = LocalChanges::default();
        for (id, topic) in &self.deleted_topics {
            let held = topic
                .partitions
                .iter()
                .filter(|(_, p)| p.replicas.contains(&broker));
            changes
                .removed
                .extend(held.map(|(partition, _)| LocalRemoval {
                    topic: topic.name.clone(),
                    topic_id: *id,
                    partition: *partition,
                    topic_deleted: true,
                }));
        }
        for (id, topic) in &self.topics {
            for (partition, delta) in &topic.partitions {
                delta.add_local(broker, *id, &topic.name, *partition, &mut changes);
            }
        }
        changes
    }
}

impl PartitionDelta {
    fn add_local(
        &self,
        broker: i32,
        topic_id: Uuid,
        topic: &Str,
        partition: i32,
        changes: &mut LocalChanges,
    ) {
        let after = &self.after;
        let before = self.before.as_ref();
        let was_held = before.is_some_and(|p| p.replicas.contains(&broker));
        if !after.replicas.contains(&broker) {
            if was_held {
                changes.removed.push(LocalRemoval {
                    topic: topic.clone(),
                    topic_id,
                    partition,
                    topic_deleted: false,
                });
            }
            return;
        }
        if before.is_some_and(|p| p.partition_epoch == after.partition_epoch) {
            return;
        }
        let replica = LocalReplica {
            topic: topic.clone(),
            topic_id,
            partition,
            is_new: !was_held,
            new_leader_epoch: before.is_none_or(|p| p.leader_epoch != after.leader_epoch),
            registration: after.clone(),
        };
        match after.leader {
            Some(leader) if leader == broker => changes.leaders.push(replica),
            _ => changes.followers.push(replica),
        }
    }
}
