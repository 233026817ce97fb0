use expect_test::expect;
use ottla_metadata::LeaderRecoveryState;
use ottla_protocol::ErrorCode;

use super::*;

fn fence(cluster: &mut Cluster, id: i32) {
    assert!(cluster.beat(id, |b| b.want_fence = true).is_fenced);
}

#[test]
fn replicas_that_fall_out_below_the_minimum_stay_eligible() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.topic("a", &[&[1, 2, 3]], &[("min.insync.replicas", "2")]);
    let mut states = String::new();
    for id in [1, 2, 3] {
        fence(&mut cluster, id);
        states += &cluster.show();
    }
    for id in [2, 1] {
        assert!(!cluster.beat(id, |_| {}).is_fenced);
        states += &cluster.show();
    }
    expect![[r#"
        a-0 [1, 2, 3] isr=[2, 3] leader=2 epochs=1/1
        a-0 [1, 2, 3] isr=[3] leader=3 epochs=2/2 elr=[2]
        a-0 [1, 2, 3] isr=[] leader=none epochs=3/3 elr=[2, 3] last=[3]
        a-0 [1, 2, 3] isr=[2] leader=2 epochs=4/4 elr=[3]
        a-0 [1, 2, 3] isr=[2] leader=2 epochs=4/4 elr=[3]
    "#]]
    .assert_eq(&states);
}

#[test]
fn an_unclean_restart_loses_eligibility_and_the_last_leader_recovers() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[("min.insync.replicas", "2")]);
    fence(&mut cluster, 2);
    fence(&mut cluster, 1);
    let mut states = cluster.show();
    cluster.now_ms += SESSION_MS;
    for id in [1, 2] {
        cluster
            .run(|c, x| c.register_broker(x, &Cluster::registration(id, 2)))
            .unwrap();
        states += &cluster.show();
    }
    cluster.beat(2, |_| {});
    states += &cluster.show();
    cluster.beat(1, |_| {});
    states += &cluster.show();
    expect![[r#"
        a-0 [1, 2] isr=[] leader=none epochs=1/2 elr=[1, 2] last=[1]
        a-0 [1, 2] isr=[] leader=none epochs=1/3 elr=[2] last=[1]
        a-0 [1, 2] isr=[] leader=none epochs=1/4 last=[1]
        a-0 [1, 2] isr=[] leader=none epochs=1/4 last=[1]
        a-0 [1, 2] isr=[1] leader=1 epochs=2/5 recovering
    "#]]
    .assert_eq(&states);
}

#[test]
fn a_clean_restart_keeps_eligibility() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[("min.insync.replicas", "2")]);
    fence(&mut cluster, 2);
    let previous_broker_epoch = cluster.epoch(2);
    cluster.now_ms += SESSION_MS;
    let registration = Registration {
        previous_broker_epoch,
        ..Cluster::registration(2, 2)
    };
    cluster
        .run(|c, x| c.register_broker(x, &registration))
        .unwrap();
    expect![[r#"
        a-0 [1, 2] isr=[1] leader=1 epochs=0/1 elr=[2]
    "#]]
    .assert_eq(&cluster.show());
}

#[test]
fn without_eligible_leaders_the_last_in_sync_replica_stays_in_the_set() {
    let version = MetadataVersion::from_level(22).unwrap();
    let mut cluster = Cluster::at_version(version, &[]);
    [1, 2].iter().for_each(|id| cluster.join(*id));
    cluster.topic("safe", &[&[1, 2]], &[]);
    cluster.topic(
        "unclean",
        &[&[1, 2]],
        &[("unclean.leader.election.enable", "true")],
    );
    fence(&mut cluster, 2);
    fence(&mut cluster, 1);
    let mut states = cluster.show();
    cluster.beat(2, |_| {});
    states += &cluster.show();
    expect![[r#"
        safe-0 [1, 2] isr=[1] leader=none epochs=1/2
        unclean-0 [1, 2] isr=[1] leader=none epochs=1/2
        safe-0 [1, 2] isr=[1] leader=none epochs=1/2
        unclean-0 [1, 2] isr=[2] leader=2 epochs=2/3 recovering
    "#]]
    .assert_eq(&states);
}

#[test]
fn preferred_leaders_are_elected_on_request_and_in_rounds() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2], &[2, 1], &[1, 2]], &[]);
    fence(&mut cluster, 1);
    cluster.beat(1, |_| {});
    let elect = |cluster: &mut Cluster, partitions: Option<&[(Str, Vec<i32>)]>| {
        let answers = cluster
            .run(|c, _| c.elect_leaders(ElectionKind::Preferred, partitions))
            .unwrap();
        answers
            .iter()
            .map(|a| format!("{}-{}: {}\n", a.topic, a.partition, outcome_of(&a.result)))
            .collect::<String>()
    };
    let named = [("a".into(), vec![0, 1, 9]), ("b".into(), vec![0])];
    let mut lines = elect(&mut cluster, Some(&named));
    // Broker 1 catches up, as its leaders report.
    let (leader, epoch, topic_id) = (2, cluster.epoch(2), cluster.id("a"));
    let p = cluster
        .controller
        .image()
        .partition("a", 0)
        .unwrap()
        .clone();
    let change = IsrChange {
        topic_id,
        partition: 0,
        leader_epoch: p.leader_epoch,
        partition_epoch: p.partition_epoch,
        isr: vec![(2, -1), (1, -1)],
        leader_recovery_state: LeaderRecoveryState::Recovered,
    };
    let again = IsrChange {
        partition: 2,
        ..change.clone()
    };
    cluster
        .run(|c, _| c.alter_partition(leader, epoch, &[change, again]))
        .unwrap();
    lines += &elect(&mut cluster, Some(&named[..1]));
    lines += &elect(&mut cluster, None);
    expect![[r#"
        a-0: PreferredLeaderNotAvailable: The preferred leader cannot lead.
        a-1: ElectionNotNeeded: The partition has its leader already.
        a-9: UnknownTopicOrPartition: No such partition as a-9
        b-0: UnknownTopicOrPartition: No such topic as b
        a-0: ok
        a-1: ElectionNotNeeded: The partition has its leader already.
        a-9: UnknownTopicOrPartition: No such partition as a-9
        a-2: ok
    "#]]
    .assert_eq(&lines);

    cluster.beat(1, |b| b.want_fence = true);
    cluster.beat(1, |_| {});
    let round = cluster.controller.balance_leaders();
    assert!(
        round.records.is_empty() && !round.answer,
        "broker 1 is not in sync"
    );
}

#[test]
fn unclean_elections_need_leave() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[]);
    fence(&mut cluster, 2);
    fence(&mut cluster, 1);
    cluster.now_ms += SESSION_MS;
    cluster
        .run(|c, x| c.register_broker(x, &Cluster::registration(1, 2)))
        .unwrap();
    cluster.beat(2, |_| {});
    let mut states = cluster.show();
    let round = cluster.controller.elect_unclean_leaders();
    assert!(round.records.is_empty());
    let answers = cluster
        .run(|c, _| c.elect_leaders(ElectionKind::Unclean, None))
        .unwrap();
    assert_eq!(answers.len(), 1);
    states += &cluster.show();
    expect![[r#"
        a-0 [1, 2] isr=[] leader=none epochs=1/3 last=[1]
        a-0 [1, 2] isr=[2] leader=2 epochs=2/4 recovering
    "#]]
    .assert_eq(&states);
}

#[test]
fn only_the_leader_of_the_epoch_changes_the_in_sync_set() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.topic("a", &[&[1, 2, 3]], &[]);
    let (epoch, topic_id) = (cluster.epoch(1), cluster.id("a"));
    let good = IsrChange {
        topic_id,
        partition: 0,
        leader_epoch: 0,
        partition_epoch: 0,
        isr: vec![(1, epoch), (2, -1)],
        leader_recovery_state: LeaderRecoveryState::Recovered,
    };
    let refused = |cluster: &mut Cluster, broker: i32, set: &dyn Fn(&mut IsrChange)| {
        let mut change = good.clone();
        set(&mut change);
        let epoch = cluster.epoch(broker);
        let answers = cluster
            .run(|c, _| c.alter_partition(broker, epoch, &[change]))
            .unwrap();
        answers[0].as_ref().unwrap_err().code()
    };
    let c = &mut cluster;
    assert_eq!(
        refused(c, 1, &|g| g.topic_id = Uuid::from_u128(9)),
        ErrorCode::UnknownTopicId
    );
    assert_eq!(
        refused(c, 1, &|g| g.partition = 5),
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(
        refused(c, 1, &|g| g.leader_epoch = 1),
        ErrorCode::NotController
    );
    assert_eq!(
        refused(c, 1, &|g| g.partition_epoch = 1),
        ErrorCode::NotController
    );
    assert_eq!(
        refused(c, 1, &|g| g.leader_epoch = -1),
        ErrorCode::FencedLeaderEpoch
    );
    assert_eq!(refused(c, 2, &|_| {}), ErrorCode::InvalidRequest);
    assert_eq!(
        refused(c, 1, &|g| g.partition_epoch = -1),
        ErrorCode::InvalidUpdateVersion
    );
    assert_eq!(
        refused(c, 1, &|g| g.isr = vec![(1, -1), (9, -1)]),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        refused(c, 1, &|g| g.isr = vec![(1, -1), (1, -1)]),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        refused(c, 1, &|g| g.isr = vec![(2, -1)]),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        refused(c, 1, &|g| g.leader_recovery_state =
            LeaderRecoveryState::Recovering),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        refused(c, 1, &|g| g.isr = vec![(1, -1), (2, 1)]),
        ErrorCode::IneligibleReplica
    );
    fence(c, 3);
    let after_fence = |g: &mut IsrChange| {
        g.partition_epoch = 1;
        g.isr = vec![(1, -1), (3, -1)];
    };
    assert_eq!(refused(c, 1, &after_fence), ErrorCode::IneligibleReplica);

    let change = IsrChange {
        partition_epoch: 1,
        isr: vec![(1, epoch)],
        ..good
    };
    let answers = c
        .run(|c, _| c.alter_partition(1, epoch, &[change]))
        .unwrap();
    let state = answers[0].as_ref().unwrap();
    assert_eq!(
        (state.leader_epoch, state.partition_epoch, &state.isr[..]),
        (0, 2, &[1][..])
    );
}
