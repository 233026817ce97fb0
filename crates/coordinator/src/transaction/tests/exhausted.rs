//! When the epochs of a producer id are used up, another id takes over.

use expect_test::expect;

use super::{check, check_v0};

#[test]
fn initialization_changes_the_id() {
    check(
        "init a
         epoch a 32766
         init a
         epoch a 32765
         init a
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > init a
            append a Empty 1001/0
            2: init None 1001/0
            > epoch a 32765
            > init a
            append a Empty 1001/32766
            3: init None 1001/32766
            > init a
            append a Empty 1002/0
            4: init None 1002/0
        "#]],
    );
}

#[test]
fn a_recovery_changes_the_id_and_may_be_repeated() {
    check(
        "init a
         epoch a 32766
         init a current=1000/32766
         init a current=1000/32766
         init a current=1000/3
         init a current=1001/0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > init a current=1000/32766
            append a Empty 1001/0
            2: init None 1001/0
            > init a current=1000/32766
            append a Empty 1001/0
            3: init None 1001/0
            > init a current=1000/3
            4: init ProducerFenced
            > init a current=1001/0
            append a Empty 1001/1
            5: init None 1001/1
        "#]],
    );
}

#[test]
fn a_recovery_with_an_old_epoch_of_an_exhausted_id_fails() {
    check(
        "init a
         epoch a 32766
         init a current=1000/5",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > init a current=1000/5
            2: init UnknownServerError
        "#]],
    );
}

#[test]
fn the_end_of_a_transaction_changes_the_id() {
    check(
        "init a
         epoch a 32766
         add a 1000/32766 t:0
         no-producer-ids
         commit a 1000/32766
         producer-ids
         commit a 1000/32766
         commit a 1000/32766
         abort a 1000/32766
         add a 1001/0 t:0
         commit a 1000/32766
         commit a 1001/0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > add a 1000/32766 t:0
            append a Ongoing 1000/32766 [t:0]
            2: add None
            > no-producer-ids
            > commit a 1000/32766
            3: end CoordinatorLoadInProgress
            > producer-ids
            > commit a 1000/32766
            append a PrepareCommit 1000/32767 then 1001 [t:0]
            4: end None 1001/0
            commit markers of a 1000/32767 version 2 coordinator 4 in [t:0]
            append a CompleteCommit 1001/0
            > commit a 1000/32766
            5: end None 1001/0
            > abort a 1000/32766
            6: end InvalidTxnState
            > add a 1001/0 t:0
            append a Ongoing 1001/0 [t:0]
            7: add None
            > commit a 1000/32766
            8: end InvalidProducerIdMapping
            > commit a 1001/0
            append a PrepareCommit 1001/1 [t:0]
            9: end None 1001/1
            commit markers of a 1001/1 version 2 coordinator 4 in [t:0]
            append a CompleteCommit 1001/1
        "#]],
    );
}

#[test]
fn the_new_id_waits_for_the_markers() {
    check(
        "init a
         epoch a 32766
         add a 1000/32766 t:0
         hold-markers
         commit a 1000/32766
         add a 1001/0 t:0
         restart
         add a 1001/0 t:0
         marked None t:0
         add a 1001/0 t:0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > add a 1000/32766 t:0
            append a Ongoing 1000/32766 [t:0]
            2: add None
            > hold-markers
            > commit a 1000/32766
            append a PrepareCommit 1000/32767 then 1001 [t:0]
            3: end None 1001/0
            commit markers of a 1000/32767 version 2 coordinator 4 in [t:0]
            > add a 1001/0 t:0
            4: add ConcurrentTransactions
            > restart
            commit markers of a 1000/32767 version 2 coordinator 4 in [t:0]
            > add a 1001/0 t:0
            5: add ConcurrentTransactions
            > marked None t:0
            append a CompleteCommit 1001/0
            > add a 1001/0 t:0
            append a Ongoing 1001/0 [t:0]
            6: add None
        "#]],
    );
}

#[test]
fn a_timeout_at_the_last_epoch_changes_the_id() {
    check(
        "init a
         epoch a 32766
         add a 1000/32766 t:0
         no-producer-ids
         wait 80000
         producer-ids
         wait 10000
         abort a 1000/32766
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > add a 1000/32766 t:0
            append a Ongoing 1000/32766 [t:0]
            2: add None
            > no-producer-ids
            > wait 80000
            > producer-ids
            > wait 10000
            append a PrepareAbort 1000/32767 then 1001 [t:0]
            abort markers of a 1000/32767 version 2 coordinator 4 in [t:0]
            append a CompleteAbort 1001/0
            > abort a 1000/32766
            3: end None 1001/0
            > init a
            append a Empty 1001/1
            4: init None 1001/1
        "#]],
    );
}

#[test]
fn a_fence_uses_the_last_epoch_before_version_2() {
    check_v0(
        "init a
         epoch a 32766
         add a 1000/32766 t:0 v=0
         init a
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > epoch a 32766
            > add a 1000/32766 t:0 v=0
            append a Ongoing 1000/32766 [t:0]
            2: add None
            > init a
            append a PrepareAbort 1000/32767 [t:0]
            3: init ConcurrentTransactions
            abort markers of a 1000/32767 version 0 coordinator 4 in [t:0]
            append a CompleteAbort 1000/32767
            > init a
            append a Empty 1001/0
            4: init None 1001/0
        "#]],
    );
}
