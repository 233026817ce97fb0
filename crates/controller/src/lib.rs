//! The controller's decisions: a command and the image in, metadata records out.
//!
//! A command returns an [`Outcome`]: the caller appends its records to the metadata log, gives them
//! to [`Controller::replay`] once they are committed, publishes the image, and then sends the answer.
//!
//! **Invariants:** no I/O, no clock, no randomness but what [`Context`] brings; state changes by
//! replay alone.
//!
//! ```
//! use std::sync::Arc;
//! use ottla_config::BrokerConfig;
//! use ottla_controller::{Context, Controller, Heartbeat, NewTopic, Registration, bootstrap_records};
//! use ottla_metadata::{MetadataImage, MetadataVersion, supported_features};
//! use ottla_protocol::Uuid;
//!
//! let config = Arc::new(BrokerConfig::load(None, &[]).unwrap());
//! let mut controller = Controller::new("cluster", config, MetadataImage::default(), 0);
//! let mut log_end = 0;
//! let mut commit = |controller: &mut Controller, records: Vec<_>| {
//!     // Append to `__cluster_metadata-0` and sync; then:
//!     let delta = controller.replay(&records, log_end).unwrap();
//!     log_end += records.len() as i64;
//!     (log_end, delta)
//! };
//! let bootstrap = controller.activate(bootstrap_records(MetadataVersion::LATEST_PRODUCTION));
//! let (next_offset, _) = commit(&mut controller, bootstrap.records);
//!
//! let mut seed = 7u64;
//! let mut random = move || { seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); seed };
//! let registration = Registration {
//!     broker_id: 1, cluster_id: "cluster".into(), incarnation_id: Uuid::from_u128(5 << 64), endpoints: vec![],
//!     features: supported_features(), rack: None, is_migrating_zk_broker: false,
//!     log_dirs: vec![Uuid::from_u128(6 << 64)], previous_broker_epoch: -1,
//! };
//! let outcome = controller.register_broker(&Context { now_ms: 0, next_offset, random: &mut random }, &registration).unwrap();
//! let broker_epoch = outcome.answer;
//! let (next_offset, _) = commit(&mut controller, outcome.records);
//! let heartbeat = Heartbeat { broker_id: 1, broker_epoch, metadata_offset: next_offset - 1, ..Heartbeat::default() };
//! let outcome = controller.heartbeat(&Context { now_ms: 1, next_offset, random: &mut random }, &heartbeat).unwrap();
//! assert!(!outcome.answer.is_fenced);
//! let (next_offset, _) = commit(&mut controller, outcome.records);
//!
//! let mut context = Context { now_ms: 2, next_offset, random: &mut random };
//! let outcome = controller.create_topics(&mut context, &[NewTopic::with_defaults("orders")], false).unwrap();
//! let (name, created) = &outcome.answer[0];
//! assert_eq!((name.as_str(), created.as_ref().unwrap().partitions), ("orders", 1));
//! let (_, delta) = commit(&mut controller, outcome.records);
//! assert_eq!(delta.local_changes(1).leaders.len(), 1);
//! ```

mod alter_partition;
mod bootstrap;
mod brokers;
mod change;
mod configs;
mod controller;
mod controllers;
mod elections;
mod error;
mod features;
mod names;
mod partitions;
mod placement;
mod producer_ids;
mod quotas;
mod random;
mod reassignments;
mod rejoin;
mod sessions;
#[cfg(test)]
mod tests;
mod topics;

pub use alter_partition::{IsrChange, IsrState};
pub use bootstrap::bootstrap_records;
pub use brokers::{Heartbeat, HeartbeatAnswer, Registration};
pub use configs::{ConfigAlteration, ConfigOp, ConfigReplacement};
pub use controller::{Answer, Context, Controller, Outcome, RECORDS_PER_COMMAND_MAX, TopicAnswers};
pub use controllers::ControllerRegistration;
pub use elections::{ELECTIONS_PER_ROUND_MAX, ElectionAnswer, ElectionKind};
pub use error::{ControlError, FeatureFault, PlacementError};
pub use features::{FeatureUpdate, UpgradeType};
pub use names::{
    CLUSTER_METADATA_TOPIC, CONSUMER_OFFSETS_TOPIC, SHARE_GROUP_STATE_TOPIC, TOPIC_NAME_LENGTH_MAX,
    TRANSACTION_STATE_TOPIC, is_internal_topic, validate_topic_name,
};
pub use partitions::MorePartitions;
pub use placement::{UsableBroker, place};
pub use producer_ids::{PRODUCER_IDS_PER_BLOCK, ProducerIdBlock};
pub use quotas::{QuotaAlteration, QuotaFilter, QuotaMatch};
pub use random::{Random, random_uuid};
pub use reassignments::{
    DirectoryAssignment, OngoingReassignment, Reassignment, ReassignmentAnswer,
};
pub use topics::{
    CreatedTopic, DEFAULT, DeletedTopic, NewTopic, PARTITIONS_PER_REQUEST_MAX, TopicRef,
};
