//! The administration APIs over a socket, as a client sees them: what is refused and why, what a change does at once,
//! and what is still there after a restart.

use std::io::Read;
use std::net::TcpStream;

use expect_test::expect;
use ottla_protocol::Str;
use ottla_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use ottla_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_protocol::messages::*;

use crate::client::Client;
use crate::{with_broker, with_client};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

/// Type and name of a resource, and what to do to its keys: name, operation, value.
type Alteration<'a> = (i8, &'a str, &'a [(&'a str, i8, &'a str)]);

impl Client {
    /// Alters resources and tells of each the code and the words of its refusal.
    fn alter(&mut self, resources: &[Alteration<'_>]) -> String {
        let resource = |(kind, name, configs): &Alteration<'_>| {
            let config = |(name, config_operation, value): &(&str, i8, &str)| AlterableConfig {
                name: Str::from(*name),
                config_operation: *config_operation,
                value: (*config_operation != DELETE).then(|| Str::from(*value)),
                ..Default::default()
            };
            AlterConfigsResource {
                resource_type: *kind,
                resource_name: Str::from(*name),
                configs: configs.iter().map(config).collect(),
                ..Default::default()
            }
        };
        let request = IncrementalAlterConfigsRequest {
            resources: resources.iter().map(resource).collect(),
            ..Default::default()
        };
        let line = |answer: &incremental_alter_configs_response::AlterConfigsResourceResponse| {
            let message = answer.error_message.as_deref().unwrap_or("-");
            format!(
                "{} {}: {} {message}\n",
                answer.resource_type, answer.resource_name, answer.error_code
            )
        };
        self.call(&request).responses.iter().map(line).collect()
    }

    /// The topics that have a log here.
    fn log_topics(&mut self) -> Vec<String> {
        let request = DescribeLogDirsRequest {
            topics: None,
            ..Default::default()
        };
        let dirs = self.call(&request).results;
        let topics = dirs.iter().flat_map(|dir| &dir.topics);
        topics.map(|topic| topic.name.to_string()).collect()
    }

    /// Where the topics' replicas are, and where they go: directory, topic, offset lag, whether it is a copy.
    fn replicas(&mut self) -> Vec<(String, String, i64, bool)> {
        let request = DescribeLogDirsRequest {
            topics: None,
            ..Default::default()
        };
        let mut replicas = Vec::new();
        for dir in self.call(&request).results {
            for topic in dir.topics {
                let one = &topic.partitions[0];
                let (dir, name) = (dir.log_dir.to_string(), topic.name.to_string());
                replicas.push((dir, name, one.offset_lag, one.is_future_key));
            }
        }
        replicas
    }

    /// Asks for partition 0 of `topic` to go to `path`; the error's code.
    fn move_to(&mut self, topic: &str, path: &str) -> i16 {
        let topics = vec![AlterReplicaLogDirTopic {
            name: topic.into(),
            partitions: vec![0],
            ..Default::default()
        }];
        let request = AlterReplicaLogDirsRequest {
            dirs: vec![AlterReplicaLogDir {
                path: path.into(),
                topics,
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = self.call(&request).results;
        assert_eq!((&*answer[0].topic_name, answer.len()), (topic, 1));
        answer[0].partitions[0].error_code
    }

    /// Keys of a resource: value, source, and where else a value would come from.
    fn describe(&mut self, kind: i8, name: &str, keys: &[&str]) -> String {
        let resource = DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: Some(keys.iter().copied().map(Str::from).collect()),
            ..Default::default()
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            include_synonyms: true,
            ..Default::default()
        };
        let result = self.call(&request).results.remove(0);
        if result.error_code != 0 {
            return format!(
                "{} {}",
                result.error_code,
                result.error_message.as_deref().unwrap_or("-")
            );
        }
        let line = |config: &describe_configs_response::DescribeConfigsResourceResult| {
            let synonyms = config.synonyms.iter();
            let synonyms: String = synonyms
                .map(|s| {
                    format!(
                        " {}={}@{}",
                        s.name,
                        s.value.as_deref().unwrap_or("-"),
                        s.source
                    )
                })
                .collect();
            format!(
                "{}={}@{}{synonyms}\n",
                config.name,
                config.value.as_deref().unwrap_or("-"),
                config.config_source
            )
        };
        result.configs.iter().map(line).collect()
    }
}

#[test]
fn a_change_of_configuration_is_seen_at_once_and_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let keys = ["retention.ms", "cleanup.policy", "max.message.bytes"];
    let changed = expect![[r#"
        cleanup.policy=delete,compact@1 cleanup.policy=delete,compact@1 log.cleanup.policy=delete@5
        max.message.bytes=2000@2 message.max.bytes=2000@2 message.max.bytes=1048588@5
        retention.ms=5000@1 retention.ms=5000@1 log.retention.ms=9000@3 log.retention.hours=168@5
    "#]];
    with_client(dir.path(), |client| {
        client.create_topic("orders", 1);
        let answers = client.alter(&[
            (
                TOPIC,
                "orders",
                &[
                    ("retention.ms", SET, "5000"),
                    ("cleanup.policy", APPEND, "compact"),
                ],
            ),
            (BROKER, "", &[("log.retention.ms", SET, "9000")]),
            (BROKER, "1", &[("message.max.bytes", SET, "2000")]),
            (GROUP, "g", &[("consumer.session.timeout.ms", SET, "50000")]),
            (CLIENT_METRICS, "m", &[("interval.ms", SET, "1000")]),
        ]);
        expect![[r#"
            2 orders: 0 -
            4 : 0 -
            4 1: 0 -
            32 g: 0 -
            16 m: 0 -
        "#]]
        .assert_eq(&answers);
        changed.assert_eq(&client.describe(TOPIC, "orders", &keys));
    });
    with_client(dir.path(), |client| {
        changed.assert_eq(&client.describe(TOPIC, "orders", &keys));
        let described = client.describe(GROUP, "g", &["consumer.session.timeout.ms"])
            + &client.describe(CLIENT_METRICS, "m", &["interval.ms"])
            + &client.describe(BROKER, "", &[]);
        expect![[r#"
            consumer.session.timeout.ms=50000@8 consumer.session.timeout.ms=50000@8 group.consumer.session.timeout.ms=45000@5
            interval.ms=1000@7 interval.ms=1000@7
            log.retention.ms=9000@3 log.retention.ms=9000@3
            min.insync.replicas=1@3 min.insync.replicas=1@3
        "#]]
        .assert_eq(&described);
        let listed = client
            .call(&ListConfigResourcesRequest::default())
            .config_resources;
        let listed: Vec<String> = listed
            .iter()
            .map(|resource| format!("{}:{}", resource.resource_type, resource.resource_name))
            .collect();
        assert_eq!(listed, ["32:g", "16:m", "8:1", "4:1", "2:orders"]);
        client.alter(&[(TOPIC, "orders", &[("retention.ms", DELETE, "")])]);
        expect![[r#"
            retention.ms=9000@3 log.retention.ms=9000@3 log.retention.hours=168@5
        "#]]
        .assert_eq(&client.describe(TOPIC, "orders", &["retention.ms"]));
    });
}

#[test]
fn each_resource_has_its_own_refusal() {
    let dir = tempfile::tempdir().unwrap();
    with_client(dir.path(), |client| {
        client.create_topic("orders", 1);
        let answers = client.alter(&[
            (TOPIC, "orders", &[("retention.ms", SET, "5000")]),
            (TOPIC, "nowhere", &[("retention.ms", SET, "5000")]),
            (TOPIC, "twice", &[]),
            (TOPIC, "twice", &[]),
            (BROKER, "7", &[("log.retention.ms", SET, "1")]),
            (BROKER, "1", &[("node.id", SET, "1")]),
            (LOGGER, "1", &[("root", SET, "INFO")]),
            (99, "x", &[]),
        ]);
        expect![[r#"
            2 orders: 0 -
            2 nowhere: 3 The topic 'nowhere' does not exist.
            2 twice: 42 Each resource must appear at most once.
            2 twice: 42 Each resource must appear at most once.
            4 7: 42 Unexpected broker id, expected 1, but received 7
            4 1: 42 Cannot update these configs dynamically: [node.id]
            8 1: 40 Logger root does not exist!
            99 x: 42 Unknown resource type 99
        "#]]
        .assert_eq(&answers);
        let described = [
            (TOPIC, "nowhere"),
            (TOPIC, "no/where"),
            (BROKER, "7"),
            (BROKER, "x"),
            (GROUP, ""),
            (99, "x"),
        ]
        .map(|(kind, name)| client.describe(kind, name, &[]));
        expect![[r#"
            3 
            17 Topic name is invalid: 'no/where' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
            42 Unexpected broker id, expected 1 or empty string, but received 7
            42 Broker id must be an integer, but it is: x
            42 Group name must not be empty
            42 The request contradicts itself or the protocol."#]]
        .assert_eq(&described.join("\n"));
    });
}

#[test]
fn a_topic_that_comes_again_has_nothing_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    with_client(dir.path(), |client| {
        client.create_topic("orders", 1);
        client.alter(&[(TOPIC, "orders", &[("retention.ms", SET, "5000")])]);
        let request = DeleteTopicsRequest {
            topics: vec![delete_topics_request::DeleteTopicState {
                name: Some("orders".into()),
                ..Default::default()
            }],
            timeout_ms: 5000,
            ..Default::default()
        };
        assert_eq!(client.call(&request).responses[0].error_code, 0);
        assert_eq!(client.log_topics(), [""; 0]);
        client.create_topic("orders", 1);
        assert_eq!(client.log_topics(), ["orders"]);
        expect![[r#"
            retention.ms=604800000@5
        "#]]
        .assert_eq(&client.describe(TOPIC, "orders", &["retention.ms"]));
    });
}

#[test]
fn a_lower_limit_of_connections_counts_from_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    with_broker(&[dir.path()], &[], |address| {
        let mut client = Client::connect(address);
        client.alter(&[(BROKER, "", &[("max.connections.per.ip", SET, "1")])]);
        let mut second = TcpStream::connect(address).unwrap();
        assert_eq!(second.read(&mut [0; 1]).unwrap_or(0), 0);
        client.alter(&[(BROKER, "", &[("max.connections.per.ip", DELETE, "")])]);
        Client::connect(address).create_topic("orders", 1);
    });
}

#[test]
fn quotas_and_features_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    with_client(dir.path(), |client| {
        let user = EntityData {
            entity_type: "user".into(),
            entity_name: Some("u".into()),
            ..Default::default()
        };
        let op = OpData {
            key: "producer_byte_rate".into(),
            value: 1000.0,
            ..Default::default()
        };
        let quota = EntryData {
            entity: vec![user],
            ops: vec![op],
            ..Default::default()
        };
        let empty = EntryData::default();
        let request = AlterClientQuotasRequest {
            entries: vec![quota, empty],
            ..Default::default()
        };
        let codes: Vec<i16> = client
            .call(&request)
            .entries
            .iter()
            .map(|entry| entry.error_code)
            .collect();
        assert_eq!(codes, [0, 42]);
        let down = FeatureUpdateKey {
            feature: "transaction.version".into(),
            max_version_level: 1,
            upgrade_type: 2,
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: vec![down],
            ..Default::default()
        };
        assert_eq!(client.call(&request).error_code, 0);
        let unknown = FeatureUpdateKey {
            feature: "nope".into(),
            max_version_level: 1,
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: vec![unknown],
            ..Default::default()
        };
        assert_eq!(client.call(&request).error_code, 95);
    });
    with_client(dir.path(), |client| {
        let entries = client
            .call(&DescribeClientQuotasRequest::default())
            .entries
            .unwrap();
        let values: Vec<(&str, f64)> = entries
            .iter()
            .flat_map(|e| &e.values)
            .map(|v| (&*v.key, v.value))
            .collect();
        assert_eq!(values, [("producer_byte_rate", 1000.0)]);
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        let features = client.call(&request).finalized_features;
        let level = features
            .iter()
            .find(|feature| &*feature.name == "transaction.version")
            .unwrap();
        assert_eq!(level.max_version_level, 1);
    });
}

#[test]
fn a_cluster_of_one_describes_itself() {
    let dir = tempfile::tempdir().unwrap();
    with_client(dir.path(), |client| {
        client.create_topic("orders", 1);
        let partition = PartitionData::default();
        let log = TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let quorum = client.call(&DescribeQuorumRequest {
            topics: vec![log],
            ..Default::default()
        });
        let quorum = &quorum.topics[0].partitions[0];
        assert_eq!(
            (
                quorum.leader_id,
                quorum.current_voters.len(),
                quorum.error_code
            ),
            (1, 1, 0)
        );
        assert!(
            quorum.leader_epoch > 0
                && quorum.current_voters[0].log_end_offset >= quorum.high_watermark
        );

        assert_eq!(client.log_topics(), ["orders"]);

        let orders = TopicPartitions {
            topic: "orders".into(),
            partitions: vec![0, 5],
            ..Default::default()
        };
        let request = ElectLeadersRequest {
            topic_partitions: Some(vec![orders]),
            ..Default::default()
        };
        let elected = client
            .call(&request)
            .replica_election_results
            .remove(0)
            .partition_result;
        let elected: Vec<i16> = elected
            .iter()
            .map(|partition| partition.error_code)
            .collect();
        assert_eq!(elected, [84, 3]);

        let partition = |index, replicas: &[i32]| ReassignablePartition {
            partition_index: index,
            replicas: Some(replicas.to_vec()),
            ..Default::default()
        };
        let partitions = vec![partition(0, &[1]), partition(0, &[9]), partition(3, &[1])];
        let topic = ReassignableTopic {
            name: "orders".into(),
            partitions,
            ..Default::default()
        };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        let moved = client.call(&request).responses.remove(0).partitions;
        let moved: Vec<i16> = moved.iter().map(|partition| partition.error_code).collect();
        assert_eq!(moved, [0, 39, 3]);
        let ongoing = ListPartitionReassignmentsRequest {
            topics: None,
            ..Default::default()
        };
        assert!(client.call(&ongoing).topics.is_empty());

        let answer = client.call(&UnregisterBrokerRequest {
            broker_id: 9,
            ..Default::default()
        });
        assert_eq!(answer.error_code, 102);
    });
}

#[test]
fn clients_are_asked_for_the_metrics_that_their_subscriptions_name() {
    let dir = tempfile::tempdir().unwrap();
    let these_clients = format!("client_id={}.*", Client::ID);
    let subscription = [("metrics", SET, "a.,b."), ("match", SET, &these_clients)];
    with_client(dir.path(), |client| {
        let none = client.call(&GetTelemetrySubscriptionsRequest::default());
        assert_eq!((none.error_code, none.requested_metrics.len()), (0, 0));
        assert!(!none.client_instance_id.is_zero());
        let answers = client.alter(&[
            (CLIENT_METRICS, "s", &subscription),
            (CLIENT_METRICS, "t", &[("match", SET, "client_id=(")]),
        ]);
        expect![[r#"
            16 s: 0 -
            16 t: 40 Illegal client matching pattern: client_id=(
        "#]]
        .assert_eq(&answers);
        let request = GetTelemetrySubscriptionsRequest {
            client_instance_id: none.client_instance_id,
            ..Default::default()
        };
        let granted = client.call(&request);
        assert_eq!(granted.requested_metrics, ["a.", "b."]);
        assert_eq!(granted.accepted_compression_types, [4, 3, 1, 2]);
        assert_eq!(
            (granted.push_interval_ms, granted.telemetry_max_bytes),
            (300_000, 1 << 20)
        );
        let mut push = PushTelemetryRequest {
            client_instance_id: granted.client_instance_id,
            subscription_id: none.subscription_id,
            metrics: b"opaque".as_slice().into(),
            ..Default::default()
        };
        assert_eq!(client.call(&push).error_code, 117);
        push.subscription_id = granted.subscription_id;
        assert_eq!(client.call(&push).error_code, 89);
        push.terminating = true;
        assert_eq!(client.call(&push).error_code, 0);
        assert_eq!(client.call(&push).error_code, 42);
        push.client_instance_id = Default::default();
        assert_eq!(client.call(&push).error_code, 42);
    });
    with_broker(&[dir.path()], &[], |address| {
        let mut client = Client::connect(address);
        let granted = client.call(&GetTelemetrySubscriptionsRequest::default());
        assert_eq!(granted.requested_metrics, ["a.", "b."]);
        let deleted = subscription.map(|(key, _, _)| (key, DELETE, ""));
        client.alter(&[(CLIENT_METRICS, "s", &deleted)]);
        let mut other = Client::connect(address);
        let granted = other.call(&GetTelemetrySubscriptionsRequest::default());
        assert_eq!(granted.requested_metrics, [""; 0]);
    });
}

#[test]
fn replicas_move_between_log_directories() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let (a, b) = (root.join("a"), root.join("b"));
    let paths = [a.display().to_string(), b.display().to_string()];
    let mut at_the_end = String::new();
    with_broker(&[&a, &b], &[], |address| {
        let mut client = Client::connect(address);
        assert_eq!(
            client.move_to("none", &root.join("c").display().to_string()),
            57
        );
        // Nobody knows the topic; the directory is remembered.
        for (n, path) in paths.iter().enumerate() {
            let name = format!("chosen-{n}");
            assert_eq!(client.move_to(&name, path), 3);
            client.create_topic(&name, 1);
            assert!(client.replicas().contains(&(path.clone(), name, 0, false)));
        }
        let long = "x".repeat(230);
        client.create_topic(&long, 1);
        assert_eq!(client.move_to(&long, &paths[0]), 17);

        client.create_topic("moved", 1);
        let place_of = |client: &mut Client| {
            let replicas = client.replicas().into_iter();
            let moved: Vec<_> = replicas.filter(|(_, name, ..)| name == "moved").collect();
            moved
        };
        let from = place_of(&mut client)[0].0.clone();
        let to = paths.iter().find(|path| **path != from).unwrap();
        assert_eq!(client.move_to("moved", &from), 0);
        assert_eq!(client.move_to("moved", to), 0);
        while place_of(&mut client) != [(to.clone(), "moved".to_string(), 0, false)] {
            std::thread::yield_now();
        }
        at_the_end = to.clone();
    });
    // The metadata says so too: nothing is noted anew at the next start.
    with_broker(&[&a, &b], &[], |address| {
        let replicas = Client::connect(address).replicas();
        assert!(replicas.contains(&(at_the_end, "moved".to_string(), 0, false)));
    });
}
