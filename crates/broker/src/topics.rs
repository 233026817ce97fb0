//! The partitions that this broker holds, by topic name and by topic id, for handlers to find without a lock.
//!
//! Invariant: both maps hold the same topics. Only `metadata_publisher.rs` changes them, as the metadata log says.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use imbl::HashMap;
use ottla_protocol::{Str, Uuid};

use crate::partition::Partition;

/// Name of the topic that holds committed offsets and groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// Name of the topic that holds the state of transactions.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// Name of the topic that holds the state of share groups.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";

/// Topics whose records are the broker's own.
pub fn is_internal(topic: &str) -> bool {
    [OFFSETS_TOPIC, TRANSACTIONS_TOPIC, SHARE_STATE_TOPIC].contains(&topic)
}

/// One topic, with the replicas of it that are here.
pub struct Topic {
    pub name: Str,
    pub id: Uuid,
    internal: bool,
    /// By partition index; none where this broker has no replica, or its log directory failed.
    partitions: ArcSwap<Vec<Option<Arc<Partition>>>>,
}

impl Topic {
    pub fn new(name: Str, id: Uuid) -> Self {
        let internal = is_internal(&name);
        Self {
            name,
            id,
            internal,
            partitions: ArcSwap::default(),
        }
    }

    pub fn is_internal(&self) -> bool {
        self.internal
    }

    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        self.partitions
            .load()
            .get(usize::try_from(index).ok()?)?
            .clone()
    }

    /// The partitions as they stand, for whoever looks at one and is done with it.
    pub fn view(&self) -> Guard<Arc<Vec<Option<Arc<Partition>>>>> {
        self.partitions.load()
    }

    pub fn partitions(&self) -> Arc<Vec<Option<Arc<Partition>>>> {
        self.partitions.load_full()
    }

    /// Puts replicas in their places; only the publisher calls this.
    pub fn place(&self, replicas: impl IntoIterator<Item = Arc<Partition>>) {
        let mut partitions = Vec::clone(&self.partitions.load());
        for replica in replicas {
            let index = replica.index as usize;
            if partitions.len() <= index {
                partitions.resize(index + 1, None);
            }
            partitions[index] = Some(replica);
        }
        self.partitions.store(Arc::new(partitions));
    }
}

/// All topics at one moment.
#[derive(Clone, Default)]
pub struct Maps {
    by_name: HashMap<Str, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Maps {
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    pub fn by_id(&self, id: &Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(id)
    }
}

#[derive(Default)]
pub struct Topics {
    maps: ArcSwap<Maps>,
}

impl Topics {
    /// The topics as they stand, for whoever looks at several and is done with them.
    pub fn view(&self) -> Guard<Arc<Maps>> {
        self.maps.load()
    }

    pub fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.maps.load().by_name.get(name).cloned()
    }

    pub fn by_id(&self, id: &Uuid) -> Option<Arc<Topic>> {
        self.maps.load().by_id.get(id).cloned()
    }

    pub fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.by_name(topic)?.partition(index)
    }

    /// Every topic as of this moment, in no order.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.maps.load().by_name.values().cloned().collect()
    }

    /// Adds and removes topics in one step; only the publisher calls this.
    pub fn change(
        &self,
        added: impl IntoIterator<Item = Arc<Topic>>,
        removed: impl IntoIterator<Item = Uuid>,
    ) {
        let mut maps = Maps::clone(&self.maps.load());
        for id in removed {
            if let Some(topic) = maps.by_id.remove(&id) {
                // A topic of the same name may have come in the same change.
                if maps
                    .by_name
                    .get(&topic.name)
                    .is_some_and(|named| named.id == id)
                {
                    maps.by_name.remove(&topic.name);
                }
            }
        }
        for topic in added {
            maps.by_name.insert(topic.name.clone(), Arc::clone(&topic));
            maps.by_id.insert(topic.id, topic);
        }
        self.maps.store(Arc::new(maps));
    }
}
