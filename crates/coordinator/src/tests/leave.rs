//! LeaveGroup, alone and in batches.

use expect_test::expect;

use super::check;

#[test]
fn leaving_is_answered_member_by_member() {
    check(
        "leave - c~1
         leave g c~1 c~2@i
         join g - v=3
         join g - v=3 instance=i client=s
         join g -
         wait 6000
         leave g stranger -@j c~3@i c~5 -@i
         describe g
         leave g c~3
         describe g",
        expect![[r#"
            > leave - c~1
            1: leave InvalidGroupId []
            > leave g c~1 c~2@i
            2: leave ok [c~1 UnknownMemberId, c~2@i UnknownMemberId]
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3 instance=i client=s
            > join g -
            5: join MemberIdRequired member=c~5
            > wait 6000
            3: join 1 range leader=c~3 member=c~3 [c~3 i~4]
            4: join 1 range leader=c~3 member=i~4 []
            > leave g stranger -@j c~3@i c~5 -@i
            6: leave ok [stranger UnknownMemberId, @j UnknownMemberId, c~3@i FencedInstanceId, c~5 ok, @i ok]
            > describe g
            g PreparingRebalance None test/; c~3 c /127.0.0.1 metadata= assignment=
            > leave g c~3
            append group g generation 2 test/- leader - []
            7: leave ok [c~3 ok]
            > describe g
            g Empty None test/
        "#]],
    );
}

#[test]
fn a_leaving_member_ends_the_generation() {
    check(
        "join g - v=3
         join g - v=3
         wait 6000
         sync g 1 c~1 assign=c~1:A,c~2:B
         sync g 1 c~2
         leave g c~1
         heartbeat g 1 c~2
         join g c~2",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            3: sync ok A
            > sync g 1 c~2
            4: sync ok B
            > leave g c~1
            5: leave ok [c~1 ok]
            > heartbeat g 1 c~2
            6: heartbeat RebalanceInProgress
            > join g c~2
            7: join 2 range leader=c~2 member=c~2 [c~2]
        "#]],
    );
}

#[test]
fn who_leaves_while_waiting_is_answered() {
    check(
        "join g - v=3
         join g - v=3
         wait 6000
         sync g 1 c~2
         leave g c~2
         join g c~1
         sync g 2 c~1 assign=c~1:A
         join g - v=3
         leave g c~8
         join g c~1",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > leave g c~2
            3: sync UnknownMemberId 
            4: leave ok [c~2 ok]
            > join g c~1
            5: join 2 range leader=c~1 member=c~1 [c~1]
            > sync g 2 c~1 assign=c~1:A
            append group g generation 2 test/range leader c~1 [c~1=A]
            6: sync ok A
            > join g - v=3
            > leave g c~8
            8: leave ok [c~8 UnknownMemberId]
            > join g c~1
            9: join 3 range leader=c~1 member=c~1 [c~1 c~7]
            7: join 3 range leader=c~1 member=c~7 []
        "#]],
    );
}

#[test]
fn a_reserved_id_that_leaves_lets_the_join_complete() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         join g -
         join g c~1
         leave g c~3",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > join g -
            3: join MemberIdRequired member=c~3
            > join g c~1
            > leave g c~3
            4: join 2 range leader=c~1 member=c~1 [c~1]
            5: leave ok [c~3 ok]
        "#]],
    );
}
