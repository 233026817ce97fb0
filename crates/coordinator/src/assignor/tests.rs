//! Small examples, and random groups held against what every assignment must be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use expect_test::{Expect, expect};
use fastrand::Rng;
use ottla_protocol::{Str, Uuid};

use super::{Assignment, Assignor, GroupSpec, MemberSpec};

/// `topics`: partitions of topics 1, 2, …; `members`: `name[@instance]=topics[;topic:partitions…]`.
fn spec(topics: &[i32], members: &[&str]) -> GroupSpec {
    let partition_counts: BTreeMap<Uuid, i32> = (1..)
        .zip(topics)
        .map(|(id, &count)| (Uuid::from_u128(id), count))
        .collect();
    let members: BTreeMap<Str, MemberSpec> =
        members.iter().map(|member| member_spec(member)).collect();
    let is_homogeneous = members
        .values()
        .all(|member| member.topics == members.values().next().unwrap().topics);
    GroupSpec {
        members,
        is_homogeneous,
        partition_counts,
    }
}

fn member_spec(text: &str) -> (Str, MemberSpec) {
    let mut parts = text.split(';');
    let (name, topics) = parts
        .next()
        .and_then(|head| head.split_once('='))
        .expect("name=topics");
    let (name, instance) = name
        .split_once('@')
        .map_or((name, None), |(name, instance)| (name, Some(instance)));
    let topic = |id: &str| Uuid::from_u128(id.parse().expect("a topic"));
    let assignment: Assignment = parts
        .map(|part| {
            let (id, partitions) = part.split_once(':').expect("topic:partitions");
            (
                topic(id),
                partitions
                    .split(',')
                    .map(|partition| partition.parse().expect("a partition"))
                    .collect(),
            )
        })
        .collect();
    let topics = topics
        .split(',')
        .filter(|id| !id.is_empty())
        .map(topic)
        .collect();
    (
        name.into(),
        MemberSpec {
            instance_id: instance.map(Str::from),
            topics,
            assignment: Arc::new(assignment),
        },
    )
}

fn check(assignor: Assignor, topics: &[i32], members: &[&str], expected: Expect) {
    let spec = spec(topics, members);
    let assignments = assignor.assign(&spec);
    check_complete(&spec, &assignments);
    let mut out = String::new();
    for (member_id, assignment) in assignments {
        let shown = assignment
            .iter()
            .map(|(id, partitions)| format!("{}:{partitions:?}", id.as_u128()));
        out += &format!("{member_id} {}\n", shown.collect::<Vec<_>>().join(" "));
    }
    expected.assert_eq(&out);
}

/// Each partition of each topic that somebody subscribes to has one owner, who subscribes to it.
fn check_complete(spec: &GroupSpec, assignments: &BTreeMap<Str, Assignment>) {
    let mut seen = BTreeSet::new();
    for (member_id, assignment) in assignments {
        for (topic, partitions) in assignment {
            assert!(
                spec.members[member_id].topics.contains(topic),
                "{member_id} does not subscribe"
            );
            assert!(!partitions.is_empty());
            for &partition in partitions {
                assert!(seen.insert((*topic, partition)), "assigned twice");
            }
        }
    }
    let subscribed: BTreeSet<Uuid> = spec
        .members
        .values()
        .flat_map(|member| member.topics.clone())
        .collect();
    let all: BTreeSet<(Uuid, i32)> = subscribed
        .iter()
        .flat_map(|topic| (0..spec.partition_counts[topic]).map(|partition| (*topic, partition)))
        .collect();
    assert_eq!(seen, all);
    assert_eq!(
        assignments.keys().collect::<Vec<_>>(),
        spec.members.keys().collect::<Vec<_>>()
    );
}

#[test]
fn ranges_meet_in_the_same_member() {
    check(
        Assignor::Range,
        &[5, 5],
        &["b=1,2", "a=1,2", "z@first=1,2"],
        expect![[r#"
        a 1:{2, 3} 2:{2, 3}
        b 1:{4} 2:{4}
        z 1:{0, 1} 2:{0, 1}
    "#]],
    );
}

#[test]
fn ranges_of_different_subscriptions() {
    check(
        Assignor::Range,
        &[3, 2, 1],
        &["a=1,2", "b=1", "c=2,3"],
        expect![[r#"
        a 1:{0, 1} 2:{0}
        b 1:{2}
        c 2:{1} 3:{0}
    "#]],
    );
}

#[test]
fn uniform_shares_evenly() {
    check(
        Assignor::Uniform,
        &[4, 3],
        &["a=1,2", "b=1,2", "c=1,2"],
        expect![[r#"
        a 1:{0, 1}
        b 1:{2, 3}
        c 2:{0, 1, 2}
    "#]],
    );
}

#[test]
fn uniform_moves_no_more_than_it_must() {
    check(
        Assignor::Uniform,
        &[6],
        &["a=1;1:0,1,2", "b=1;1:3,4,5", "c=1"],
        expect![[r#"
        a 1:{0, 1}
        b 1:{3, 4}
        c 1:{2, 5}
    "#]],
    );
    // One leaves.
    check(
        Assignor::Uniform,
        &[6],
        &["a=1;1:0,1", "c=1;1:2,5"],
        expect![[r#"
        a 1:{0, 1, 3}
        c 1:{2, 4, 5}
    "#]],
    );
}

#[test]
fn uniform_lets_go_of_topics_that_are_not_subscribed() {
    check(
        Assignor::Uniform,
        &[2, 2],
        &["a=2;1:0,1", "b=2"],
        expect![[r#"
        a 2:{0}
        b 2:{1}
    "#]],
    );
}

#[test]
fn what_a_damaged_log_says_twice_counts_once() {
    check(
        Assignor::Uniform,
        &[2],
        &["a=1;1:0,-1,7", "b=1;1:0"],
        expect![[r#"
            a 1:{0}
            b 1:{1}
        "#]],
    );
}

#[test]
fn nothing_to_assign() {
    check(
        Assignor::Uniform,
        &[],
        &["a=", "b="],
        expect![[r#"
        a 
        b 
    "#]],
    );
    check(
        Assignor::Range,
        &[],
        &["a="],
        expect![[r#"
        a 
    "#]],
    );
}

#[test]
fn uniform_balances_different_subscriptions() {
    check(
        Assignor::Uniform,
        &[6, 3],
        &["a=1;1:0,1,2,3,4,5", "b=1,2", "c=2"],
        expect![[r#"
        a 1:{0, 1, 2, 3}
        b 1:{4, 5} 2:{0}
        c 2:{1, 2}
    "#]],
    );
}

#[test]
fn uniform_is_balanced_and_sticky_for_any_group() {
    let mut rng = Rng::with_seed(7);
    for _ in 0..300 {
        let topics: Vec<i32> = (0..rng.usize(1..5)).map(|_| rng.i32(1..12)).collect();
        let mut group = spec(&topics, &[]);
        let all: BTreeSet<Uuid> = group.partition_counts.keys().copied().collect();
        for index in 0..rng.usize(1..7) {
            let member = MemberSpec {
                instance_id: None,
                topics: all.clone(),
                assignment: Arc::default(),
            };
            group.members.insert(format!("m{index}").into(), member);
        }
        group.is_homogeneous = true;
        let first = Assignor::Uniform.assign(&group);
        check_balanced(&group, &first);
        for (member_id, assignment) in &first {
            group.members.get_mut(member_id).expect("known").assignment =
                Arc::new(assignment.clone());
        }
        assert_eq!(
            Assignor::Uniform.assign(&group),
            first,
            "nothing changed, nothing moves"
        );

        // One more comes: only what it gets moves.
        let member = MemberSpec {
            instance_id: None,
            topics: all,
            assignment: Arc::default(),
        };
        group.members.insert("newcomer".into(), member);
        let second = Assignor::Uniform.assign(&group);
        check_balanced(&group, &second);
        for (member_id, before) in &first {
            for (topic, partitions) in &second[member_id] {
                assert!(
                    before
                        .get(topic)
                        .is_some_and(|before| partitions.is_subset(before)),
                    "{member_id} got more"
                );
            }
        }
    }
}

fn check_balanced(spec: &GroupSpec, assignments: &BTreeMap<Str, Assignment>) {
    check_complete(spec, assignments);
    let sizes = assignments
        .values()
        .map(|assignment| assignment.values().map(BTreeSet::len).sum::<usize>());
    let (least, most) = sizes.fold((usize::MAX, 0), |(least, most), size| {
        (least.min(size), most.max(size))
    });
    assert!(most <= least + 1, "{assignments:?}");
}

#[test]
fn every_assignor_is_complete_for_different_subscriptions() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..300 {
        let topics: Vec<i32> = (0..rng.usize(1..6)).map(|_| rng.i32(1..20)).collect();
        let mut group = spec(&topics, &[]);
        for index in 0..rng.usize(1..8) {
            let topics = group
                .partition_counts
                .keys()
                .copied()
                .filter(|_| rng.bool())
                .collect();
            let member = MemberSpec {
                instance_id: None,
                topics,
                assignment: Arc::default(),
            };
            group.members.insert(format!("m{index}").into(), member);
        }
        group.is_homogeneous = false;
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let first = assignor.assign(&group);
            check_complete(&group, &first);
            for (member_id, assignment) in &first {
                group.members.get_mut(member_id).expect("known").assignment =
                    Arc::new(assignment.clone());
            }
            assert_eq!(
                assignor.assign(&group),
                first,
                "nothing changed, nothing moves"
            );
        }
    }
}
