//! What a client knows of the cluster: brokers, topics, and who leads which partition.
//!
//! Built from Metadata answers by `client.rs`; immutable, replaced whole when asked again.

use std::collections::{BTreeMap, HashMap};

use ottla_protocol::messages::MetadataResponse;
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;
use ottla_protocol::{ErrorCode, Str};

use super::error::ClientError;

#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub id: Option<String>,
    pub controller: Option<i32>,
    pub brokers: BTreeMap<i32, Broker>,
    /// Topics that exist. Those that were asked for and do not are in `missing`.
    pub topics: BTreeMap<String, MetadataResponseTopic>,
    pub missing: HashMap<String, ErrorCode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl Broker {
    pub fn address(&self) -> String {
        // An IPv6 address needs brackets before a port.
        match self.host.contains(':') && !self.host.starts_with('[') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Cluster {
    pub(crate) fn from_response(response: MetadataResponse) -> Self {
        let brokers = response.brokers.iter().map(|broker| {
            let broker = Broker {
                id: broker.node_id,
                host: broker.host.to_string(),
                port: broker.port,
                rack: broker.rack.as_ref().map(Str::to_string),
            };
            (broker.id, broker)
        });
        let mut cluster = Cluster {
            id: response.cluster_id.as_ref().map(Str::to_string),
            controller: (response.controller_id >= 0).then_some(response.controller_id),
            brokers: brokers.collect(),
            ..Cluster::default()
        };
        for topic in response.topics {
            let name = topic.name.as_ref().map(Str::to_string).unwrap_or_default();
            match ErrorCode::from_code(topic.error_code) {
                ErrorCode::None => drop(cluster.topics.insert(name, topic)),
                code => drop(cluster.missing.insert(name, code)),
            }
        }
        cluster
    }

    /// A topic that was asked for, or why there is none.
    pub fn topic(&self, name: &str) -> Result<&MetadataResponseTopic, ClientError> {
        self.topics.get(name).ok_or_else(|| ClientError::Refused {
            subject: format!("topic {name}"),
            code: self
                .missing
                .get(name)
                .copied()
                .unwrap_or(ErrorCode::UnknownTopicOrPartition),
            message: None,
        })
    }

    /// Numbers of a topic's partitions, in order.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, ClientError> {
        let topic = self.topic(topic)?;
        let mut partitions: Vec<i32> = topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index)
            .collect();
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// The broker that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32, ClientError> {
        let refused = |code| ClientError::Refused {
            subject: format!("{topic}-{partition}"),
            code,
            message: None,
        };
        let found = self
            .topic(topic)?
            .partitions
            .iter()
            .find(|candidate| candidate.partition_index == partition)
            .ok_or_else(|| refused(ErrorCode::UnknownTopicOrPartition))?;
        match found.leader_id {
            leader @ 0.. => Ok(leader),
            _ => Err(refused(ErrorCode::LeaderNotAvailable)),
        }
    }
}
