//! What the machine answers: one plain struct per operation, which the shell turns into a response.
//!
//! Invariant: an answer with an error carries no producer id and no epoch.

use ottla_protocol::{ErrorCode, Str};

use super::metadata::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Partitions};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    InitProducerId(ProducerAnswer),
    AddPartitions(ErrorCode),
    /// With the producer id and epoch of the next transaction, for clients of `transaction.version` 2.
    EndTransaction(ProducerAnswer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerAnswer {
    pub error: ErrorCode,
    pub producer_id: i64,
    pub producer_epoch: i16,
}

impl ProducerAnswer {
    pub(crate) fn ok(producer_id: i64, producer_epoch: i16) -> Self {
        Self {
            error: ErrorCode::None,
            producer_id,
            producer_epoch,
        }
    }

    pub(crate) fn error(error: ErrorCode) -> Self {
        Self {
            error,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
        }
    }
}

/// A transactional id as DescribeTransactions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTransaction {
    pub transactional_id: Str,
    pub state: &'static str,
    pub timeout_ms: i32,
    /// -1 outside of a transaction.
    pub start_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub partitions: Partitions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    pub transactional_id: Str,
    pub producer_id: i64,
    pub state: &'static str,
}
