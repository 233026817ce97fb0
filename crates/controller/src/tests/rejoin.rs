use expect_test::expect;
use ottla_metadata::directory;
use ottla_protocol::metadata_records::PartitionChangeRecord;

use super::*;

/// Broker 1 comes back as another incarnation; returns the kinds of records that this took.
fn rejoin(cluster: &mut Cluster, set: impl FnOnce(&mut Registration)) -> String {
    let mut registration = Cluster::registration(1, 2);
    set(&mut registration);
    let mut written = String::new();
    let epoch = cluster
        .run(|c, x| {
            let outcome = c.rejoin(x, &registration)?;
            written = kinds(&outcome.records);
            Ok(outcome)
        })
        .unwrap();
    if let Some(epoch) = epoch {
        let broker = cluster.controller.image().broker(1).unwrap();
        assert_eq!(broker.epoch, epoch);
        assert!(!broker.fenced);
    }
    written
}

#[test]
fn after_a_clean_stop_the_return_changes_no_partition() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1], &[1]], &[]);
    let epoch = cluster.epoch(1);
    let written = rejoin(&mut cluster, |r| r.previous_broker_epoch = epoch);
    assert_eq!(written, "RegisterBrokerRecord");
    expect![[r#"
        a-0 [1] isr=[1] leader=1 epochs=0/0
        a-1 [1] isr=[1] leader=1 epochs=0/0
    "#]]
    .assert_eq(&cluster.show());
    // The session goes on from there.
    assert!(!cluster.beat(1, |_| {}).is_fenced);
}

#[test]
fn after_an_unclean_stop_each_partition_changes_once_and_has_recovered() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1], &[1]], &[]);
    let written = rejoin(&mut cluster, |_| {});
    assert_eq!(
        written,
        "PartitionChangeRecord PartitionChangeRecord RegisterBrokerRecord"
    );
    expect![[r#"
        a-0 [1] isr=[1] leader=1 epochs=1/1
        a-1 [1] isr=[1] leader=1 epochs=1/1
    "#]]
    .assert_eq(&cluster.show());
}

#[test]
fn what_an_earlier_election_left_is_set_right() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1]], &[]);
    // As Kafka leaves it: without a leader, then elected as the last one known.
    cluster.controller.end_session(1);
    cluster
        .run(|c, x| c.register_broker(x, &Cluster::registration(1, 2)))
        .unwrap();
    let epoch = cluster.epoch(1);
    rejoin(&mut cluster, |r| r.previous_broker_epoch = epoch);
    expect![[r#"
        a-0 [1] isr=[1] leader=1 epochs=2/2
    "#]]
    .assert_eq(&cluster.show());

    let recovering = PartitionChangeRecord {
        topic_id: cluster.id("a"),
        partition_id: 0,
        leader: -2,
        leader_recovery_state: 1,
        ..Default::default()
    };
    cluster.commit(Outcome {
        records: vec![recovering.into()],
        atomic: true,
        answer: (),
    });
    let epoch = cluster.epoch(1);
    rejoin(&mut cluster, |r| r.previous_broker_epoch = epoch);
    expect![[r#"
        a-0 [1] isr=[1] leader=1 epochs=2/4
    "#]]
    .assert_eq(&cluster.show());
}

#[test]
fn a_directory_that_did_not_come_back_leads_nothing() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1]], &[]);
    let epoch = cluster.epoch(1);
    rejoin(&mut cluster, |r| {
        r.previous_broker_epoch = epoch;
        r.log_dirs = vec![directory_of(5)];
    });
    expect![[r#"
        a-0 [1] isr=[1] leader=none epochs=1/1
    "#]]
    .assert_eq(&cluster.show());
}

#[test]
fn where_others_have_a_say_the_broker_registers_as_any() {
    let mut cluster = Cluster::of(&[1, 2]);
    assert_eq!(rejoin(&mut cluster, |_| {}), "");
    // A registration that does not fit is refused here too.
    let mut cluster = Cluster::of(&[1]);
    let mut registration = Cluster::registration(1, 2);
    registration.log_dirs = vec![directory::LOST];
    assert_eq!(
        cluster.run(|c, x| c.rejoin(x, &registration)),
        Err(ControlError::ReservedDirectory)
    );
}
