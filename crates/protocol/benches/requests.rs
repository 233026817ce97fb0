//! What decoding a request and encoding an answer cost: `cargo bench -p ottla-protocol`.

use bytes::Bytes;
use divan::{Bencher, black_box};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{FetchRequest, FetchResponse, OffsetCommitRequest, ProduceRequest};
use ottla_protocol::{Message, Records, Str, Uuid, frame};

const PRODUCE_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 17;
const COMMIT_VERSION: i16 = 9;

fn main() {
    divan::main();
}

fn produce(partitions: i32, bytes: usize) -> ProduceRequest {
    let partition = |index| PartitionProduceData {
        index,
        records: Some(Records::Bytes(Bytes::from(vec![0; bytes]))),
        ..PartitionProduceData::default()
    };
    ProduceRequest {
        acks: -1,
        topic_data: vec![TopicProduceData {
            topic_id: Uuid::from_u128(7),
            partition_data: (0..partitions).map(partition).collect(),
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

/// The records are slices of the frame: their size must not matter.
#[divan::bench(args = [(1, 100), (1, 1 << 20), (100, 100)])]
fn decode_produce(bencher: Bencher<'_, '_>, (partitions, bytes): (i32, usize)) {
    let body = produce(partitions, bytes)
        .to_bytes(PRODUCE_VERSION)
        .unwrap();
    bencher
        .bench(|| ProduceRequest::from_bytes(black_box(&body).clone(), PRODUCE_VERSION).unwrap());
}

#[divan::bench(args = [1, 10, 1000])]
fn decode_fetch(bencher: Bencher<'_, '_>, partitions: i32) {
    let partition = |partition| FetchPartition {
        partition,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let request = FetchRequest {
        topics: vec![FetchTopic {
            topic_id: Uuid::from_u128(7),
            partitions: (0..partitions).map(partition).collect(),
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let body = request.to_bytes(FETCH_VERSION).unwrap();
    bencher.bench(|| FetchRequest::from_bytes(black_box(&body).clone(), FETCH_VERSION).unwrap());
}

#[divan::bench]
fn decode_offset_commit(bencher: Bencher<'_, '_>) {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 1000,
        ..OffsetCommitRequestPartition::default()
    };
    let request = OffsetCommitRequest {
        group_id: Str::from_static("group-of-some-name"),
        member_id: Str::from_static("consumer-group-of-some-name-1-0b8a-4c3e"),
        topics: vec![OffsetCommitRequestTopic {
            name: Str::from_static("orders"),
            partitions: (0..2).map(partition).collect(),
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let body = request.to_bytes(COMMIT_VERSION).unwrap();
    bencher.bench(|| {
        OffsetCommitRequest::from_bytes(black_box(&body).clone(), COMMIT_VERSION).unwrap()
    });
}

/// With places for the records, which are sent from the log.
#[divan::bench(args = [1, 10, 1000])]
fn encode_fetch_answer(bencher: Bencher<'_, '_>, partitions: i32) {
    let partition = |partition_index| PartitionData {
        partition_index,
        high_watermark: 1000,
        records: Some(Records::Bytes(Bytes::from_static(b"records"))),
        ..PartitionData::default()
    };
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic_id: Uuid::from_u128(7),
            partitions: (0..partitions).map(partition).collect(),
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    };
    bencher.bench(|| {
        frame::encode_response::<FetchRequest>(black_box(&response), FETCH_VERSION, 1).unwrap()
    });
}
