//! What administrators see.

use expect_test::expect;

use super::check;

#[test]
fn transactions_are_listed_by_state_producer_age_and_name() {
    check(
        "init ab
         init bb
         init bc
         add bb 1001/0 t:0
         wait 1000
         add bc 1002/0 t:0
         list
         list states=Ongoing,Odd,Dead
         list producers=1000,1002
         list longer=500 states=Ongoing
         list suffix=b
         list suffix=b states=PrepareCommit",
        expect![[r#"
            > init ab
            append ab Empty 1000/0
            1: init None 1000/0
            > init bb
            append bb Empty 1001/0
            2: init None 1001/0
            > init bc
            append bc Empty 1002/0
            3: init None 1002/0
            > add bb 1001/0 t:0
            append bb Ongoing 1001/0 [t:0]
            4: add None
            > wait 1000
            > add bc 1002/0 t:0
            append bc Ongoing 1002/0 [t:0]
            5: add None
            > list
            ab 1000 Empty
            bb 1001 Ongoing
            bc 1002 Ongoing
            > list states=Ongoing,Odd,Dead
            bb 1001 Ongoing
            bc 1002 Ongoing
            unknown states ["Odd"]
            > list producers=1000,1002
            ab 1000 Empty
            bc 1002 Ongoing
            > list longer=500 states=Ongoing
            bb 1001 Ongoing
            > list suffix=b
            ab 1000 Empty
            bb 1001 Ongoing
            > list suffix=b states=PrepareCommit
        "#]],
    );
}

#[test]
fn a_transaction_is_described() {
    check(
        "describe -
         describe a
         init a timeout=5000
         describe a
         wait 7
         add a 1000/0 t:1 t:0
         describe a
         hold-markers
         abort a 1000/0
         marked None t:1
         describe a
         marked None t:0
         describe a",
        expect![[r#"
            > describe -
            InvalidRequest
            > describe a
            TransactionalIdNotFound
            > init a timeout=5000
            append a Empty 1000/0
            1: init None 1000/0
            > describe a
            Empty 1000/0 timeout 5000 since -1 []
            > wait 7
            > add a 1000/0 t:1 t:0
            append a Ongoing 1000/0 [t:0 t:1]
            2: add None
            > describe a
            Ongoing 1000/0 timeout 5000 since 7 [t:0 t:1]
            > hold-markers
            > abort a 1000/0
            append a PrepareAbort 1000/1 [t:0 t:1]
            3: end None 1000/1
            abort markers of a 1000/1 version 2 coordinator 4 in [t:0 t:1]
            > marked None t:1
            > describe a
            PrepareAbort 1000/1 timeout 5000 since 7 [t:0]
            > marked None t:0
            append a CompleteAbort 1000/1
            > describe a
            CompleteAbort 1000/1 timeout 5000 since 7 []
        "#]],
    );
}
