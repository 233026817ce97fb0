use expect_test::expect;
use ottla_metadata::{METADATA_VERSION_FEATURE, directory};

use super::*;

#[test]
fn a_broker_is_fenced_until_it_has_applied_its_registration() {
    let mut cluster = Cluster::empty(&[]);
    let registered_at = cluster.log_end;
    let epoch = cluster
        .run(|c, x| c.register_broker(x, &Cluster::registration(1, 1)))
        .unwrap();
    assert_eq!(
        epoch, registered_at,
        "the epoch is the offset of the registration"
    );
    let behind = cluster.beat(1, |b| b.metadata_offset = registered_at - 1);
    assert!(behind.is_fenced && !behind.is_caught_up);
    let wants_fence = cluster.beat(1, |b| b.want_fence = true);
    assert!(wants_fence.is_fenced && wants_fence.is_caught_up);
    assert!(!cluster.beat(1, |_| {}).is_fenced);
    let end = cluster.log_end;
    cluster.beat(1, |b| b.cordoned_log_dirs = Some(Vec::new()));
    cluster.beat(1, |b| b.cordoned_log_dirs = Some(Vec::new()));
    assert_eq!(
        cluster.log_end,
        end + 1,
        "a heartbeat without news writes nothing"
    );
}

#[test]
fn registrations_that_do_not_fit_are_refused() {
    let mut cluster = Cluster::of(&[1]);
    let mut lines = String::new();
    let mut refuse = |set: &dyn Fn(&mut Registration)| {
        let mut registration = Cluster::registration(2, 1);
        set(&mut registration);
        let error = cluster
            .run(|c, x| c.register_broker(x, &registration))
            .unwrap_err();
        lines += &format!("{}\n", words(&error));
    };
    refuse(&|r| r.cluster_id = "other".into());
    refuse(&|r| *r = Cluster::registration(1, 2));
    refuse(&|r| r.log_dirs = vec![]);
    refuse(&|r| r.log_dirs = vec![directory::LOST]);
    refuse(&|r| r.log_dirs = vec![directory_of(2), directory_of(2)]);
    refuse(&|r| r.log_dirs = vec![directory_of(1)]);
    refuse(&|r| r.features.clear());
    refuse(&|r| {
        r.features.insert(
            METADATA_VERSION_FEATURE.into(),
            LevelRange { min: 7, max: 29 },
        );
    });
    refuse(&|r| {
        r.features.remove("group.version");
    });
    refuse(&|r| r.endpoints[0].listener = "".into());
    refuse(&|r| r.is_migrating_zk_broker = true);
    expect![[r#"
        InconsistentClusterId: Expected cluster ID test-cluster, but got cluster ID other
        DuplicateBrokerRegistration: Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.
        InvalidRegistration: No directories specified in request
        InvalidRegistration: Reserved directory ID in request
        InvalidRegistration: Duplicate directory ID in request
        InvalidRegistration: Broker 1 is already registered with directory AAAAAAAAAAAAAAAAAAAD6Q
        InvalidRegistration: Request features do not contain 'metadata.version'
        UnsupportedVersion: Unable to register because the broker does not support finalized version 30 of metadata.version. The broker wants a version between 7 and 29, inclusive.
        UnsupportedVersion: Unable to register because the broker does not support finalized version 1 of group.version. The broker wants a version between 0 and 0, inclusive.
        InvalidRegistration: Broker listeners must be named.
        BrokerIdNotRegistered: Controller does not support registering ZK brokers.
    "#]].assert_eq(&lines);
}

#[test]
fn the_same_incarnation_keeps_its_epoch_and_another_waits_for_the_session_to_end() {
    let mut cluster = Cluster::of(&[1]);
    let epoch = cluster.epoch(1);
    let again = cluster
        .run(|c, x| c.register_broker(x, &Cluster::registration(1, 1)))
        .unwrap();
    assert_eq!(again, epoch);
    assert!(!cluster.controller.image().broker(1).unwrap().fenced);

    let restarted = Cluster::registration(1, 2);
    assert_eq!(
        cluster.run(|c, x| c.register_broker(x, &restarted)),
        Err(ControlError::DuplicateBroker)
    );
    cluster.now_ms += SESSION_MS;
    let next = cluster
        .run(|c, x| c.register_broker(x, &restarted))
        .unwrap();
    assert!(next > epoch);
    assert!(cluster.controller.image().broker(1).unwrap().fenced);
    let stale = Heartbeat {
        broker_id: 1,
        broker_epoch: epoch,
        ..Default::default()
    };
    let error = cluster.run(|c, x| c.heartbeat(x, &stale)).unwrap_err();
    assert_eq!(
        error,
        ControlError::StaleBrokerEpoch {
            expected: next,
            found: epoch
        }
    );
}

#[test]
fn a_node_that_restarts_need_not_wait_for_its_own_session() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1]], &[]);
    let (config, image) = (
        cluster.controller.config().clone(),
        cluster.controller.image().clone(),
    );
    cluster.controller = Controller::new("test-cluster", config, image, cluster.now_ms);
    let restarted = Cluster::registration(1, 2);
    assert_eq!(
        cluster.run(|c, x| c.register_broker(x, &restarted)),
        Err(ControlError::DuplicateBroker)
    );
    cluster.controller.end_session(1);
    cluster
        .run(|c, x| c.register_broker(x, &restarted))
        .unwrap();
    cluster.beat(1, |_| {});
    expect![[r#"
        a-0 [1] isr=[1] leader=1 epochs=2/2 recovering
    "#]]
    .assert_eq(&cluster.show());

    // After a clean shutdown nothing has to be recovered.
    let previous_broker_epoch = cluster.epoch(1);
    cluster.beat(1, |b| b.want_shutdown = true);
    cluster.beat(1, |b| b.want_shutdown = true);
    cluster.controller.end_session(1);
    let registration = Registration {
        previous_broker_epoch,
        ..Cluster::registration(1, 3)
    };
    cluster
        .run(|c, x| c.register_broker(x, &registration))
        .unwrap();
    cluster.beat(1, |_| {});
    expect![[r#"
        a-0 [1] isr=[1] leader=1 epochs=4/4 recovering
    "#]]
    .assert_eq(&cluster.show());
}

#[test]
fn a_silent_broker_is_fenced_and_its_partitions_get_other_leaders() {
    let mut cluster = Cluster::of(&[1, 2, 3]);
    cluster.topic("a", &[&[1, 2, 3]], &[]);
    cluster.topic("b", &[&[1]], &[]);
    cluster.topic("c", &[&[2, 3]], &[]);
    assert_eq!(cluster.controller.poll_timeout(), Some(SESSION_MS));
    cluster.now_ms = SESSION_MS - 1;
    for id in [2, 3] {
        cluster.beat(id, |_| {});
    }
    assert_eq!(cluster.controller.handle_timeout(cluster.now_ms), None);
    cluster.now_ms = SESSION_MS;
    let outcome = cluster.controller.handle_timeout(cluster.now_ms).unwrap();
    assert_eq!(cluster.commit(outcome), 1);
    assert_eq!(cluster.controller.handle_timeout(cluster.now_ms), None);
    expect![[r#"
        a-0 [1, 2, 3] isr=[2, 3] leader=2 epochs=1/1
        b-0 [1] isr=[] leader=none epochs=1/1 elr=[1] last=[1]
        c-0 [2, 3] isr=[2, 3] leader=2 epochs=0/0
    "#]]
    .assert_eq(&cluster.show());
    // It comes back and leads again where nobody else could.
    assert!(!cluster.beat(1, |_| {}).is_fenced);
    expect![[r#"
        a-0 [1, 2, 3] isr=[2, 3] leader=2 epochs=1/1
        b-0 [1] isr=[1] leader=1 epochs=2/2
        c-0 [2, 3] isr=[2, 3] leader=2 epochs=0/0
    "#]]
    .assert_eq(&cluster.show());
}

#[test]
fn a_broker_that_is_known_to_be_gone_is_fenced_at_once() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[]);
    cluster.controller.end_session(1);
    assert!(
        cluster
            .controller
            .poll_timeout()
            .is_some_and(|at| at <= cluster.now_ms)
    );
    let outcome = cluster.controller.handle_timeout(cluster.now_ms).unwrap();
    cluster.commit(outcome);
    assert_eq!(
        cluster.controller.image().partition("a", 0).unwrap().leader,
        Some(2)
    );
    assert_eq!(cluster.controller.handle_timeout(cluster.now_ms), None);
}

#[test]
fn controllers_register_and_replace_their_registration() {
    let mut cluster = Cluster::empty(&[]);
    let registration = |incarnation| ControllerRegistration {
        controller_id: 3,
        incarnation_id: Uuid::from_u128(incarnation),
        endpoints: Cluster::registration(3, 1).endpoints,
        features: supported_features(),
    };
    for incarnation in [7, 8] {
        cluster
            .run(|c, _| c.register_controller(&registration(incarnation)))
            .unwrap();
        let node = &cluster.controller.image().controllers[&3];
        assert_eq!(
            (node.incarnation_id, node.endpoints[0].port),
            (Uuid::from_u128(incarnation), 9092)
        );
    }
    let old = Cluster::at_version(MetadataVersion::from_level(14).unwrap(), &[]);
    let error = old
        .controller
        .register_controller(&registration(7))
        .unwrap_err();
    assert_eq!(error.code().name(), "UnsupportedVersion");
}

#[test]
fn controlled_shutdown_moves_leads_first_and_waits_until_all_know() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2], &[2, 1]], &[]);
    let before = cluster.log_end - 1;
    let shutdown = |b: &mut Heartbeat| b.want_shutdown = true;
    let first = cluster.beat(1, shutdown);
    assert!(first.in_controlled_shutdown && !first.should_shut_down);
    expect![[r#"
        a-0 [1, 2] isr=[2] leader=2 epochs=1/1
        a-1 [2, 1] isr=[2] leader=2 epochs=0/1
    "#]]
    .assert_eq(&cluster.show());
    // Broker 2 has not applied the move yet.
    cluster.beat(2, |b| b.metadata_offset = before);
    assert!(!cluster.beat(1, shutdown).should_shut_down);
    cluster.beat(2, |_| {});
    let last = cluster.beat(1, shutdown);
    assert!(last.should_shut_down && last.is_fenced);
    assert!(cluster.controller.image().broker(1).unwrap().fenced);
    // Whoever leads nothing goes at once.
    cluster.join(3);
    assert!(cluster.beat(3, shutdown).should_shut_down);
}

#[test]
fn a_broker_that_leads_the_last_replica_keeps_leading_until_it_goes() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1]], &[]);
    let answer = cluster.beat(1, |b| b.want_shutdown = true);
    expect![[r#"
        HeartbeatAnswer { is_caught_up: true, is_fenced: false, in_controlled_shutdown: true, should_shut_down: false }
        a-0 [1] isr=[] leader=none epochs=1/1 elr=[1] last=[1]
    "#]].assert_eq(&format!("{answer:?}\n{}", cluster.show()));
    assert!(cluster.beat(1, |b| b.want_shutdown = true).should_shut_down);
}

#[test]
fn an_offline_directory_takes_its_replicas_out() {
    let mut cluster = Cluster::empty(&[]);
    let dirs = vec![Uuid::from_u128(5_000), Uuid::from_u128(5_001)];
    let registration = Registration {
        log_dirs: dirs.clone(),
        ..Cluster::registration(1, 1)
    };
    cluster
        .run(|c, x| c.register_broker(x, &registration))
        .unwrap();
    cluster.beat(1, |_| {});
    cluster.join(2);
    cluster.topic("a", &[&[1, 2], &[1, 2]], &[]);
    let epoch = cluster.epoch(1);
    let topic_id = cluster.id("a");
    let assign = |partition: i32, dir: usize| DirectoryAssignment {
        directory: dirs[dir],
        topic_id,
        partition,
    };
    let unknown = DirectoryAssignment {
        topic_id: Uuid::from_u128(9),
        ..assign(0, 0)
    };
    let answers = cluster
        .run(|c, _| {
            c.assign_replicas_to_directories(
                1,
                epoch,
                &[assign(0, 0), assign(1, 1), assign(7, 0), unknown],
            )
        })
        .unwrap();
    expect!["[Ok(()), Ok(()), Err(UnknownTopicOrPartition), Err(UnknownTopicId)]"]
        .assert_eq(&format!("{answers:?}"));
    cluster.beat(1, |b| b.offline_log_dirs = vec![dirs[1]]);
    expect![[r#"
        a-0 [1, 2] isr=[1, 2] leader=1 epochs=0/1
        a-1 [1, 2] isr=[2] leader=2 epochs=1/2
    "#]]
    .assert_eq(&cluster.show());
    assert_eq!(
        cluster.controller.image().broker(1).unwrap().log_dirs,
        [dirs[0]]
    );
}

#[test]
fn an_unregistered_broker_is_gone_with_its_memberships() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[]);
    cluster.run(|c, _| c.unregister_broker(1)).unwrap();
    assert!(cluster.controller.image().broker(1).is_none());
    expect![[r#"
        a-0 [1, 2] isr=[2] leader=2 epochs=1/1
    "#]]
    .assert_eq(&cluster.show());
    let error = cluster.run(|c, _| c.unregister_broker(1)).unwrap_err();
    assert_eq!(
        words(&error),
        "BrokerIdNotRegistered: Broker ID 1 is not currently registered"
    );
}

#[test]
fn cordoned_brokers_get_no_new_replicas() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.beat(1, |b| b.cordoned_log_dirs = Some(vec![directory_of(1)]));
    let topics = [
        NewTopic {
            replication_factor: 1,
            partitions: 6,
            ..NewTopic::with_defaults("a")
        },
        assigned("b", &[&[1]], &[]),
    ];
    let answers = cluster
        .run(|c, x| c.create_topics(x, &topics, false))
        .unwrap();
    assert_eq!(answers[1].1, Err(ControlError::AssignedBrokerCordoned(1)));
    assert!(
        cluster
            .controller
            .image()
            .topic("a")
            .unwrap()
            .partitions
            .values()
            .all(|p| p.replicas == [2])
    );
}
