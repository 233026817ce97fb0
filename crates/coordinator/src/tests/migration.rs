//! Between the classic and the consumer protocol, with and without members.

use expect_test::expect;

use super::{assigned_every, check_with};
use crate::{GroupConfig, MigrationPolicy};

fn check_at_once(script: &str, expected: expect_test::Expect) {
    let config = GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..assigned_every(0)
    };
    check_with(config, script, expected);
}

#[test]
fn groups_without_members_change_freely() {
    check_at_once(
        "topics a:1
         commit simple -1 - a:0=1
         consumer simple m 0
         consumer simple m -1
         join simple stranger sub=a
         join simple - sub=a v=3
         wait 0
         list
         fetch simple all",
        expect![[r#"
            > topics a:1
            > commit simple -1 - a:0=1
            append simple/a:0=1
            1: commit [a:0 ok]
            > consumer simple m 0
            append group simple gone, simple: member m wants [a], simple: epoch 2, simple: target m [a/0], simple: targets 2, simple: m at 2 Stable has [a/0]
            2: consumer m epoch 2 [a/0]
            > consumer simple m -1
            append simple: m has nothing, simple: target m gone, simple: member m gone, simple: epoch 3
            3: consumer m epoch -1
            > join simple stranger sub=a
            4: join UnknownMemberId member=stranger
            > join simple - sub=a v=3
            append simple: targets gone, simple: topic metadata false, simple: epoch gone, group simple generation 0 /- leader - []
            > wait 0
            5: join 1 range leader=c~5 member=c~5 [c~5]
            > list
            simple CompletingRebalance classic protocol-type=consumer
            > fetch simple all
            6: fetch ok [a:0=1]
        "#]],
    );
}

#[test]
fn a_birth_that_is_not_stored_brings_the_former_group_back() {
    check_at_once(
        "topics a:1
         consumer g m 0
         consumer g m -1
         hold
         join g - sub=a v=3
         fail NotEnoughReplicas
         list
         hold
         consumer g m 0
         fail NotEnoughReplicas
         list",
        expect![[r#"
            > topics a:1
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0], g: targets 2, g: m at 2 Stable has [a/0]
            1: consumer m epoch 2 [a/0]
            > consumer g m -1
            append g: m has nothing, g: target m gone, g: member m gone, g: epoch 3
            2: consumer m epoch -1
            > hold
            > join g - sub=a v=3
            append g: targets gone, g: topic metadata false, g: epoch gone, group g generation 0 /- leader - []
            > fail NotEnoughReplicas
            3: join CoordinatorNotAvailable member=c~3
            > list
            g Empty consumer protocol-type=consumer
            > hold
            > consumer g m 0
            append g: member m wants [a], g: epoch 4, g: target m [a/0], g: targets 4, g: m at 4 Stable has [a/0]
            > fail NotEnoughReplicas
            4: consumer CoordinatorNotAvailable: There is no coordinator.
            > list
            g Empty consumer protocol-type=consumer
        "#]],
    );
}

const CLASSIC_GROUP: &str = "
    topics a:4
    join g - sub=a v=3 session=20000
    wait 0
    sync g 1 c~1 assign=c~1:a/0.1.2.3
";

#[test]
fn a_classic_group_is_upgraded_under_its_members() {
    check_at_once(
        &format!(
            "{CLASSIC_GROUP}
             consumer g m 0
             heartbeat g 1 c~1
             join g c~1 sub=a owned=a/0.1.2.3 session=20000
             sync g 1 c~1
             heartbeat g 1 c~1
             join g c~1 sub=a owned=a/0.1 session=20000
             sync g 2 c~1 type=consumer protocol=range
             heartbeat g 2 c~1
             consumer g m 2
             describe-consumer g
             heartbeat g 2 stranger
             heartbeat g 1 c~1
             heartbeat g 2 m
             sync g 2 c~1 type=other protocol=range
             sync g 1 c~1
             sync g 2 m"
        ),
        expect![[r#"
            > topics a:4
            > join g - sub=a v=3 session=20000
            append group g generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:a/0.1.2.3
            append group g generation 1 consumer/range leader c~1 [c~1=a/0.1.2.3]
            2: sync ok a/0.1.2.3
            > consumer g m 0
            append group g gone, g: member c~1 wants [a], g: epoch 1, g: target c~1 [a/0.1.2.3], g: targets 1, g: c~1 at 1 Stable has [a/0.1.2.3], g: member m wants [a], g: epoch 2, g: target c~1 [a/0.1], g: target m [a/2.3], g: targets 2, g: m at 2 Unreleased has []
            3: consumer m epoch 2 []
            > heartbeat g 1 c~1
            4: heartbeat RebalanceInProgress
            > join g c~1 sub=a owned=a/0.1.2.3 session=20000
            append g: member c~1 wants [a], g: c~1 at 1 Unrevoked has [a/0.1] revokes [a/2.3]
            5: join 1 range leader= member=c~1 []
            > sync g 1 c~1
            6: sync ok a/0.1
            > heartbeat g 1 c~1
            7: heartbeat RebalanceInProgress
            > join g c~1 sub=a owned=a/0.1 session=20000
            append g: member c~1 wants [a], g: c~1 at 2 Stable has [a/0.1]
            8: join 2 range leader= member=c~1 []
            > sync g 2 c~1 type=consumer protocol=range
            9: sync ok a/0.1
            > heartbeat g 2 c~1
            10: heartbeat ok
            > consumer g m 2
            append g: m at 2 Stable has [a/2.3]
            11: consumer m epoch 2 [a/2.3]
            > describe-consumer g
            g Stable None epoch 2 assigned 2 uniform
              c~1 classic epoch 2 has [a/0.1] target [a/0.1]
              m epoch 2 has [a/2.3] target [a/2.3]
            > heartbeat g 2 stranger
            12: heartbeat UnknownMemberId
            > heartbeat g 1 c~1
            13: heartbeat IllegalGeneration
            > heartbeat g 2 m
            14: heartbeat UnknownMemberId
            > sync g 2 c~1 type=other protocol=range
            15: sync InconsistentGroupProtocol 
            > sync g 1 c~1
            16: sync IllegalGeneration 
            > sync g 2 m
            17: sync UnknownMemberId 
        "#]],
    );
}

#[test]
fn waiting_members_are_told_to_join_anew_when_their_group_is_upgraded() {
    check_at_once(
        &format!(
            "{CLASSIC_GROUP}
             join g - sub=a v=3 session=20000
             join g c~1 sub=a session=20000
             sync g 2 c~3
             consumer g m 0"
        ),
        expect![[r#"
            > topics a:4
            > join g - sub=a v=3 session=20000
            append group g generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:a/0.1.2.3
            append group g generation 1 consumer/range leader c~1 [c~1=a/0.1.2.3]
            2: sync ok a/0.1.2.3
            > join g - sub=a v=3 session=20000
            > join g c~1 sub=a session=20000
            4: join 2 range leader=c~1 member=c~1 [c~1 c~3]
            3: join 2 range leader=c~1 member=c~3 []
            > sync g 2 c~3
            > consumer g m 0
            5: sync RebalanceInProgress 
            append group g gone, g: member c~1 wants [a], g: member c~3 wants [a], g: epoch 2, g: target c~1 [a/0.1.2.3], g: target c~3 [], g: targets 2, g: c~1 at 2 Stable has [a/0.1.2.3], g: c~3 at 2 Stable has [], g: member m wants [a], g: epoch 3, g: target c~1 [a/0.1], g: target c~3 [a/2], g: target m [a/3], g: targets 3, g: m at 3 Unreleased has []
            6: consumer m epoch 3 []
        "#]],
    );
}

#[test]
fn an_upgrade_that_is_not_stored_did_not_happen() {
    check_at_once(
        &format!(
            "{CLASSIC_GROUP}
             hold
             consumer g m 0
             fail NotEnoughReplicas
             heartbeat g 1 c~1
             describe g
             wait 20000
             describe g"
        ),
        expect![[r#"
            > topics a:4
            > join g - sub=a v=3 session=20000
            append group g generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:a/0.1.2.3
            append group g generation 1 consumer/range leader c~1 [c~1=a/0.1.2.3]
            2: sync ok a/0.1.2.3
            > hold
            > consumer g m 0
            append group g gone, g: member c~1 wants [a], g: epoch 1, g: target c~1 [a/0.1.2.3], g: targets 1, g: c~1 at 1 Stable has [a/0.1.2.3], g: member m wants [a], g: epoch 2, g: target c~1 [a/0.1], g: target m [a/2.3], g: targets 2, g: m at 2 Unreleased has []
            > fail NotEnoughReplicas
            3: consumer CoordinatorNotAvailable: There is no coordinator.
            > heartbeat g 1 c~1
            4: heartbeat ok
            > describe g
            g Stable None consumer/range; c~1 c /127.0.0.1 metadata=\u{0}\u{3}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{0}\u{0}\u{0}\u{0}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd} assignment=\u{0}\u{3}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}a\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}\u{0}\u{0}\u{0}\u{2}\u{0}\u{0}\u{0}\u{3}\u{fffd}\u{fffd}\u{fffd}\u{fffd}
            > wait 20000
            append group g generation 2 consumer/- leader - []
            > describe g
            g Empty None consumer/
        "#]],
    );
}

#[test]
fn groups_that_cannot_be_upgraded_stay_as_they_are() {
    check_at_once(
        "topics a:1
         join t - v=3
         join m - v=3 type=consumer
         join u - v=3 sub=a
         wait 0
         sync u 1 c~3 assign=c~3:xyz
         consumer t m 0
         consumer m m 0
         consumer u m 0",
        expect![[r#"
            > topics a:1
            > join t - v=3
            append group t generation 0 /- leader - []
            > join m - v=3 type=consumer
            append group m generation 0 /- leader - []
            > join u - v=3 sub=a
            append group u generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            2: join 1 range leader=c~2 member=c~2 [c~2]
            3: join 1 range leader=c~3 member=c~3 [c~3]
            > sync u 1 c~3 assign=c~3:xyz
            append group u generation 1 consumer/range leader c~3 [c~3=xyz]
            4: sync ok xyz
            > consumer t m 0
            5: consumer GroupIdNotFound: the classic group cannot become a consumer group: its members are not consumers
            > consumer m m 0
            6: consumer GroupIdNotFound: the classic group cannot become a consumer group: its embedded consumer protocol is malformed
            > consumer u m 0
            7: consumer GroupIdNotFound: the classic group cannot become a consumer group: its embedded consumer protocol is malformed
        "#]],
    );
    let config = GroupConfig {
        consumer_migration: MigrationPolicy::Disabled,
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    };
    check_with(
        config,
        &format!(
            "{CLASSIC_GROUP}
             consumer g m 0
             consumer h m 0
             join h - sub=a v=3"
        ),
        expect![[r#"
            > topics a:4
            > join g - sub=a v=3 session=20000
            append group g generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:a/0.1.2.3
            append group g generation 1 consumer/range leader c~1 [c~1=a/0.1.2.3]
            2: sync ok a/0.1.2.3
            > consumer g m 0
            3: consumer GroupIdNotFound: the classic group cannot become a consumer group: online upgrade is disabled
            > consumer h m 0
            append h: member m wants [a], h: epoch 2, h: target m [a/0.1.2.3], h: targets 2, h: m at 2 Stable has [a/0.1.2.3]
            4: consumer m epoch 2 [a/0.1.2.3]
            > join h - sub=a v=3
            5: join InconsistentGroupProtocol member=
        "#]],
    );
}

#[test]
fn classic_members_join_a_consumer_group() {
    check_at_once(
        "topics a:2
         consumer g m 0
         join g - sub=a
         join g ~2 sub=a session=20000 rebalance=30000
         consumer g m 2 owned=a/0
         sync g 3 ~2
         heartbeat g 3 ~2
         join g ~2 sub=a
         sync g 3 ~2
         join g - type=other v=3
         join g - protocols=other sub=a v=3
         join g - type=consumer v=3
         leave g ~2 stranger @i
         describe-consumer g",
        expect![[r#"
            > topics a:2
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > join g - sub=a
            2: join MemberIdRequired member=~2
            > join g ~2 sub=a session=20000 rebalance=30000
            append g: member ~2 wants [a], g: epoch 3, g: target ~2 [a/1], g: target m [a/0], g: targets 3, g: ~2 at 3 Unreleased has []
            3: join 3 range leader= member=~2 []
            > consumer g m 2 owned=a/0
            append g: m at 3 Stable has [a/0]
            4: consumer m epoch 3 [a/0]
            > sync g 3 ~2
            5: sync ok 
            > heartbeat g 3 ~2
            6: heartbeat RebalanceInProgress
            > join g ~2 sub=a
            append g: member ~2 wants [a], g: ~2 at 3 Stable has [a/1]
            7: join 3 range leader= member=~2 []
            > sync g 3 ~2
            8: sync ok a/1
            > join g - type=other v=3
            9: join InconsistentGroupProtocol member=
            > join g - protocols=other sub=a v=3
            10: join InconsistentGroupProtocol member=
            > join g - type=consumer v=3
            11: join InconsistentGroupProtocol member=
            > leave g ~2 stranger @i
            append g: ~2 has nothing, g: target ~2 gone, g: member ~2 gone, g: epoch 4
            12: leave ok [~2 ok, stranger UnknownMemberId, @i UnknownMemberId]
            > describe-consumer g
            g Assigning None epoch 4 assigned 3 uniform
              m epoch 3 has [a/0] target [a/0]
        "#]],
    );
}

#[test]
fn classic_members_are_fenced_when_they_are_silent_or_late() {
    check_at_once(
        "topics a:2
         consumer g m 0
         join g - sub=a v=3 session=6000 rebalance=5000
         wait 5000
         sync g 3 ~2
         join g - sub=a v=3 session=6000 rebalance=90000
         wait 6000
         describe-consumer g",
        expect![[r#"
            > topics a:2
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > join g - sub=a v=3 session=6000 rebalance=5000
            append g: member ~2 wants [a], g: epoch 3, g: target ~2 [a/1], g: target m [a/0], g: targets 3, g: ~2 at 3 Unreleased has []
            2: join 3 range leader= member=~2 []
            > wait 5000
            append g: ~2 has nothing, g: target ~2 gone, g: member ~2 gone, g: epoch 4
            > sync g 3 ~2
            3: sync UnknownMemberId 
            > join g - sub=a v=3 session=6000 rebalance=90000
            append g: member ~4 wants [a], g: epoch 5, g: target ~4 [a/1], g: targets 5, g: ~4 at 5 Unreleased has []
            4: join 5 range leader= member=~4 []
            > wait 6000
            append g: ~4 has nothing, g: target ~4 gone, g: member ~4 gone, g: epoch 6
            > describe-consumer g
            g Assigning None epoch 6 assigned 5 uniform
              m epoch 2 has [a/0.1] target [a/0]
        "#]],
    );
}

#[test]
fn the_last_consumer_leaves_a_classic_group_behind() {
    check_at_once(
        &format!(
            "{CLASSIC_GROUP}
             consumer g m 0
             join g c~1 sub=a owned=a/0.1.2.3 session=20000
             consumer g m -1
             describe g
             heartbeat g 2 c~1
             join g c~1 sub=a session=20000
             sync g 3 c~1 assign=c~1:a/0.1.2.3
             list"
        ),
        expect![[r#"
            > topics a:4
            > join g - sub=a v=3 session=20000
            append group g generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:a/0.1.2.3
            append group g generation 1 consumer/range leader c~1 [c~1=a/0.1.2.3]
            2: sync ok a/0.1.2.3
            > consumer g m 0
            append group g gone, g: member c~1 wants [a], g: epoch 1, g: target c~1 [a/0.1.2.3], g: targets 1, g: c~1 at 1 Stable has [a/0.1.2.3], g: member m wants [a], g: epoch 2, g: target c~1 [a/0.1], g: target m [a/2.3], g: targets 2, g: m at 2 Unreleased has []
            3: consumer m epoch 2 []
            > join g c~1 sub=a owned=a/0.1.2.3 session=20000
            append g: member c~1 wants [a], g: c~1 at 1 Unrevoked has [a/0.1] revokes [a/2.3]
            4: join 1 range leader= member=c~1 []
            > consumer g m -1
            append g: c~1 has nothing, g: m has nothing, g: target c~1 gone, g: target m gone, g: targets gone, g: member c~1 gone, g: member m gone, g: topic metadata false, g: epoch gone, group g generation 2 consumer/range leader c~1 [c~1=a/0.1]
            5: consumer m epoch -1
            > describe g
            g PreparingRebalance None consumer/; c~1 c /127.0.0.1 metadata= assignment=\u{0}\u{3}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}a\u{0}\u{0}\u{0}\u{2}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}\u{fffd}\u{fffd}\u{fffd}\u{fffd}
            > heartbeat g 2 c~1
            6: heartbeat RebalanceInProgress
            > join g c~1 sub=a session=20000
            7: join 3 range leader=c~1 member=c~1 [c~1]
            > sync g 3 c~1 assign=c~1:a/0.1.2.3
            append group g generation 3 consumer/range leader c~1 [c~1=a/0.1.2.3]
            8: sync ok a/0.1.2.3
            > list
            g Stable classic protocol-type=consumer
        "#]],
    );
}

#[test]
fn a_downgrade_that_is_not_stored_did_not_happen() {
    check_at_once(
        &format!(
            "{CLASSIC_GROUP}
             consumer g m 0
             hold
             consumer g m -1
             fail NotEnoughReplicas
             describe-consumer g
             wait 20000
             describe-consumer g"
        ),
        expect![[r#"
            > topics a:4
            > join g - sub=a v=3 session=20000
            append group g generation 0 /- leader - []
            > wait 0
            1: join 1 range leader=c~1 member=c~1 [c~1]
            > sync g 1 c~1 assign=c~1:a/0.1.2.3
            append group g generation 1 consumer/range leader c~1 [c~1=a/0.1.2.3]
            2: sync ok a/0.1.2.3
            > consumer g m 0
            append group g gone, g: member c~1 wants [a], g: epoch 1, g: target c~1 [a/0.1.2.3], g: targets 1, g: c~1 at 1 Stable has [a/0.1.2.3], g: member m wants [a], g: epoch 2, g: target c~1 [a/0.1], g: target m [a/2.3], g: targets 2, g: m at 2 Unreleased has []
            3: consumer m epoch 2 []
            > hold
            > consumer g m -1
            append g: c~1 has nothing, g: m has nothing, g: target c~1 gone, g: target m gone, g: targets gone, g: member c~1 gone, g: member m gone, g: topic metadata false, g: epoch gone, group g generation 2 consumer/range leader c~1 [c~1=a/0.1]
            > fail NotEnoughReplicas
            4: consumer CoordinatorNotAvailable: There is no coordinator.
            > describe-consumer g
            g Reconciling None epoch 2 assigned 2 uniform
              c~1 classic epoch 1 has [a/0.1.2.3] target [a/0.1]
              m epoch 2 has [] target [a/2.3]
            > wait 20000
            append g: c~1 has nothing, g: target c~1 gone, g: member c~1 gone, g: epoch 3
            > describe-consumer g
            g Assigning None epoch 3 assigned 2 uniform
              m epoch 2 has [] target [a/2.3]
        "#]],
    );
}

#[test]
fn a_static_consumer_goes_back_to_the_classic_protocol() {
    check_at_once(
        "topics a:2
         consumer g m 0 instance=i
         join g - instance=i sub=a v=3 session=20000
         describe g
         sync g 2 ~2 instance=i
         heartbeat g 2 ~2 instance=i
         heartbeat g 2 m instance=i",
        expect![[r#"
            > topics a:2
            > consumer g m 0 instance=i
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1], g: targets 2, g: m at 2 Stable has [a/0.1]
            1: consumer m epoch 2 [a/0.1]
            > join g - instance=i sub=a v=3 session=20000
            append g: m has nothing, g: target m gone, g: member m gone, g: member ~2 wants [a], g: target ~2 [a/0.1], g: ~2 at 0 Stable has [a/0.1], g: member ~2 wants [a], g: ~2 at 2 Stable has [a/0.1], g: ~2 has nothing, g: target ~2 gone, g: targets gone, g: member ~2 gone, g: topic metadata false, g: epoch gone, group g generation 2 consumer/range leader ~2 [~2=a/0.1]
            2: join 2 range leader= member=~2 []
            > describe g
            g Stable None consumer/range; ~2 c /127.0.0.1 metadata=\u{0}\u{3}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{0}\u{0}\u{0}\u{0}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd} assignment=\u{0}\u{3}\u{0}\u{0}\u{0}\u{1}\u{0}\u{1}a\u{0}\u{0}\u{0}\u{2}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}\u{fffd}\u{fffd}\u{fffd}\u{fffd}
            > sync g 2 ~2 instance=i
            3: sync ok a/0.1
            > heartbeat g 2 ~2 instance=i
            4: heartbeat ok
            > heartbeat g 2 m instance=i
            5: heartbeat FencedInstanceId
        "#]],
    );
}
