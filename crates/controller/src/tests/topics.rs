use expect_test::{Expect, expect};

use super::*;

/// Asks for topics, each `NAME PARTITIONS REPLICATION [P=R,R …] [key=value …]`.
fn check(cluster: &mut Cluster, request: &str, expected: Expect) {
    let topics: Vec<NewTopic> = request.split("; ").map(parse).collect();
    let text = match cluster.run(|c, x| c.create_topics(x, &topics, false)) {
        Err(error) => words(&error),
        Ok(answers) => {
            let line = |(name, answer): &(Str, Answer<CreatedTopic>)| {
                let shown = if name.len() > 30 { "…" } else { name };
                let text = match answer {
                    Ok(created) => {
                        format!("{} x {}", created.partitions, created.replication_factor)
                    }
                    Err(error) => words(error),
                };
                format!("{shown}: {text}\n")
            };
            answers.iter().map(line).collect()
        }
    };
    expected.assert_eq(&text);
}

fn parse(text: &str) -> NewTopic {
    let mut words = text.split(' ');
    let mut topic = NewTopic::with_defaults(words.next().unwrap());
    topic.partitions = words.next().unwrap().parse().unwrap();
    topic.replication_factor = words.next().unwrap().parse().unwrap();
    for pair in words {
        let (key, value) = pair.split_once('=').unwrap();
        match key.parse() {
            Ok(partition) => {
                let replicas = value
                    .split(',')
                    .filter(|r| !r.is_empty())
                    .map(|r| r.parse().unwrap())
                    .collect();
                topic.assignments.push((partition, replicas));
            }
            Err(_) => topic
                .configs
                .push((key.into(), (value != "null").then(|| value.into()))),
        }
    }
    topic
}

#[test]
fn topics_get_defaults_or_what_they_ask_for() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    check(
        &mut cluster,
        "plain -1 -1; wide 4 2; by-hand -1 -1 0=3,1 1=1,2",
        expect![[r#"
            plain: 1 x 3
            wide: 4 x 2
            by-hand: 2 x 2
        "#]],
    );
    expect![[r#"
        by-hand-0 [3, 1] isr=[3, 1] leader=3 epochs=0/0
        by-hand-1 [1, 2] isr=[1, 2] leader=1 epochs=0/0
    "#]]
    .assert_eq(
        &cluster
            .show()
            .lines()
            .take(2)
            .map(|l| format!("{l}\n"))
            .collect::<String>(),
    );
    let image = cluster.controller.image();
    let partition = image.partition("by-hand", 0).unwrap();
    assert_eq!(partition.directories, [directory_of(3), directory_of(1)]);
}

#[test]
fn names_must_be_legal_new_and_without_collision() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    check(
        &mut cluster,
        "a.b 1 1; under_score 1 1",
        expect![[r#"
            a.b: 1 x 1
            under_score: 1 x 1
        "#]],
    );
    let long = "x".repeat(250);
    check(
        &mut cluster,
        &format!(
            "a_b 1 1; a.b 1 1; under.score 1 1; .. 1 1; . 1 1;  1 1; sp@ce 1 1; {long} 1 1; {} 1 1; __cluster_metadata 1 1; twice 1 1; twice 1 1",
            &long[1..]
        ),
        expect![[r#"
            a_b: InvalidTopicException: Topic 'a_b' collides with existing topic: a.b
            a.b: TopicAlreadyExists: Topic 'a.b' already exists.
            under.score: InvalidTopicException: Topic 'under.score' collides with existing topic: under_score
            ..: InvalidTopicException: Topic name is invalid: '..' is not allowed
            .: InvalidTopicException: Topic name is invalid: '.' is not allowed
            : InvalidTopicException: Topic name is invalid: the empty string is not allowed
            sp@ce: InvalidTopicException: Topic name is invalid: 'sp@ce' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
            …: InvalidTopicException: Topic name is invalid: the length of 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is longer than the max allowed length 249
            …: 1 x 1
            __cluster_metadata: InvalidRequest: Creation of internal topic __cluster_metadata is prohibited.
            twice: InvalidRequest: Duplicate topic name.
        "#]],
    );
}

#[test]
fn numbers_and_assignments_are_checked() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    check(
        &mut cluster,
        "a 0 1; b -2 1; c 1 0; d 1 4; e 2 -1 0=1; f -1 1 0=1; g -1 -1 0=1 0=2; h -1 -1 1=1; i -1 -1 0=9; j -1 -1 0=1,1; k -1 -1 0=1 1=1,2; l -1 -1 0=; m 10001 1",
        expect!["PolicyViolation: Excessively large number of partitions per request."],
    );
    check(
        &mut cluster,
        "a 0 1; b -2 1; c 1 0; d 1 4; e 2 -1 0=1; f -1 1 0=1; g -1 -1 0=1 0=2; h -1 -1 1=1; i -1 -1 0=9; j -1 -1 0=1,1; k -1 -1 0=1 1=1,2; l -1 -1 0=",
        expect![[r#"
            a: InvalidPartitions: Number of partitions was set to an invalid non-positive value.
            b: InvalidPartitions: Number of partitions was set to an invalid non-positive value.
            c: InvalidReplicationFactor: Replication factor must be larger than 0, or -1 to use the default value.
            d: InvalidReplicationFactor: Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because only 3 broker(s) are registered or some brokers have all their log directories cordoned.
            e: InvalidRequest: A manual partition assignment was specified, but numPartitions was not set to -1.
            f: InvalidRequest: A manual partition assignment was specified, but replication factor was not set to -1.
            g: InvalidReplicaAssignment: Found multiple manual partition assignments for partition 0
            h: InvalidReplicaAssignment: partitions should be a consecutive 0-based integer sequence
            i: InvalidReplicaAssignment: The manual partition assignment includes broker 9, but no such broker is registered.
            j: InvalidReplicaAssignment: The manual partition assignment includes the broker 1 more than once.
            k: InvalidReplicaAssignment: The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s).
            l: InvalidReplicaAssignment: The manual partition assignment includes an empty replica list.
        "#]],
    );
    assert_eq!(cluster.controller.image().topic_count(), 0);
}

#[test]
fn configurations_are_checked_and_stored_before_partitions() {
    let mut cluster = Cluster::of(&[1]);
    check(
        &mut cluster,
        "a 1 1 retention.ms=5 cleanup.policy=compact; b 1 1 retention.ms=no; c 1 1 nonsense=1; d 1 1 retention.ms=null",
        expect![[r#"
            a: 1 x 1
            b: InvalidConfig: Invalid value no for configuration retention.ms: Not a number of type LONG
            c: InvalidConfig: Unknown topic config name: nonsense
            d: InvalidConfig: Null value not supported for topic configs: retention.ms
        "#]],
    );
    let topic = NewTopic {
        configs: vec![("retention.ms".into(), Some("7".into()))],
        ..NewTopic::with_defaults("z")
    };
    let topic = NewTopic {
        replication_factor: 1,
        ..topic
    };
    let mut random = || 1u64;
    let mut context = Context {
        now_ms: 0,
        next_offset: 0,
        random: &mut random,
    };
    let outcome = cluster
        .controller
        .create_topics(&mut context, std::slice::from_ref(&topic), false)
        .unwrap();
    assert!(outcome.atomic);
    assert_eq!(
        kinds(&outcome.records),
        "TopicRecord ConfigRecord PartitionRecord"
    );
    let created = outcome.answer[0].1.as_ref().unwrap();
    let entry = created
        .configs
        .iter()
        .find(|c| c.name == "retention.ms")
        .unwrap();
    assert_eq!(entry.value.as_deref(), Some("7"));

    let dry = cluster
        .controller
        .create_topics(&mut context, &[topic], true)
        .unwrap();
    assert!(dry.records.is_empty() && dry.answer[0].1.is_ok());
}

#[test]
fn without_active_brokers_there_are_no_topics() {
    let mut cluster = Cluster::empty(&[]);
    check(
        &mut cluster,
        "a 1 1",
        expect![[r#"
        a: InvalidReplicationFactor: Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.
    "#]],
    );
    cluster
        .run(|c, x| c.register_broker(x, &Cluster::registration(1, 1)))
        .unwrap();
    check(
        &mut cluster,
        "a 1 1; b -1 -1 0=1",
        expect![[r#"
        a: InvalidReplicationFactor: Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.
        b: InvalidReplicaAssignment: All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.
    "#]],
    );
}

#[test]
fn deletion_takes_names_and_ids_once_each() {
    let mut cluster = Cluster::of(&[1]);
    ["a", "b", "c", "d"]
        .iter()
        .for_each(|name| cluster.topic(name, &[&[1]], &[("retention.ms", "1")]));
    let name = |name: &str| TopicRef {
        name: Some(name.into()),
        id: Uuid::ZERO,
    };
    let id = |cluster: &Cluster, name: &str| TopicRef {
        name: None,
        id: cluster.id(name),
    };
    let both = TopicRef {
        name: Some("a".into()),
        id: Uuid::from_u128(1),
    };
    let request = [
        name("a"),
        id(&cluster, "b"),
        name("c"),
        name("c"),
        id(&cluster, "d"),
        name("d"),
        name("nope"),
        TopicRef {
            name: None,
            id: Uuid::from_u128(9),
        },
        TopicRef {
            name: None,
            id: Uuid::ZERO,
        },
        both,
    ];
    let answers = cluster.run(|c, _| c.delete_topics(&request)).unwrap();
    let lines: String = answers
        .iter()
        .map(|a| {
            format!(
                "{}: {}\n",
                a.name.as_deref().unwrap_or("-"),
                outcome_of(&a.result)
            )
        })
        .collect();
    expect![[r#"
        a: ok
        b: ok
        c: InvalidRequest: Duplicate topic name.
        -: InvalidRequest: Duplicate topic id.
        d: InvalidRequest: The provided topic name maps to an ID that was already supplied.
        nope: UnknownTopicOrPartition: This server has no such topic or partition.
        -: UnknownTopicId: This server has no topic of this id.
        -: InvalidRequest: Neither topic name nor id were specified.
        a: InvalidRequest: You may not specify both topic name and topic id.
    "#]]
    .assert_eq(&lines);
    let left: Vec<&str> = cluster
        .controller
        .image()
        .topics()
        .map(|t| t.name.as_str())
        .collect();
    assert_eq!(left, ["c", "d"]);
    // Names of the deleted are free again.
    cluster.topic("a", &[&[1]], &[]);

    let disabled = Cluster::empty(&["delete.topic.enable=false"]);
    let refused = disabled.controller.delete_topics(&[name("a")]);
    assert_eq!(refused.unwrap_err().code().name(), "TopicDeletionDisabled");
}

#[test]
fn partitions_are_added_after_those_that_are_there() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[]);
    let more = |topic: &str, count, assignments: Option<&[&[i32]]>| MorePartitions {
        topic: topic.into(),
        count,
        assignments: assignments.map(|list| list.iter().map(|r| r.to_vec()).collect()),
    };
    let wrong = [more("a", 1, None), more("a2", 1, None)];
    let answers = cluster
        .run(|c, x| c.create_partitions(x, &wrong, false))
        .unwrap();
    let mut lines: String = answers
        .iter()
        .map(|(name, a)| format!("{name}: {}\n", outcome_of(a)))
        .collect();
    for one in [
        more("a", 0, None),
        more("a", 3, Some(&[&[1, 2]])),
        more("a", 2, Some(&[&[1]])),
        more("a", 2, Some(&[&[1, 9]])),
        more("a", i32::MAX, None),
        more("a", 2, Some(&[&[2, 1]])),
        more("a", 4, None),
    ] {
        let answers = cluster
            .run(|c, x| c.create_partitions(x, &[one], false))
            .unwrap();
        lines += &format!("{}\n", outcome_of(&answers[0].1));
    }
    let twice = [more("a", 9, None), more("a", 9, None)];
    let answers = cluster
        .run(|c, x| c.create_partitions(x, &twice, false))
        .unwrap();
    lines += &format!("{} {}\n", answers.len(), outcome_of(&answers[0].1));
    let answers = cluster
        .run(|c, x| c.create_partitions(x, &[more("a", 9, None)], true))
        .unwrap();
    lines += &format!("dry: {}\n", outcome_of(&answers[0].1));
    expect![[r#"
        a: InvalidPartitions: Topic already has 1 partition(s).
        a2: UnknownTopicOrPartition: This server has no such topic or partition.
        InvalidPartitions: The topic a currently has 1 partition(s); 0 would not be an increase.
        InvalidReplicaAssignment: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.
        InvalidReplicaAssignment: The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).
        InvalidReplicaAssignment: The manual partition assignment includes broker 9, but no such broker is registered.
        PolicyViolation: Unable to perform excessively large batch operation: it would write more than 10000 records.
        ok
        ok
        1 InvalidRequest: Duplicate topic name.
        dry: ok
    "#]].assert_eq(&lines);
    assert_eq!(
        cluster
            .controller
            .image()
            .topic("a")
            .unwrap()
            .partitions
            .len(),
        4
    );
    assert_eq!(
        cluster.controller.image().partition("a", 1).unwrap().leader,
        Some(2)
    );
}

#[test]
fn producer_ids_come_in_blocks_that_never_repeat() {
    let mut cluster = Cluster::of(&[1]);
    let epoch = cluster.epoch(1);
    let first = cluster
        .run(|c, _| c.allocate_producer_ids(1, epoch))
        .unwrap();
    let second = cluster
        .run(|c, _| c.allocate_producer_ids(1, epoch))
        .unwrap();
    assert_eq!(
        (first.first_id, first.len, second.first_id),
        (0, 1_000, 1_000)
    );
    let stale = cluster
        .run(|c, _| c.allocate_producer_ids(1, epoch - 1))
        .unwrap_err();
    assert_eq!(stale.code().name(), "StaleBrokerEpoch");
}
