//! An image written out as records, in the order in which Kafka writes a snapshot.
//!
//! Invariant: `metadata.version` comes first, a topic before its partitions, and both before
//! whatever refers to them.

use ottla_protocol::Str;
use ottla_protocol::metadata_records::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord, TopicRecord,
};

use crate::image::MetadataImage;
use crate::version::{METADATA_VERSION_FEATURE, MetadataVersion};

/// "No broker in particular" in the record of the producer ids of a snapshot.
const NO_BROKER: i32 = -1;
const NO_BROKER_EPOCH: i64 = -1;

impl MetadataImage {
    /// The records that bring an empty image to this state.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let version = self
            .features
            .metadata_version
            .unwrap_or(MetadataVersion::LATEST_PRODUCTION);
        let mut out = Vec::new();
        self.write_features(&mut out);
        out.extend(
            self.brokers
                .values()
                .map(|b| MetadataRecord::RegisterBroker(b.to_record(version))),
        );
        if version >= MetadataVersion::CONTROLLER_REGISTRATION {
            out.extend(
                self.controllers
                    .values()
                    .map(|c| MetadataRecord::RegisterController(c.to_record())),
            );
        }
        self.write_topics(version, &mut out);
        self.write_configs(&mut out);
        for (entity, quotas) in &self.client_quotas {
            let record = |(key, value): (&Str, &f64)| {
                MetadataRecord::ClientQuota(entity.to_record(key, Some(*value)))
            };
            out.extend(quotas.iter().map(record));
        }
        out.extend(self.next_producer_id.map(|next_producer_id| {
            MetadataRecord::ProducerIds(ProducerIdsRecord {
                broker_id: NO_BROKER,
                broker_epoch: NO_BROKER_EPOCH,
                next_producer_id,
                ..Default::default()
            })
        }));
        out.extend(
            self.acls
                .iter()
                .map(|(id, acl)| MetadataRecord::AccessControlEntry(acl.to_record(*id))),
        );
        if version >= MetadataVersion::SCRAM {
            out.extend(
                self.scram
                    .iter()
                    .map(|(user, c)| MetadataRecord::UserScramCredential(c.to_record(user))),
            );
        }
        if version >= MetadataVersion::DELEGATION_TOKENS {
            let tokens = self.delegation_tokens.iter();
            out.extend(
                tokens.map(|(id, token)| MetadataRecord::DelegationToken(token.to_record(id))),
            );
        }
        out
    }

    fn write_features(&self, out: &mut Vec<MetadataRecord>) {
        let version = self
            .features
            .metadata_version
            .map(|v| (Str::from_static(METADATA_VERSION_FEATURE), v.level()));
        let others = self
            .features
            .others
            .iter()
            .map(|(name, level)| (name.clone(), *level));
        let record = |(name, feature_level)| {
            MetadataRecord::FeatureLevel(FeatureLevelRecord {
                name,
                feature_level,
                ..Default::default()
            })
        };
        out.extend(version.into_iter().chain(others).map(record));
    }

    fn write_topics(&self, version: MetadataVersion, out: &mut Vec<MetadataRecord>) {
        for topic in self.topics_by_id.values() {
            let record = TopicRecord {
                name: topic.name.clone(),
                topic_id: topic.id,
                ..Default::default()
            };
            out.push(MetadataRecord::Topic(record));
            let partitions = topic.partitions.iter();
            out.extend(
                partitions
                    .map(|(id, p)| MetadataRecord::Partition(p.to_record(topic.id, *id, version))),
            );
        }
    }

    fn write_configs(&self, out: &mut Vec<MetadataRecord>) {
        for (resource, map) in &self.configs {
            let record = |(name, value): (&Str, &Str)| {
                MetadataRecord::Config(ConfigRecord {
                    resource_type: resource.kind.0,
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                    ..Default::default()
                })
            };
            out.extend(map.iter().map(record));
        }
    }
}
