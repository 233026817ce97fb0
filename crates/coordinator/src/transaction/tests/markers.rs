//! Markers that are not written at once.

use expect_test::expect;

use super::check;

#[test]
fn the_transaction_is_complete_when_every_partition_has_its_marker() {
    check(
        "init a
         add a 1000/0 t:0 t:1 u:0
         hold-markers
         commit a 1000/0
         marked None t:1
         describe a
         marked NoSuchPartition u:0
         marked None t:7
         marked None t:1
         marked UnsupportedVersion t:0
         describe a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 t:1 u:0
            append a Ongoing 1000/0 [t:0 t:1 u:0]
            2: add None
            > hold-markers
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0 t:1 u:0]
            3: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1 u:0]
            > marked None t:1
            > describe a
            PrepareCommit 1000/1 timeout 60000 since 0 [t:0 u:0]
            > marked NoSuchPartition u:0
            > marked None t:7
            > marked None t:1
            > marked UnsupportedVersion t:0
            append a CompleteCommit 1000/1
            > describe a
            CompleteCommit 1000/1 timeout 60000 since 0 []
        "#]],
    );
}

#[test]
fn passing_failures_are_tried_again() {
    check(
        "init a
         add a 1000/0 t:0 t:1 u:0
         hold-markers
         abort a 1000/0
         marked NotLeaderOrFollower t:0
         marked Unreachable t:1
         marked None u:0
         wait 100
         marked UnknownServerError t:0
         marked None t:1
         wait 100
         marked None t:0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 t:1 u:0
            append a Ongoing 1000/0 [t:0 t:1 u:0]
            2: add None
            > hold-markers
            > abort a 1000/0
            append a PrepareAbort 1000/1 [t:0 t:1 u:0]
            3: end None 1000/1
            abort markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1 u:0]
            > marked NotLeaderOrFollower t:0
            > marked Unreachable t:1
            > marked None u:0
            > wait 100
            abort markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1]
            > marked UnknownServerError t:0
            > marked None t:1
            > wait 100
            abort markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > marked None t:0
            append a CompleteAbort 1000/1
        "#]],
    );
}

#[test]
fn a_coordinator_that_was_replaced_gives_up() {
    check(
        "init a
         add a 1000/0 t:0 t:1
         hold-markers
         commit a 1000/0
         marked NotEnoughReplicas t:1
         marked TransactionCoordinatorFenced t:0
         marked None t:1
         wait 1000
         init a
         restart
         marked None t:0 t:1",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 t:1
            append a Ongoing 1000/0 [t:0 t:1]
            2: add None
            > hold-markers
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0 t:1]
            3: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1]
            > marked NotEnoughReplicas t:1
            > marked TransactionCoordinatorFenced t:0
            > marked None t:1
            > wait 1000
            > init a
            4: init ConcurrentTransactions
            > restart
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1]
            > marked None t:0 t:1
            append a CompleteCommit 1000/1
        "#]],
    );
}

#[test]
fn late_reports_about_another_transaction_are_ignored() {
    check(
        "init a
         add a 1000/0 t:0
         hold-markers
         commit a 1000/0
         restart
         restart
         marked None t:0
         marked None t:0
         add a 1000/1 t:0
         marked None t:0
         describe a",
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
            > restart
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > restart
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > marked None t:0
            append a CompleteCommit 1000/1
            > marked None t:0
            > add a 1000/1 t:0
            append a Ongoing 1000/1 [t:0]
            4: add None
            > marked None t:0
            > describe a
            Ongoing 1000/1 timeout 60000 since 0 [t:0]
        "#]],
    );
}
