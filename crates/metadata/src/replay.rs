//! The one way in which an image comes to be: records, applied in order.
//!
//! Invariant: work is proportional to what the records change; the image that it starts from is not
//! touched.
//! Called by `MetadataImage::apply` only.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use ottla_protocol::metadata_records::*;
use ottla_protocol::{Str, Uuid};

use crate::access::{
    Acl, DelegationToken, QuotaEntity, ScramCredential, ScramMechanism, ScramUser,
};
use crate::broker::{Broker, ControllerNode};
use crate::config::{ConfigResource, ResourceType};
use crate::delta::{MetadataDelta, PartitionDelta, TopicDelta};
use crate::error::ReplayError;
use crate::features::KRAFT_VERSION_FEATURE;
use crate::image::MetadataImage;
use crate::topic::{Partition, Topic};
use crate::version::{METADATA_VERSION_FEATURE, MetadataVersion};

pub(crate) struct Replay<'a> {
    base: &'a MetadataImage,
    image: MetadataImage,
    delta: MetadataDelta,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(base: &'a MetadataImage) -> Replay<'a> {
        Replay {
            base,
            image: base.clone(),
            delta: MetadataDelta::default(),
        }
    }

    pub(crate) fn finish(self) -> (MetadataImage, MetadataDelta) {
        (self.image, self.delta)
    }

    pub(crate) fn record(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Topic(r) => self.topic(r)?,
            MetadataRecord::Partition(r) => self.partition(r)?,
            MetadataRecord::PartitionChange(r) => self.partition_change(r)?,
            MetadataRecord::RemoveTopic(r) => self.remove_topic(r)?,
            MetadataRecord::ClearElr(r) => self.clear_elr(r)?,
            MetadataRecord::Config(r) => self.config(r),
            MetadataRecord::RegisterBroker(r) => self.put_broker(Broker::from_record(r)),
            MetadataRecord::UnregisterBroker(r) => self.unregister_broker(r)?,
            MetadataRecord::FenceBroker(r) => self.set_fenced(r.id, r.epoch, true)?,
            MetadataRecord::UnfenceBroker(r) => self.set_fenced(r.id, r.epoch, false)?,
            MetadataRecord::BrokerRegistrationChange(r) => self.change_broker(r)?,
            MetadataRecord::RegisterController(r) => {
                self.delta.controllers.insert(r.controller_id);
                self.image
                    .controllers
                    .insert(r.controller_id, Arc::new(ControllerNode::from_record(r)));
            }
            MetadataRecord::FeatureLevel(r) => self.feature(r)?,
            MetadataRecord::ProducerIds(r) => {
                self.delta.producer_ids = true;
                self.image.next_producer_id = Some(r.next_producer_id);
            }
            MetadataRecord::ClientQuota(r) => self.client_quota(r),
            MetadataRecord::AccessControlEntry(r) => {
                self.delta.acls.insert(r.id);
                self.image.acls.insert(r.id, Arc::new(Acl::from_record(r)));
            }
            MetadataRecord::RemoveAccessControlEntry(r) => {
                self.image
                    .acls
                    .remove(&r.id)
                    .ok_or(ReplayError::UnknownAcl(r.id))?;
                self.delta.acls.insert(r.id);
            }
            MetadataRecord::UserScramCredential(r) => {
                let user = ScramUser {
                    mechanism: ScramMechanism::parse(r.mechanism)?,
                    name: r.name.detached(),
                };
                self.delta.scram.insert(user.clone());
                self.image
                    .scram
                    .insert(user, Arc::new(ScramCredential::from_record(r)));
            }
            MetadataRecord::RemoveUserScramCredential(r) => {
                let user = ScramUser {
                    mechanism: ScramMechanism::parse(r.mechanism)?,
                    name: r.name.detached(),
                };
                self.image.scram.remove(&user);
                self.delta.scram.insert(user);
            }
            MetadataRecord::DelegationToken(r) => {
                let id = r.token_id.detached();
                self.delta.delegation_tokens.insert(id.clone());
                self.image
                    .delegation_tokens
                    .insert(id, Arc::new(DelegationToken::from_record(r)));
            }
            MetadataRecord::RemoveDelegationToken(r) => {
                self.image.delegation_tokens.remove(&r.token_id);
                self.delta.delegation_tokens.insert(r.token_id.detached());
            }
            // Markers and leftovers of the migration from ZooKeeper say nothing about the cluster.
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => {}
        }
        Ok(())
    }

    fn topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        let (name, id) = (record.name.detached(), record.topic_id);
        if let Some(existing) = self.image.topics_by_name.get(&name) {
            return Err(ReplayError::DuplicateTopic {
                name,
                id: existing.id,
            });
        }
        if let Some(existing) = self.image.topics_by_id.get(&id) {
            return Err(ReplayError::DuplicateTopic {
                name: existing.name.clone(),
                id,
            });
        }
        let delta = TopicDelta {
            name: name.clone(),
            created: true,
            partitions: BTreeMap::new(),
        };
        self.delta.topics.insert(id, delta);
        self.put_topic(Topic {
            name,
            id,
            partitions: Default::default(),
        });
        Ok(())
    }

    fn partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let partition = Partition::from_record(record)?;
        self.put_partition(record.topic_id, record.partition_id, partition)
    }

    fn partition_change(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let topic = self.topic_by_id(record.topic_id)?;
        let current =
            topic
                .partition(record.partition_id)
                .ok_or(ReplayError::UnknownPartition {
                    topic: record.topic_id,
                    partition: record.partition_id,
                })?;
        let merged = current.merged(record)?;
        self.put_partition(record.topic_id, record.partition_id, merged)
    }

    fn remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), ReplayError> {
        let id = record.topic_id;
        let topic = self.topic_by_id(id)?;
        self.image.topics_by_id.remove(&id);
        self.image.topics_by_name.remove(&topic.name);
        self.delta.topics.remove(&id);
        if let Some(before) = self.base.topics_by_id.get(&id) {
            self.delta.deleted_topics.insert(id, before.clone());
        }
        let resource = ConfigResource::topic(&topic.name);
        if self.image.configs.remove(&resource).is_some() {
            self.delta.configs.insert(resource);
        }
        Ok(())
    }

    fn clear_elr(&mut self, record: &ClearElrRecord) -> Result<(), ReplayError> {
        let topics: Vec<Arc<Topic>> = if record.topic_name.is_empty() {
            self.image.topics_by_id.values().cloned().collect()
        } else {
            let topic = self.image.topics_by_name.get(&record.topic_name);
            vec![
                topic
                    .cloned()
                    .ok_or_else(|| ReplayError::UnknownTopicName(record.topic_name.detached()))?,
            ]
        };
        for topic in topics {
            for (id, partition) in &topic.partitions {
                if !partition.eligible_leader_replicas.is_empty()
                    || !partition.last_known_elr.is_empty()
                {
                    self.put_partition(topic.id, *id, partition.without_elr())?;
                }
            }
        }
        Ok(())
    }

    fn topic_by_id(&self, id: Uuid) -> Result<Arc<Topic>, ReplayError> {
        self.image
            .topics_by_id
            .get(&id)
            .cloned()
            .ok_or(ReplayError::UnknownTopicId(id))
    }

    fn put_topic(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        self.image.topics_by_id.insert(topic.id, topic.clone());
        self.image.topics_by_name.insert(topic.name.clone(), topic);
    }

    fn put_partition(
        &mut self,
        topic_id: Uuid,
        index: i32,
        partition: Partition,
    ) -> Result<(), ReplayError> {
        let topic = self.topic_by_id(topic_id)?;
        let after = Arc::new(partition);
        let delta = self
            .delta
            .topics
            .entry(topic_id)
            .or_insert_with(|| TopicDelta {
                name: topic.name.clone(),
                created: false,
                partitions: BTreeMap::new(),
            });
        match delta.partitions.entry(index) {
            Entry::Occupied(mut entry) => entry.get_mut().after = after.clone(),
            Entry::Vacant(entry) => {
                let before = topic.partitions.get(&index).cloned();
                entry.insert(PartitionDelta {
                    before,
                    after: after.clone(),
                });
            }
        }
        let mut topic = Topic::clone(&topic);
        topic.partitions.insert(index, after);
        self.put_topic(topic);
        Ok(())
    }

    fn config(&mut self, record: &ConfigRecord) {
        let resource = ConfigResource {
            kind: ResourceType(record.resource_type),
            name: record.resource_name.detached(),
        };
        let mut map = self
            .image
            .configs
            .get(&resource)
            .map(|m| (**m).clone())
            .unwrap_or_default();
        match &record.value {
            Some(value) => map.insert(record.name.detached(), value.detached()),
            None => map.remove(&record.name),
        };
        if map.is_empty() {
            self.image.configs.remove(&resource);
        } else {
            self.image.configs.insert(resource.clone(), Arc::new(map));
        }
        self.delta.configs.insert(resource);
    }

    fn put_broker(&mut self, broker: Broker) {
        self.delta.brokers.insert(broker.id);
        self.image.brokers.insert(broker.id, Arc::new(broker));
    }

    fn registered(&self, id: i32, epoch: i64) -> Result<Arc<Broker>, ReplayError> {
        let broker = self
            .image
            .brokers
            .get(&id)
            .ok_or(ReplayError::UnknownBroker(id))?;
        if broker.epoch != epoch {
            return Err(ReplayError::BrokerEpoch {
                broker: id,
                registered: broker.epoch,
                epoch,
            });
        }
        Ok(broker.clone())
    }

    fn unregister_broker(&mut self, record: &UnregisterBrokerRecord) -> Result<(), ReplayError> {
        self.registered(record.broker_id, record.broker_epoch)?;
        self.image.brokers.remove(&record.broker_id);
        self.delta.brokers.insert(record.broker_id);
        Ok(())
    }

    fn set_fenced(&mut self, id: i32, epoch: i64, fenced: bool) -> Result<(), ReplayError> {
        let broker = self.registered(id, epoch)?;
        self.put_broker(Broker {
            fenced,
            ..Broker::clone(&broker)
        });
        Ok(())
    }

    fn change_broker(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        let broker = self.registered(record.broker_id, record.broker_epoch)?;
        let changed = broker.changed(record)?;
        if changed != *broker {
            self.put_broker(changed);
        }
        Ok(())
    }

    fn feature(&mut self, record: &FeatureLevelRecord) -> Result<(), ReplayError> {
        let level = record.feature_level;
        match record.name.as_str() {
            METADATA_VERSION_FEATURE => {
                let version = MetadataVersion::from_level(level)
                    .ok_or(ReplayError::UnsupportedMetadataVersion(level))?;
                self.image.features.metadata_version = Some(version);
            }
            // Its truth is the control record; old versions of Kafka wrote it here by mistake.
            KRAFT_VERSION_FEATURE => return Ok(()),
            _ if level == 0 => {
                self.image.features.others.remove(&record.name);
            }
            _ => {
                self.image
                    .features
                    .others
                    .insert(record.name.detached(), level);
            }
        }
        self.delta.features = true;
        Ok(())
    }

    fn client_quota(&mut self, record: &ClientQuotaRecord) {
        let entity = QuotaEntity::from_record(record);
        let mut quotas = self
            .image
            .client_quotas
            .get(&entity)
            .map(|q| (**q).clone())
            .unwrap_or_default();
        if record.remove {
            quotas.remove(&record.key);
        } else {
            quotas.insert(Str::detached(&record.key), record.value);
        }
        if quotas.is_empty() {
            self.image.client_quotas.remove(&entity);
        } else {
            self.image
                .client_quotas
                .insert(entity.clone(), Arc::new(quotas));
        }
        self.delta.client_quotas.insert(entity);
    }
}
