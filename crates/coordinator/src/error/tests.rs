use ottla_protocol::ErrorCode::{self, *};

use super::append_error;

#[test]
fn log_errors_become_coordinator_errors() {
    let table: [(ErrorCode, ErrorCode); 9] = [
        (UnknownTopicOrPartition, CoordinatorNotAvailable),
        (NotEnoughReplicas, CoordinatorNotAvailable),
        (RequestTimedOut, CoordinatorNotAvailable),
        (NotLeaderOrFollower, NotCoordinator),
        (KafkaStorageError, NotCoordinator),
        (MessageTooLarge, UnknownServerError),
        (RecordListTooLarge, UnknownServerError),
        (NetworkException, CoordinatorLoadInProgress),
        (NotCoordinator, NotCoordinator),
    ];
    for (of_the_log, told) in table {
        assert_eq!(append_error(of_the_log), told);
    }
}
