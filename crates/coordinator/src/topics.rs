//! What the machine must know about topics, asked of whoever holds the cluster's metadata.
//!
//! Invariant: a catalog is an immutable snapshot; the machine never waits for it. Given by the broker
//! with `GroupCoordinator::handle_metadata`.

use std::fmt::Debug;

use ottla_protocol::{Str, Uuid};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    pub id: Uuid,
    pub name: Str,
    pub partitions: i32,
}

pub trait TopicCatalog: Debug + Send + Sync {
    /// Rises with every change.
    fn version(&self) -> i64;
    fn by_name(&self, name: &str) -> Option<TopicInfo>;
    fn by_id(&self, id: Uuid) -> Option<TopicInfo>;
    fn for_each_name(&self, visit: &mut dyn FnMut(&Str));
    /// Racks of the brokers that hold the partition; brokers without a rack say nothing.
    fn partition_racks(&self, _id: Uuid, _partition: i32) -> Vec<Str> {
        Vec::new()
    }
}

/// What became different with a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicsChange {
    /// Created, altered or deleted.
    pub changed: Vec<Str>,
    pub has_new_topics: bool,
}

/// A cluster without topics: what is known before the first metadata.
#[derive(Debug)]
pub(crate) struct NoTopics;

impl TopicCatalog for NoTopics {
    fn version(&self) -> i64 {
        0
    }

    fn by_name(&self, _name: &str) -> Option<TopicInfo> {
        None
    }

    fn by_id(&self, _id: Uuid) -> Option<TopicInfo> {
        None
    }

    fn for_each_name(&self, _visit: &mut dyn FnMut(&Str)) {}
}
