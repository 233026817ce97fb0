//! Static members: an instance id keeps its place in the group through restarts of its client.

use expect_test::expect;

use super::check;

const LEADER_AND_FOLLOWER: &str = "
    join g - instance=a client=s
    join g - instance=b client=s
    wait 6000
    sync g 1 a~1 instance=a assign=a~1:A,b~2:B
    sync g 1 b~2 instance=b
";

fn check_two(script: &str, expected: expect_test::Expect) {
    check(&format!("{LEADER_AND_FOLLOWER}{script}"), expected);
}

#[test]
fn a_static_member_needs_no_handshake_and_its_id_begins_with_its_instance() {
    check_two(
        "describe g",
        expect![[r#"
        > join g - instance=a client=s
        append group g generation 0 /- leader - []
        > join g - instance=b client=s
        > wait 6000
        1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
        2: join 1 range leader=a~1 member=b~2 []
        > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
        append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
        3: sync ok A
        > sync g 1 b~2 instance=b
        4: sync ok B
        > describe g
        g Stable None test/range; a~1 s /127.0.0.1 metadata=x assignment=A; b~2 s /127.0.0.1 metadata=x assignment=B
    "#]],
    );
}

#[test]
fn a_follower_comes_back_without_a_rebalance() {
    check_two(
        "join g - instance=b client=s
         heartbeat g 1 b~2 instance=b
         heartbeat g 1 b~5 instance=b
         sync g 1 b~5 instance=b
         describe g",
        expect![[r#"
            > join g - instance=a client=s
            append group g generation 0 /- leader - []
            > join g - instance=b client=s
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > join g - instance=b client=s
            append group g generation 1 test/range leader a~1 [a~1=A b~5=B]
            5: join 1 range leader=a~1 member=b~5 []
            > heartbeat g 1 b~2 instance=b
            6: heartbeat FencedInstanceId
            > heartbeat g 1 b~5 instance=b
            7: heartbeat ok
            > sync g 1 b~5 instance=b
            8: sync ok B
            > describe g
            g Stable None test/range; a~1 s /127.0.0.1 metadata=x assignment=A; b~5 s /127.0.0.1 metadata=x assignment=B
        "#]],
    );
}

#[test]
fn a_leader_comes_back_and_skips_the_assignment() {
    check_two(
        "join g - instance=a client=s\n sync g 1 a~5 instance=a",
        expect![[r#"
            > join g - instance=a client=s
            append group g generation 0 /- leader - []
            > join g - instance=b client=s
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > join g - instance=a client=s
            append group g generation 1 test/range leader a~5 [a~5=A b~2=B]
            5: join 1 range leader=a~5 member=a~5 [a~5 b~2] skip
            > sync g 1 a~5 instance=a
            6: sync ok A
        "#]],
    );
}

#[test]
fn a_leader_of_an_old_version_is_told_that_its_former_self_leads() {
    check_two(
        "join g - instance=a client=s v=8",
        expect![[r#"
        > join g - instance=a client=s
        append group g generation 0 /- leader - []
        > join g - instance=b client=s
        > wait 6000
        1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
        2: join 1 range leader=a~1 member=b~2 []
        > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
        append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
        3: sync ok A
        > sync g 1 b~2 instance=b
        4: sync ok B
        > join g - instance=a client=s v=8
        append group g generation 1 test/range leader a~5 [a~5=A b~2=B]
        5: join 1 range leader=a~1 member=a~5 []
    "#]],
    );
}

#[test]
fn what_waits_under_the_old_id_is_fenced() {
    check(
        "join g - instance=a client=s
         join g - instance=a client=s
         wait 3000
         sync g 1 a~2 instance=a assign=a~2:A
         join g - instance=b client=s
         join g a~2 instance=a
         sync g 2 b~4 instance=b
         join g - instance=b client=s
         join g a~2 instance=a",
        expect![[r#"
            > join g - instance=a client=s
            append group g generation 0 /- leader - []
            > join g - instance=a client=s
            1: join FencedInstanceId member=a~1
            > wait 3000
            2: join 1 range leader=a~2 member=a~2 [a~2]
            > sync g 1 a~2 instance=a assign=a~2:A
            append group g generation 1 test/range leader a~2 [a~2=A]
            3: sync ok A
            > join g - instance=b client=s
            > join g a~2 instance=a
            5: join 2 range leader=a~2 member=a~2 [a~2 b~4]
            4: join 2 range leader=a~2 member=b~4 []
            > sync g 2 b~4 instance=b
            > join g - instance=b client=s
            6: sync FencedInstanceId 
            > join g a~2 instance=a
            8: join 3 range leader=a~2 member=a~2 [a~2 b~7]
            7: join 3 range leader=a~2 member=b~7 []
        "#]],
    );
}

#[test]
fn another_choice_of_protocol_begins_a_rebalance() {
    check(
        "join g - instance=a protocols=range,sticky
         join g - instance=b protocols=range,sticky
         wait 6000
         sync g 1 a~1 instance=a assign=a~1:A,b~2:B
         sync g 1 b~2 instance=b
         join g - instance=b protocols=sticky
         join g a~1 instance=a protocols=range,sticky",
        expect![[r#"
            > join g - instance=a protocols=range,sticky
            append group g generation 0 /- leader - []
            > join g - instance=b protocols=range,sticky
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > join g - instance=b protocols=sticky
            > join g a~1 instance=a protocols=range,sticky
            6: join 2 sticky leader=a~1 member=a~1 [a~1 b~5]
            5: join 2 sticky leader=a~1 member=b~5 []
        "#]],
    );
}

#[test]
fn the_wrong_member_id_is_fenced_everywhere() {
    check_two(
        "join g stranger instance=a client=s
         sync g 1 stranger instance=a
         heartbeat g 1 stranger instance=a
         leave g stranger@a
         commit g 1 stranger instance=a t:0=1
         join g a~1 instance=nobody",
        expect![[r#"
            > join g - instance=a client=s
            append group g generation 0 /- leader - []
            > join g - instance=b client=s
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > join g stranger instance=a client=s
            5: join FencedInstanceId member=stranger
            > sync g 1 stranger instance=a
            6: sync FencedInstanceId 
            > heartbeat g 1 stranger instance=a
            7: heartbeat FencedInstanceId
            > leave g stranger@a
            8: leave ok [stranger@a FencedInstanceId]
            > commit g 1 stranger instance=a t:0=1
            9: commit [t:0 FencedInstanceId]
            > join g a~1 instance=nobody
            10: join UnknownMemberId member=a~1
        "#]],
    );
}

#[test]
fn a_replacement_that_is_not_stored_is_taken_back() {
    check_two(
        "hold
         join g - instance=b client=s protocols=range+other
         fail NotLeaderOrFollower
         heartbeat g 1 b~2 instance=b
         heartbeat g 1 b~5 instance=b
         describe g",
        expect![[r#"
            > join g - instance=a client=s
            append group g generation 0 /- leader - []
            > join g - instance=b client=s
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > hold
            > join g - instance=b client=s protocols=range+other
            append group g generation 1 test/range leader a~1 [a~1=A b~5=B]
            > fail NotLeaderOrFollower
            5: join NotCoordinator member=
            > heartbeat g 1 b~2 instance=b
            6: heartbeat ok
            > heartbeat g 1 b~5 instance=b
            7: heartbeat FencedInstanceId
            > describe g
            g Stable None test/range; a~1 s /127.0.0.1 metadata=x assignment=A; b~2 s /127.0.0.1 metadata=x assignment=B
        "#]],
    );
}

#[test]
fn a_rebalance_overtakes_a_replacement_that_is_being_stored() {
    check_two(
        "hold
         join g - instance=b client=s
         join g a~1 instance=a client=s
         release",
        expect![[r#"
            > join g - instance=a client=s
            append group g generation 0 /- leader - []
            > join g - instance=b client=s
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > hold
            > join g - instance=b client=s
            append group g generation 1 test/range leader a~1 [a~1=A b~5=B]
            > join g a~1 instance=a client=s
            6: join 2 range leader=a~1 member=a~1 [a~1 b~5]
            5: join 2 range leader=a~1 member=b~5 []
            > release
        "#]],
    );
}

#[test]
fn static_members_are_kept_while_they_are_away() {
    check(
        "join g - instance=a session=100000 rebalance=10000
         join g - instance=b session=100000 rebalance=10000
         wait 6000
         sync g 1 a~1 instance=a assign=a~1:A,b~2:B
         sync g 1 b~2 instance=b
         join g a~1 instance=a session=100000 rebalance=10000 protocols=range+new
         wait 10000
         sync g 2 a~1 instance=a assign=a~1:A,b~2:B
         describe g",
        expect![[r#"
            > join g - instance=a session=100000 rebalance=10000
            append group g generation 0 /- leader - []
            > join g - instance=b session=100000 rebalance=10000
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > join g a~1 instance=a session=100000 rebalance=10000 protocols=range+new
            > wait 10000
            5: join 2 range leader=a~1 member=a~1 [a~1 b~2]
            > sync g 2 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 2 test/range leader a~1 [a~1=A b~2=B]
            6: sync ok A
            > describe g
            g Stable None test/range; a~1 c /127.0.0.1 metadata=new assignment=A; b~2 c /127.0.0.1 metadata=x assignment=B
        "#]],
    );
}

#[test]
fn a_join_phase_that_no_static_member_comes_back_to_waits_for_their_sessions() {
    check(
        "join g - instance=a session=30000 rebalance=10000
         join g - instance=b session=6000 rebalance=10000
         wait 6000
         sync g 1 a~1 instance=a assign=a~1:A,b~2:B
         sync g 1 b~2 instance=b
         wait 6000
         wait 10000
         describe g
         wait 14000
         wait 10000
         describe g",
        expect![[r#"
            > join g - instance=a session=30000 rebalance=10000
            append group g generation 0 /- leader - []
            > join g - instance=b session=6000 rebalance=10000
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > wait 6000
            > wait 10000
            > describe g
            g PreparingRebalance None test/; a~1 c /127.0.0.1 metadata= assignment=A
            > wait 14000
            append group g generation 2 test/- leader - []
            > wait 10000
            > describe g
            g Empty None test/
        "#]],
    );
}

#[test]
fn a_rebalance_timeout_of_zero_does_not_keep_the_machine_busy() {
    check(
        "join g - instance=a session=30000
         join g - instance=b session=30000
         wait 6000
         sync g 1 a~1 instance=a assign=a~1:A,b~2:B
         sync g 1 b~2 instance=b
         join g - instance=a session=6000 rebalance=0
         join g - instance=b session=30000 rebalance=0
         wait 20000
         heartbeat g 1 b~6 instance=b
         wait 10000
         describe g
         wait 20000
         describe g",
        expect![[r#"
            > join g - instance=a session=30000
            append group g generation 0 /- leader - []
            > join g - instance=b session=30000
            > wait 6000
            1: join 1 range leader=a~1 member=a~1 [a~1 b~2]
            2: join 1 range leader=a~1 member=b~2 []
            > sync g 1 a~1 instance=a assign=a~1:A,b~2:B
            append group g generation 1 test/range leader a~1 [a~1=A b~2=B]
            3: sync ok A
            > sync g 1 b~2 instance=b
            4: sync ok B
            > join g - instance=a session=6000 rebalance=0
            append group g generation 1 test/range leader a~5 [a~5=A b~2=B]
            5: join 1 range leader=a~5 member=a~5 [a~5 b~2] skip
            > join g - instance=b session=30000 rebalance=0
            append group g generation 1 test/range leader a~5 [a~5=A b~6=B]
            6: join 1 range leader=a~5 member=b~6 []
            > wait 20000
            > heartbeat g 1 b~6 instance=b
            7: heartbeat ok
            > wait 10000
            > describe g
            g PreparingRebalance None test/; b~6 c /127.0.0.1 metadata= assignment=B
            > wait 20000
            append group g generation 2 test/- leader - []
            > describe g
            g Empty None test/
        "#]],
    );
}
