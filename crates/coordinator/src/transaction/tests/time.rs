//! Transactions that take too long, and ids that nobody uses.

use expect_test::expect;

use super::{check, check_v0, check_with};
use crate::transaction::TransactionConfig;

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    check(
        "init a timeout=15000
         wait 3000
         add a 1000/0 t:0
         wait 16000
         describe a
         wait 1000
         commit a 1000/0
         add a 1000/0 t:0
         describe a
         init a",
        expect![[r#"
            > init a timeout=15000
            append a Empty 1000/0
            1: init None 1000/0
            > wait 3000
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > wait 16000
            > describe a
            Ongoing 1000/0 timeout 15000 since 3000 [t:0]
            > wait 1000
            append a PrepareAbort 1000/1 [t:0]
            abort markers of a 1000/1 version 2 coordinator 4 in [t:0]
            append a CompleteAbort 1000/1
            > commit a 1000/0
            3: end InvalidTxnState
            > add a 1000/0 t:0
            4: add ProducerFenced
            > describe a
            CompleteAbort 1000/1 timeout 15000 since 3000 []
            > init a
            append a Empty 1000/2
            5: init None 1000/2
        "#]],
    );
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_before_version_2() {
    check_v0(
        "init a timeout=5000
         add a 1000/0 t:0 v=0
         hold
         wait 10000
         fail NotEnoughReplicas
         wait 10000
         init a",
        expect![[r#"
            > init a timeout=5000
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 v=0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > hold
            > wait 10000
            append a PrepareAbort 1000/1 [t:0]
            > fail NotEnoughReplicas
            > wait 10000
            append a PrepareAbort 1000/1 [t:0]
            abort markers of a 1000/1 version 0 coordinator 4 in [t:0]
            append a CompleteAbort 1000/1
            > init a
            append a Empty 1000/2
            3: init None 1000/2
        "#]],
    );
}

#[test]
fn a_transaction_that_ends_does_not_time_out() {
    check(
        "init a timeout=5000
         add a 1000/0 t:0
         hold-markers
         commit a 1000/0
         wait 30000
         marked None t:0
         describe a",
        expect![[r#"
            > init a timeout=5000
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
            > wait 30000
            > marked None t:0
            append a CompleteCommit 1000/1
            > describe a
            CompleteCommit 1000/1 timeout 5000 since 0 []
        "#]],
    );
}

#[test]
fn ids_that_nobody_uses_are_forgotten() {
    let config = TransactionConfig {
        id_expiration_ms: 3_600_000,
        ..TransactionConfig::default()
    };
    check_with(
        config,
        "init a
         init b timeout=900000
         add b 1001/0 t:0
         wait 1
         init c
         hold
         wait 3599999
         init a
         fail NotEnoughReplicas
         init a
         wait 3600000
         list
         wait 3600000
         list",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > init b timeout=900000
            append b Empty 1001/0
            2: init None 1001/0
            > add b 1001/0 t:0
            append b Ongoing 1001/0 [t:0]
            3: add None
            > wait 1
            > init c
            append c Empty 1002/0
            4: init None 1002/0
            > hold
            > wait 3599999
            append b PrepareAbort 1001/1 [t:0]
            append tombstone of a
            > init a
            5: init ConcurrentTransactions
            > fail NotEnoughReplicas
            > init a
            append a Empty 1000/1
            6: init None 1000/1
            > wait 3600000
            append b PrepareAbort 1001/1 [t:0]
            abort markers of b 1001/1 version 2 coordinator 4 in [t:0]
            append b CompleteAbort 1001/1
            append tombstone of a
            append tombstone of c
            > list
            b 1001 CompleteAbort
            > wait 3600000
            append tombstone of b
            > list
        "#]],
    );
}
