//! SyncGroup: the leader's assignment reaches everybody, once it is stored.

use expect_test::expect;

use super::check;

const TWO_MEMBERS: &str = "
    join g - v=3
    join g - v=3
    wait 6000
";

fn check_two(script: &str, expected: expect_test::Expect) {
    check(&format!("{TWO_MEMBERS}{script}"), expected);
}

#[test]
fn followers_wait_for_the_leader() {
    check_two(
        "sync g 1 c~2
         sync g 1 c~1 assign=c~1:A,c~2:B,stranger:C
         describe g",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > sync g 1 c~1 assign=c~1:A,c~2:B,stranger:C
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            4: sync ok A
            3: sync ok B
            > describe g
            g Stable None test/range; c~1 c /127.0.0.1 metadata=x assignment=A; c~2 c /127.0.0.1 metadata=x assignment=B
        "#]],
    );
}

#[test]
fn followers_that_come_later_find_the_assignment() {
    check_two(
        "sync g 1 c~1 assign=c~1:A
         sync g 1 c~2
         sync g 1 c~2",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A c~2=]
            3: sync ok A
            > sync g 1 c~2
            4: sync ok 
            > sync g 1 c~2
            5: sync ok 
        "#]],
    );
}

#[test]
fn a_sync_that_does_not_fit_is_refused() {
    check_two(
        "sync - 1 c~1
         sync other 1 c~1
         sync g 1 stranger
         sync g 2 c~1
         sync g 1 c~1 instance=i
         sync g 1 c~1 type=connect protocol=range
         sync g 1 c~1 type=test protocol=sticky
         sync g 1 c~1 v=5
         join g - v=3
         sync g 1 c~1
         leave g c~1 c~2 c~11",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync - 1 c~1
            3: sync InvalidGroupId 
            > sync other 1 c~1
            4: sync UnknownMemberId 
            > sync g 1 stranger
            5: sync UnknownMemberId 
            > sync g 2 c~1
            6: sync IllegalGeneration 
            > sync g 1 c~1 instance=i
            7: sync UnknownMemberId 
            > sync g 1 c~1 type=connect protocol=range
            8: sync InconsistentGroupProtocol 
            > sync g 1 c~1 type=test protocol=sticky
            9: sync InconsistentGroupProtocol 
            > sync g 1 c~1 v=5
            10: sync InconsistentGroupProtocol 
            > join g - v=3
            > sync g 1 c~1
            12: sync RebalanceInProgress 
            > leave g c~1 c~2 c~11
            11: join UnknownMemberId member=
            append group g generation 2 test/- leader - []
            13: leave ok [c~1 ok, c~2 ok, c~11 ok]
        "#]],
    );
}

#[test]
fn naming_type_and_protocol_is_answered_in_kind() {
    check_two(
        "sync g 1 c~1 v=5 type=test protocol=range assign=c~1:A",
        expect![[r#"
        > join g - v=3
        append group g generation 0 /- leader - []
        > join g - v=3
        > wait 6000
        1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
        2: join 1 range leader=c~1 member=c~2 []
        > sync g 1 c~1 v=5 type=test protocol=range assign=c~1:A
        append group g generation 1 test/range leader c~1 [c~1=A c~2=]
        3: sync ok A
    "#]],
    );
}

#[test]
fn who_does_not_sync_in_time_is_removed() {
    check_two(
        "sync g 1 c~1 assign=c~1:A,c~2:B
         wait 9000
         heartbeat g 1 c~1
         heartbeat g 1 c~2
         wait 9000
         heartbeat g 1 c~1
         heartbeat g 1 c~2
         wait 9000
         heartbeat g 1 c~1
         heartbeat g 1 c~2
         wait 9000
         heartbeat g 1 c~1
         heartbeat g 1 c~2
         wait 9000
         heartbeat g 1 c~1
         heartbeat g 1 c~2
         wait 9000
         heartbeat g 1 c~1
         heartbeat g 1 c~2
         wait 6000
         heartbeat g 1 c~2
         heartbeat g 1 c~1
         join g c~1",
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
            > wait 9000
            > heartbeat g 1 c~1
            4: heartbeat ok
            > heartbeat g 1 c~2
            5: heartbeat ok
            > wait 9000
            > heartbeat g 1 c~1
            6: heartbeat ok
            > heartbeat g 1 c~2
            7: heartbeat ok
            > wait 9000
            > heartbeat g 1 c~1
            8: heartbeat ok
            > heartbeat g 1 c~2
            9: heartbeat ok
            > wait 9000
            > heartbeat g 1 c~1
            10: heartbeat ok
            > heartbeat g 1 c~2
            11: heartbeat ok
            > wait 9000
            > heartbeat g 1 c~1
            12: heartbeat ok
            > heartbeat g 1 c~2
            13: heartbeat ok
            > wait 9000
            > heartbeat g 1 c~1
            14: heartbeat ok
            > heartbeat g 1 c~2
            15: heartbeat ok
            > wait 6000
            > heartbeat g 1 c~2
            16: heartbeat UnknownMemberId
            > heartbeat g 1 c~1
            17: heartbeat RebalanceInProgress
            > join g c~1
            18: join 2 range leader=c~1 member=c~1 [c~1]
        "#]],
    );
}

#[test]
fn a_leader_that_never_syncs_costs_its_followers_one_rebalance() {
    check_two(
        "sync g 1 c~2
         wait 9000
         heartbeat g 1 c~1
         wait 10000
         wait 5000",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > wait 9000
            > heartbeat g 1 c~1
            4: heartbeat ok
            > wait 10000
            3: sync RebalanceInProgress 
            > wait 5000
        "#]],
    );
}

#[test]
fn a_second_sync_of_a_waiting_member_takes_the_place_of_the_first() {
    check_two(
        "sync g 1 c~2
         sync g 1 c~2
         hold
         sync g 1 c~1 assign=c~1:A,c~2:B
         sync g 1 c~1 assign=c~1:X,c~2:Y
         release",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > sync g 1 c~2
            3: sync RebalanceInProgress 
            > hold
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            > sync g 1 c~1 assign=c~1:X,c~2:Y
            5: sync RebalanceInProgress 
            > release
            6: sync ok A
            4: sync ok B
        "#]],
    );
}

#[test]
fn an_assignment_that_is_not_stored_reaches_nobody() {
    check_two(
        "sync g 1 c~2
         hold
         sync g 1 c~1 assign=c~1:A,c~2:B
         heartbeat g 1 c~1
         fail NotEnoughReplicas
         heartbeat g 1 c~1
         join g c~1
         join g c~2
         sync g 2 c~1 assign=c~1:A,c~2:B
         sync g 2 c~2",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > hold
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            > heartbeat g 1 c~1
            > fail NotEnoughReplicas
            4: sync CoordinatorNotAvailable 
            3: sync CoordinatorNotAvailable 
            5: heartbeat CoordinatorNotAvailable
            > heartbeat g 1 c~1
            6: heartbeat RebalanceInProgress
            > join g c~1
            > join g c~2
            7: join 2 range leader=c~1 member=c~1 [c~1 c~2]
            8: join 2 range leader=c~1 member=c~2 []
            > sync g 2 c~1 assign=c~1:A,c~2:B
            append group g generation 2 test/range leader c~1 [c~1=A c~2=B]
            9: sync ok A
            > sync g 2 c~2
            10: sync ok B
        "#]],
    );
}

#[test]
fn an_assignment_that_is_stored_too_late_reaches_nobody() {
    check_two(
        "sync g 1 c~2
         hold
         sync g 1 c~1 assign=c~1:A,c~2:B
         join g - v=3
         release
         join g c~1
         join g c~2",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > hold
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            > join g - v=3
            4: sync RebalanceInProgress 
            3: sync RebalanceInProgress 
            > release
            > join g c~1
            > join g c~2
            6: join 2 range leader=c~1 member=c~1 [c~1 c~2 c~5]
            7: join 2 range leader=c~1 member=c~2 []
            5: join 2 range leader=c~1 member=c~5 []
        "#]],
    );
}
