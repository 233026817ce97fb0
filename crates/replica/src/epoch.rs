//! Fencing by leader epoch: whether a request was made with the same idea of the leader as ours.
//!
//! Called before anything else that a fetch, an offset look-up or a truncation asks of a partition.

use ottla_protocol::ErrorCode;

/// Why a request that names a leader epoch cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// The requester is behind: it must learn of the newer leader first.
    #[error("leader epoch {requested} is fenced by {current}")]
    Fenced { current: i32, requested: i32 },
    /// We are behind: the metadata that the requester acted on has not reached us.
    #[error("leader epoch {requested} is newer than {current}")]
    Unknown { current: i32, requested: i32 },
}

impl EpochError {
    /// Kafka's code for the error.
    pub fn code(self) -> ErrorCode {
        match self {
            EpochError::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
            EpochError::Unknown { .. } => ErrorCode::UnknownLeaderEpoch,
        }
    }
}

/// Compares the epoch that a request names, if any, with the partition's.
pub fn check_leader_epoch(current: i32, requested: Option<i32>) -> Result<(), EpochError> {
    match requested {
        Some(requested) => require_leader_epoch(current, requested),
        None => Ok(()),
    }
}

/// Compares an epoch that must be there, as in requests between brokers, with the partition's.
pub fn require_leader_epoch(current: i32, requested: i32) -> Result<(), EpochError> {
    if requested < current {
        return Err(EpochError::Fenced { current, requested });
    }
    if requested > current {
        return Err(EpochError::Unknown { current, requested });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_epoch_passes() {
        assert_eq!(check_leader_epoch(3, None), Ok(()));
        assert_eq!(
            check_leader_epoch(3, Some(1)).unwrap_err().code(),
            ErrorCode::FencedLeaderEpoch
        );
        assert_eq!(
            check_leader_epoch(3, Some(9)).unwrap_err().code(),
            ErrorCode::UnknownLeaderEpoch
        );
        assert_eq!(check_leader_epoch(3, Some(3)), Ok(()));
        assert_eq!(
            check_leader_epoch(3, Some(2)),
            Err(EpochError::Fenced {
                current: 3,
                requested: 2
            })
        );
        assert_eq!(
            check_leader_epoch(3, Some(4)),
            Err(EpochError::Unknown {
                current: 3,
                requested: 4
            })
        );
    }
}
