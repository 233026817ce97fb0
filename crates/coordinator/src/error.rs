//! Why a request is refused, and the one place that maps refusals to Kafka's error codes.
//!
//! Invariant: no other file of this crate chooses between error codes for a failed append.

use ottla_protocol::ErrorCode;

/// A refusal that concerns the whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("there is no such group")]
    GroupIdNotFound,
    #[error("the group still has members")]
    NonEmptyGroup,
    #[error("the group does not know this member id")]
    UnknownMemberId,
    #[error("another member id holds this group instance id")]
    FencedInstanceId,
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    #[error("the group is between generations")]
    RebalanceInProgress,
    #[error("protocol type or protocol is not one that the whole group supports")]
    InconsistentGroupProtocol,
    #[error("the session timeout is outside of the allowed range")]
    InvalidSessionTimeout,
    #[error("the group is full")]
    GroupMaxSizeReached,
    #[error("the partition holds as many groups as it may")]
    TooManyGroups,
    #[error("the protocol metadata is too large")]
    ProtocolsTooLarge,
    #[error("client id or group instance id leave no room for a member id")]
    MemberIdTooLong,
    #[error("a member id that is only reserved cannot come with a group instance id")]
    PendingMemberIsStatic,
}

impl GroupError {
    /// Kafka's code for this refusal.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::GroupIdNotFound => ErrorCode::GroupIdNotFound,
            Self::NonEmptyGroup => ErrorCode::NonEmptyGroup,
            Self::UnknownMemberId => ErrorCode::UnknownMemberId,
            Self::FencedInstanceId => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration => ErrorCode::IllegalGeneration,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            Self::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
            Self::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
            Self::TooManyGroups => ErrorCode::PolicyViolation,
            Self::ProtocolsTooLarge | Self::MemberIdTooLong => ErrorCode::InvalidRequest,
            Self::PendingMemberIsStatic => ErrorCode::UnknownServerError,
        }
    }
}

/// What a client is told when the append of its records failed with `error`.
///
/// Errors of the log are translated into errors of a coordinator, which clients know how to retry.
pub fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}

#[cfg(test)]
mod tests;
