//! How transactions end, for producers of either version.

use expect_test::expect;

use super::{check, check_v0};

#[test]
fn version_0_keeps_its_epoch() {
    check_v0(
        "init a
         commit a 1000/0 v=0
         abort a 1000/0 v=0
         add a 1000/0 t:0 v=0
         commit a 1000/0 v=0
         commit a 1000/0 v=0
         abort a 1000/0 v=0
         add a 1000/0 t:1 v=0
         abort a 1000/0 v=0
         abort a 1000/0 v=0
         commit a 1000/0 v=0
         commit a 1000/1 v=0
         commit a 1001/0 v=0
         commit b 1000/0 v=0
         commit - 1000/0 v=0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > commit a 1000/0 v=0
            2: end InvalidTxnState
            > abort a 1000/0 v=0
            3: end InvalidTxnState
            > add a 1000/0 t:0 v=0
            append a Ongoing 1000/0 [t:0]
            4: add None
            > commit a 1000/0 v=0
            append a PrepareCommit 1000/0 [t:0]
            5: end None
            commit markers of a 1000/0 version 0 coordinator 4 in [t:0]
            append a CompleteCommit 1000/0
            > commit a 1000/0 v=0
            6: end None
            > abort a 1000/0 v=0
            7: end InvalidTxnState
            > add a 1000/0 t:1 v=0
            append a Ongoing 1000/0 [t:1]
            8: add None
            > abort a 1000/0 v=0
            append a PrepareAbort 1000/0 [t:1]
            9: end None
            abort markers of a 1000/0 version 0 coordinator 4 in [t:1]
            append a CompleteAbort 1000/0
            > abort a 1000/0 v=0
            10: end None
            > commit a 1000/0 v=0
            11: end InvalidTxnState
            > commit a 1000/1 v=0
            12: end ProducerFenced
            > commit a 1001/0 v=0
            13: end InvalidProducerIdMapping
            > commit b 1000/0 v=0
            14: end InvalidProducerIdMapping
            > commit - 1000/0 v=0
            15: end InvalidRequest
        "#]],
    );
}

#[test]
fn version_2_has_an_epoch_for_each_transaction() {
    check(
        "init a
         add a 1000/0 t:0
         commit a 1000/0
         add a 1000/1 t:0
         abort a 1000/1
         add a 1000/2 t:0
         describe a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            3: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            append a CompleteCommit 1000/1
            > add a 1000/1 t:0
            append a Ongoing 1000/1 [t:0]
            4: add None
            > abort a 1000/1
            append a PrepareAbort 1000/2 [t:0]
            5: end None 1000/2
            abort markers of a 1000/2 version 2 coordinator 4 in [t:0]
            append a CompleteAbort 1000/2
            > add a 1000/2 t:0
            append a Ongoing 1000/2 [t:0]
            6: add None
            > describe a
            Ongoing 1000/2 timeout 60000 since 0 [t:0]
        "#]],
    );
}

#[test]
fn version_2_tells_repeated_from_new() {
    check(
        "init a
         commit a 1000/0
         abort a 1000/-1
         abort a 1000/0
         abort a 1000/0
         commit a 1000/0
         commit a 1000/1
         abort a 1000/1
         add a 1000/2 t:0
         commit a 1000/2
         commit a 1000/2
         abort a 1000/2
         commit a 1000/3
         abort a 1000/3
         commit a 1000/9",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > commit a 1000/0
            2: end InvalidTxnState
            > abort a 1000/-1
            3: end ProducerFenced
            > abort a 1000/0
            append a PrepareAbort 1000/1
            4: end None 1000/1
            append a CompleteAbort 1000/1
            > abort a 1000/0
            5: end None 1000/1
            > commit a 1000/0
            6: end InvalidTxnState
            > commit a 1000/1
            7: end InvalidTxnState
            > abort a 1000/1
            append a PrepareAbort 1000/2
            8: end None 1000/2
            append a CompleteAbort 1000/2
            > add a 1000/2 t:0
            append a Ongoing 1000/2 [t:0]
            9: add None
            > commit a 1000/2
            append a PrepareCommit 1000/3 [t:0]
            10: end None 1000/3
            commit markers of a 1000/3 version 2 coordinator 4 in [t:0]
            append a CompleteCommit 1000/3
            > commit a 1000/2
            11: end None 1000/3
            > abort a 1000/2
            12: end InvalidTxnState
            > commit a 1000/3
            13: end InvalidTxnState
            > abort a 1000/3
            append a PrepareAbort 1000/4
            14: end None 1000/4
            append a CompleteAbort 1000/4
            > commit a 1000/9
            15: end ProducerFenced
        "#]],
    );
}

#[test]
fn a_decision_stands() {
    check(
        "init a
         add a 1000/0 t:0
         hold
         commit a 1000/0
         abort a 1000/0
         hold-markers
         release
         abort a 1000/0
         commit a 1000/0
         restart
         commit a 1000/0
         abort a 1000/0 v=0
         marked None t:0
         commit a 1000/0
         abort a 1000/0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > hold
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            > abort a 1000/0
            4: end ConcurrentTransactions
            > hold-markers
            > release
            3: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > abort a 1000/0
            5: end ConcurrentTransactions
            > commit a 1000/0
            6: end ConcurrentTransactions
            > restart
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > commit a 1000/0
            7: end ConcurrentTransactions
            > abort a 1000/0 v=0
            8: end ProducerFenced
            > marked None t:0
            append a CompleteCommit 1000/1
            > commit a 1000/0
            9: end None 1000/1
            > abort a 1000/0
            10: end InvalidTxnState
        "#]],
    );
}

#[test]
fn a_cluster_of_version_2_serves_old_clients() {
    check(
        "init a
         add a 1000/0 t:0 v=0
         commit a 1000/0 v=0
         commit a 1000/0 v=0
         add a 1000/0 t:0 v=0
         abort a 1000/0 v=0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 v=0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > commit a 1000/0 v=0
            append a PrepareCommit 1000/0 [t:0]
            3: end None
            commit markers of a 1000/0 version 0 coordinator 4 in [t:0]
            append a CompleteCommit 1000/0
            > commit a 1000/0 v=0
            4: end None
            > add a 1000/0 t:0 v=0
            append a Ongoing 1000/0 [t:0]
            5: add None
            > abort a 1000/0 v=0
            append a PrepareAbort 1000/0 [t:0]
            6: end None
            abort markers of a 1000/0 version 0 coordinator 4 in [t:0]
            append a CompleteAbort 1000/0
        "#]],
    );
}
