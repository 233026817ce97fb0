//! The topics of a metadata image as the coordinator machines look at them.
//!
//! Invariant: a catalog is one image; the next image is another catalog.

use std::sync::Arc;

use ottla_coordinator::{TopicCatalog, TopicInfo, TopicsChange};
use ottla_metadata::{MetadataDelta, MetadataImage};
use ottla_protocol::{Str, Uuid};

#[derive(Debug, Default)]
pub struct Catalog {
    image: Arc<MetadataImage>,
}

impl Catalog {
    pub fn new(image: Arc<MetadataImage>) -> Self {
        Self { image }
    }
}

impl TopicCatalog for Catalog {
    fn version(&self) -> i64 {
        self.image.provenance.offset
    }

    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        self.image.topic(name).map(|topic| info(topic))
    }

    fn by_id(&self, id: Uuid) -> Option<TopicInfo> {
        self.image.topic_by_id(id).map(|topic| info(topic))
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Str)) {
        self.image.topics().for_each(|topic| visit(&topic.name));
    }

    fn partition_racks(&self, id: Uuid, partition: i32) -> Vec<Str> {
        let topic = self.image.topic_by_id(id);
        let replicas = topic.and_then(|topic| topic.partition(partition));
        let brokers = replicas.iter().flat_map(|partition| &partition.replicas);
        brokers
            .filter_map(|broker| self.image.broker(*broker)?.rack.clone())
            .collect()
    }
}

fn info(topic: &ottla_metadata::Topic) -> TopicInfo {
    TopicInfo {
        id: topic.id,
        name: topic.name.clone(),
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
    }
}

/// What a change of the metadata means for groups; nothing if no topic is concerned.
pub fn topics_change(delta: &MetadataDelta) -> Option<TopicsChange> {
    if delta.topics.is_empty() && delta.deleted_topics.is_empty() {
        return None;
    }
    let changed = delta.topics.values().map(|topic| topic.name.clone());
    let deleted = delta
        .deleted_topics
        .values()
        .map(|topic| topic.name.clone());
    Some(TopicsChange {
        changed: changed.chain(deleted).collect(),
        has_new_topics: delta.topics.values().any(|topic| topic.created),
    })
}
