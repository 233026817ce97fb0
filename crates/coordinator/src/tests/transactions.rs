//! Offsets inside of transactions.

use expect_test::expect;

use super::check;

#[test]
fn pending_offsets_count_once_their_transaction_commits() {
    check(
        "commit g -1 - t:0=1
         txn-commit g 5 t:0=2 t:1=2
         fetch g all
         fetch g t:0 t:1 t:2 stable=1
         restart
         end 5 commit
         fetch g all stable=1",
        expect![[r#"
            > commit g -1 - t:0=1
            append g/t:0=1
            1: commit [t:0 ok]
            > txn-commit g 5 t:0=2 t:1=2
            append by producer 5/0: g/t:0=2, g/t:1=2
            2: commit [t:0 ok, t:1 ok]
            > fetch g all
            3: fetch ok [t:0=1]
            > fetch g t:0 t:1 t:2 stable=1
            4: fetch ok [t:0=-1 UnstableOffsetCommit, t:1=-1 UnstableOffsetCommit, t:2=-1]
            > restart
            > end 5 commit
            append commit marker of producer 5/0
            5: end ok
            > fetch g all stable=1
            6: fetch ok [t:0=2, t:1=2]
        "#]],
    );
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    check(
        "txn-commit g 5 t:0=2
         end 5 abort
         end 6 commit
         fetch g all stable=1",
        expect![[r#"
            > txn-commit g 5 t:0=2
            append by producer 5/0: g/t:0=2
            1: commit [t:0 ok]
            > end 5 abort
            append abort marker of producer 5/0
            2: end ok
            > end 6 commit
            append commit marker of producer 6/0
            3: end ok
            > fetch g all stable=1
            4: fetch ok []
        "#]],
    );
}

#[test]
fn the_later_record_wins_whatever_the_order_of_the_markers() {
    check(
        "txn-commit g 5 t:0=2
         commit g -1 - t:0=3
         end 5 commit
         fetch g t:0
         txn-commit g 5 t:0=4
         txn-commit g 6 t:0=5
         end 6 commit
         end 5 commit
         fetch g t:0
         restart
         fetch g t:0",
        expect![[r#"
            > txn-commit g 5 t:0=2
            append by producer 5/0: g/t:0=2
            1: commit [t:0 ok]
            > commit g -1 - t:0=3
            append g/t:0=3
            2: commit [t:0 ok]
            > end 5 commit
            append commit marker of producer 5/0
            3: end ok
            > fetch g t:0
            4: fetch ok [t:0=3]
            > txn-commit g 5 t:0=4
            append by producer 5/0: g/t:0=4
            5: commit [t:0 ok]
            > txn-commit g 6 t:0=5
            append by producer 6/0: g/t:0=5
            6: commit [t:0 ok]
            > end 6 commit
            append commit marker of producer 6/0
            7: end ok
            > end 5 commit
            append commit marker of producer 5/0
            8: end ok
            > fetch g t:0
            9: fetch ok [t:0=5]
            > restart
            > fetch g t:0
            10: fetch ok [t:0=5]
        "#]],
    );
}

#[test]
fn a_deletion_takes_pending_offsets_too() {
    check(
        "txn-commit g 5 t:0=2 t:1=2
         delete-offsets g t:0
         end 5 commit
         fetch g all
         txn-commit g 5 t:2=2
         delete g
         end 5 commit
         fetch g all
         list",
        expect![[r#"
            > txn-commit g 5 t:0=2 t:1=2
            append by producer 5/0: g/t:0=2, g/t:1=2
            1: commit [t:0 ok, t:1 ok]
            > delete-offsets g t:0
            append g/t:0 gone
            2: delete-offsets ok [t:0 ok]
            > end 5 commit
            append commit marker of producer 5/0
            3: end ok
            > fetch g all
            4: fetch ok [t:1=2]
            > txn-commit g 5 t:2=2
            append by producer 5/0: g/t:2=2
            5: commit [t:2 ok]
            > delete g
            append g/t:1 gone, g/t:2 gone, group g gone
            6: delete [g ok]
            > end 5 commit
            append commit marker of producer 5/0
            7: end ok
            > fetch g all
            8: fetch ok []
            > list
        "#]],
    );
}

#[test]
fn members_prove_themselves_and_strangers_may_commit() {
    check(
        "txn-commit - 5 t:0=1
         txn-commit g 5 t:0=1 generation=1 member=m
         join g - v=3
         wait 3000
         txn-commit g 5 t:0=1 generation=1 member=c~3
         txn-commit g 5 t:0=1 generation=0 member=c~3
         txn-commit g 5 t:0=1 generation=1 member=stranger
         txn-commit g 5 t:0=1",
        expect![[r#"
            > txn-commit - 5 t:0=1
            1: commit [t:0 InvalidGroupId]
            > txn-commit g 5 t:0=1 generation=1 member=m
            2: commit [t:0 IllegalGeneration]
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            3: join 1 range leader=c~3 member=c~3 [c~3]
            > txn-commit g 5 t:0=1 generation=1 member=c~3
            append by producer 5/0: g/t:0=1
            4: commit [t:0 ok]
            > txn-commit g 5 t:0=1 generation=0 member=c~3
            5: commit [t:0 IllegalGeneration]
            > txn-commit g 5 t:0=1 generation=1 member=stranger
            6: commit [t:0 UnknownMemberId]
            > txn-commit g 5 t:0=1
            append by producer 5/0: g/t:0=1
            7: commit [t:0 ok]
        "#]],
    );
}

#[test]
fn what_is_not_stored_is_taken_back() {
    check(
        "commit g -1 - t:0=1
         txn-commit g 5 t:0=2
         hold
         end 5 commit
         txn-commit g 5 t:1=3
         fail RequestTimedOut
         fetch g t:0 t:1 stable=1
         end 5 commit
         fetch g t:0 t:1 stable=1",
        expect![[r#"
            > commit g -1 - t:0=1
            append g/t:0=1
            1: commit [t:0 ok]
            > txn-commit g 5 t:0=2
            append by producer 5/0: g/t:0=2
            2: commit [t:0 ok]
            > hold
            > end 5 commit
            append commit marker of producer 5/0
            > txn-commit g 5 t:1=3
            append by producer 5/0: g/t:1=3
            > fail RequestTimedOut
            3: end CoordinatorNotAvailable
            4: commit [t:1 CoordinatorNotAvailable]
            > fetch g t:0 t:1 stable=1
            5: fetch ok [t:0=-1 UnstableOffsetCommit, t:1=-1]
            > end 5 commit
            append commit marker of producer 5/0
            6: end ok
            > fetch g t:0 t:1 stable=1
            7: fetch ok [t:0=2, t:1=-1]
        "#]],
    );
}
