//! Cluster metadata: the image that a replay of metadata records yields.
//!
//! An image is immutable and cheap to clone; [`MetadataImage::apply`] is the only way to the next one,
//! and says in a [`MetadataDelta`] what changed. Snapshots are [`MetadataImage::to_records`].
//!
//! **Invariants:** no I/O, no clock, no randomness; the same records always yield the same image.
//!
//! ```
//! use ottla_metadata::{ConfigResource, MetadataImage};
//! use ottla_protocol::metadata_records::{ConfigRecord, MetadataRecord, PartitionRecord, TopicRecord};
//! use ottla_protocol::{Str, Uuid};
//!
//! let id = Uuid::from_u128(7 << 64);
//! let records: Vec<MetadataRecord> = vec![
//!     TopicRecord { name: "orders".into(), topic_id: id, ..Default::default() }.into(),
//!     PartitionRecord {
//!         partition_id: 0, topic_id: id, replicas: vec![1], isr: vec![1], leader: 1,
//!         leader_epoch: 0, partition_epoch: 0, ..Default::default()
//!     }.into(),
//!     ConfigRecord {
//!         resource_type: 2, resource_name: "orders".into(), name: "retention.ms".into(),
//!         value: Some("1000".into()), ..Default::default()
//!     }.into(),
//! ];
//! let (image, delta) = MetadataImage::default().apply(&records).unwrap();
//! assert_eq!(image.partition("orders", 0).unwrap().leader, Some(1));
//! assert_eq!(image.config(&ConfigResource::topic("orders")).get("retention.ms"), Some(&Str::from("1000")));
//! let changes = delta.local_changes(1);
//! assert!(changes.leaders[0].is_new);
//!
//! // A snapshot, and what comes of it.
//! let (again, _) = MetadataImage::default().apply(&image.to_records()).unwrap();
//! assert_eq!(again, image);
//! ```

mod access;
mod broker;
mod config;
mod delta;
mod error;
mod features;
mod framing;
mod image;
mod loader;
mod replay;
mod snapshot;
#[cfg(test)]
mod tests;
mod topic;
mod version;

pub use access::{
    Acl, DelegationToken, QuotaEntity, Quotas, ScramCredential, ScramMechanism, ScramUser,
};
pub use broker::{Broker, ControllerNode, Endpoint, LevelRange};
pub use config::{ConfigMap, ConfigResource, ResourceType};
pub use delta::{
    LocalChanges, LocalRemoval, LocalReplica, MetadataDelta, PartitionDelta, TopicDelta,
};
pub use error::ReplayError;
pub use features::{
    ELIGIBLE_LEADER_REPLICAS_FEATURE, FEATURES, Feature, Features, GROUP_VERSION_FEATURE,
    KRAFT_VERSION_FEATURE, supported_features,
};
pub use framing::{
    BatchPosition, ControlRecord, FramingError, LogBatch, LogContent, SnapshotId, SnapshotOptions,
    bootstrap_checkpoint, control_batch, leader_change, read_batches, record_batch, snapshot,
};
pub use image::{MetadataImage, Provenance};
pub use loader::Loader;
pub use topic::{LeaderRecoveryState, NO_LEADER, NO_LEADER_CHANGE, Partition, Topic, directory};
pub use version::{METADATA_VERSION_FEATURE, MetadataVersion};
