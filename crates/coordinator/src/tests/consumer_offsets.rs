//! Offsets of consumer groups, and what the requests of classic groups see of them.

use expect_test::expect;

use super::consumer::check_at_once;
use super::{check, check_with};
use crate::GroupConfig;

#[test]
fn offsets_are_committed_by_members_of_their_epoch() {
    check_at_once(
        "topics a:4
         consumer g m 0
         commit g 2 m a:0=1 id=name
         commit g 2 m a:0=1 v=8 id=name
         commit g 3 m a:0=1 id=name
         commit g 2 stranger a:0=1 id=name
         commit g -1 - a:0=1 id=name
         consumer g n 0
         consumer g m 2 owned=a/0.1
         commit g 2 m a:0=2 id=name
         commit g 1 m a:0=3 id=name
         commit g 2 m a:2=3 id=name
         fetch g a:0 member=m epoch=3
         fetch g a:0 member=m epoch=2
         fetch g a:0 member=stranger epoch=3
         fetch g a:0
         fetch g a:0 stable=1
         txn-commit g 7 a:1=5 member=m generation=2 id=name
         txn-commit g 7 a:3=5 member=m generation=2 id=name
         txn-commit g 7 a:1=5
         delete-offsets g a:0 b:0",
        expect![[r#"
            > topics a:4
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0.1.2.3], g: targets 2, g: m at 2 Stable has [a/0.1.2.3]
            1: consumer m epoch 2 [a/0.1.2.3]
            > commit g 2 m a:0=1 id=name
            append g/a:0=1
            2: commit [a:0 ok]
            > commit g 2 m a:0=1 v=8 id=name
            3: commit [a:0 UnsupportedVersion]
            > commit g 3 m a:0=1 id=name
            4: commit [a:0 StaleMemberEpoch]
            > commit g 2 stranger a:0=1 id=name
            5: commit [a:0 UnknownMemberId]
            > commit g -1 - a:0=1 id=name
            6: commit [a:0 UnknownMemberId]
            > consumer g n 0
            append g: member n wants [a], g: epoch 3, g: target m [a/0.1], g: target n [a/2.3], g: targets 3, g: n at 3 Unreleased has []
            7: consumer n epoch 3 []
            > consumer g m 2 owned=a/0.1
            append g: m at 3 Stable has [a/0.1]
            8: consumer m epoch 3 [a/0.1]
            > commit g 2 m a:0=2 id=name
            append g/a:0=2
            9: commit [a:0 ok]
            > commit g 1 m a:0=3 id=name
            10: commit [a:0 StaleMemberEpoch]
            > commit g 2 m a:2=3 id=name
            11: commit [a:2 StaleMemberEpoch]
            > fetch g a:0 member=m epoch=3
            12: fetch ok [a:0=2]
            > fetch g a:0 member=m epoch=2
            13: fetch StaleMemberEpoch []
            > fetch g a:0 member=stranger epoch=3
            14: fetch UnknownMemberId []
            > fetch g a:0
            15: fetch ok [a:0=2]
            > fetch g a:0 stable=1
            16: fetch ok [a:0=2]
            > txn-commit g 7 a:1=5 member=m generation=2 id=name
            append by producer 7/0: g/a:1=5
            17: commit [a:1 ok]
            > txn-commit g 7 a:3=5 member=m generation=2 id=name
            18: commit [a:3 IllegalGeneration]
            > txn-commit g 7 a:1=5
            append by producer 7/0: g/a:1=5
            19: commit [a:1 ok]
            > delete-offsets g a:0 b:0
            20: delete-offsets ok [a:0 GroupSubscribedToTopic, b:0 ok]
        "#]],
    );
}

#[test]
fn offsets_and_groups_expire() {
    let config = GroupConfig {
        offsets_retention_ms: 100_000,
        offsets_retention_check_interval_ms: 10_000,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "topics a:1
         consumer g m 0
         commit g 2 m a:0=1 id=name
         consumer g m -1
         wait 90000
         list
         wait 20000
         list",
        expect![[r#"
            > topics a:1
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0], g: targets 2, g: m at 2 Stable has [a/0]
            1: consumer m epoch 2 [a/0]
            > commit g 2 m a:0=1 id=name
            append g/a:0=1
            2: commit [a:0 ok]
            > consumer g m -1
            append g: m has nothing, g: target m gone, g: member m gone, g: epoch 3
            3: consumer m epoch -1
            > wait 90000
            > list
            g Empty consumer protocol-type=consumer
            > wait 20000
            append g/a:0 gone, g: targets gone, g: topic metadata false, g: epoch gone
            > list
        "#]],
    );
}

#[test]
fn a_group_of_another_kind_is_not_found() {
    check(
        "join c - v=3
         consumer c m 0
         consumer c m 1
         describe-consumer c
         topics a:1
         consumer g m 0
         describe g
         describe g v=5
         list types=consumer
         list states=stable
         delete g",
        expect![[r#"
            > join c - v=3
            append group c generation 0 /- leader - []
            > consumer c m 0
            2: consumer GroupIdNotFound: the classic group cannot become a consumer group: its members are not consumers
            > consumer c m 1
            3: consumer GroupIdNotFound: there is no such group
            > describe-consumer c
            c  GroupIdNotFound epoch 0 assigned 0 
            > topics a:1
            > consumer g m 0
            append g: member m wants [a], g: epoch 2, g: target m [a/0], g: targets 2, g: m at 2 Stable has [a/0]
            4: consumer m epoch 2 [a/0]
            > describe g
            g Dead GroupIdNotFound (Group g is not a classic group.) /
            > describe g v=5
            g Dead None /
            > list types=consumer
            g Stable consumer protocol-type=consumer
            > list states=stable
            g Stable consumer protocol-type=consumer
            > delete g
            5: delete [g NonEmptyGroup]
        "#]],
    );
}
