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
    #[error("the member has another epoch, and must give up its partitions and join anew")]
    FencedMemberEpoch,
    #[error("the member's epoch is not the current one")]
    StaleMemberEpoch,
    #[error("the instance id belongs to a member that has not left")]
    UnreleasedInstanceId,
    #[error("the server assignor is not known; there are uniform and range")]
    UnsupportedAssignor,
    #[error("the subscribed regular expression is not valid")]
    InvalidRegularExpression,
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("a member of the consumer protocol commits with version 9 or above")]
    CommitVersionTooOld,
    #[error("the embedded consumer protocol is malformed")]
    MalformedSubscription,
    #[error("the assignment has data of a custom assignor, which would be lost")]
    CustomAssignor,
    #[error("the classic group cannot become a consumer group: {0}")]
    CannotUpgrade(&'static str),
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
            Self::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
            Self::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
            Self::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
            Self::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
            Self::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Self::CommitVersionTooOld => ErrorCode::UnsupportedVersion,
            Self::MalformedSubscription | Self::CustomAssignor => {
                ErrorCode::InconsistentGroupProtocol
            }
            Self::CannotUpgrade(_) => ErrorCode::GroupIdNotFound,
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
