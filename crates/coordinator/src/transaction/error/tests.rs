use ottla_protocol::ErrorCode;

use super::append_error;

#[test]
fn errors_of_the_log_become_errors_of_a_coordinator() {
    for (from, to) in [
        (
            ErrorCode::NotEnoughReplicasAfterAppend,
            ErrorCode::CoordinatorNotAvailable,
        ),
        (
            ErrorCode::RequestTimedOut,
            ErrorCode::CoordinatorNotAvailable,
        ),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
        (ErrorCode::InvalidRecord, ErrorCode::InvalidRecord),
    ] {
        assert_eq!(append_error(from), to, "{from:?}");
    }
}
