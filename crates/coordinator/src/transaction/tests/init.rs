//! A producer takes a transactional id over, or comes back to it.

use expect_test::expect;

use super::{check, check_v0, check_with};
use crate::transaction::TransactionConfig;

#[test]
fn each_producer_gets_the_next_epoch() {
    check(
        "init a
         init a
         init b
         restart
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > init a
            append a Empty 1000/1
            2: init None 1000/1
            > init b
            append b Empty 1001/0
            3: init None 1001/0
            > restart
            > init a
            append a Empty 1000/2
            4: init None 1000/2
        "#]],
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    check(
        "init -
         init a timeout=0
         init a timeout=900001
         init a 2pc
         init a keep
         no-producer-ids
         init a
         list",
        expect![[r#"
            > init -
            1: init InvalidRequest
            > init a timeout=0
            2: init InvalidTransactionTimeout
            > init a timeout=900001
            3: init InvalidTransactionTimeout
            > init a 2pc
            4: init TransactionalIdAuthorizationFailed
            > init a keep
            5: init UnsupportedVersion
            > no-producer-ids
            > init a
            6: init CoordinatorLoadInProgress
            > list
        "#]],
    );
}

#[test]
fn two_phase_commit_has_no_timeout() {
    let config = TransactionConfig {
        two_phase_commit_enabled: true,
        ..TransactionConfig::default()
    };
    check_with(
        config,
        "init a 2pc timeout=0
         add a 1000/0 t:0
         wait 2147483647
         describe a",
        expect![[r#"
            > init a 2pc timeout=0
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > wait 2147483647
            > describe a
            Ongoing 1000/0 timeout 2147483647 since 0 [t:0]
        "#]],
    );
}

#[test]
fn ids_are_bounded() {
    let config = TransactionConfig {
        max_transactional_ids: 1,
        ..TransactionConfig::default()
    };
    check_with(
        config,
        "init a
         init b
         init a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > init b
            2: init PolicyViolation
            > init a
            append a Empty 1000/1
            3: init None 1000/1
        "#]],
    );
}

#[test]
fn an_ongoing_transaction_is_aborted_first() {
    check(
        "init a
         add a 1000/0 t:0
         init a
         init a
         commit a 1000/0
         add a 1000/1 t:0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > init a
            append a PrepareAbort 1000/1 [t:0]
            3: init ConcurrentTransactions
            abort markers of a 1000/1 version 2 coordinator 4 in [t:0]
            append a CompleteAbort 1000/1
            > init a
            append a Empty 1000/2
            4: init None 1000/2
            > commit a 1000/0
            5: end ProducerFenced
            > add a 1000/1 t:0
            6: add ProducerFenced
        "#]],
    );
}

#[test]
fn an_ongoing_transaction_is_aborted_first_before_version_2() {
    check_v0(
        "init a
         add a 1000/0 t:0 v=0
         hold-markers
         init a
         init a
         marked None t:0
         init a
         commit a 1000/0 v=0",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 v=0
            append a Ongoing 1000/0 [t:0]
            2: add None
            > hold-markers
            > init a
            append a PrepareAbort 1000/1 [t:0]
            3: init ConcurrentTransactions
            abort markers of a 1000/1 version 0 coordinator 4 in [t:0]
            > init a
            4: init ConcurrentTransactions
            > marked None t:0
            append a CompleteAbort 1000/1
            > init a
            append a Empty 1000/2
            5: init None 1000/2
            > commit a 1000/0 v=0
            6: end ProducerFenced
        "#]],
    );
}

#[test]
fn a_producer_recovers_with_what_it_had() {
    check(
        "init a
         init a current=1000/0
         init a current=1000/0
         init a current=1000/1
         init a current=1000/0
         init a current=1000/7
         init a current=5/0
         init a
         init a current=1000/1
         init b current=77/3",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > init a current=1000/0
            append a Empty 1000/1
            2: init None 1000/1
            > init a current=1000/0
            append a Empty 1000/1
            3: init None 1000/1
            > init a current=1000/1
            append a Empty 1000/2
            4: init None 1000/2
            > init a current=1000/0
            5: init ProducerFenced
            > init a current=1000/7
            6: init ProducerFenced
            > init a current=5/0
            7: init ProducerFenced
            > init a
            append a Empty 1000/3
            8: init None 1000/3
            > init a current=1000/1
            9: init ProducerFenced
            > init b current=77/3
            append b Empty 1001/0
            10: init None 1001/0
        "#]],
    );
}

#[test]
fn a_recovery_after_a_restart_must_be_current() {
    check(
        "init a
         init a current=1000/0
         restart
         init a current=1000/0
         init a current=1000/1",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > init a current=1000/0
            append a Empty 1000/1
            2: init None 1000/1
            > restart
            > init a current=1000/0
            3: init ProducerFenced
            > init a current=1000/1
            append a Empty 1000/2
            4: init None 1000/2
        "#]],
    );
}

#[test]
fn one_change_at_a_time() {
    check(
        "hold
         init a
         init a
         init b
         release
         init a",
        expect![[r#"
            > hold
            > init a
            append a Empty 1000/0
            > init a
            2: init ConcurrentTransactions
            > init b
            append b Empty 1001/0
            > release
            1: init None 1000/0
            3: init None 1001/0
            > init a
            append a Empty 1000/1
            4: init None 1000/1
        "#]],
    );
}

#[test]
fn nobody_takes_over_while_markers_are_written() {
    check(
        "init a
         add a 1000/0 t:0
         hold-markers
         commit a 1000/0
         init a
         marked None t:0
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
            > init a
            4: init ConcurrentTransactions
            > marked None t:0
            append a CompleteCommit 1000/1
            > init a
            append a Empty 1000/2
            5: init None 1000/2
        "#]],
    );
}
