use std::sync::Mutex;

use bytes::Bytes;
use ottla_protocol::messages::fetch_response::FetchableTopicResponse;
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use ottla_protocol::{ApiKey, Records};
use ottla_records::BatchBuilder;

use super::super::testing::{Answer, Asked, Era, FakeBroker, metadata};
use super::*;
use crate::testing::{PATIENCE, within};

/// Offsets that were asked for, by partition.
type Seen = Arc<Mutex<Vec<(i32, i64)>>>;

fn batch(base_offset: i64, count: usize) -> Bytes {
    let mut builder = BatchBuilder::default().base_offset(base_offset);
    for _ in 0..count {
        builder.append(0, None, Some(b"value"));
    }
    builder.build().unwrap()
}

fn partition(index: i32, code: ErrorCode, records: Bytes) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code: code.code(),
        high_watermark: 100,
        records: Some(Records::Bytes(records)),
        ..PartitionData::default()
    }
}

/// A broker that answers each partition of each fetch by `serve`; offsets run from 10 to 20.
fn serve(
    serve: impl Fn(usize, i32, i64) -> PartitionData + Send + Sync + 'static,
) -> (FakeBroker, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let broker = FakeBroker::start(Era::Current, |port| {
        move |asked: &Asked| match asked.key {
            ApiKey::Metadata => asked.answer(&metadata(port)),
            ApiKey::ListOffsets => asked.answer(&offsets(&asked.decode())),
            _ => {
                let request: FetchRequest = asked.decode();
                let topic = &request.topics[0];
                let mut noted = noted.lock().unwrap();
                let partitions = topic.partitions.iter().map(|wanted| {
                    noted.push((wanted.partition, wanted.fetch_offset));
                    serve(noted.len(), wanted.partition, wanted.fetch_offset)
                });
                let response = FetchResponse {
                    responses: vec![FetchableTopicResponse {
                        topic: topic.topic.clone(),
                        partitions: partitions.collect(),
                        ..FetchableTopicResponse::default()
                    }],
                    ..FetchResponse::default()
                };
                // A long poll that has nothing would be held; here nobody waits for it.
                match response.responses[0].partitions.iter().all(is_empty) {
                    true => Answer::Silence,
                    false => asked.answer(&response),
                }
            }
        }
    });
    (broker, seen)
}

fn is_empty(data: &PartitionData) -> bool {
    data.error_code == 0 && data.records.as_ref().is_none_or(Records::is_empty)
}

fn offsets(request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topic = &request.topics[0];
    let partitions = topic
        .partitions
        .iter()
        .map(|wanted| ListOffsetsPartitionResponse {
            partition_index: wanted.partition_index,
            offset: match wanted.timestamp {
                -2 => 10,
                -1 => 20,
                timestamp if timestamp > 1000 => -1,
                _ => 15,
            },
            ..ListOffsetsPartitionResponse::default()
        });
    ListOffsetsResponse {
        topics: vec![ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..ListOffsetsTopicResponse::default()
        }],
        ..ListOffsetsResponse::default()
    }
}

async fn consumer(broker: &FakeBroker, config: ConsumerConfig) -> Consumer {
    Consumer::new(within(broker.client()).await, config)
}

#[tokio::test]
async fn positions_become_offsets() {
    let (broker, _) = serve(|_, index, _| partition(index, ErrorCode::None, Bytes::new()));
    let mut consumer = consumer(&broker, ConsumerConfig::default()).await;
    for (position, expected) in [
        (Position::Earliest, 10),
        (Position::Latest, 20),
        (Position::Offset(3), 3),
        (Position::Timestamp(500), 15),
        (Position::Timestamp(5000), 20),
        (Position::Last(4), 16),
        (Position::Last(400), 10),
    ] {
        let wanted = vec![("t".to_owned(), 0, position)];
        within(consumer.assign(wanted)).await.unwrap();
        let delivered: Vec<_> = consumer.delivered().collect();
        assert_eq!(delivered, [("t", 0, expected)], "{position:?}");
    }
}

#[tokio::test]
async fn each_fetch_goes_on_behind_the_last() {
    let (broker, seen) = serve(|_, index, offset| match offset {
        10 => partition(index, ErrorCode::None, batch(10, 3)),
        13 => partition(index, ErrorCode::None, batch(13, 2)),
        _ => partition(index, ErrorCode::None, Bytes::new()),
    });
    let mut consumer = consumer(&broker, ConsumerConfig::default()).await;
    let wanted = vec![("t".to_owned(), 0, Position::Earliest)];
    within(consumer.assign(wanted)).await.unwrap();
    for expected in [13, 15] {
        let fetched = within(consumer.poll(PATIENCE)).await.unwrap().unwrap();
        assert_eq!(fetched.next_offset, expected);
        let delivered: Vec<_> = consumer.delivered().collect();
        assert_eq!(delivered, [("t", 0, expected)]);
    }
    assert!(
        within(consumer.poll(Duration::ZERO))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(seen.lock().unwrap()[..2], [(0, 10), (0, 13)]);
}

#[tokio::test]
async fn a_partition_that_moves_is_looked_up_and_read_on() {
    let (broker, _) = serve(|attempt, index, _| match attempt {
        1 => partition(index, ErrorCode::NotLeaderOrFollower, Bytes::new()),
        _ => partition(index, ErrorCode::None, batch(10, 1)),
    });
    let mut consumer = consumer(&broker, ConsumerConfig::default()).await;
    let wanted = vec![("t".to_owned(), 0, Position::Earliest)];
    within(consumer.assign(wanted)).await.unwrap();
    let before = broker.count(ApiKey::Metadata);
    let fetched = within(consumer.poll(PATIENCE)).await.unwrap().unwrap();
    assert_eq!(fetched.records.len(), 1);
    assert!(broker.count(ApiKey::Metadata) > before);
}

#[tokio::test]
async fn an_offset_that_is_gone_is_an_error_or_a_new_beginning() {
    for out_of_range in [None, Some(Position::Earliest)] {
        let (broker, seen) = serve(|_, index, offset| match offset {
            10 => partition(index, ErrorCode::None, batch(10, 1)),
            _ => partition(index, ErrorCode::OffsetOutOfRange, Bytes::new()),
        });
        let config = ConsumerConfig {
            out_of_range,
            ..ConsumerConfig::default()
        };
        let mut consumer = consumer(&broker, config).await;
        let wanted = vec![("t".to_owned(), 0, Position::Offset(5))];
        within(consumer.assign(wanted)).await.unwrap();
        match (within(consumer.poll(PATIENCE / 10)).await, out_of_range) {
            (Err(error), None) => {
                assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange));
                assert!(
                    error.to_string().starts_with("t-0 at offset 5: "),
                    "{error}"
                );
            }
            (Ok(Some(fetched)), Some(_)) => {
                assert_eq!(fetched.next_offset, 11);
                assert_eq!(seen.lock().unwrap()[..2], [(0, 5), (0, 10)]);
            }
            (other, _) => panic!("{other:?} after {:?}", seen.lock().unwrap()),
        }
    }
}

#[tokio::test]
async fn partitions_take_turns_at_the_front() {
    let (broker, seen) = serve(|_, index, offset| match (index, offset < 12) {
        // Partition 0 always has something, and would starve the other.
        (0, _) => partition(index, ErrorCode::None, batch(offset, 1)),
        (_, true) => partition(index, ErrorCode::None, batch(offset, 1)),
        (_, false) => partition(index, ErrorCode::None, Bytes::new()),
    });
    let mut consumer = consumer(&broker, ConsumerConfig::default()).await;
    let wanted = [0, 1].map(|index| ("t".to_owned(), index, Position::Earliest));
    within(consumer.assign(wanted.to_vec())).await.unwrap();
    for _ in 0..8 {
        within(consumer.poll(PATIENCE)).await.unwrap().unwrap();
    }
    let seen = seen.lock().unwrap();
    let expected = [
        (0, 10),
        (1, 10),
        (0, 11),
        (1, 11),
        (0, 12),
        (1, 12),
        // Partition 1 had nothing the last time, so it is the first to be served.
        (1, 12),
        (0, 13),
        (1, 12),
        (0, 14),
    ];
    assert_eq!(seen[..10], expected);
}
