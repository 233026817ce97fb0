//! The first rebalance of a group: handshake, delay, extension.

use expect_test::expect;

use super::check;

#[test]
fn a_dynamic_member_is_told_its_id_and_let_in_with_it() {
    check(
        "join g -
         join g c~1
         wait 2999
         wait 1
         sync g 1 c~1 assign=c~1:A
         heartbeat g 1 c~1",
        expect![[r#"
            > join g -
            1: join MemberIdRequired member=c~1
            append group g generation 0 /- leader - []
            > join g c~1
            > wait 2999
            > wait 1
            2: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            3: sync ok A
            > heartbeat g 1 c~1
            4: heartbeat ok
        "#]],
    );
}

#[test]
fn old_versions_are_let_in_at_once() {
    check(
        "join g - v=3\n wait 3000",
        expect![[r#"
        > join g - v=3
        append group g generation 0 /- leader - []
        > wait 3000
        1: join 1 range leader=c~1 member=c~1 [c~1]
    "#]],
    );
}

#[test]
fn the_delay_grows_while_members_come_but_not_beyond_the_rebalance_timeout() {
    check(
        "join g - v=0 session=7000
         wait 2900
         join g - v=0 session=7000
         wait 2900
         join g - v=0 session=7000
         wait 1199
         wait 1",
        expect![[r#"
            > join g - v=0 session=7000
            append group g generation 0 /- leader - []
            > wait 2900
            > join g - v=0 session=7000
            > wait 2900
            > join g - v=0 session=7000
            > wait 1199
            > wait 1
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2 c~3]
            2: join 1 range leader=c~1 member=c~2 []
            3: join 1 range leader=c~1 member=c~3 []
        "#]],
    );
}

#[test]
fn without_news_the_delay_ends() {
    check(
        "join g - v=3 rebalance=100000
         wait 3000",
        expect![[r#"
            > join g - v=3 rebalance=100000
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
        "#]],
    );
}

#[test]
fn a_group_that_nobody_came_back_to_becomes_empty_and_can_begin_again() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         leave g c~1
         describe g
         join g - v=3 type=other
         wait 3000",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > leave g c~1
            append group g generation 2 test/- leader - []
            3: leave ok [c~1 ok]
            > describe g
            g Empty None test/
            > join g - v=3 type=other
            > wait 3000
            4: join 3 range leader=c~4 member=c~4 [c~4]
        "#]],
    );
}
