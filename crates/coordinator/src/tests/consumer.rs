//! ConsumerGroupHeartbeat and what belongs to it.

use expect_test::expect;

use super::{assigned_every, check, check_with};
use crate::{ConsumerSettings, GroupConfig};

/// Without the interval between assignments, so that each step shows.
pub fn check_at_once(script: &str, expected: expect_test::Expect) {
    let config = assigned_every(0);
    check_with(config, script, expected);
}

#[test]
fn a_member_joins_and_owns_everything() {
    check(
        "topics a:3 b:2
         consumer g m 0 topics=a,b,none
         consumer g m 2
         consumer g m 2 owned=a/0.1.2+b/0.1
         describe-consumer g
         list
         restart
         describe-consumer g
         consumer g m 2",
        expect![[r#"
            > topics a:3 b:2
            > consumer g m 0 topics=a,b,none
            append g: member m wants [a,b,none], g: epoch 2, g: target m [a/0.1.2+b/0.1], g: targets 2, g: m at 2 Stable has [a/0.1.2+b/0.1]
            1: consumer m epoch 2 [a/0.1.2+b/0.1]
            > consumer g m 2
            2: consumer m epoch 2
            > consumer g m 2 owned=a/0.1.2+b/0.1
            3: consumer m epoch 2
            > describe-consumer g
            g Stable None epoch 2 assigned 2 uniform
              m epoch 2 has [a/0.1.2+b/0.1] target [a/0.1.2+b/0.1]
            > list
            g Stable consumer protocol-type=consumer
            > restart
            > describe-consumer g
            g Stable None epoch 2 assigned 2 uniform
              m epoch 2 has [a/0.1.2+b/0.1] target [a/0.1.2+b/0.1]
            > consumer g m 2
            4: consumer m epoch 2
        "#]],
    );
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    check(
        "consumer - m 0
         consumer g - 0
         consumer g - 1 v=0
         consumer g m 0 rebalance=-1
         consumer g m 0 owned=a/0
         consumer g m -2
         consumer g m -3
         consumer g m 0 assignor=sticky
         consumer g m 1
         consumer g m -1
         consumer g m 0 regex=a)|(b
         list",
        expect![[r#"
            > consumer - m 0
            1: consumer InvalidRequest: the group id is empty
            > consumer g - 0
            2: consumer InvalidRequest: the member id is empty
            > consumer g - 1 v=0
            3: consumer InvalidRequest: the member id is empty
            > consumer g m 0 rebalance=-1
            4: consumer InvalidRequest: a member that joins must name its rebalance timeout
            > consumer g m 0 owned=a/0
            5: consumer InvalidRequest: a member that joins must own nothing, and say so
            > consumer g m -2
            6: consumer InvalidRequest: only a member with an instance id can leave for a while
            > consumer g m -3
            7: consumer InvalidRequest: there is no such member epoch
            > consumer g m 0 assignor=sticky
            8: consumer UnsupportedAssignor: the server assignor is not known; there are uniform and range
            > consumer g m 1
            9: consumer GroupIdNotFound: there is no such group
            > consumer g m -1
            10: consumer GroupIdNotFound: there is no such group
            > consumer g m 0 regex=a)|(b
            11: consumer InvalidRegularExpression: the subscribed regular expression is not valid
            > list
        "#]],
    );
}

#[test]
fn old_members_are_given_an_id() {
    check(
        "topics a:1\n consumer g - 0 v=0\n consumer g ~1 2 v=0",
        expect![[r#"
        > topics a:1
        > consumer g - 0 v=0
        append g: member ~1 wants [a], g: epoch 2, g: target ~1 [a/0], g: targets 2, g: ~1 at 2 Stable has [a/0]
        1: consumer ~1 epoch 2 [a/0]
        > consumer g ~1 2 v=0
        2: consumer ~1 epoch 2
    "#]],
    );
}

#[test]
fn partitions_move_once_they_are_given_up() {
    check_at_once(
        "topics a:4
         consumer g m 0
         consumer g n 0
         consumer g n 3
         consumer g m 2
         consumer g m 2 owned=a/0.1.2.3
         consumer g m 2 owned=a/0.1
         consumer g n 3 owned=
         consumer g n 3 owned=a/2.3
         describe-consumer g",
        expect![[r#"
            > topics a:4
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1.2.3], g: targets 2, g: m at 2 Stable has [a/0.1.2.3]
            1: consumer m epoch 2 [a/0.1.2.3]
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: target m [a/0.1], g: target n [a/2.3], g: targets 3, g: n at 3 Unreleased has []
            2: consumer n epoch 3 []
            > consumer g n 3
            append g: n at 3 Unreleased has []
            3: consumer n epoch 3
            > consumer g m 2
            append g: m at 2 Unrevoked has [a/0.1] revokes [a/2.3]
            4: consumer m epoch 2 [a/0.1]
            > consumer g m 2 owned=a/0.1.2.3
            5: consumer m epoch 2
            > consumer g m 2 owned=a/0.1
            append g: m at 3 Stable has [a/0.1]
            6: consumer m epoch 3
            > consumer g n 3 owned=
            append g: n at 3 Stable has [a/2.3]
            7: consumer n epoch 3 [a/2.3]
            > consumer g n 3 owned=a/2.3
            8: consumer n epoch 3
            > describe-consumer g
            g Stable None epoch 3 assigned 3 uniform
              m epoch 3 has [a/0.1] target [a/0.1]
              n epoch 3 has [a/2.3] target [a/2.3]
        "#]],
    );
}

#[test]
fn many_joins_cause_few_assignments() {
    check(
        "topics a:4
         wait 1000
         consumer g m 0
         consumer g n 0
         describe-consumer g
         wait 999
         consumer g n 2
         wait 1
         consumer g n 2
         describe-consumer g",
        expect![[r#"
            > topics a:4
            > wait 1000
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1.2.3], g: targets 2, g: m at 2 Stable has [a/0.1.2.3]
            1: consumer m epoch 2 [a/0.1.2.3]
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: n at 2 Stable has []
            2: consumer n epoch 2 []
            > describe-consumer g
            g Assigning None epoch 3 assigned 2 uniform
              m epoch 2 has [a/0.1.2.3] target [a/0.1.2.3]
              n epoch 2 has [] target []
            > wait 999
            > consumer g n 2
            3: consumer n epoch 2
            > wait 1
            > consumer g n 2
            append g: target m [a/0.1], g: target n [a/2.3], g: targets 3, g: n at 3 Unreleased has []
            4: consumer n epoch 3
            > describe-consumer g
            g Reconciling None epoch 3 assigned 3 uniform
              m epoch 2 has [a/0.1.2.3] target [a/0.1]
              n epoch 3 has [] target [a/2.3]
        "#]],
    );
}

#[test]
fn a_lost_answer_is_made_good() {
    check_at_once(
        "topics a:2
         consumer g m 0
         consumer g n 0
         consumer g m 2 owned=a/0
         consumer g m 2 owned=a/0
         consumer g m 2 owned=a/1
         consumer g m 1
         consumer g m 4
         consumer g stranger 3",
        expect![[r#"
            > topics a:2
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: target m [a/0], g: target n [a/1], g: targets 3, g: n at 3 Unreleased has []
            2: consumer n epoch 3 []
            > consumer g m 2 owned=a/0
            append g: m at 3 Stable has [a/0]
            3: consumer m epoch 3 [a/0]
            > consumer g m 2 owned=a/0
            4: consumer m epoch 3
            > consumer g m 2 owned=a/1
            5: consumer FencedMemberEpoch: the member has another epoch, and must give up its partitions and join anew
            > consumer g m 1
            6: consumer FencedMemberEpoch: the member has another epoch, and must give up its partitions and join anew
            > consumer g m 4
            7: consumer FencedMemberEpoch: the member has another epoch, and must give up its partitions and join anew
            > consumer g stranger 3
            8: consumer UnknownMemberId: the group does not know this member id
        "#]],
    );
}

#[test]
fn a_fenced_member_begins_anew_under_its_id() {
    check_at_once(
        "topics a:2\n consumer g m 0\n consumer g m 0 topics=a",
        expect![[r#"
        > topics a:2
        > consumer g m 0
        append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
        1: consumer m epoch 2 [a/0.1]
        > consumer g m 0 topics=a
        2: consumer m epoch 2 [a/0.1]
    "#]],
    );
}

#[test]
fn who_leaves_makes_room() {
    check_at_once(
        "topics a:2
         consumer g m 0
         consumer g n 0
         consumer g m 2 owned=a/0
         consumer g m -1
         consumer g n 3
         consumer g n -1
         describe-consumer g
         delete g
         list",
        expect![[r#"
            > topics a:2
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: target m [a/0], g: target n [a/1], g: targets 3, g: n at 3 Unreleased has []
            2: consumer n epoch 3 []
            > consumer g m 2 owned=a/0
            append g: m at 3 Stable has [a/0]
            3: consumer m epoch 3 [a/0]
            > consumer g m -1
            append g: m has nothing, g: target m gone, g: member m gone, g: epoch 4
            4: consumer m epoch -1
            > consumer g n 3
            append g: target n [a/0.1], g: targets 4, g: n at 4 Stable has [a/0.1]
            5: consumer n epoch 4 [a/0.1]
            > consumer g n -1
            append g: n has nothing, g: target n gone, g: member n gone, g: epoch 5
            6: consumer n epoch -1
            > describe-consumer g
            g Empty None epoch 5 assigned 4 uniform
            > delete g
            append g: targets gone, g: topic metadata false, g: epoch gone
            7: delete [g ok]
            > list
        "#]],
    );
}

#[test]
fn who_is_silent_is_fenced() {
    check(
        "topics a:2
         consumer g m 0
         wait 44999
         consumer g m 2
         wait 45000
         consumer g m 2",
        expect![[r#"
            > topics a:2
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > wait 44999
            > consumer g m 2
            2: consumer m epoch 2
            > wait 45000
            append g: m has nothing, g: target m gone, g: member m gone, g: epoch 3
            > consumer g m 2
            3: consumer UnknownMemberId: the group does not know this member id
        "#]],
    );
}

#[test]
fn who_does_not_give_up_in_time_is_fenced() {
    check_at_once(
        "topics a:2
         consumer g m 0 rebalance=10000
         consumer g n 0
         consumer g m 2 owned=a/0.1
         wait 9999
         consumer g m 2 owned=a/0.1
         wait 1
         consumer g m 2 owned=a/0.1
         consumer g n 3",
        expect![[r#"
            > topics a:2
            > consumer g m 0 rebalance=10000
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: target m [a/0], g: target n [a/1], g: targets 3, g: n at 3 Unreleased has []
            2: consumer n epoch 3 []
            > consumer g m 2 owned=a/0.1
            append g: m at 2 Unrevoked has [a/0] revokes [a/1]
            3: consumer m epoch 2 [a/0]
            > wait 9999
            > consumer g m 2 owned=a/0.1
            4: consumer m epoch 2
            > wait 1
            append g: m has nothing, g: target m gone, g: member m gone, g: epoch 4
            > consumer g m 2 owned=a/0.1
            5: consumer UnknownMemberId: the group does not know this member id
            > consumer g n 3
            append g: target n [a/0.1], g: targets 4, g: n at 4 Stable has [a/0.1]
            6: consumer n epoch 4 [a/0.1]
        "#]],
    );
}

#[test]
fn a_changed_topic_changes_the_assignment() {
    check_at_once(
        "topics a:1
         consumer g m 0 topics=a,b
         topics a:2
         consumer g m 2
         topics a:2 b:1 c:1
         consumer g m 3
         topics b:1
         consumer g m 4
         consumer g m 4 owned=b/0",
        expect![[r#"
            > topics a:1
            > consumer g m 0 topics=a,b
            append g: member m wants [a,b], g: epoch 2, g: target m [a/0], g: targets 2, g: m at 2 Stable has [a/0]
            1: consumer m epoch 2 [a/0]
            > topics a:2
            > consumer g m 2
            append g: epoch 3, g: target m [a/0.1], g: targets 3, g: m at 3 Stable has [a/0.1]
            2: consumer m epoch 3 [a/0.1]
            > topics a:2 b:1 c:1
            > consumer g m 3
            append g: epoch 4, g: target m [a/0.1+b/0], g: targets 4, g: m at 4 Stable has [a/0.1+b/0]
            3: consumer m epoch 4 [a/0.1+b/0]
            > topics b:1
            > consumer g m 4
            append g: epoch 5, g: target m [b/0], g: targets 5, g: m at 4 Unrevoked has [b/0] revokes [a/0.1]
            4: consumer m epoch 4 [b/0]
            > consumer g m 4 owned=b/0
            append g: m at 5 Stable has [b/0]
            5: consumer m epoch 5
        "#]],
    );
}

#[test]
fn a_changed_subscription_takes_effect_at_once() {
    check_at_once(
        "topics a:2 b:2
         consumer g m 0 topics=a
         consumer g m 2 topics=b owned=a/0.1
         consumer g m 2 owned=
         describe-consumer g",
        expect![[r#"
            > topics a:2 b:2
            > consumer g m 0 topics=a
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > consumer g m 2 topics=b owned=a/0.1
            append g: member m wants [b], g: epoch 3, g: target m [b/0.1], g: targets 3, g: m at 2 Unrevoked has [] revokes [a/0.1]
            2: consumer m epoch 2 []
            > consumer g m 2 owned=
            append g: m at 3 Stable has [b/0.1]
            3: consumer m epoch 3 [b/0.1]
            > describe-consumer g
            g Stable None epoch 3 assigned 3 uniform
              m epoch 3 has [b/0.1] target [b/0.1]
        "#]],
    );
}

#[test]
fn members_subscribe_by_regular_expression() {
    check_at_once(
        "topics aa:1 ab:1 b:1
         consumer g m 0 regex=a.
         consumer g m 1
         describe-consumer g
         wait 11000
         topics aa:1 ab:1 ac:1 b:1
         consumer g m 2
         consumer g m 2
         consumer g n 0 regex=a.
         consumer g m 3 owned=aa/0
         wait 11000
         consumer g m 4 regex=b|aa owned=aa/0
         consumer g m 4 owned=aa/0
         consumer g m 5 regex= topics=b owned=
         consumer g m -1
         consumer g n -1
         describe-consumer g",
        expect![[r#"
            > topics aa:1 ab:1 b:1
            > consumer g m 0 regex=a.
            append g: member m wants [] /a./, g: target m [], g: targets 1, g: m at 1 Stable has []
            resolve a.
            1: consumer m epoch 1 []
            append g: /a./ is [aa,ab], g: epoch 2
            > consumer g m 1
            append g: target m [aa/0+ab/0], g: targets 2, g: m at 2 Stable has [aa/0+ab/0]
            2: consumer m epoch 2 [aa/0+ab/0]
            > describe-consumer g
            g Stable None epoch 2 assigned 2 uniform
              m epoch 2 has [aa/0+ab/0] target [aa/0+ab/0]
            > wait 11000
            > topics aa:1 ab:1 ac:1 b:1
            > consumer g m 2
            resolve a.
            3: consumer m epoch 2
            append g: /a./ is [aa,ab,ac], g: epoch 3
            > consumer g m 2
            append g: target m [aa/0+ab/0+ac/0], g: targets 3, g: m at 3 Stable has [aa/0+ab/0+ac/0]
            4: consumer m epoch 3 [aa/0+ab/0+ac/0]
            > consumer g n 0 regex=a.
            append g: member n wants [] /a./, g: epoch 4, g: target m [aa/0+ab/0], g: target n [ac/0], g: targets 4, g: n at 4 Unreleased has []
            5: consumer n epoch 4 []
            > consumer g m 3 owned=aa/0
            append g: m at 4 Stable has [aa/0+ab/0]
            6: consumer m epoch 4 [aa/0+ab/0]
            > wait 11000
            > consumer g m 4 regex=b|aa owned=aa/0
            append g: member m wants [] /b|aa/, g: m at 4 Unrevoked has [] revokes [aa/0+ab/0]
            resolve a. b|aa
            7: consumer m epoch 4 []
            append g: /a./ is [aa,ab,ac], g: /b|aa/ is [aa,b], g: epoch 5
            > consumer g m 4 owned=aa/0
            append g: target m [b/0+aa/0], g: target n [ab/0+ac/0], g: targets 5
            8: consumer m epoch 4
            > consumer g m 5 regex= topics=b owned=
            9: consumer FencedMemberEpoch: the member has another epoch, and must give up its partitions and join anew
            > consumer g m -1
            append g: m has nothing, g: target m gone, g: member m gone, g: /b|aa/ gone, g: epoch 6
            10: consumer m epoch -1
            > consumer g n -1
            append g: n has nothing, g: target n gone, g: member n gone, g: /a./ gone, g: epoch 7
            11: consumer n epoch -1
            > describe-consumer g
            g Empty None epoch 7 assigned 5 uniform
        "#]],
    );
}

#[test]
fn the_group_uses_the_assignor_that_most_want() {
    check_at_once(
        "topics a:2 b:2
         consumer g m 0 topics=a,b assignor=range
         consumer g n 0 topics=a,b assignor=range
         consumer g o 0 topics=a,b assignor=uniform
         describe-consumer g",
        expect![[r#"
            > topics a:2 b:2
            > consumer g m 0 topics=a,b assignor=range
            append g: member m wants [a,b], g: epoch 2, g: target m [a/0.1+b/0.1], g: targets 2, g: m at 2 Stable has [a/0.1+b/0.1]
            1: consumer m epoch 2 [a/0.1+b/0.1]
            > consumer g n 0 topics=a,b assignor=range
            append g: member n wants [a,b], g: epoch 3, g: target m [a/0+b/0], g: target n [a/1+b/1], g: targets 3, g: n at 3 Unreleased has []
            2: consumer n epoch 3 []
            > consumer g o 0 topics=a,b assignor=uniform
            append g: member o wants [a,b], g: epoch 4, g: target o [], g: targets 4, g: o at 4 Stable has []
            3: consumer o epoch 4 []
            > describe-consumer g
            g Reconciling None epoch 4 assigned 4 range
              m epoch 2 has [a/0.1+b/0.1] target [a/0+b/0]
              n epoch 3 has [] target [a/1+b/1]
              o epoch 4 has [] target []
        "#]],
    );
}

#[test]
fn static_members_come_back_to_what_they_had() {
    check_at_once(
        "topics a:2
         consumer g m 0 instance=i
         consumer g n 0 instance=j
         consumer g m 2 instance=i owned=a/0
         consumer g x 0 instance=i
         consumer g m -2 instance=i
         consumer g m -2 instance=k
         consumer g x -2 instance=i
         consumer g x 0 instance=i
         consumer g x 3 instance=i
         consumer g m 3 instance=i
         describe-consumer g
         consumer g x -1 instance=i
         describe-consumer g",
        expect![[r#"
            > topics a:2
            > consumer g m 0 instance=i
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > consumer g n 0 instance=j
            append g: member n wants [a], g: epoch 3, g: target m [a/0], g: target n [a/1], g: targets 3, g: n at 3 Unreleased has []
            2: consumer n epoch 3 []
            > consumer g m 2 instance=i owned=a/0
            append g: m at 3 Stable has [a/0]
            3: consumer m epoch 3 [a/0]
            > consumer g x 0 instance=i
            4: consumer UnreleasedInstanceId: the instance id belongs to a member that has not left
            > consumer g m -2 instance=i
            append g: m at -2 Stable has [a/0]
            5: consumer m epoch -2
            > consumer g m -2 instance=k
            6: consumer UnknownMemberId: the group does not know this member id
            > consumer g x -2 instance=i
            7: consumer FencedInstanceId: another member id holds this group instance id
            > consumer g x 0 instance=i
            append g: m has nothing, g: target m gone, g: member m gone, g: member x wants [a], g: target x [a/0], g: x at 0 Stable has [a/0], g: x at 3 Stable has [a/0]
            8: consumer x epoch 3 [a/0]
            > consumer g x 3 instance=i
            9: consumer x epoch 3
            > consumer g m 3 instance=i
            10: consumer FencedInstanceId: another member id holds this group instance id
            > describe-consumer g
            g Reconciling None epoch 3 assigned 3 uniform
              n epoch 3 has [] target [a/1]
              x epoch 3 has [a/0] target [a/0]
            > consumer g x -1 instance=i
            append g: x has nothing, g: target x gone, g: member x gone, g: epoch 4
            11: consumer x epoch -1
            > describe-consumer g
            g Assigning None epoch 4 assigned 3 uniform
              n epoch 3 has [] target [a/1]
        "#]],
    );
}

#[test]
fn a_full_group_turns_newcomers_away() {
    let config = GroupConfig {
        consumer_max_size: 1,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "topics a:1
         consumer g m 0 instance=i
         consumer g n 0
         consumer g n 0 instance=j
         consumer g m -2 instance=i
         consumer g n 0 instance=i",
        expect![[r#"
            > topics a:1
            > consumer g m 0 instance=i
            append g: member m wants [a], g: epoch 2, g: target m [a/0], g: targets 2, g: m at 2 Stable has [a/0]
            1: consumer m epoch 2 [a/0]
            > consumer g n 0
            2: consumer GroupMaxSizeReached: the group is full
            > consumer g n 0 instance=j
            3: consumer GroupMaxSizeReached: the group is full
            > consumer g m -2 instance=i
            append g: m at -2 Stable has [a/0]
            4: consumer m epoch -2
            > consumer g n 0 instance=i
            append g: m has nothing, g: target m gone, g: member m gone, g: member n wants [a], g: target n [a/0], g: n at 0 Stable has [a/0], g: n at 2 Stable has [a/0]
            5: consumer n epoch 2 [a/0]
        "#]],
    );
}

#[test]
fn answers_wait_for_their_records_and_failures_take_everything_back() {
    check_at_once(
        "topics a:2
         consumer g m 0
         hold
         consumer g n 0
         consumer g m 2 owned=a/0
         describe-consumer g
         list
         fail NotEnoughReplicas
         describe-consumer g
         consumer g m 2 owned=a/0.1
         hold
         consumer h m 0
         describe-consumer h
         fail NotLeaderOrFollower
         describe-consumer h
         consumer h m 2",
        expect![[r#"
            > topics a:2
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > hold
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: target m [a/0], g: target n [a/1], g: targets 3, g: n at 3 Unreleased has []
            > consumer g m 2 owned=a/0
            append g: m at 3 Stable has [a/0]
            > describe-consumer g
            g Stable None epoch 2 assigned 2 uniform
              m epoch 2 has [a/0.1] target [a/0.1]
            > list
            g Stable consumer protocol-type=consumer
            > fail NotEnoughReplicas
            2: consumer CoordinatorNotAvailable: There is no coordinator.
            3: consumer CoordinatorNotAvailable: There is no coordinator.
            > describe-consumer g
            g Stable None epoch 2 assigned 2 uniform
              m epoch 2 has [a/0.1] target [a/0.1]
            > consumer g m 2 owned=a/0.1
            4: consumer m epoch 2
            > hold
            > consumer h m 0
            append h: member m wants [a], h: epoch 2, h: target m [a/0.1], h: targets 2, h: m at 2 Stable has [a/0.1]
            > describe-consumer h
            h  GroupIdNotFound epoch 0 assigned 0 
            > fail NotLeaderOrFollower
            5: consumer NotCoordinator: This broker is not the coordinator of that id.
            > describe-consumer h
            h  GroupIdNotFound epoch 0 assigned 0 
            > consumer h m 2
            6: consumer GroupIdNotFound: there is no such group
        "#]],
    );
}

#[test]
fn a_group_may_have_settings_of_its_own() {
    let defaults = GroupConfig::default();
    let own = ConsumerSettings {
        session_timeout_ms: 100_000,
        heartbeat_interval_ms: 7_000,
        assignment_interval_ms: 0,
    };
    let config = GroupConfig {
        consumer_own: std::sync::Arc::new([("own".into(), own)].into()),
        ..defaults
    };
    check_with(
        config,
        "topics a:1
         consumer own m 0 topics=a
         consumer other m 0 topics=a
         wait 50000
         describe-consumer own
         describe-consumer other
         wait 50001
         describe-consumer own",
        expect![[r#"
            > topics a:1
            > consumer own m 0 topics=a
            append own: member m wants [a], own: epoch 2, own: target m [a/0], own: targets 2, own: m at 2 Stable has [a/0]
            1: consumer m epoch 2 [a/0]
            > consumer other m 0 topics=a
            append other: member m wants [a], other: epoch 2, other: target m [a/0], other: targets 2, other: m at 2 Stable has [a/0]
            2: consumer m epoch 2 [a/0]
            > wait 50000
            append other: m has nothing, other: target m gone, other: member m gone, other: epoch 3
            > describe-consumer own
            own Stable None epoch 2 assigned 2 uniform
              m epoch 2 has [a/0] target [a/0]
            > describe-consumer other
            other Empty None epoch 3 assigned 2 uniform
            > wait 50001
            append own: m has nothing, own: target m gone, own: member m gone, own: epoch 3
            > describe-consumer own
            own Empty None epoch 3 assigned 2 uniform
        "#]],
    );
}
