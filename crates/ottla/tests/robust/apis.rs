//! Requests of every API in every version, with what an answer must look like.
//!
//! Each API has the default of its request, and, where that says little, requests that reach into
//! the handler: the topic `t`, things that do not exist, and values that are refused.

mod transactions;

use bytes::Bytes;
use ottla_protocol::messages::*;
use ottla_protocol::{ApiKey, Records, Request, Str, Uuid, frame};

use crate::client::{batch, decode_answer, fetch_request, produce_request};

/// One request as it goes over the wire.
#[derive(Clone)]
pub struct Sample {
    pub key: ApiKey,
    pub version: i16,
    /// The length included.
    pub frame: Bytes,
    /// A produce with acks=0: it has no answer.
    is_unanswered: bool,
    decode: fn(Bytes, i16, i32) -> Result<(), String>,
}

/// What every sample has for its correlation id.
pub const CORRELATION_ID: i32 = 0x5A5A;

impl Sample {
    pub fn is_unanswered(&self) -> bool {
        self.is_unanswered
    }

    /// Reads the answer in the request's version, to its last byte.
    pub fn check_answer(&self, answer: Bytes) -> Result<(), String> {
        (self.decode)(answer, self.version, CORRELATION_ID)
    }
}

/// The samples of all APIs; those that a broker does not advertise included.
pub fn samples(topic_id: Uuid) -> Vec<Sample> {
    let mut all = Vec::new();
    defaults(&mut all);
    data(&mut all, topic_id);
    topics(&mut all, topic_id);
    configs(&mut all);
    groups(&mut all, topic_id);
    cluster(&mut all);
    transactions::add_all(&mut all);
    all
}

/// Adds `request` in each version that can carry it.
fn add<R: Request + PartialEq>(all: &mut Vec<Sample>, request: &R) {
    for version in R::KEY.valid_versions() {
        let frame = frame::encode_request(request, version, CORRELATION_ID, Some("robust".into()));
        let Ok(frame) = frame else { continue };
        all.push(Sample {
            key: R::KEY,
            version,
            frame: frame.into_bytes().unwrap(),
            // Only the default has acks=0, and nothing else of a produce is empty.
            is_unanswered: R::KEY == ApiKey::Produce && *request == R::default(),
            decode: |answer, version, id| decode_answer::<R>(answer, version, id).map(|_| ()),
        });
    }
}

fn text(value: &'static str) -> Str {
    Str::from_static(value)
}

fn defaults(all: &mut Vec<Sample>) {
    macro_rules! add_defaults {
        ($($request:ident)*) => {
            $(add(all, &$request::default());)*
        };
    }
    // UnregisterBroker is left out: its default would take the broker itself out of the cluster.
    add_defaults! {
        ProduceRequest
        FetchRequest
        ListOffsetsRequest
        MetadataRequest
        OffsetCommitRequest
        OffsetFetchRequest
        FindCoordinatorRequest
        JoinGroupRequest
        HeartbeatRequest
        LeaveGroupRequest
        SyncGroupRequest
        DescribeGroupsRequest
        ListGroupsRequest
        SaslHandshakeRequest
        ApiVersionsRequest
        CreateTopicsRequest
        DeleteTopicsRequest
        DeleteRecordsRequest
        InitProducerIdRequest
        OffsetForLeaderEpochRequest
        AddPartitionsToTxnRequest
        AddOffsetsToTxnRequest
        EndTxnRequest
        WriteTxnMarkersRequest
        TxnOffsetCommitRequest
        DescribeAclsRequest
        CreateAclsRequest
        DeleteAclsRequest
        DescribeConfigsRequest
        AlterConfigsRequest
        AlterReplicaLogDirsRequest
        DescribeLogDirsRequest
        SaslAuthenticateRequest
        CreatePartitionsRequest
        CreateDelegationTokenRequest
        RenewDelegationTokenRequest
        ExpireDelegationTokenRequest
        DescribeDelegationTokenRequest
        DeleteGroupsRequest
        ElectLeadersRequest
        IncrementalAlterConfigsRequest
        AlterPartitionReassignmentsRequest
        ListPartitionReassignmentsRequest
        OffsetDeleteRequest
        DescribeClientQuotasRequest
        AlterClientQuotasRequest
        DescribeUserScramCredentialsRequest
        AlterUserScramCredentialsRequest
        VoteRequest
        BeginQuorumEpochRequest
        EndQuorumEpochRequest
        DescribeQuorumRequest
        AlterPartitionRequest
        UpdateFeaturesRequest
        EnvelopeRequest
        FetchSnapshotRequest
        DescribeClusterRequest
        DescribeProducersRequest
        BrokerRegistrationRequest
        BrokerHeartbeatRequest
        DescribeTransactionsRequest
        ListTransactionsRequest
        AllocateProducerIdsRequest
        ConsumerGroupHeartbeatRequest
        ConsumerGroupDescribeRequest
        ControllerRegistrationRequest
        GetTelemetrySubscriptionsRequest
        PushTelemetryRequest
        AssignReplicasToDirsRequest
        ListConfigResourcesRequest
        DescribeTopicPartitionsRequest
        ShareGroupHeartbeatRequest
        ShareGroupDescribeRequest
        ShareFetchRequest
        ShareAcknowledgeRequest
        AddRaftVoterRequest
        RemoveRaftVoterRequest
        UpdateRaftVoterRequest
        InitializeShareGroupStateRequest
        ReadShareGroupStateRequest
        WriteShareGroupStateRequest
        DeleteShareGroupStateRequest
        ReadShareGroupStateSummaryRequest
        StreamsGroupHeartbeatRequest
        StreamsGroupDescribeRequest
        DescribeShareGroupOffsetsRequest
        AlterShareGroupOffsetsRequest
        DeleteShareGroupOffsetsRequest
    }
}

fn data(all: &mut Vec<Sample>, topic_id: Uuid) {
    for topic in ["t", "nope"] {
        let records = batch(&[b"sample".to_vec()], None);
        let mut produce = produce_request(topic, 0, records, 1);
        add(all, &produce);
        produce.topic_data[0].name = text("");
        produce.topic_data[0].topic_id = topic_id;
        add(all, &produce);
        for acks in [-1, 7] {
            let mut produce = produce_request(topic, 0, Bytes::from_static(b"no batch"), acks);
            add(all, &produce);
            produce.topic_data[0].name = text("");
            produce.topic_data[0].topic_id = Uuid::from_u128(7);
            produce.topic_data[0].partition_data[0].records = Some(Records::Bytes(Bytes::new()));
            add(all, &produce);
        }
        for offset in [0, -5, 1 << 40] {
            let mut fetch = fetch_request(topic, 0, offset);
            add(all, &fetch);
            fetch.topics[0].topic = text("");
            fetch.topics[0].topic_id = topic_id;
            add(all, &fetch);
            fetch.topics[0].topic_id = Uuid::from_u128(7);
            fetch.session_epoch = 0;
            add(all, &fetch);
        }
        for timestamp in [-1, -2, -3, -4, -5, -6, -7, 0, i64::MAX] {
            let partition = list_offsets_request::ListOffsetsPartition {
                timestamp,
                ..Default::default()
            };
            let topics = vec![list_offsets_request::ListOffsetsTopic {
                name: text(topic),
                partitions: vec![partition],
                ..Default::default()
            }];
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics,
                ..Default::default()
            };
            add(all, &request);
        }
        add(all, &epochs(topic));
        let deleted = delete_records_request::DeleteRecordsTopic {
            name: text(topic),
            partitions: vec![Default::default()],
            ..Default::default()
        };
        let request = DeleteRecordsRequest {
            topics: vec![deleted],
            timeout_ms: 100,
            ..Default::default()
        };
        add(all, &request);
        let producers = describe_producers_request::TopicRequest {
            name: text(topic),
            partition_indexes: vec![0, 9],
            ..Default::default()
        };
        let request = DescribeProducersRequest {
            topics: vec![producers],
            ..Default::default()
        };
        add(all, &request);
    }
    for transactional_id in [None, Some(text("")), Some(text("tx"))] {
        let request = InitProducerIdRequest {
            transactional_id,
            transaction_timeout_ms: 1000,
            ..Default::default()
        };
        add(all, &request);
    }
}

fn epochs(topic: &'static str) -> OffsetForLeaderEpochRequest {
    let partitions =
        [0, 9].map(
            |partition| offset_for_leader_epoch_request::OffsetForLeaderPartition {
                partition,
                ..Default::default()
            },
        );
    OffsetForLeaderEpochRequest {
        topics: vec![offset_for_leader_epoch_request::OffsetForLeaderTopic {
            topic: text(topic),
            partitions: partitions.to_vec(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn topics(all: &mut Vec<Sample>, topic_id: Uuid) {
    let by_name = |name| metadata_request::MetadataRequestTopic {
        name: Some(text(name)),
        ..Default::default()
    };
    let by_id = |topic_id| metadata_request::MetadataRequestTopic {
        topic_id,
        name: None,
        ..Default::default()
    };
    for topics in [
        None,
        Some(vec![by_name("t"), by_name("nope"), by_name("a/b")]),
        Some(vec![by_id(topic_id), by_id(Uuid::from_u128(7))]),
    ] {
        for include_topic_authorized_operations in [false, true] {
            let request = MetadataRequest {
                topics: topics.clone(),
                allow_auto_topic_creation: false,
                include_topic_authorized_operations,
                ..Default::default()
            };
            add(all, &request);
        }
    }
    for name in ["t", "nope", "a/b", "sampled"] {
        for num_partitions in [-1, 0, 2] {
            let topic = create_topics_request::CreatableTopic {
                name: text(name),
                num_partitions,
                replication_factor: 1,
                ..Default::default()
            };
            let request = CreateTopicsRequest {
                topics: vec![topic],
                ..Default::default()
            };
            add(all, &request);
        }
        let grown = create_partitions_request::CreatePartitionsTopic {
            name: text(name),
            count: 2,
            ..Default::default()
        };
        let request = CreatePartitionsRequest {
            topics: vec![grown],
            ..Default::default()
        };
        add(all, &request);
        let described = describe_topic_partitions_request::TopicRequest {
            name: text(name),
            ..Default::default()
        };
        let request = DescribeTopicPartitionsRequest {
            topics: vec![described],
            response_partition_limit: 1,
            ..Default::default()
        };
        add(all, &request);
    }
    let request = DeleteTopicsRequest {
        topic_names: vec![text("nope")],
        ..Default::default()
    };
    add(all, &request);
    for (name, topic_id) in [(Some(text("nope")), Uuid::ZERO), (None, Uuid::from_u128(7))] {
        let topic = delete_topics_request::DeleteTopicState {
            name,
            topic_id,
            ..Default::default()
        };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        add(all, &request);
    }
    reassignments(all);
}

fn reassignments(all: &mut Vec<Sample>) {
    for (name, replicas) in [("t", None), ("t", Some(vec![99])), ("nope", Some(vec![1]))] {
        let partition = alter_partition_reassignments_request::ReassignablePartition {
            replicas,
            ..Default::default()
        };
        let topic = alter_partition_reassignments_request::ReassignableTopic {
            name: text(name),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        add(all, &request);
        let topic = list_partition_reassignments_request::ListPartitionReassignmentsTopics {
            name: text(name),
            partition_indexes: vec![0, 9],
            ..Default::default()
        };
        let request = ListPartitionReassignmentsRequest {
            topics: Some(vec![topic]),
            ..Default::default()
        };
        add(all, &request);
        let topic = elect_leaders_request::TopicPartitions {
            topic: text(name),
            partitions: vec![0, 9],
            ..Default::default()
        };
        for election_type in [0, 1, 5] {
            let request = ElectLeadersRequest {
                election_type,
                topic_partitions: Some(vec![topic.clone()]),
                ..Default::default()
            };
            add(all, &request);
        }
        let topic = describe_log_dirs_request::DescribableLogDirTopic {
            topic: text(name),
            partitions: vec![0, 9],
            ..Default::default()
        };
        let request = DescribeLogDirsRequest {
            topics: Some(vec![topic]),
            ..Default::default()
        };
        add(all, &request);
    }
}

fn configs(all: &mut Vec<Sample>) {
    // Topic, broker, broker logger, client metrics, group, and a kind that nobody knows.
    for (resource_type, name) in [
        (2, "t"),
        (2, "nope"),
        (2, ""),
        (4, ""),
        (4, "1"),
        (4, "99"),
        (4, "x"),
        (8, "1"),
        (16, "m"),
        (32, "g"),
        (77, "?"),
    ] {
        for configuration_keys in [None, Some(vec![]), Some(vec![text("retention.ms")])] {
            let resource = describe_configs_request::DescribeConfigsResource {
                resource_type,
                resource_name: text(name),
                configuration_keys,
                ..Default::default()
            };
            let request = DescribeConfigsRequest {
                resources: vec![resource],
                include_synonyms: true,
                include_documentation: true,
                ..Default::default()
            };
            add(all, &request);
        }
        for (key, value) in [
            ("retention.ms", Some(text("60000000"))),
            ("retention.ms", Some(text("soon"))),
            ("nope", Some(text("1"))),
            ("retention.ms", None),
        ] {
            let resource = alter_configs_request::AlterConfigsResource {
                resource_type,
                resource_name: text(name),
                configs: vec![alter_configs_request::AlterableConfig {
                    name: text(key),
                    value: value.clone(),
                    ..Default::default()
                }],
                ..Default::default()
            };
            let request = AlterConfigsRequest {
                resources: vec![resource],
                ..Default::default()
            };
            add(all, &request);
            for config_operation in [0, 1, 2, 9] {
                let resource = incremental_alter_configs_request::AlterConfigsResource {
                    resource_type,
                    resource_name: text(name),
                    configs: vec![incremental_alter_configs_request::AlterableConfig {
                        name: text(key),
                        config_operation,
                        value: value.clone(),
                        ..Default::default()
                    }],
                    ..Default::default()
                };
                let request = IncrementalAlterConfigsRequest {
                    resources: vec![resource],
                    ..Default::default()
                };
                add(all, &request);
            }
        }
        let request = ListConfigResourcesRequest {
            resource_types: vec![resource_type],
            ..Default::default()
        };
        add(all, &request);
    }
}

fn groups(all: &mut Vec<Sample>, topic_id: Uuid) {
    for group in ["g", "nope", ""].map(text) {
        for key_type in [0, 1, 2, 9] {
            let request = FindCoordinatorRequest {
                key: group.clone(),
                key_type,
                ..Default::default()
            };
            add(all, &request);
            let request = FindCoordinatorRequest {
                key_type,
                coordinator_keys: vec![group.clone()],
                ..Default::default()
            };
            add(all, &request);
        }
        members(all, &group);
        offsets(all, &group, topic_id);
        let request = DescribeGroupsRequest {
            groups: vec![group.clone()],
            ..Default::default()
        };
        add(all, &request);
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![group.clone()],
            ..Default::default()
        };
        add(all, &request);
        let request = DeleteGroupsRequest {
            groups_names: vec![group],
            ..Default::default()
        };
        add(all, &request);
    }
    let request = ListGroupsRequest {
        states_filter: vec![text("Stable"), text("nonsense")],
        ..Default::default()
    };
    add(all, &request);
    let request = ListGroupsRequest {
        types_filter: vec![text("consumer"), text("nonsense")],
        ..Default::default()
    };
    add(all, &request);
}

fn members(all: &mut Vec<Sample>, group_id: &Str) {
    for group_instance_id in [None, Some(text("instance"))] {
        let protocol = join_group_request::JoinGroupRequestProtocol {
            name: text("range"),
            ..Default::default()
        };
        let request = JoinGroupRequest {
            group_id: group_id.clone(),
            session_timeout_ms: 200,
            rebalance_timeout_ms: 100,
            group_instance_id: group_instance_id.clone(),
            protocol_type: text("consumer"),
            protocols: vec![protocol],
            ..Default::default()
        };
        add(all, &request);
        let request = SyncGroupRequest {
            group_id: group_id.clone(),
            member_id: text("nobody"),
            group_instance_id: group_instance_id.clone(),
            ..Default::default()
        };
        add(all, &request);
        let request = HeartbeatRequest {
            group_id: group_id.clone(),
            member_id: text("nobody"),
            group_instance_id: group_instance_id.clone(),
            ..Default::default()
        };
        add(all, &request);
        let member = leave_group_request::MemberIdentity {
            member_id: text("nobody"),
            group_instance_id,
            ..Default::default()
        };
        let request = LeaveGroupRequest {
            group_id: group_id.clone(),
            members: vec![member],
            ..Default::default()
        };
        add(all, &request);
    }
    let request = LeaveGroupRequest {
        group_id: group_id.clone(),
        member_id: text("nobody"),
        ..Default::default()
    };
    add(all, &request);
    for member_epoch in [0, -1, 7] {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: format!("new-{group_id}").into(),
            member_id: text("member"),
            member_epoch,
            rebalance_timeout_ms: 1000,
            subscribed_topic_names: Some(vec![text("t")]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        };
        add(all, &request);
    }
}

fn offsets(all: &mut Vec<Sample>, group_id: &Str, topic_id: Uuid) {
    for (name, topic_id) in [
        (text("t"), Uuid::ZERO),
        (text("nope"), Uuid::ZERO),
        (text(""), topic_id),
        (text(""), Uuid::from_u128(7)),
    ] {
        let topic = offset_commit_request::OffsetCommitRequestTopic {
            name: name.clone(),
            topic_id,
            partitions: vec![Default::default()],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group_id.clone(),
            topics: vec![topic],
            ..Default::default()
        };
        add(all, &request);
        let topic = offset_fetch_request::OffsetFetchRequestTopic {
            name: name.clone(),
            partition_indexes: vec![0, 9],
            ..Default::default()
        };
        for topics in [None, Some(vec![topic])] {
            let request = OffsetFetchRequest {
                group_id: group_id.clone(),
                topics,
                ..Default::default()
            };
            add(all, &request);
        }
        let topic = offset_fetch_request::OffsetFetchRequestTopics {
            name: name.clone(),
            topic_id,
            partition_indexes: vec![0, 9],
            ..Default::default()
        };
        for topics in [None, Some(vec![topic])] {
            let group = offset_fetch_request::OffsetFetchRequestGroup {
                group_id: group_id.clone(),
                topics,
                ..Default::default()
            };
            let request = OffsetFetchRequest {
                groups: vec![group],
                ..Default::default()
            };
            add(all, &request);
        }
        let topic = offset_delete_request::OffsetDeleteRequestTopic {
            name,
            partitions: vec![Default::default()],
        };
        let request = OffsetDeleteRequest {
            group_id: group_id.clone(),
            topics: vec![topic],
        };
        add(all, &request);
    }
}

fn cluster(all: &mut Vec<Sample>) {
    let request = UnregisterBrokerRequest {
        broker_id: 99,
        ..Default::default()
    };
    add(all, &request);
    for endpoint_type in [1, 2, 9] {
        let request = DescribeClusterRequest {
            endpoint_type,
            include_cluster_authorized_operations: true,
            ..Default::default()
        };
        add(all, &request);
    }
    for name in ["__cluster_metadata", "t"] {
        let topic = describe_quorum_request::TopicData {
            topic_name: text(name),
            partitions: vec![Default::default()],
            ..Default::default()
        };
        let request = DescribeQuorumRequest {
            topics: vec![topic],
            ..Default::default()
        };
        add(all, &request);
    }
    for feature in ["nope", "metadata.version"].map(text) {
        let update = update_features_request::FeatureUpdateKey {
            feature,
            max_version_level: 999,
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: vec![update],
            ..Default::default()
        };
        add(all, &request);
    }
    for entity_type in ["client-id", "user", "ip", "nope"].map(text) {
        let entity = alter_client_quotas_request::EntityData {
            entity_type: entity_type.clone(),
            entity_name: Some(text("somebody")),
            ..Default::default()
        };
        let entry = alter_client_quotas_request::EntryData {
            entity: vec![entity],
            ops: vec![alter_client_quotas_request::OpData {
                key: text("producer_byte_rate"),
                value: 1e9,
                ..Default::default()
            }],
            ..Default::default()
        };
        let request = AlterClientQuotasRequest {
            entries: vec![entry],
            ..Default::default()
        };
        add(all, &request);
        for (match_type, r#match) in [(0, Some(text("somebody"))), (1, None), (2, None), (9, None)]
        {
            let component = describe_client_quotas_request::ComponentData {
                entity_type: entity_type.clone(),
                match_type,
                r#match,
                ..Default::default()
            };
            let request = DescribeClientQuotasRequest {
                components: vec![component],
                ..Default::default()
            };
            add(all, &request);
        }
    }
}
