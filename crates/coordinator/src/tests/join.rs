//! JoinGroup: who is let in, who is turned away, who starts a rebalance.

use expect_test::expect;

use super::{check, check_with};
use crate::GroupConfig;

#[test]
fn requests_that_cannot_be_right_are_refused() {
    check(
        "join - -
         join g - session=5999
         join g - session=1800001
         join g stranger
         join g - protocols=
         join g - type=
         list",
        expect![[r#"
            > join - -
            1: join InvalidGroupId member=
            > join g - session=5999
            2: join InvalidSessionTimeout member=
            > join g - session=1800001
            3: join InvalidSessionTimeout member=
            > join g stranger
            4: join UnknownMemberId member=stranger
            > join g - protocols=
            5: join InconsistentGroupProtocol member=
            append group g generation 0 /- leader - []
            > join g - type=
            6: join InconsistentGroupProtocol member=
            > list
            g Empty classic protocol-type=
        "#]],
    );
}

#[test]
fn all_members_share_a_protocol_type_and_one_protocol() {
    check(
        "join g - v=3 protocols=range,sticky
         join g - v=3 protocols=sticky,range
         join g - v=3 protocols=roundrobin
         join g - v=3 type=connect protocols=range
         join g - v=3 protocols=sticky
         wait 6000",
        expect![[r#"
            > join g - v=3 protocols=range,sticky
            append group g generation 0 /- leader - []
            > join g - v=3 protocols=sticky,range
            > join g - v=3 protocols=roundrobin
            3: join InconsistentGroupProtocol member=
            > join g - v=3 type=connect protocols=range
            4: join InconsistentGroupProtocol member=
            > join g - v=3 protocols=sticky
            > wait 6000
            1: join 1 sticky leader=c~1 member=c~1 [c~1 c~2 c~5]
            2: join 1 sticky leader=c~1 member=c~2 []
            5: join 1 sticky leader=c~1 member=c~5 []
        "#]],
    );
}

#[test]
fn a_full_group_turns_newcomers_away() {
    let config = GroupConfig {
        max_size: 2,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "join g -
         join g c~1
         join g - v=3
         join g -
         join g c~4
         wait 6000
         sync g 1 c~3
         sync g 1 c~1 assign=c~1:A
         join g - v=3
         join g c~3",
        expect![[r#"
            > join g -
            1: join MemberIdRequired member=c~1
            append group g generation 0 /- leader - []
            > join g c~1
            > join g - v=3
            > join g -
            4: join GroupMaxSizeReached member=
            > join g c~4
            5: join GroupMaxSizeReached member=
            > wait 6000
            2: join 1 range leader=c~1 member=c~1 [c~1 c~3]
            3: join 1 range leader=c~1 member=c~3 []
            > sync g 1 c~3
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A c~3=]
            7: sync ok A
            6: sync ok 
            > join g - v=3
            8: join GroupMaxSizeReached member=
            > join g c~3
            9: join 1 range leader=c~1 member=c~3 []
        "#]],
    );
}

#[test]
fn of_a_group_that_became_too_large_the_last_stay_outside() {
    let config = GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    };
    let mut run = super::Script::new(config);
    run.commands(
        "join g - v=3
         join g - v=3
         wait 0
         sync g 1 c~1 assign=c~1:A,c~2:B
         sync g 1 c~2",
    );
    run.config.max_size = 1;
    run.commands(
        "restart
         describe g
         join g c~2
         join g c~1
         wait 60000",
    );
    run.check_replay();
    expect![[r#"
        > join g - v=3
        append group g generation 0 /- leader - []
        > join g - v=3
        > wait 0
        1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
        2: join 1 range leader=c~1 member=c~2 []
        > sync g 1 c~1 assign=c~1:A,c~2:B
        append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
        3: sync ok A
        > sync g 1 c~2
        4: sync ok B
        > restart
        > describe g
        g PreparingRebalance None test/; c~1 c /127.0.0.1 metadata= assignment=A; c~2 c /127.0.0.1 metadata= assignment=B
        > join g c~2
        > join g c~1
        6: join GroupMaxSizeReached member=
        > wait 60000
        5: join 2 range leader=c~2 member=c~2 [c~2]
    "#]].assert_eq(&run.out);
}

#[test]
fn a_second_join_of_a_waiting_member_takes_the_place_of_the_first() {
    check(
        "join g -
         join g c~1
         join g c~1
         wait 3000",
        expect![[r#"
            > join g -
            1: join MemberIdRequired member=c~1
            append group g generation 0 /- leader - []
            > join g c~1
            > join g c~1
            2: join RebalanceInProgress member=c~1
            > wait 3000
            3: join 1 range leader=c~1 member=c~1 [c~1]
        "#]],
    );
}

#[test]
fn a_follower_that_changed_nothing_causes_nothing() {
    check(
        "join g - v=3
         join g - v=3
         wait 6000
         join g c~2
         sync g 1 c~1 assign=c~1:A,c~2:B
         join g c~2
         join g c~1
         join g c~2
         wait 0",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > join g c~2
            3: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            4: sync ok A
            > join g c~2
            5: join 1 range leader=c~1 member=c~2 []
            > join g c~1
            > join g c~2
            6: join 2 range leader=c~1 member=c~1 [c~1 c~2]
            7: join 2 range leader=c~1 member=c~2 []
            > wait 0
        "#]],
    );
}

#[test]
fn changed_metadata_begins_a_rebalance() {
    check(
        "join g - v=3
         join g - v=3
         wait 6000
         sync g 1 c~2
         join g c~1 protocols=range+new
         join g c~2
         sync g 2 c~1 assign=c~1:A,c~2:B
         join g c~2 protocols=range+new
         heartbeat g 2 c~1
         join g c~1 protocols=range+new
         describe g",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > join g - v=3
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~2
            > join g c~1 protocols=range+new
            3: sync RebalanceInProgress 
            > join g c~2
            4: join 2 range leader=c~1 member=c~1 [c~1 c~2]
            5: join 2 range leader=c~1 member=c~2 []
            > sync g 2 c~1 assign=c~1:A,c~2:B
            append group g generation 2 test/range leader c~1 [c~1=A c~2=B]
            6: sync ok A
            > join g c~2 protocols=range+new
            > heartbeat g 2 c~1
            8: heartbeat RebalanceInProgress
            > join g c~1 protocols=range+new
            9: join 3 range leader=c~1 member=c~1 [c~1 c~2]
            7: join 3 range leader=c~1 member=c~2 []
            > describe g
            g CompletingRebalance None test/; c~1 c /127.0.0.1 metadata= assignment=A; c~2 c /127.0.0.1 metadata= assignment=B
        "#]],
    );
}

#[test]
fn the_rebalance_timeout_removes_those_who_did_not_come_back() {
    check(
        "join g - v=3 session=100000 rebalance=20000
         join g - v=3 session=100000 rebalance=20000
         wait 6000
         sync g 1 c~1 assign=c~1:A,c~2:B
         sync g 1 c~2
         join g - v=3 session=100000 rebalance=20000
         heartbeat g 1 c~2
         join g c~2
         wait 20000
         heartbeat g 2 c~1",
        expect![[r#"
            > join g - v=3 session=100000 rebalance=20000
            append group g generation 0 /- leader - []
            > join g - v=3 session=100000 rebalance=20000
            > wait 6000
            1: join 1 range leader=c~1 member=c~1 [c~1 c~2]
            2: join 1 range leader=c~1 member=c~2 []
            > sync g 1 c~1 assign=c~1:A,c~2:B
            append group g generation 1 test/range leader c~1 [c~1=A c~2=B]
            3: sync ok A
            > sync g 1 c~2
            4: sync ok B
            > join g - v=3 session=100000 rebalance=20000
            > heartbeat g 1 c~2
            6: heartbeat RebalanceInProgress
            > join g c~2
            > wait 20000
            7: join 2 range leader=c~2 member=c~2 [c~2 c~5]
            5: join 2 range leader=c~2 member=c~5 []
            > heartbeat g 2 c~1
            8: heartbeat UnknownMemberId
        "#]],
    );
}

#[test]
fn an_id_that_is_only_reserved_holds_up_the_join_until_it_expires() {
    check(
        "join g - v=3
         wait 3000
         sync g 1 c~1 assign=c~1:A
         join g - session=8000
         join g c~1 session=20000
         wait 8000",
        expect![[r#"
            > join g - v=3
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > join g - session=8000
            3: join MemberIdRequired member=c~3
            > join g c~1 session=20000
            > wait 8000
            4: join 2 range leader=c~1 member=c~1 [c~1]
        "#]],
    );
}

#[test]
fn a_reserved_id_cannot_become_static() {
    check(
        "join g -\n join g c~1 instance=i",
        expect![[r#"
        > join g -
        1: join MemberIdRequired member=c~1
        append group g generation 0 /- leader - []
        > join g c~1 instance=i
        2: join UnknownServerError member=c~1
    "#]],
    );
}

#[test]
fn a_newcomer_that_never_comes_back_is_dropped_after_five_minutes() {
    check(
        "join g - v=3 rebalance=600000
         wait 3000
         sync g 1 c~1 assign=c~1:A
         join g - v=3 rebalance=600000
         heartbeat g 1 c~1
         wait 5000
         heartbeat g 1 c~1
         join g c~1 session=1000000 rebalance=600000",
        expect![[r#"
            > join g - v=3 rebalance=600000
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > join g - v=3 rebalance=600000
            > heartbeat g 1 c~1
            4: heartbeat RebalanceInProgress
            > wait 5000
            > heartbeat g 1 c~1
            5: heartbeat RebalanceInProgress
            > join g c~1 session=1000000 rebalance=600000
            6: join 2 range leader=c~1 member=c~1 [c~1 c~3]
            3: join 2 range leader=c~1 member=c~3 []
        "#]],
    );
    let config = GroupConfig {
        new_member_join_timeout_ms: 7_000,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "join g - v=3 session=100000
         wait 3000
         sync g 1 c~1 assign=c~1:A
         join g - v=3
         wait 7000",
        expect![[r#"
            > join g - v=3 session=100000
            append group g generation 0 /- leader - []
            > wait 3000
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:A
            append group g generation 1 test/range leader c~1 [c~1=A]
            2: sync ok A
            > join g - v=3
            > wait 7000
            3: join UnknownMemberId member=
        "#]],
    );
}
