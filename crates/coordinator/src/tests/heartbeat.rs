//! Heartbeats, and what happens without them.

use expect_test::expect;

use super::check;

#[test]
fn a_heartbeat_tells_how_the_group_fares() {
    check(
        "heartbeat - 1 c~1
         heartbeat g 1 c~1
         join g - v=3
         wait 3000
         heartbeat g 1 c~3
         sync g 1 c~3 assign=c~3:A
         heartbeat g 1 c~3
         heartbeat g 2 c~3
         heartbeat g 1 c~3 instance=i
         heartbeat g 1 stranger
         join g - v=3
         heartbeat g 1 c~3",
        expect![[r#"
            > heartbeat - 1 c~1
            1: heartbeat InvalidGroupId
            > heartbeat g 1 c~1
            2: heartbeat UnknownMemberId
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            3: join 1 range leader=c~3 member=c~3 [c~3]
            > heartbeat g 1 c~3
            4: heartbeat ok
            > sync g 1 c~3 assign=c~3:A
            append group g generation 1 test/range leader c~3 [c~3=A]
            5: sync ok A
            > heartbeat g 1 c~3
            6: heartbeat ok
            > heartbeat g 2 c~3
            7: heartbeat IllegalGeneration
            > heartbeat g 1 c~3 instance=i
            8: heartbeat UnknownMemberId
            > heartbeat g 1 stranger
            9: heartbeat UnknownMemberId
            > join g - v=3
            > heartbeat g 1 c~3
            11: heartbeat RebalanceInProgress
        "#]],
    );
}

#[test]
fn a_session_ends_without_heartbeats() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         wait 9999
         heartbeat g 1 c~1
         wait 9999
         describe g
         wait 1
         describe g",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > wait 9999
            > heartbeat g 1 c~1
            3: heartbeat ok
            > wait 9999
            > describe g
            g Stable None test/range; c~1 c /127.0.0.1 metadata=x assignment=A
            > wait 1
            append group g generation 2 test/- leader - []
            > describe g
            g Empty None test/
        "#]],
    );
}

#[test]
fn commits_keep_a_session_alive() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         wait 9000
         commit g 1 c~1 t:0=1
         wait 9000
         describe g",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > wait 9000
            > commit g 1 c~1 t:0=1
            append g/t:0=1
            3: commit [t:0 ok]
            > wait 9000
            > describe g
            g Stable None test/range; c~1 c /127.0.0.1 metadata=x assignment=A
        "#]],
    );
}

#[test]
fn a_lost_member_ends_the_generation_of_the_others() {
    check(
        "join g - v=3
         join g - v=3 session=20000
         wait 6000
         sync g 1 c~2
         sync g 1 c~1 assign=c~1:A,c~2:B
         wait 10000
         heartbeat g 1 c~2
         join g c~2
         sync g 2 c~2 assign=c~2:AB",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3 session=20000
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            4: sync ok A
            3: sync ok B
            > wait 10000
            > heartbeat g 1 c~2
            5: heartbeat RebalanceInProgress
            > join g c~2
            6: join 2 range leader=c~2 member=c~2 [c~2]
            > sync g 2 c~2 assign=c~2:AB
            append group g generation 2 test/range leader c~2 [c~2=AB]
            7: sync ok AB
        "#]],
    );
}

#[test]
fn waiting_in_a_join_or_a_sync_is_a_sign_of_life() {
    check(
        "join g - v=3 session=10000
         join g - v=3 session=10000
         wait 6000
         sync g 1 c~1 assign=c~1:A,c~2:B
         sync g 1 c~2
         join g c~1 session=10000
         wait 8000
         heartbeat g 1 c~2
         wait 9000
         join g c~2 session=10000
         sync g 2 c~2
         wait 9000
         heartbeat g 2 c~1
         wait 9000
         sync g 2 c~1 assign=c~1:A,c~2:B",
        expect![[r#"
            > join g - v=3 session=10000
            append group g generation 0 /- leader - []
            > join g - v=3 session=10000
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            3: sync ok A
            > sync g 1 c~2
            4: sync ok B
            > join g c~1 session=10000
            > wait 8000
            > heartbeat g 1 c~2
            6: heartbeat RebalanceInProgress
            > wait 9000
            > join g c~2 session=10000
            5: join 2 range leader=c~1 member=c~1 [c~1 c~2]
            7: join 2 range leader=c~1 member=c~2 []
            > sync g 2 c~2
            > wait 9000
            > heartbeat g 2 c~1
            9: heartbeat ok
            > wait 9000
            > sync g 2 c~1 assign=c~1:A,c~2:B
            append group g generation 2 test/range leader c~1 [c~1=A c~2=B]
            10: sync ok A
            8: sync ok B
        "#]],
    );
}

#[test]
fn sessions_begin_anew_after_a_restart() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         wait 9000
         restart
         wait 9000
         heartbeat g 1 c~1
         wait 9999
         describe g
         wait 1
         describe g",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > wait 9000
            > restart
            > wait 9000
            > heartbeat g 1 c~1
            3: heartbeat ok
            > wait 9999
            > describe g
            g Stable None test/range; c~1 c /127.0.0.1 metadata=x assignment=A
            > wait 1
            append group g generation 2 test/- leader - []
            > describe g
            g Empty None test/
        "#]],
    );
}
