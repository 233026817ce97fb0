//! The state of the cluster at one offset of the metadata log.
//!
//! Invariants: an image never changes, and a clone costs a few reference counts; the topics by name
//! and by id are the same topics; replaying [`MetadataImage::to_records`] over an empty image yields
//! an equal one.
//! Published to request handlers, which read it without locks; extended by `apply`.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{Str, Uuid};

use crate::access::{Acl, DelegationToken, QuotaEntity, Quotas, ScramCredential, ScramUser};
use crate::broker::{Broker, ControllerNode};
use crate::config::{ConfigMap, ConfigResource};
use crate::delta::MetadataDelta;
use crate::error::ReplayError;
use crate::features::Features;
use crate::replay::Replay;
use crate::topic::{Partition, Topic};

/// Where in the metadata log an image stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The offset of the last record that the image reflects; -1 for none.
    pub offset: i64,
    pub epoch: i32,
    pub timestamp_ms: i64,
}

impl Default for Provenance {
    fn default() -> Provenance {
        Provenance {
            offset: -1,
            epoch: -1,
            timestamp_ms: -1,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetadataImage {
    pub provenance: Provenance,
    pub features: Features,
    pub brokers: OrdMap<i32, Arc<Broker>>,
    pub controllers: OrdMap<i32, Arc<ControllerNode>>,
    pub(crate) topics_by_id: OrdMap<Uuid, Arc<Topic>>,
    pub(crate) topics_by_name: OrdMap<Str, Arc<Topic>>,
    pub(crate) configs: OrdMap<ConfigResource, Arc<ConfigMap>>,
    /// The first producer id that no block has been given out for; nothing before the first block.
    pub next_producer_id: Option<i64>,
    pub client_quotas: OrdMap<QuotaEntity, Arc<Quotas>>,
    pub acls: OrdMap<Uuid, Arc<Acl>>,
    pub scram: OrdMap<ScramUser, Arc<ScramCredential>>,
    pub delegation_tokens: OrdMap<Str, Arc<DelegationToken>>,
}

impl MetadataImage {
    /// The image after the records, and what they changed. An error leaves nothing half done.
    ///
    /// Transaction markers mean nothing here: [`Loader`](crate::Loader) holds back what is not ended.
    pub fn apply<'a>(
        &self,
        records: impl IntoIterator<Item = &'a MetadataRecord>,
    ) -> Result<(MetadataImage, MetadataDelta), ReplayError> {
        let mut replay = Replay::new(self);
        for record in records {
            replay.record(record)?;
        }
        Ok(replay.finish())
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics_by_name.get(name)
    }

    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics_by_id.get(&id)
    }

    /// All topics, in the order of their names.
    pub fn topics(&self) -> impl DoubleEndedIterator<Item = &Arc<Topic>> {
        self.topics_by_name.values()
    }

    /// The topics from a name on, which is how a cursor continues.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        let from = Str::from(name);
        self.topics_by_name.range(from..).map(|(_, topic)| topic)
    }

    pub fn topic_count(&self) -> usize {
        self.topics_by_name.len()
    }

    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<Partition>> {
        self.topic(topic)?.partition(partition)
    }

    pub fn broker(&self, id: i32) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// The epoch of a broker that is registered and not fenced.
    pub fn alive_broker_epoch(&self, id: i32) -> Option<i64> {
        self.broker(id).filter(|b| !b.fenced).map(|b| b.epoch)
    }

    /// The dynamic configuration of a resource; empty where nothing is set.
    pub fn config(&self, resource: &ConfigResource) -> Arc<ConfigMap> {
        self.configs.get(resource).cloned().unwrap_or_default()
    }

    pub fn configs(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigMap>)> {
        self.configs.iter()
    }
}
