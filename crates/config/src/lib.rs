//! Configuration keys: Kafka's names, types, defaults and documentation, and the values a user gave.
//!
//! [`keys`] has the tables. [`Settings`] is what was set where, [`BrokerConfig`] the checked and
//! typed form of it, [`TopicConfigs`] that of one topic. [`alter`] and [`describe`] are what the
//! config APIs of the protocol need.
//!
//! Invariant: no state and no I/O, save that [`BrokerConfig::load`] reads the file it is given.

mod alter;
mod broker;
mod client_metrics;
mod describe;
mod dynamic;
mod error;
mod group;
mod key;
pub mod keys;
mod listeners;
mod settings;
mod topic;
mod value;

pub use alter::{
    AlterError, AlterErrorCode, AlterOp, Alteration, Overrides, ResourceType, changes, incremental,
    legacy, validate, validate_new_topic,
};
pub use broker::{
    BrokerConfig, ConsumerGroupConfig, FetchConfig, GroupConfig, LogConfig, MetadataConfig,
    NetworkConfig, QuorumConfig, ReplicationConfig, TopicCreationConfig, TransactionConfig,
};
pub use client_metrics::{ClientAttribute, ClientMetricsConfig};
pub use describe::{
    ConfigEntry, ConfigSource, ConfigSynonym, Names, PrintedKey, describe_broker,
    describe_broker_defaults, describe_client_metrics, describe_group, describe_topic,
    print_config,
};
pub use error::{ConfigError, Conflict, ListenerFault, Problem, Warning};
pub use group::{ConsumerGroupSettings, group_synonym};
pub use key::{Check, Importance, Key, Kind, Support, Update};
pub use listeners::{Endpoint, Listeners, Roles, SecurityProtocol};
pub use settings::{Setting, Settings, Source};
pub use topic::{CompressionType, Synonym, TimestampType, TopicConfigs, topic_synonyms};
pub use value::{BadValue, Bound, Fault, Value};
