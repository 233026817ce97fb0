//! Random commands from everybody at once; whatever they are, the state keeps its promises.

use std::collections::BTreeSet;

use ottla_metadata::{LeaderRecoveryState, MetadataDelta};
use proptest::prelude::*;

use super::*;

const BROKERS: i32 = 4;

#[derive(Debug, Clone)]
enum Command {
    Register {
        id: i32,
        incarnation: u128,
        clean: bool,
    },
    Heartbeat {
        id: i32,
        fence: bool,
        shutdown: bool,
    },
    Time(i64),
    Create {
        name: u8,
        partitions: i32,
        replicas: i32,
        unclean: bool,
        min_isr: u8,
    },
    Delete {
        name: u8,
    },
    MorePartitions {
        name: u8,
        count: i32,
    },
    SetIsr {
        name: u8,
        partition: i32,
        members: u8,
    },
    Reassign {
        name: u8,
        partition: i32,
        target: Option<Vec<i32>>,
    },
    Elect {
        unclean: bool,
    },
    Balance,
    Unregister {
        id: i32,
    },
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let id = 1..=BROKERS;
    let name = 0u8..3;
    let command = prop_oneof![
        2 => (id.clone(), 1u128..4, any::<bool>()).prop_map(|(id, incarnation, clean)| Command::Register { id, incarnation, clean }),
        6 => (id.clone(), prop::bool::weighted(0.2), prop::bool::weighted(0.1))
            .prop_map(|(id, fence, shutdown)| Command::Heartbeat { id, fence, shutdown }),
        2 => (0..SESSION_MS).prop_map(Command::Time),
        3 => (name.clone(), -1..4i32, -1..4i32, any::<bool>(), 1u8..3)
            .prop_map(|(name, partitions, replicas, unclean, min_isr)| Command::Create { name, partitions, replicas, unclean, min_isr }),
        1 => name.clone().prop_map(|name| Command::Delete { name }),
        1 => (name.clone(), 0..6i32).prop_map(|(name, count)| Command::MorePartitions { name, count }),
        4 => (name.clone(), 0..3i32, any::<u8>()).prop_map(|(name, partition, members)| Command::SetIsr { name, partition, members }),
        2 => (name, 0..3i32, prop::option::of(prop::sample::subsequence(vec![1, 2, 3, 4], 1..4)))
            .prop_map(|(name, partition, target)| Command::Reassign { name, partition, target }),
        1 => any::<bool>().prop_map(|unclean| Command::Elect { unclean }),
        1 => Just(Command::Balance),
        1 => id.prop_map(|id| Command::Unregister { id }),
    ];
    prop::collection::vec(command, 1..80)
}

fn topic_name(name: u8) -> Str {
    format!("topic-{name}").into()
}

/// Refusals are part of the game: what counts is the state.
fn apply(cluster: &mut Cluster, command: Command) {
    match command {
        Command::Register {
            id,
            incarnation,
            clean,
        } => {
            let epoch = cluster
                .controller
                .image()
                .broker(id)
                .map_or(-1, |b| b.epoch);
            let registration = Registration {
                previous_broker_epoch: if clean { epoch } else { -1 },
                ..Cluster::registration(id, incarnation)
            };
            let _ = cluster.run(|c, x| c.register_broker(x, &registration));
        }
        Command::Heartbeat {
            id,
            fence,
            shutdown,
        } => {
            let Some(broker_epoch) = cluster.controller.image().broker(id).map(|b| b.epoch) else {
                return;
            };
            let beat = Heartbeat {
                broker_id: id,
                broker_epoch,
                metadata_offset: cluster.log_end - 1,
                want_fence: fence,
                want_shutdown: shutdown,
                ..Default::default()
            };
            cluster.run(|c, x| c.heartbeat(x, &beat)).unwrap();
        }
        Command::Time(ms) => {
            cluster.now_ms += ms;
            while let Some(outcome) = cluster.controller.handle_timeout(cluster.now_ms) {
                cluster.commit(outcome);
            }
            assert!(
                cluster
                    .controller
                    .poll_timeout()
                    .is_none_or(|at| at > cluster.now_ms)
            );
        }
        Command::Create {
            name,
            partitions,
            replicas,
            unclean,
            min_isr,
        } => {
            let configs = vec![
                (
                    "unclean.leader.election.enable".into(),
                    Some(unclean.to_string().into()),
                ),
                (
                    "min.insync.replicas".into(),
                    Some(min_isr.to_string().into()),
                ),
            ];
            let topic = NewTopic {
                partitions,
                replication_factor: replicas,
                configs,
                ..NewTopic::with_defaults(topic_name(name))
            };
            cluster
                .run(|c, x| c.create_topics(x, &[topic], false))
                .unwrap();
        }
        Command::Delete { name } => {
            let topic = TopicRef {
                name: Some(topic_name(name)),
                id: Uuid::ZERO,
            };
            cluster.run(|c, _| c.delete_topics(&[topic])).unwrap();
        }
        Command::MorePartitions { name, count } => {
            let more = MorePartitions {
                topic: topic_name(name),
                count,
                assignments: None,
            };
            cluster
                .run(|c, x| c.create_partitions(x, &[more], false))
                .unwrap();
        }
        Command::SetIsr {
            name,
            partition,
            members,
        } => set_isr(cluster, name, partition, members),
        Command::Reassign {
            name,
            partition,
            target,
        } => {
            let wanted = Reassignment {
                topic: topic_name(name),
                partition,
                replicas: target,
            };
            cluster
                .run(|c, _| c.alter_partition_reassignments(&[wanted], true))
                .unwrap();
        }
        Command::Elect { unclean } => {
            let kind = if unclean {
                ElectionKind::Unclean
            } else {
                ElectionKind::Preferred
            };
            cluster.run(|c, _| c.elect_leaders(kind, None)).unwrap();
        }
        Command::Balance => {
            let outcome = cluster.controller.balance_leaders();
            cluster.commit(outcome);
            let outcome = cluster.controller.elect_unclean_leaders();
            cluster.commit(outcome);
        }
        Command::Unregister { id } => {
            let _ = cluster.run(|c, _| c.unregister_broker(id));
        }
    }
}

fn set_isr(cluster: &mut Cluster, name: u8, partition: i32, members: u8) {
    let image = cluster.controller.image();
    let Some(topic) = image.topic(&topic_name(name)).cloned() else {
        return;
    };
    let Some(p) = topic.partition(partition) else {
        return;
    };
    let Some(leader) = p.leader else { return };
    let Some(epoch) = image.broker(leader).map(|b| b.epoch) else {
        return;
    };
    let chosen = p
        .replicas
        .iter()
        .enumerate()
        .filter(|(i, r)| **r == leader || members >> i & 1 == 1);
    let change = IsrChange {
        topic_id: topic.id,
        partition,
        leader_epoch: p.leader_epoch,
        partition_epoch: p.partition_epoch,
        isr: chosen.map(|(_, r)| (*r, -1)).collect(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
    };
    cluster
        .run(|c, _| c.alter_partition(leader, epoch, &[change]))
        .unwrap();
}

fn check(cluster: &Cluster, before: &MetadataImage) -> Result<(), TestCaseError> {
    let image = cluster.controller.image();
    let mut ids = BTreeSet::new();
    for topic in image.topics() {
        prop_assert!(ids.insert(topic.id), "two topics with one id");
        prop_assert!(
            topic
                .partitions
                .keys()
                .copied()
                .eq(0..i32::try_from(topic.partitions.len()).unwrap())
        );
        for (index, p) in &topic.partitions {
            let distinct: BTreeSet<i32> = p.replicas.iter().copied().collect();
            prop_assert_eq!(distinct.len(), p.replicas.len());
            prop_assert_eq!(p.directories.len(), p.replicas.len());
            prop_assert!(
                p.isr.iter().all(|r| p.replicas.contains(r)),
                "in sync but no replica: {:?}",
                p
            );
            prop_assert!(
                p.leader.is_none_or(|l| p.isr.contains(&l)),
                "leader not in sync: {:?}",
                p
            );
            prop_assert!(
                p.leader
                    .is_none_or(|l| image.broker(l).is_some_and(|b| !b.fenced)),
                "fenced leader: {:?}",
                p
            );
            prop_assert!(
                p.eligible_leader_replicas
                    .iter()
                    .all(|r| !p.isr.contains(r)),
                "both in sync and eligible: {:?}",
                p
            );
            prop_assert!(
                p.isr.len() == 1
                    || p.isr
                        .iter()
                        .all(|r| image.broker(*r).is_some_and(|b| !b.fenced))
            );
            if let Some(old) = before
                .topic_by_id(topic.id)
                .and_then(|t| t.partition(*index))
            {
                prop_assert!(
                    p.leader_epoch >= old.leader_epoch && p.partition_epoch >= old.partition_epoch
                );
                prop_assert!(
                    p.leader == old.leader || p.leader_epoch > old.leader_epoch,
                    "a new leader in an old epoch"
                );
                prop_assert!(
                    p == old || p.partition_epoch > old.partition_epoch,
                    "a change that is not counted"
                );
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_commands_keep_the_promises(commands in commands(), elr in any::<bool>()) {
        let level = if elr { 30 } else { 22 };
        let mut cluster = Cluster::at_version(MetadataVersion::from_level(level).unwrap(), &["default.replication.factor=2"]);
        (1..=BROKERS).for_each(|id| cluster.join(id));
        for command in commands {
            let before = cluster.controller.image().clone();
            apply(&mut cluster, command);
            check(&cluster, &before)?;
        }
        // A controller that takes over knows the same.
        let image = cluster.controller.image();
        let (mut replayed, _) = MetadataImage::default().apply(&image.to_records()).unwrap();
        replayed.provenance = image.provenance;
        prop_assert_eq!(&replayed, image);
        let mut next = Controller::new("test-cluster", cluster.controller.config().clone(), image.clone(), cluster.now_ms);
        prop_assert_eq!(next.replay(&[], cluster.log_end).unwrap(), MetadataDelta::default());
    }
}
