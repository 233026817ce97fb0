//! Why a request is refused, and the one place that maps refusals to Kafka's error codes.
//!
//! Invariant: no other file of this machine chooses between error codes for a failed append.

use ottla_protocol::ErrorCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    #[error("the transactional id is empty")]
    EmptyTransactionalId,
    #[error("there is no such transactional id")]
    NotFound,
    #[error("two-phase commit is not enabled")]
    TwoPhaseCommitDisabled,
    #[error("a prepared transaction cannot be kept")]
    KeepPreparedUnsupported,
    #[error("the transaction timeout is outside of the allowed range")]
    InvalidTimeout,
    #[error("a change of this transactional id is under way")]
    Concurrent,
    #[error("another producer has taken over the transactional id")]
    ProducerFenced,
    #[error("the producer id does not belong to the transactional id")]
    InvalidProducerIdMapping,
    #[error("the transaction's state does not allow it")]
    InvalidState,
    #[error("the epochs of the producer id are used up")]
    EpochsExhausted,
    #[error("the partition holds as many transactional ids as it may")]
    TooManyTransactionalIds,
    #[error("no producer id is at hand")]
    NoProducerId(ErrorCode),
}

impl TransactionError {
    /// Kafka's code for this refusal.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::EmptyTransactionalId => ErrorCode::InvalidRequest,
            Self::NotFound => ErrorCode::TransactionalIdNotFound,
            Self::TwoPhaseCommitDisabled => ErrorCode::TransactionalIdAuthorizationFailed,
            Self::KeepPreparedUnsupported => ErrorCode::UnsupportedVersion,
            Self::InvalidTimeout => ErrorCode::InvalidTransactionTimeout,
            Self::Concurrent => ErrorCode::ConcurrentTransactions,
            Self::ProducerFenced => ErrorCode::ProducerFenced,
            Self::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
            Self::InvalidState => ErrorCode::InvalidTxnState,
            Self::EpochsExhausted => ErrorCode::UnknownServerError,
            Self::TooManyTransactionalIds => ErrorCode::PolicyViolation,
            Self::NoProducerId(code) => code,
        }
    }
}

/// What a client is told when the append of its record failed with `error`.
///
/// Errors of the log are translated into errors of a coordinator, which clients know how to retry.
pub fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}

#[cfg(test)]
mod tests;
