//! Dynamic configuration, by resource.
//!
//! Invariant: a resource without any key has no entry.

use std::collections::BTreeMap;
use std::fmt;

use ottla_protocol::Str;

/// What a configuration belongs to, by Kafka's number: clients may name types that we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(pub i8);

impl ResourceType {
    pub const TOPIC: ResourceType = ResourceType(2);
    pub const BROKER: ResourceType = ResourceType(4);
    pub const BROKER_LOGGER: ResourceType = ResourceType(8);
    pub const CLIENT_METRICS: ResourceType = ResourceType(16);
    pub const GROUP: ResourceType = ResourceType(32);
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub kind: ResourceType,
    /// The empty name of kind `BROKER` stands for all brokers.
    pub name: Str,
}

impl ConfigResource {
    pub fn new(kind: ResourceType, name: impl Into<Str>) -> ConfigResource {
        ConfigResource {
            kind,
            name: name.into(),
        }
    }

    pub fn topic(name: impl Into<Str>) -> ConfigResource {
        Self::new(ResourceType::TOPIC, name)
    }

    pub fn broker(id: i32) -> ConfigResource {
        Self::new(ResourceType::BROKER, id.to_string())
    }

    /// The defaults of all brokers.
    pub fn cluster() -> ConfigResource {
        Self::new(ResourceType::BROKER, "")
    }

    pub fn is_cluster(&self) -> bool {
        self.kind == ResourceType::BROKER && self.name.is_empty()
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ResourceType::TOPIC => write!(f, "topic {}", self.name),
            ResourceType::BROKER if self.name.is_empty() => write!(f, "all brokers"),
            ResourceType::BROKER => write!(f, "broker {}", self.name),
            ResourceType::BROKER_LOGGER => write!(f, "loggers of broker {}", self.name),
            ResourceType::CLIENT_METRICS => write!(f, "client metrics {}", self.name),
            ResourceType::GROUP => write!(f, "group {}", self.name),
            ResourceType(other) => write!(f, "resource {} of type {other}", self.name),
        }
    }
}

/// The keys that are set on one resource.
pub type ConfigMap = BTreeMap<Str, Str>;
