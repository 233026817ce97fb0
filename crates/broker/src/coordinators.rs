//! Which broker coordinates what: the leader of the key's partition in the internal topic of its kind. Below it is
//! the shell that groups and transactions share: homes of machines, the machine's surroundings, loading.

pub mod homes;
pub mod load;
pub mod machine;
pub mod shard;

use ottla_coordinator::partition_for;
use ottla_metadata::Endpoint;
use ottla_protocol::{ErrorCode, Str};

use crate::broker::Broker;
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoordinatorKind {
    Group,
    Transaction,
}

impl CoordinatorKind {
    /// Kafka's number of a kind that is served here.
    pub fn from_key_type(key_type: i8) -> Option<Self> {
        match key_type {
            0 => Some(Self::Group),
            1 => Some(Self::Transaction),
            _ => None,
        }
    }

    fn topic(self) -> &'static str {
        match self {
            Self::Group => OFFSETS_TOPIC,
            Self::Transaction => TRANSACTIONS_TOPIC,
        }
    }
}

/// A broker as clients of one listener reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: Str,
    pub port: i32,
}

/// Finds the coordinator of `key`, and makes the internal topic if this is the first time that one is asked for.
pub async fn find(
    broker: &Broker,
    kind: CoordinatorKind,
    key: &str,
    listener: &str,
) -> Result<Node, ErrorCode> {
    let topic_name = kind.topic();
    make_topic(broker, kind).await;
    let image = broker.image();
    let topic = image
        .topic(topic_name)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let partition = topic.partition(partition_for(key, topic.partitions.len() as i32));
    let leader = partition
        .and_then(|partition| partition.leader)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let registration = image.broker(leader).filter(|broker| !broker.fenced);
    let endpoint = registration.and_then(|broker| broker.endpoint(listener));
    let Endpoint { host, port, .. } = endpoint.ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok(Node {
        id: leader,
        host: host.clone(),
        port: i32::from(*port),
    })
}

/// Makes the internal topic of `kind` if it is not there.
pub async fn make_topic(broker: &Broker, kind: CoordinatorKind) {
    if broker.image().topic(kind.topic()).is_some() {
        return;
    }
    let errors = broker
        .auto_create_topics(vec![Str::from_static(kind.topic())], true)
        .await;
    for (topic, error) in errors {
        tracing::error!(%topic, ?error, "coordinators have no topic to keep their state in");
    }
}

#[cfg(test)]
pub(crate) mod tests;
