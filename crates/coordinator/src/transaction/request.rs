//! What the shell asks: one plain struct per operation, free of wire versions and frames.
//!
//! Invariant: a request names one transactional id (the shell splits what names several, and answers
//! InitProducerId without one itself), and only partitions that exist. Built by the broker's API handlers.

use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{ErrorCode, Str};

/// Where the machine gets producer ids that nobody has used.
pub trait ProducerIds {
    /// The next one, or why there is none at the moment.
    fn next_producer_id(&mut self) -> Result<i64, ErrorCode>;
}

impl<F: FnMut() -> Result<i64, ErrorCode>> ProducerIds for F {
    fn next_producer_id(&mut self) -> Result<i64, ErrorCode> {
        self()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitProducerId {
    pub transactional_id: Str,
    pub timeout_ms: i32,
    pub enable_two_phase_commit: bool,
    pub keep_prepared: bool,
    /// Id and epoch that the producer has, if it recovers from an error.
    pub current: Option<(i64, i16)>,
}

/// AddPartitionsToTxn of one transactional id, and AddOffsetsToTxn, whose partition is that of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPartitions {
    pub transactional_id: Str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub partitions: Vec<TopicPartition>,
    /// The `transaction.version` that the request implies: 2 from version 4 of AddPartitionsToTxn, else 0.
    pub client_version: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndTransaction {
    pub transactional_id: Str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub committed: bool,
    /// The `transaction.version` that the request implies: 2 from version 5 of EndTxn, else 0.
    pub client_version: i16,
}
