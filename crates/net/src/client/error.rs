//! What can go wrong between a tool and a cluster: what happened, to what, and what to do about it.
//!
//! Invariant: every error names its subject (address, broker, topic, partition, group), and
//! `hint` never repeats what the message says.

use std::io;
use std::time::Duration;

use ottla_protocol::{ApiKey, DecodeError, EncodeError, ErrorCode};
use ottla_records::{BuildError, RecordError};

use crate::frames::FrameError;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("\"{0}\" is not an address like host:port")]
    InvalidAddress(String),
    #[error("no broker answers at {bootstrap}: {last}")]
    NoBroker {
        bootstrap: String,
        last: Box<ClientError>,
    },
    #[error("cannot resolve {address}: {source}")]
    Resolve { address: String, source: io::Error },
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("no connection to {address} within {after:?}")]
    ConnectTimeout { address: String, after: Duration },
    #[error("the connection to {address} broke: {reason}")]
    ConnectionLost { address: String, reason: Lost },
    #[error("{api} was not answered by {address} within {after:?}")]
    Timeout {
        api: ApiKey,
        address: String,
        after: Duration,
    },
    #[error(
        "{address} does not serve {api} in versions {}-{} that this program speaks{}",
        ours.0, ours.1, describe_versions(*theirs)
    )]
    UnsupportedApi {
        api: ApiKey,
        address: String,
        ours: (i16, i16),
        theirs: Option<(i16, i16)>,
    },
    #[error("{api} cannot be expressed: {source}")]
    Encode { api: ApiKey, source: EncodeError },
    #[error("the answer of {address} to {api} cannot be read: {source}")]
    Decode {
        api: ApiKey,
        address: String,
        source: DecodeError,
    },
    /// The cluster refused. `message` is what it said beyond the code.
    #[error("{subject}: {}", refusal(*code, message.as_deref()))]
    Refused {
        subject: String,
        code: ErrorCode,
        message: Option<String>,
    },
    #[error("the cluster has no broker {broker}")]
    UnknownBroker { broker: i32 },
    #[error("the answer to {api} lacks {subject}")]
    Missing { api: ApiKey, subject: String },
    #[error("{subject}: cannot read the records at offset {offset}: {source}")]
    Records {
        subject: String,
        offset: i64,
        source: RecordError,
    },
    #[error("{subject}: cannot build a batch: {source}")]
    Batch { subject: String, source: BuildError },
    #[error("a record of {bytes} bytes is larger than a request may be ({max} bytes)")]
    RecordTooLarge { bytes: usize, max: usize },
    #[error("group {group}: {source}")]
    Assignment { group: String, source: DecodeError },
    #[error("the task of {0} ended before its work did")]
    TaskFailed(&'static str),
}

/// Why a connection is gone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Lost {
    #[error("the broker closed it")]
    ByPeer,
    #[error("{kind}")]
    Io { kind: io::ErrorKind },
    #[error(transparent)]
    Frame(FrameError),
    #[error("it sent an answer that was not asked for")]
    Uninvited,
}

impl ClientError {
    pub(crate) fn refused(subject: impl Into<String>, code: i16, message: Option<&str>) -> Self {
        ClientError::Refused {
            subject: subject.into(),
            code: ErrorCode::from_code(code),
            message: message.map(str::to_owned),
        }
    }

    /// The cluster's code, if it was the cluster that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Refused { code, .. } => code.is_retriable(),
            ClientError::Connect { .. }
            | ClientError::ConnectTimeout { .. }
            | ClientError::ConnectionLost { .. }
            | ClientError::Timeout { .. }
            | ClientError::UnknownBroker { .. }
            | ClientError::NoBroker { .. } => true,
            _ => false,
        }
    }

    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ClientError::InvalidAddress(_) => {
                Some("give one or more addresses, as in --bootstrap-server localhost:9092")
            }
            ClientError::NoBroker { last, .. } => last.hint(),
            ClientError::Connect { .. } => Some(
                "is a broker running there? `ottla` starts one; --bootstrap-server says where to look",
            ),
            ClientError::Resolve { .. } => Some("check the host name"),
            ClientError::ConnectTimeout { .. } | ClientError::Timeout { .. } => {
                Some("the broker or the network between may be overloaded or cut off")
            }
            ClientError::ConnectionLost { .. } => Some(
                "a listener that expects TLS or a login closes plain connections; so does a broker that stops",
            ),
            ClientError::UnsupportedApi { .. } => {
                Some("the broker is older than Apache Kafka 2.1, or does not have this feature")
            }
            ClientError::Refused { code, .. } => hint_of(*code),
            _ => None,
        }
    }
}

fn hint_of(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UnknownTopicOrPartition => {
            Some("`ottla topics list` shows the topics, `ottla topics create` makes one")
        }
        ErrorCode::GroupIdNotFound => Some("`ottla groups list` shows the groups"),
        ErrorCode::TransactionalIdNotFound => {
            Some("`ottla transactions list` shows the transactional ids")
        }
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => Some(
            "the producer has gone on meanwhile: look again with `ottla transactions producers`",
        ),
        ErrorCode::InvalidRegularExpression => {
            Some("the pattern is a regular expression, as in 'orders-.*'")
        }
        ErrorCode::NonEmptyGroup => {
            Some("stop the group's consumers first, or wait until their sessions expire")
        }
        ErrorCode::MessageTooLarge => {
            Some("raise max.message.bytes with `ottla configs alter`, or send smaller records")
        }
        ErrorCode::InvalidReplicationFactor => {
            Some("a replication factor cannot exceed the number of running brokers")
        }
        ErrorCode::OffsetOutOfRange => {
            Some("`ottla topics describe` shows the offsets that are there")
        }
        _ => None,
    }
}

fn refusal(code: ErrorCode, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{message} ({})", code.name()),
        _ => format!("{} ({})", code.message(), code.name()),
    }
}

fn describe_versions(theirs: Option<(i16, i16)>) -> String {
    match theirs {
        Some((lowest, highest)) => format!("; it serves {lowest}-{highest}"),
        None => String::new(),
    }
}
