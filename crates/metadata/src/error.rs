//! Why a record cannot be applied to an image.
//!
//! Each of these means that the log is not the one that the image came from, or that it was written
//! by a program that knows more than this one; no request of a client leads here.

use ottla_protocol::{Str, Uuid};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("no topic with id {0}")]
    UnknownTopicId(Uuid),
    #[error("no topic named {0}")]
    UnknownTopicName(Str),
    #[error("topic {name} is there already, with id {id}")]
    DuplicateTopic { name: Str, id: Uuid },
    #[error("no partition {partition} of topic {topic}")]
    UnknownPartition { topic: Uuid, partition: i32 },
    #[error("{directories} directories for {replicas} replicas")]
    DirectoriesDoNotMatchReplicas { directories: usize, replicas: usize },
    #[error("unknown leader recovery state {0}")]
    UnknownRecoveryState(i8),
    #[error("broker {0} is not registered")]
    UnknownBroker(i32),
    #[error("broker {broker} is registered with epoch {registered}, not {epoch}")]
    BrokerEpoch {
        broker: i32,
        registered: i64,
        epoch: i64,
    },
    #[error("unknown change {value} of the registration of broker {broker}")]
    UnknownBrokerChange { broker: i32, value: i8 },
    #[error("metadata.version {0} is not supported")]
    UnsupportedMetadataVersion(i16),
    #[error("no access control entry with id {0}")]
    UnknownAcl(Uuid),
    #[error("unknown SCRAM mechanism {0}")]
    UnknownScramMechanism(i8),
    #[error("a metadata transaction began inside another")]
    NestedTransaction,
    #[error("a metadata transaction ended that had not begun")]
    NoTransaction,
    #[error("a metadata transaction holds more than {0} records")]
    TransactionTooLarge(usize),
}
