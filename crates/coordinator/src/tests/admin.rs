//! ListGroups, DescribeGroups, DeleteGroups.

use expect_test::expect;

use super::check;

#[test]
fn groups_are_listed_by_state_and_type() {
    check(
        "commit simple -1 - t:0=1
         join waiting - v=3
         join g - v=3
         wait 3000
         sync g 1 c~3 assign=c~3:A
         list
         list states=Stable
         list states=stable,EMPTY
         list states=Dead
         list types=Classic
         list types=consumer
         list types=nonsense
         list states=Empty types=classic,share",
        expect![[r#"
            > commit simple -1 - t:0=1
            append simple/t:0=1
            1: commit [t:0 ok]
            > join waiting - v=3
            append group waiting generation 0 /- leader - []
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            2: join 1 range leader=c~2 member=c~2 [c~2]
            3: join 1 range leader=c~3 member=c~3 [c~3]
            > sync g 1 c~3 assign=c~3:A
            append group g generation 1 test/range leader c~3 [c~3=A]
            4: sync ok A
            > list
            g Stable classic protocol-type=test
            simple Empty classic protocol-type=
            waiting CompletingRebalance classic protocol-type=test
            > list states=Stable
            g Stable classic protocol-type=test
            > list states=stable,EMPTY
            g Stable classic protocol-type=test
            simple Empty classic protocol-type=
            > list states=Dead
            > list types=Classic
            g Stable classic protocol-type=test
            simple Empty classic protocol-type=
            waiting CompletingRebalance classic protocol-type=test
            > list types=consumer
            > list types=nonsense
            > list states=Empty types=classic,share
            simple Empty classic protocol-type=
        "#]],
    );
}

#[test]
fn a_group_whose_birth_is_not_stored_is_not_shown() {
    check(
        "hold
         join g - v=3
         commit simple -1 - t:0=1
         list
         describe g
         release
         list",
        expect![[r#"
            > hold
            > join g - v=3
            append group g generation 0 /- leader - []
            > commit simple -1 - t:0=1
            append simple/t:0=1
            > list
            > describe g
            g Dead GroupIdNotFound (Group g not found.) /
            > release
            2: commit [t:0 ok]
            > list
            g PreparingRebalance classic protocol-type=test
            simple Empty classic protocol-type=
        "#]],
    );
}

#[test]
fn a_group_that_does_not_exist_is_dead() {
    check(
        "describe g\n describe g v=5",
        expect![[r#"
        > describe g
        g Dead GroupIdNotFound (Group g not found.) /
        > describe g v=5
        g Dead None /
    "#]],
    );
}

#[test]
fn the_description_follows_the_state() {
    check(
        "join g - v=3
         describe g
         wait 3000
         describe g
         sync g 1 c~1 assign=c~1:A
         describe g,h",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > describe g
            g PreparingRebalance None test/; c~1 c /127.0.0.1 metadata= assignment=
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > describe g
            g CompletingRebalance None test/; c~1 c /127.0.0.1 metadata= assignment=
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > describe g,h
            g Stable None test/range; c~1 c /127.0.0.1 metadata=x assignment=A
            h Dead GroupIdNotFound (Group h not found.) /
        "#]],
    );
}

#[test]
fn groups_without_members_can_be_deleted_with_their_offsets() {
    check(
        "commit a -1 - t:0=1 t:1=1
         join g - v=3
         hold
         delete a,b,g
         list
         fetch a all
         fetch a all stable=1
         release
         list
         fetch a all",
        expect![[r#"
            > commit a -1 - t:0=1 t:1=1
            append a/t:0=1, a/t:1=1
            1: commit [t:0 ok, t:1 ok]
            > join g - v=3
            append group g generation 0 /- leader - []
            > hold
            > delete a,b,g
            append a/t:0 gone, a/t:1 gone, group a gone
            > list
            a Empty classic protocol-type=
            g PreparingRebalance classic protocol-type=test
            > fetch a all
            4: fetch ok [t:0=1, t:1=1]
            > fetch a all stable=1
            > release
            3: delete [a ok, b GroupIdNotFound, g NonEmptyGroup]
            5: fetch ok []
            > list
            g PreparingRebalance classic protocol-type=test
            > fetch a all
            6: fetch ok []
        "#]],
    );
}

#[test]
fn a_deletion_that_is_not_stored_did_not_happen() {
    check(
        "commit a -1 - t:0=1
         hold
         delete a
         join a - v=3
         fail NotEnoughReplicas
         list
         fetch a all",
        expect![[r#"
            > commit a -1 - t:0=1
            append a/t:0=1
            1: commit [t:0 ok]
            > hold
            > delete a
            append a/t:0 gone, group a gone
            > join a - v=3
            append group a generation 0 /- leader - []
            > fail NotEnoughReplicas
            3: join CoordinatorNotAvailable member=c~3
            2: delete [a CoordinatorNotAvailable]
            > list
            a Empty classic protocol-type=
            > fetch a all
            4: fetch ok [t:0=1]
        "#]],
    );
}
