//! Random records over few topics and brokers, so that many of them fit together.

use bytes::Bytes;
use ottla_protocol::metadata_records::client_quota_record::EntityData;
use ottla_protocol::metadata_records::register_broker_record::{BrokerEndpoint, BrokerFeature};
use ottla_protocol::metadata_records::*;
use ottla_protocol::{Str, Uuid};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn records() -> impl Strategy<Value = Vec<MetadataRecord>> {
    vec(
        prop_oneof![6 => topic_records(), 3 => broker_records(), 3 => other_records()],
        0..60,
    )
}

fn name() -> impl Strategy<Value = Str> {
    prop_oneof![Just("a"), Just("b"), Just("c.d")].prop_map(Str::from)
}

fn id() -> impl Strategy<Value = Uuid> {
    (1u128..4).prop_map(|n| Uuid::from_u128(n << 64))
}

fn brokers() -> impl Strategy<Value = Vec<i32>> {
    prop::sample::subsequence(vec![1, 2, 3], 1..=3)
}

fn topic_records() -> impl Strategy<Value = MetadataRecord> {
    let topic = (name(), id()).prop_map(|(name, topic_id)| {
        TopicRecord {
            name,
            topic_id,
            ..Default::default()
        }
        .into()
    });
    let partition = (id(), 0..3i32, brokers(), -1..4i32, any::<bool>()).prop_map(
        |(topic_id, partition_id, replicas, leader, dirs)| {
            let directories = if dirs {
                vec![Uuid::from_u128(1000); replicas.len()]
            } else {
                Vec::new()
            };
            PartitionRecord {
                topic_id,
                partition_id,
                isr: replicas.clone(),
                replicas,
                leader,
                directories,
                leader_epoch: 1,
                partition_epoch: 2,
                ..Default::default()
            }
            .into()
        },
    );
    let change = (
        id(),
        0..3i32,
        prop::option::of(brokers()),
        prop::option::of(brokers()),
        -2..4i32,
        -1..2i8,
    )
        .prop_map(
            |(topic_id, partition_id, isr, elr, leader, leader_recovery_state)| {
                PartitionChangeRecord {
                    topic_id,
                    partition_id,
                    isr,
                    leader,
                    leader_recovery_state,
                    eligible_leader_replicas: elr.clone(),
                    last_known_elr: elr,
                    ..Default::default()
                }
                .into()
            },
        );
    let remove = id().prop_map(|topic_id| {
        RemoveTopicRecord {
            topic_id,
            ..Default::default()
        }
        .into()
    });
    let clear = prop_oneof![name(), Just(Str::default())].prop_map(|topic_name| {
        ClearElrRecord {
            topic_name,
            ..Default::default()
        }
        .into()
    });
    prop_oneof![4 => topic, 6 => partition, 4 => change, 1 => remove, 1 => clear]
}

fn broker_records() -> impl Strategy<Value = MetadataRecord> {
    let register = (1..4i32, 1..4i64, prop::option::of(name()), any::<bool>()).prop_map(
        |(broker_id, broker_epoch, rack, fenced)| {
            let endpoint = BrokerEndpoint {
                name: "PLAINTEXT".into(),
                host: "h".into(),
                port: 9092,
                ..Default::default()
            };
            let feature = BrokerFeature {
                name: "metadata.version".into(),
                min_supported_version: 7,
                max_supported_version: 30,
                ..Default::default()
            };
            RegisterBrokerRecord {
                broker_id,
                broker_epoch,
                rack,
                fenced,
                incarnation_id: Uuid::from_u128(77),
                end_points: vec![endpoint],
                features: vec![feature],
                log_dirs: vec![Uuid::from_u128(1000), Uuid::from_u128(999)],
                ..Default::default()
            }
            .into()
        },
    );
    let change = (1..4i32, 1..4i64, -1..2i8, 0..2i8, any::<bool>()).prop_map(
        |(broker_id, broker_epoch, fenced, in_controlled_shutdown, cordoned)| {
            BrokerRegistrationChangeRecord {
                broker_id,
                broker_epoch,
                fenced,
                in_controlled_shutdown,
                cordoned_log_dirs: cordoned.then(|| vec![Uuid::from_u128(1000)]),
                ..Default::default()
            }
            .into()
        },
    );
    let unregister = (1..4i32, 1..4i64).prop_map(|(broker_id, broker_epoch)| {
        UnregisterBrokerRecord {
            broker_id,
            broker_epoch,
            ..Default::default()
        }
        .into()
    });
    let controller = (1..4i32).prop_map(|controller_id| {
        RegisterControllerRecord {
            controller_id,
            ..Default::default()
        }
        .into()
    });
    prop_oneof![4 => register, 3 => change, 1 => unregister, 1 => controller]
}

fn other_records() -> impl Strategy<Value = MetadataRecord> {
    let config = (
        prop_oneof![Just(2i8), Just(4), Just(32)],
        name(),
        name(),
        prop::option::of(name()),
    )
        .prop_map(|(resource_type, resource_name, name, value)| {
            ConfigRecord {
                resource_type,
                resource_name,
                name,
                value,
                ..Default::default()
            }
            .into()
        });
    let quota = (prop::option::of(name()), name(), 1..9i32, any::<bool>()).prop_map(
        |(entity_name, key, value, remove)| {
            let entity = vec![EntityData {
                entity_type: "user".into(),
                entity_name,
                ..Default::default()
            }];
            ClientQuotaRecord {
                entity,
                key,
                value: f64::from(value),
                remove,
                ..Default::default()
            }
            .into()
        },
    );
    let feature = prop_oneof![
        Just(("metadata.version", 30i16)),
        Just(("group.version", 0)),
        Just(("group.version", 1))
    ]
    .prop_map(|(name, feature_level)| {
        FeatureLevelRecord {
            name: name.into(),
            feature_level,
            ..Default::default()
        }
        .into()
    });
    let producers = (0..9i64).prop_map(|n| {
        ProducerIdsRecord {
            next_producer_id: n * 1000,
            ..Default::default()
        }
        .into()
    });
    let acl = (id(), name()).prop_map(|(id, resource_name)| {
        AccessControlEntryRecord {
            id,
            resource_name,
            principal: "User:x".into(),
            ..Default::default()
        }
        .into()
    });
    let no_acl = id().prop_map(|id| {
        RemoveAccessControlEntryRecord {
            id,
            ..Default::default()
        }
        .into()
    });
    let scram = (name(), 1..3i8).prop_map(|(name, mechanism)| {
        UserScramCredentialRecord {
            name,
            mechanism,
            salt: Bytes::from_static(b"salt"),
            iterations: 4096,
            ..Default::default()
        }
        .into()
    });
    let no_scram = (name(), 0..3i8).prop_map(|(name, mechanism)| {
        RemoveUserScramCredentialRecord {
            name,
            mechanism,
            ..Default::default()
        }
        .into()
    });
    let token = name().prop_map(|token_id| {
        DelegationTokenRecord {
            token_id,
            renewers: vec!["r".into()],
            ..Default::default()
        }
        .into()
    });
    let no_token = name().prop_map(|token_id| {
        RemoveDelegationTokenRecord {
            token_id,
            ..Default::default()
        }
        .into()
    });
    prop_oneof![
        config, quota, feature, producers, acl, no_acl, scram, no_scram, token, no_token
    ]
}
