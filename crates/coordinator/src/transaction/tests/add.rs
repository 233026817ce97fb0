//! Partitions join a transaction, and are asked after.

use expect_test::expect;

use super::check;

#[test]
fn partitions_gather() {
    check(
        "init a
         add a 1000/0 t:0 u:1
         add a 1000/0 t:0
         add a 1000/0 t:0 t:1
         wait 5
         describe a
         commit a 1000/0
         add a 1000/1 u:0
         describe a",
        expect![[r#"
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > add a 1000/0 t:0 u:1
            append a Ongoing 1000/0 [t:0 u:1]
            2: add None
            > add a 1000/0 t:0
            3: add None
            > add a 1000/0 t:0 t:1
            append a Ongoing 1000/0 [t:0 t:1 u:1]
            4: add None
            > wait 5
            > describe a
            Ongoing 1000/0 timeout 60000 since 0 [t:0 t:1 u:1]
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0 t:1 u:1]
            5: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1 u:1]
            append a CompleteCommit 1000/1
            > add a 1000/1 u:0
            append a Ongoing 1000/1 [u:0]
            6: add None
            > describe a
            Ongoing 1000/1 timeout 60000 since 5 [u:0]
        "#]],
    );
}

#[test]
fn only_the_producer_adds() {
    check(
        "add - 1000/0 t:0
         add a 1000/0 t:0
         init a
         add a 1001/0 t:0
         add a 1000/1 t:0
         hold
         add a 1000/0 t:0
         add a 1000/0 t:0
         add a 9/9 t:0
         release
         add a 1000/0 t:0
         hold-markers
         commit a 1000/0
         add a 1000/1 t:0",
        expect![[r#"
            > add - 1000/0 t:0
            1: add InvalidRequest
            > add a 1000/0 t:0
            2: add InvalidProducerIdMapping
            > init a
            append a Empty 1000/0
            3: init None 1000/0
            > add a 1001/0 t:0
            4: add InvalidProducerIdMapping
            > add a 1000/1 t:0
            5: add ProducerFenced
            > hold
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            > add a 1000/0 t:0
            7: add ConcurrentTransactions
            > add a 9/9 t:0
            8: add ConcurrentTransactions
            > release
            6: add None
            > add a 1000/0 t:0
            9: add None
            > hold-markers
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            10: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > add a 1000/1 t:0
            11: add ConcurrentTransactions
        "#]],
    );
}

#[test]
fn partitions_are_verified() {
    check(
        "verify - 1000/0 t:0
         verify a 1000/0 t:0
         init a
         verify a 1000/0 t:0
         hold
         add a 1000/0 t:0
         verify a 1000/0 t:0
         release
         verify a 1000/0 t:0 t:1
         verify a 1001/0 t:0
         verify a 1000/1 t:0
         hold-markers
         commit a 1000/0
         verify a 1000/0 t:0
         verify a 1000/1 t:0
         marked None t:0
         verify a 1000/1 t:0",
        expect![[r#"
            > verify - 1000/0 t:0
            [InvalidRequest]
            > verify a 1000/0 t:0
            [InvalidProducerIdMapping]
            > init a
            append a Empty 1000/0
            1: init None 1000/0
            > verify a 1000/0 t:0
            [TransactionAbortable]
            > hold
            > add a 1000/0 t:0
            append a Ongoing 1000/0 [t:0]
            > verify a 1000/0 t:0
            [TransactionAbortable]
            > release
            2: add None
            > verify a 1000/0 t:0 t:1
            [None, TransactionAbortable]
            > verify a 1001/0 t:0
            [InvalidProducerIdMapping]
            > verify a 1000/1 t:0
            [ProducerFenced]
            > hold-markers
            > commit a 1000/0
            append a PrepareCommit 1000/1 [t:0]
            3: end None 1000/1
            commit markers of a 1000/1 version 2 coordinator 4 in [t:0]
            > verify a 1000/0 t:0
            [ProducerFenced]
            > verify a 1000/1 t:0
            [ConcurrentTransactions]
            > marked None t:0
            append a CompleteCommit 1000/1
            > verify a 1000/1 t:0
            [TransactionAbortable]
        "#]],
    );
}
