//! The same messages through another project's codec, `kafka-protocol`: bytes must not differ.
//!
//! It stands for the clients that are not Kafka's own. What each codec makes of a message that the
//! other has built field by field is compared as well.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as _, StrBytes};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{MetadataRequest, ProduceRequest};
use ottla_protocol::{Message, Records};

/// Lets their codec decode and encode what Apache Kafka wrote (and ours keeps, as the unit tests
/// show), in every version that both have.
macro_rules! recode_all {
    ($($name:ident),* $(,)?) => {{
        let mut compared = 0;
        $(for (version, bytes) in written(stringify!($name)) {
            let versions = theirs::$name::VERSIONS;
            if (versions.min..=versions.max).contains(&version) {
                let mut rest = bytes.clone();
                let message = theirs::$name::decode(&mut rest, version)
                    .unwrap_or_else(|error| panic!("{} v{version}: {error}", stringify!($name)));
                let mut recoded = BytesMut::new();
                message.encode(&mut recoded, version).expect("what was decoded");
                assert_eq!(recoded, bytes, "{} v{version}", stringify!($name));
                let ours = ottla_protocol::messages::$name::from_bytes(recoded.freeze(), version);
                assert_eq!(ours.and_then(|m| Ok(m.to_bytes(version))), Ok(Ok(bytes)));
                compared += 1;
            }
        })*
        compared
    }};
}

fn written(name: &str) -> Vec<(i16, Bytes)> {
    let lines = include_str!("kafka/messages.txt").lines();
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split_once(' '))
        .map(|(version, hex)| (version.parse().expect("a version"), from_hex(hex).into()))
        .collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16);
    (0..text.len())
        .step_by(2)
        .map(|at| digit(at).expect("hex digits"))
        .collect()
}

#[test]
fn the_messages_of_clients_are_alike() {
    let compared = recode_all!(
        ProduceRequest,
        ProduceResponse,
        FetchRequest,
        FetchResponse,
        ListOffsetsRequest,
        ListOffsetsResponse,
        MetadataRequest,
        MetadataResponse,
        OffsetCommitRequest,
        OffsetCommitResponse,
        OffsetFetchRequest,
        OffsetFetchResponse,
        FindCoordinatorRequest,
        FindCoordinatorResponse,
        JoinGroupRequest,
        JoinGroupResponse,
        HeartbeatRequest,
        HeartbeatResponse,
        LeaveGroupRequest,
        LeaveGroupResponse,
        SyncGroupRequest,
        SyncGroupResponse,
        ApiVersionsRequest,
        ApiVersionsResponse,
        CreateTopicsRequest,
        CreateTopicsResponse,
        DeleteTopicsRequest,
        DeleteTopicsResponse,
        InitProducerIdRequest,
        InitProducerIdResponse,
        DescribeConfigsRequest,
        DescribeConfigsResponse,
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupHeartbeatResponse,
    );
    assert!(compared > 150, "{compared}");
}

#[test]
fn a_metadata_request_is_built_alike() {
    for version in 0..=8 {
        let ours = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some("topic".into()),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let topic = theirs::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(theirs::TopicName(StrBytes::from_static_str("topic"))));
        let request = theirs::MetadataRequest::default().with_topics(Some(vec![topic]));
        assert_eq!(
            ours.to_bytes(version),
            Ok(encoded(&request, version)),
            "v{version}"
        );
    }
}

#[test]
fn a_produce_request_is_built_alike() {
    let records = Bytes::from_static(b"not looked at");
    for version in 3..=12 {
        let ours = ProduceRequest {
            acks: -1,
            timeout_ms: 1500,
            topic_data: vec![TopicProduceData {
                name: "topic".into(),
                partition_data: vec![PartitionProduceData {
                    index: 3,
                    records: Some(Records::Bytes(records.clone())),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let partition = theirs::produce_request::PartitionProduceData::default()
            .with_index(3)
            .with_records(Some(records.clone()));
        let topic = theirs::produce_request::TopicProduceData::default()
            .with_name(theirs::TopicName(StrBytes::from_static_str("topic")))
            .with_partition_data(vec![partition]);
        let request = theirs::ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1500)
            .with_topic_data(vec![topic]);
        assert_eq!(
            ours.to_bytes(version),
            Ok(encoded(&request, version)),
            "v{version}"
        );
    }
}

fn encoded(message: &impl Encodable, version: i16) -> Bytes {
    let mut buf = BytesMut::new();
    message
        .encode(&mut buf, version)
        .expect("a message that the version carries");
    buf.freeze()
}
