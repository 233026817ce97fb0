//! What happens to those who wait when an append fails, or when the partition moves away.

use expect_test::expect;

use super::{Script, check};
use crate::GroupConfig;

#[test]
fn members_of_a_group_whose_birth_is_not_stored_are_told() {
    check(
        "hold
         join g - v=3
         join g - v=3
         fail NotEnoughReplicas
         list
         wait 300000",
        expect![[r#"
            > hold
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > fail NotEnoughReplicas
            1: join CoordinatorNotAvailable member=c~1
            2: join CoordinatorNotAvailable member=c~2
            > list
            > wait 300000
        "#]],
    );
}

#[test]
fn answers_wait_for_what_they_rest_on() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         hold
         commit g 1 c~1 t:0=1
         heartbeat g 1 c~1
         leave g c~1
         release",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > hold
            > commit g 1 c~1 t:0=1
            append g/t:0=1
            > heartbeat g 1 c~1
            > leave g c~1
            append group g generation 2 test/- leader - []
            > release
            3: commit [t:0 ok]
            4: heartbeat ok
            5: leave ok [c~1 ok]
        "#]],
    );
}

#[test]
fn a_failed_append_takes_those_behind_it_along() {
    let mut run = Script::new(GroupConfig::default());
    run.commands(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         hold
         commit g 1 c~1 t:0=1
         leave g c~1
         delete-offsets g t:0
         fail MessageTooLarge
         fetch g all
         describe g
         restart
         describe g
         wait 10000
         describe g",
    );
    // The member is gone, although the record of that is not: after a restart it comes back, and its
    // session runs out.
    expect![[r#"
        > join g - v=3
        append group g generation 0 /- leader - []
        > wait 3000
        1: join 1 range leader=c~1 member=c~1 [c~1]
        > sync g 1 c~1 assign=c~1:A
        append group g generation 1 test/range leader c~1 [c~1=A]
        2: sync ok A
        > hold
        > commit g 1 c~1 t:0=1
        append g/t:0=1
        > leave g c~1
        append group g generation 2 test/- leader - []
        > delete-offsets g t:0
        append g/t:0 gone
        > fail MessageTooLarge
        3: commit [t:0 UnknownServerError]
        4: leave UnknownServerError []
        5: delete-offsets UnknownServerError []
        > fetch g all
        6: fetch ok []
        > describe g
        g Empty None test/
        > restart
        > describe g
        g Stable None test/range; c~1 c /127.0.0.1 metadata=x assignment=A
        > wait 10000
        append group g generation 2 test/- leader - []
        > describe g
        g Empty None test/
    "#]]
    .assert_eq(&run.out);
}

#[test]
fn everybody_is_sent_away_when_the_partition_moves() {
    check(
        "join g - v=3
         join h - v=3
         wait 3000
         sync h 1 c~2 assign=c~2:A
         join h - v=3
         join i - v=3
         join i - v=3
         wait 6000
         sync i 1 c~6
         hold
         commit j -1 - t:0=1
         unload",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join h - v=3
            append group h generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            2: join 1 range leader=c~2 member=c~2 [c~2]
            > sync h 1 c~2 assign=c~2:A
            append group h generation 1 test/range leader c~2 [c~2=A]
            3: sync ok A
            > join h - v=3
            > join i - v=3
            append group i generation 0 /- leader - []
            > join i - v=3
            > wait 6000
            5: join 1 range leader=c~5 member=c~5 [c~5 c~6]
            6: join 1 range leader=c~5 member=c~6 []
            > sync i 1 c~6
            > hold
            > commit j -1 - t:0=1
            append j/t:0=1
            > unload
            4: join NotCoordinator member=c~4
            7: sync NotCoordinator 
            8: commit [t:0 NotCoordinator]
        "#]],
    );
}
