//! Replicas without a log: those that a full disk did not let begin are tried again, so that they need no restart.
//!
//! Invariant: a replica waits once. A round ends with the first that still finds no room, and begins with another one
//! next time, so that a full directory does not hold up those of other directories for ever.
//! Called by the publisher, and every few seconds on the controller's thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_metadata::{LocalReplica, MetadataImage};

use super::Publisher;
use crate::coordinators::homes::Homes;
use crate::topics::TRANSACTIONS_TOPIC;

impl Publisher {
    /// Notes that the replica has no log; it waits if the disk is full.
    pub(super) fn miss(
        &mut self,
        replica: &LocalReplica,
        is_full: bool,
        error: &dyn std::error::Error,
    ) {
        let (topic, partition) = (&replica.topic, replica.partition);
        if !is_full {
            tracing::error!(%topic, partition, %error, "no log: the partition answers with KAFKA_STORAGE_ERROR until a restart");
            return;
        }
        // Kafka takes the whole directory offline; but a full disk can be trusted.
        if self.broker.has_waiting_logs.swap(true, Ordering::AcqRel) {
            tracing::debug!(%topic, partition, %error, "no log yet");
        } else {
            tracing::error!(%topic, partition, %error, "the disk is full, no log yet: this partition, and others that are made meanwhile, answer with KAFKA_STORAGE_ERROR until there is room");
        }
        let is_same = |waiting: &LocalReplica| {
            (waiting.topic_id, waiting.partition) == (replica.topic_id, replica.partition)
        };
        self.waiting.retain(|waiting| !is_same(waiting));
        self.waiting.push_back(replica.clone());
    }

    /// Makes the logs that wait, as far as there is room.
    pub fn begin_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let image = self.broker.image();
        let mut coordinated = Vec::new();
        let mut begun = 0;
        while let Some(waiting) = self.waiting.pop_front() {
            let Some(replica) = self.current(&image, waiting) else {
                continue;
            };
            let left = self.waiting.len();
            coordinated.extend(self.lead(&image, vec![replica]));
            if self.waiting.len() > left {
                break;
            }
            begun += 1;
        }
        self.broker
            .has_waiting_logs
            .store(!self.waiting.is_empty(), Ordering::Release);
        if begun > 0 {
            let waiting = self.waiting.len();
            tracing::info!(
                begun,
                waiting,
                "the disk has room for logs that waited for it"
            );
        }
        self.coordinate_transactions(&image, coordinated);
    }

    /// The replica as the metadata has it; none if its topic is gone or others lead it.
    fn current(&self, image: &MetadataImage, waiting: LocalReplica) -> Option<LocalReplica> {
        let topic = image.topic_by_id(waiting.topic_id)?;
        let registration = topic.partition(waiting.partition)?;
        let node_id = self.broker.node_id;
        (registration.leader == Some(node_id)).then(|| LocalReplica {
            registration: Arc::clone(registration),
            ..waiting
        })
    }

    /// Begins the coordinators of partitions of the transactions' topic.
    pub(super) fn coordinate_transactions(
        &self,
        image: &MetadataImage,
        partitions: Vec<Arc<crate::partition::Partition>>,
    ) {
        if partitions.is_empty() {
            return;
        }
        let count = image
            .topic(TRANSACTIONS_TOPIC)
            .map_or(0, |topic| topic.partitions.len());
        Homes::begin(&self.broker, partitions, count);
    }
}

#[cfg(test)]
mod tests;
