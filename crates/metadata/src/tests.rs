//! The image against replays: what records do, what they report, and that snapshots lose nothing.

mod arbitrary;

use ottla_protocol::metadata_records::*;
use ottla_protocol::{Str, Uuid};
use proptest::prelude::*;

use crate::*;

fn topic_id(n: u128) -> Uuid {
    Uuid::from_u128(n << 64)
}

fn topic(name: &str, id: Uuid) -> MetadataRecord {
    TopicRecord {
        name: name.into(),
        topic_id: id,
        ..Default::default()
    }
    .into()
}

fn partition(topic_id: Uuid, partition_id: i32, replicas: &[i32]) -> MetadataRecord {
    PartitionRecord {
        topic_id,
        partition_id,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: replicas[0],
        leader_epoch: 0,
        partition_epoch: 0,
        ..Default::default()
    }
    .into()
}

fn change(topic_id: Uuid, partition_id: i32) -> PartitionChangeRecord {
    PartitionChangeRecord {
        topic_id,
        partition_id,
        ..Default::default()
    }
}

fn broker(broker_id: i32, broker_epoch: i64) -> MetadataRecord {
    RegisterBrokerRecord {
        broker_id,
        broker_epoch,
        fenced: true,
        ..Default::default()
    }
    .into()
}

fn config(name: &str, key: &str, value: Option<&str>) -> MetadataRecord {
    ConfigRecord {
        resource_type: ResourceType::TOPIC.0,
        resource_name: name.into(),
        name: key.into(),
        value: value.map(Str::from),
        ..Default::default()
    }
    .into()
}

fn image(records: &[MetadataRecord]) -> MetadataImage {
    MetadataImage::default().apply(records).unwrap().0
}

#[test]
fn topics_are_found_by_name_and_id_until_they_are_removed() {
    let id = topic_id(1);
    let base = image(&[
        topic("a", id),
        partition(id, 0, &[1, 2]),
        config("a", "retention.ms", Some("1")),
    ]);
    assert_eq!(base.topic("a"), base.topic_by_id(id));
    assert_eq!(base.topic("a").unwrap().replication_factor(), 2);
    assert_eq!(
        base.topics_from("b").count() + base.topics_from("").count(),
        1
    );

    let remove = RemoveTopicRecord {
        topic_id: id,
        ..Default::default()
    }
    .into();
    let (next, delta) = base.apply(&[remove]).unwrap();
    assert_eq!((next.topic("a"), next.topic_by_id(id)), (None, None));
    assert!(next.config(&ConfigResource::topic("a")).is_empty());
    assert_eq!(
        delta.configs.into_iter().collect::<Vec<_>>(),
        [ConfigResource::topic("a")]
    );
    assert_eq!(delta.deleted_topics[&id].name, "a");
    assert!(delta.topics.is_empty());
    // The image before is as it was.
    assert_eq!(base.partition("a", 0).unwrap().leader, Some(1));
}

#[test]
fn naming_a_leader_begins_an_epoch_and_every_change_counts() {
    let id = topic_id(1);
    let base = image(&[topic("a", id), partition(id, 0, &[1, 2])]);
    let shrink = PartitionChangeRecord {
        isr: Some(vec![1]),
        ..change(id, 0)
    };
    let same_leader = PartitionChangeRecord {
        leader: 1,
        ..change(id, 0)
    };
    let no_leader = PartitionChangeRecord {
        leader: -1,
        ..change(id, 0)
    };
    let (next, delta) = base
        .apply(&[shrink.into(), same_leader.into(), no_leader.into()])
        .unwrap();
    let p = next.partition("a", 0).unwrap();
    assert_eq!(
        (p.leader, p.leader_epoch, p.partition_epoch, &p.isr[..]),
        (None, 2, 3, &[1][..])
    );
    let delta = &delta.topics[&id].partitions[&0];
    assert_eq!(delta.before.as_ref(), base.partition("a", 0));
    assert_eq!(&delta.after, p);
}

#[test]
fn a_topic_that_comes_and_goes_in_one_batch_leaves_no_trace() {
    let id = topic_id(1);
    let remove = RemoveTopicRecord {
        topic_id: id,
        ..Default::default()
    }
    .into();
    let (next, delta) = MetadataImage::default()
        .apply(&[topic("a", id), partition(id, 0, &[1]), remove])
        .unwrap();
    assert_eq!(next, MetadataImage::default());
    assert!(delta.is_empty());
}

#[test]
fn a_topic_deleted_and_created_again_is_both() {
    let base = image(&[topic("a", topic_id(1)), partition(topic_id(1), 0, &[1])]);
    let remove = RemoveTopicRecord {
        topic_id: topic_id(1),
        ..Default::default()
    }
    .into();
    let (next, delta) = base
        .apply(&[
            remove,
            topic("a", topic_id(2)),
            partition(topic_id(2), 0, &[1]),
        ])
        .unwrap();
    assert_eq!(next.topic("a").unwrap().id, topic_id(2));
    let changes = delta.local_changes(1);
    assert_eq!(
        (
            changes.removed[0].topic_id,
            changes.removed[0].topic_deleted
        ),
        (topic_id(1), true)
    );
    assert_eq!(
        (changes.leaders[0].topic_id, changes.leaders[0].is_new),
        (topic_id(2), true)
    );
}

#[test]
fn local_changes_tell_each_broker_its_part() {
    let id = topic_id(1);
    let base = image(&[
        topic("a", id),
        partition(id, 0, &[1, 2]),
        partition(id, 1, &[2, 3]),
    ]);
    let lead = PartitionChangeRecord {
        leader: 2,
        ..change(id, 0)
    };
    let moved = PartitionChangeRecord {
        replicas: Some(vec![2]),
        isr: Some(vec![2]),
        ..change(id, 1)
    };
    let (_, delta) = base.apply(&[lead.into(), moved.into()]).unwrap();

    let one = delta.local_changes(1);
    assert_eq!((one.leaders.len(), one.removed.len()), (0, 0));
    assert!(one.followers[0].new_leader_epoch && !one.followers[0].is_new);
    let two = delta.local_changes(2);
    let epochs: Vec<bool> = two.leaders.iter().map(|l| l.new_leader_epoch).collect();
    assert_eq!(epochs, [true, false]);
    let three = delta.local_changes(3);
    assert_eq!(three.removed[0].partition, 1);
    assert!(!three.removed[0].topic_deleted);
    assert_eq!(delta.local_changes(4), LocalChanges::default());
}

#[test]
fn brokers_change_only_under_their_epoch() {
    let base = image(&[broker(1, 5)]);
    let unfence = |epoch| {
        BrokerRegistrationChangeRecord {
            broker_id: 1,
            broker_epoch: epoch,
            fenced: -1,
            ..Default::default()
        }
        .into()
    };
    let (next, delta) = base.apply(&[unfence(5)]).unwrap();
    assert_eq!(next.alive_broker_epoch(1), Some(5));
    assert_eq!(base.alive_broker_epoch(1), None);
    assert!(delta.brokers.contains(&1));
    assert_eq!(
        next.apply(&[unfence(5)]).unwrap().1,
        MetadataDelta::default()
    );
    assert_eq!(
        base.apply(&[unfence(4)]),
        Err(ReplayError::BrokerEpoch {
            broker: 1,
            registered: 5,
            epoch: 4
        })
    );
    let gone: MetadataRecord = UnregisterBrokerRecord {
        broker_id: 1,
        broker_epoch: 5,
        ..Default::default()
    }
    .into();
    assert_eq!(next.apply(&[gone]).unwrap().0.broker(1), None);
}

#[test]
fn directories_decide_what_is_online() {
    let dirs = [Uuid::from_u128(900), Uuid::from_u128(800)];
    let register = RegisterBrokerRecord {
        broker_id: 1,
        log_dirs: dirs.to_vec(),
        ..Default::default()
    };
    let registered = image(&[register.into()]);
    let b = registered.broker(1).unwrap();
    assert!(b.has_online_dir(dirs[0]) && b.has_online_dir(directory::UNASSIGNED));
    assert!(!b.has_online_dir(directory::LOST) && !b.has_online_dir(Uuid::from_u128(700)));
    let cordon = BrokerRegistrationChangeRecord {
        broker_id: 1,
        cordoned_log_dirs: Some(dirs.to_vec()),
        ..Default::default()
    };
    let b = registered.apply(&[cordon.into()]).unwrap().0;
    assert!(!b.broker(1).unwrap().has_uncordoned_dirs());
}

#[test]
fn what_is_not_there_is_an_error() {
    let id = topic_id(1);
    let base = image(&[topic("a", id), partition(id, 0, &[1])]);
    let refuse =
        |record: MetadataRecord, error: ReplayError| assert_eq!(base.apply(&[record]), Err(error));
    refuse(
        partition(topic_id(9), 0, &[1]),
        ReplayError::UnknownTopicId(topic_id(9)),
    );
    refuse(
        change(id, 3).into(),
        ReplayError::UnknownPartition {
            topic: id,
            partition: 3,
        },
    );
    refuse(
        topic("a", topic_id(2)),
        ReplayError::DuplicateTopic {
            name: "a".into(),
            id,
        },
    );
    refuse(
        topic("b", id),
        ReplayError::DuplicateTopic {
            name: "a".into(),
            id,
        },
    );
    refuse(
        ClearElrRecord {
            topic_name: "z".into(),
            ..Default::default()
        }
        .into(),
        ReplayError::UnknownTopicName("z".into()),
    );
    refuse(
        FenceBrokerRecord {
            id: 7,
            ..Default::default()
        }
        .into(),
        ReplayError::UnknownBroker(7),
    );
    refuse(
        RemoveAccessControlEntryRecord {
            id,
            ..Default::default()
        }
        .into(),
        ReplayError::UnknownAcl(id),
    );
    refuse(
        FeatureLevelRecord {
            name: METADATA_VERSION_FEATURE.into(),
            feature_level: 99,
            ..Default::default()
        }
        .into(),
        ReplayError::UnsupportedMetadataVersion(99),
    );
    let directories = Some(vec![Uuid::from_u128(500), Uuid::from_u128(501)]);
    refuse(
        PartitionChangeRecord {
            directories,
            ..change(id, 0)
        }
        .into(),
        ReplayError::DirectoriesDoNotMatchReplicas {
            directories: 2,
            replicas: 1,
        },
    );
}

#[test]
fn clearing_eligible_leaders_touches_only_who_has_some() {
    let id = topic_id(1);
    let elr = PartitionChangeRecord {
        eligible_leader_replicas: Some(vec![2]),
        isr: Some(vec![1]),
        ..change(id, 0)
    };
    let base = image(&[
        topic("a", id),
        partition(id, 0, &[1, 2]),
        partition(id, 1, &[1, 2]),
        elr.into(),
    ]);
    let (next, delta) = base.apply(&[ClearElrRecord::default().into()]).unwrap();
    assert!(
        next.partition("a", 0)
            .unwrap()
            .eligible_leader_replicas
            .is_empty()
    );
    assert_eq!(
        delta.topics[&id]
            .partitions
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn features_at_level_zero_are_absent() {
    let set = |name: &str, feature_level| {
        FeatureLevelRecord {
            name: name.into(),
            feature_level,
            ..Default::default()
        }
        .into()
    };
    let on = image(&[
        set(METADATA_VERSION_FEATURE, 30),
        set("group.version", 1),
        set(KRAFT_VERSION_FEATURE, 1),
    ]);
    assert_eq!(
        on.features.finalized(),
        [
            (Str::from(METADATA_VERSION_FEATURE), 30),
            (Str::from("group.version"), 1)
        ]
    );
    let (off, delta) = on.apply(&[set("group.version", 0)]).unwrap();
    assert_eq!(
        (off.features.level("group.version"), delta.features),
        (0, true)
    );
}

#[test]
fn defaults_of_features_follow_the_metadata_version() {
    let levels = |level| {
        let version = MetadataVersion::from_level(level).unwrap();
        FEATURES
            .iter()
            .map(|f| f.default_level(version))
            .collect::<Vec<_>>()
    };
    assert_eq!(levels(30), [1, 1, 1, 30, 1, 1, 2]);
    assert_eq!(levels(22), [0, 1, 1, 22, 0, 0, 0]);
    assert_eq!(levels(7), [0, 0, 0, 7, 0, 0, 0]);
}

#[test]
fn a_transaction_shows_when_it_ends_or_never() {
    let id = topic_id(1);
    let begin = || MetadataRecord::from(BeginTransactionRecord::default());
    let at = |offset| Provenance {
        offset,
        epoch: 1,
        timestamp_ms: 0,
    };
    let mut loader = Loader::default();
    assert!(
        loader
            .on_batch(at(0), vec![begin(), topic("a", id)])
            .unwrap()
            .is_empty()
    );
    assert!(loader.in_transaction());
    assert_eq!(
        loader.on_batch(at(1), vec![begin()]),
        Err(ReplayError::NestedTransaction)
    );
    let delta = loader
        .on_batch(
            at(2),
            vec![
                partition(id, 0, &[1]),
                EndTransactionRecord::default().into(),
            ],
        )
        .unwrap();
    assert_eq!(delta.topics[&id].partitions.len(), 1);
    assert_eq!(loader.image().provenance.offset, 2);

    loader
        .on_batch(at(3), vec![begin(), topic("b", topic_id(2))])
        .unwrap();
    let delta = loader
        .on_batch(
            at(4),
            vec![
                AbortTransactionRecord::default().into(),
                topic("c", topic_id(3)),
            ],
        )
        .unwrap();
    assert_eq!(delta.topics.len(), 1);
    assert_eq!(
        (loader.image().topic("b"), loader.image().topic_count()),
        (None, 2)
    );
    assert_eq!(
        loader.on_batch(at(5), vec![EndTransactionRecord::default().into()]),
        Err(ReplayError::NoTransaction)
    );
}

proptest! {
    #[test]
    fn a_snapshot_replays_to_an_equal_image(records in arbitrary::records()) {
        let mut base = MetadataImage::default();
        for record in &records {
            // Records that do not fit the state are refused and leave it alone.
            if let Ok((next, _)) = base.apply([record]) {
                base = next;
            }
        }
        let (again, mut delta) = MetadataImage::default().apply(&base.to_records()).unwrap();
        // `kraft.version` stands in control records.
        delta.features |= base.features.kraft_version != 0;
        assert_eq!(MetadataDelta::of(&base), delta);
        prop_assert_eq!(again, base);
    }

    #[test]
    fn one_batch_is_as_good_as_many(records in arbitrary::records()) {
        let mut stepwise = MetadataImage::default();
        let mut fitting = Vec::new();
        for record in records {
            if let Ok((next, _)) = stepwise.apply([&record]) {
                stepwise = next;
                fitting.push(record);
            }
        }
        let (at_once, delta) = MetadataImage::default().apply(&fitting).unwrap();
        prop_assert_eq!(&at_once, &stepwise);
        // Against an empty image the delta names exactly what is there.
        let ids: Vec<Uuid> = at_once.topics_by_id.keys().copied().collect();
        prop_assert_eq!(delta.topics.keys().copied().collect::<Vec<_>>(), ids);
        for (id, topic) in &delta.topics {
            for (index, partition) in &topic.partitions {
                prop_assert_eq!(Some(&partition.after), at_once.topic_by_id(*id).unwrap().partition(*index));
            }
        }
        for t in at_once.topics() {
            prop_assert_eq!(Some(t), at_once.topic_by_id(t.id));
        }
    }

    #[test]
    fn records_survive_their_encoding(records in arbitrary::records()) {
        for record in records {
            let bytes = record.encode_to_bytes(record.highest_version()).unwrap();
            prop_assert_eq!(MetadataRecord::decode_from(&bytes).unwrap(), record);
        }
    }
}
