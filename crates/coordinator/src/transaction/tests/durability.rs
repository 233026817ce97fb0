//! What happens to those who wait when an append fails, or when the partition moves away.

use expect_test::expect;

use super::{check, check_v0};

#[test]
fn a_change_that_is_not_stored_did_not_happen() {
    check(
        "hold
         init a
         fail NotEnoughReplicas
         list
         init a
         hold
         add a 1001/0 t:0
         fail RequestTimedOut
         verify a 1001/0 t:0
         add a 1001/0 t:0
         hold
         commit a 1001/0
         fail KafkaStorageError
         describe a
         commit a 1001/0",
        expect![[r#"
            > hold
            > init a
            append a Empty 1000/0
            > fail NotEnoughReplicas
            1: init CoordinatorNotAvailable
            > list
            > init a
            append a Empty 1001/0
            2: init None 1001/0
            > hold
            > add a 1001/0 t:0
            append a Ongoing 1001/0 [t:0]
            > fail RequestTimedOut
            3: add CoordinatorNotAvailable
            > verify a 1001/0 t:0
            [TransactionAbortable]
            > add a 1001/0 t:0
            append a Ongoing 1001/0 [t:0]
            4: add None
            > hold
            > commit a 1001/0
            append a PrepareCommit 1001/1 [t:0]
            > fail KafkaStorageError
            5: end NotCoordinator
            > describe a
            Ongoing 1001/0 timeout 60000 since 0 [t:0]
            > commit a 1001/0
            append a PrepareCommit 1001/1 [t:0]
            6: end None 1001/1
            commit markers of a 1001/1 version 2 coordinator 4 in [t:0]
            append a CompleteCommit 1001/1
        "#]],
    );
}

#[test]
fn a_failed_append_takes_the_later_ones_with_it() {
    check(
        "init a
         init b
         hold
         add a 1000/0 t:0
         add b 1001/0 t:0
         fail NotEnoughReplicasAfterAppend
         add b 1001/0 t:0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > init b
            append b Empty 1001/0
            2: init None 1001/0
            > hold
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            > add b 1001/0 t:0
            append b Ongoing 1001/0 [t:0]
            > fail NotEnoughReplicasAfterAppend
            3: add CoordinatorNotAvailable
            4: add CoordinatorNotAvailable
            > add b 1001/0 t:0
            append b Ongoing 1001/0 [t:0]
            5: add None
        "#]],
    );
}

#[test]
fn a_failed_fence_is_not_repeated_before_version_2() {
    check_v0(
        "init a
         add a 1000/0 t:0 v=0
         hold
         init a
         fail NotEnoughReplicas
         commit a 1000/0 v=0
         hold
         init a
         fail NotEnoughReplicas
         init a
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 v=0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > hold
            > init a
            append a PrepareAbort 1000/1 [t:0]
            > fail NotEnoughReplicas
            3: init CoordinatorNotAvailable
            > commit a 1000/0 v=0
            4: end ProducerFenced
            > hold
            > init a
            append a PrepareAbort 1000/1 [t:0]
            > fail NotEnoughReplicas
            5: init CoordinatorNotAvailable
            > init a
            append a PrepareAbort 1000/1 [t:0]
            6: init ConcurrentTransactions
            abort markers of a 1000/1 version 0 coordinator 4 in [t:0]
            append a CompleteAbort 1000/1
            > init a
            append a Empty 1000/2
            7: init None 1000/2
        "#]],
    );
}

#[test]
fn a_failed_fence_fences_nobody_from_version_2_on() {
    check(
        "init a
         add a 1000/0 t:0
         hold
         init a
         fail NotEnoughReplicas
         commit a 1000/0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > hold
            > init a
            append a PrepareAbort 1000/1 [t:0]
            > fail NotEnoughReplicas
            3: init CoordinatorNotAvailable
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            4: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            append a CompleteCommit 1000/1
        "#]],
    );
}

#[test]
fn the_last_record_is_written_again() {
    check(
        "init a
         add a 1000/0 t:0
         hold-markers
         commit a 1000/0
         hold
         marked None t:0
         fail NotEnoughReplicas
         init a
         wait 100
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > hold-markers
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            3: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > hold
            > marked None t:0
            append a CompleteCommit 1000/1
            > fail NotEnoughReplicas
            > init a
            4: init ConcurrentTransactions
            > wait 100
            append a CompleteCommit 1000/1
            > init a
            append a Empty 1000/2
            5: init None 1000/2
        "#]],
    );
}

#[test]
fn the_next_coordinator_resumes() {
    check(
        "init a
         add a 1000/0 t:0
         init b
         add b 1001/0 u:0
         hold
         commit a 1000/0
         init b
         init c
         unload
         describe a
         hold-markers
         commit a 1000/0
         restart
         marked None t:0
         describe a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > init b
            append b Empty 1001/0
            3: init None 1001/0
            > add b 1001/0 u:0
            append b Ongoing 1001/0 [u:0]
            4: add None
            > hold
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            > init b
            append b PrepareAbort 1001/1 [u:0]
            > init c
            append c Empty 1002/0
            > unload
            5: end NotCoordinator
            6: init NotCoordinator
            7: init NotCoordinator
            > describe a
            Ongoing 1000/0 timeout 60000 since 0 [t:0]
            > hold-markers
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            8: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > restart
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > marked None t:0
            append a CompleteCommit 1000/1
            > describe a
            CompleteCommit 1000/1 timeout 60000 since 0 []
        "#]],
    );
}
