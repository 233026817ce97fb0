use expect_test::expect;
use ottla_metadata::LeaderRecoveryState;

use super::*;

fn reassign(
    cluster: &mut Cluster,
    partition: i32,
    replicas: Option<&[i32]>,
    allow: bool,
) -> String {
    let wanted = [Reassignment {
        topic: "a".into(),
        partition,
        replicas: replicas.map(<[i32]>::to_vec),
    }];
    let answers = cluster
        .run(|c, _| c.alter_partition_reassignments(&wanted, allow))
        .unwrap();
    format!("{}\n{}", outcome_of(&answers[0].result), cluster.show())
}

fn set_isr(cluster: &mut Cluster, isr: &[i32]) -> String {
    let p = cluster
        .controller
        .image()
        .partition("a", 0)
        .unwrap()
        .clone();
    let leader = p.leader.unwrap();
    let change = IsrChange {
        topic_id: cluster.id("a"),
        partition: 0,
        leader_epoch: p.leader_epoch,
        partition_epoch: p.partition_epoch,
        isr: isr.iter().map(|id| (*id, -1)).collect(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
    };
    let epoch = cluster.epoch(leader);
    let answers = cluster
        .run(|c, _| c.alter_partition(leader, epoch, &[change]))
        .unwrap();
    format!(
        "{}\n{}",
        answers[0]
            .as_ref()
            .map_or_else(|e| e.code().name().to_owned(), |_| "ok".to_owned()),
        cluster.show()
    )
}

#[test]
fn a_reassignment_ends_when_the_new_replicas_are_in_sync() {
    let mut cluster = Cluster::of(&[1, 2, 3, 4]);
    cluster.topic("a", &[&[1, 2]], &[]);
    let mut lines = reassign(&mut cluster, 0, Some(&[3, 4]), false);
    let ongoing = cluster.controller.list_partition_reassignments(None);
    assert_eq!(
        ongoing,
        cluster
            .controller
            .list_partition_reassignments(Some(&[("a".into(), vec![0, 5])]))
    );
    lines += &format!("{ongoing:?}\n");
    lines += &set_isr(&mut cluster, &[1, 2, 3]);
    lines += &set_isr(&mut cluster, &[1, 2, 3, 4]);
    expect![[r#"
        ok
        a-0 [3, 4, 1, 2] isr=[1, 2] leader=1 epochs=0/1 adding=[3, 4] removing=[1, 2]
        [OngoingReassignment { topic: "a", partition: 0, replicas: [3, 4, 1, 2], adding_replicas: [3, 4], removing_replicas: [1, 2] }]
        ok
        a-0 [3, 4, 1, 2] isr=[1, 2, 3] leader=1 epochs=0/2 adding=[3, 4] removing=[1, 2]
        NewLeaderElected
        a-0 [3, 4] isr=[3, 4] leader=3 epochs=1/3
    "#]].assert_eq(&lines);
    assert!(
        cluster
            .controller
            .list_partition_reassignments(None)
            .is_empty()
    );
}

#[test]
fn a_reassignment_can_be_taken_back() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.topic("a", &[&[1, 2]], &[]);
    let mut lines = reassign(&mut cluster, 0, None, false);
    lines += &reassign(&mut cluster, 0, Some(&[1, 3]), false);
    lines += &set_isr(&mut cluster, &[1]);
    lines += &reassign(&mut cluster, 0, None, false);
    expect![[r#"
        NoReassignmentInProgress: The partition is not being reassigned.
        a-0 [1, 2] isr=[1, 2] leader=1 epochs=0/0
        ok
        a-0 [1, 3, 2] isr=[1, 2] leader=1 epochs=0/1 adding=[3] removing=[2]
        ok
        a-0 [1, 3, 2] isr=[1] leader=1 epochs=0/2 adding=[3] removing=[2]
        ok
        a-0 [1, 2] isr=[1] leader=1 epochs=1/3
    "#]]
    .assert_eq(&lines);
}

#[test]
fn targets_are_checked() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.topic("a", &[&[1, 2]], &[]);
    let mut lines = String::new();
    for (partition, target) in [
        (0, &[1][..]),
        (0, &[]),
        (0, &[1, 1]),
        (0, &[1, 9]),
        (3, &[1, 2]),
        (0, &[2, 1]),
    ] {
        lines += reassign(&mut cluster, partition, Some(target), false)
            .lines()
            .next()
            .unwrap();
        lines += "\n";
    }
    lines += &cluster.show();
    lines += &reassign(&mut cluster, 0, Some(&[2]), true);
    expect![[r#"
        InvalidReplicationFactor: The replication factor is changed from 2 to 1
        InvalidReplicaAssignment: The manual partition assignment includes an empty replica list.
        InvalidReplicaAssignment: The manual partition assignment includes the broker 1 more than once.
        InvalidReplicaAssignment: The manual partition assignment includes broker 9, but no such broker is registered.
        UnknownTopicOrPartition: Unable to find partition a:3.
        ok
        a-0 [2, 1] isr=[1, 2] leader=1 epochs=0/1
        ok
        a-0 [2] isr=[2] leader=2 epochs=1/2
    "#]].assert_eq(&lines);
}
