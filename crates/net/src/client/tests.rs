use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ottla_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::messages::{
    InitProducerIdResponse, MetadataResponse, ProduceRequest, ProduceResponse,
};
use ottla_protocol::{ApiKey, ErrorCode};
use ottla_records::RawBatch;

use super::testing::{Answer, Asked, Era, FakeBroker, metadata};
use super::*;
use crate::testing::within;

#[test]
fn addresses_are_checked_and_completed() {
    for (text, expected) in [
        ("localhost", Ok("localhost:9092")),
        ("a:1, b ,c:3", Ok("a:1,b:9092,c:3")),
        ("[::1]:9093", Ok("[::1]:9093")),
        ("[::1]", Ok("[::1]:9092")),
        ("a:port", Err("a:port")),
        ("a:70000", Err("a:70000")),
        ("", Err("")),
        (" , ", Err("")),
    ] {
        match (ClientConfig::new(text), expected) {
            (Ok(config), Ok(expected)) => assert_eq!(config.bootstrap.join(","), expected),
            (Err(ClientError::InvalidAddress(address)), Err(expected)) => {
                assert_eq!(address, expected);
            }
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_highest_common_version_is_used() {
    for (era, expected) in [(Era::Current, 12), (Era::Old, -1)] {
        let broker = FakeBroker::start(era, |port| {
            move |asked: &Asked| asked.answer(&metadata(port))
        });
        let client = within(broker.client()).await;
        let result = within(client.cluster(None)).await;
        match era {
            Era::Current => {
                assert_eq!(result.unwrap().partitions("t").unwrap(), [0, 1]);
                let asked = broker.asked.lock().unwrap();
                assert!(asked.contains(&(ApiKey::Metadata, expected)), "{asked:?}");
            }
            // Metadata 0 is below what this client speaks, which the error says with all numbers.
            Era::Old => {
                let text = result.unwrap_err().to_string();
                assert!(text.contains("Metadata") && text.contains("4-12"), "{text}");
                assert!(text.contains("it serves 0-0"), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_listening_is_reported_at_once() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    drop(socket);
    let config = ClientConfig::new(&address).unwrap();
    let error = within(Client::connect(config)).await.map(drop).unwrap_err();
    assert!(matches!(error, ClientError::NoBroker { .. }), "{error}");
    assert!(error.to_string().contains(&address));
    assert!(error.hint().unwrap().contains("--bootstrap-server"));
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_given_up() {
    let broker = FakeBroker::start(Era::Current, |_| |_: &Asked| Answer::Silence);
    let mut config = broker.config();
    config.request_timeout = Duration::from_millis(50);
    config.operation_timeout = Duration::from_millis(60);
    let client = within(Client::connect(config)).await.unwrap();
    let error = within(client.cluster(None)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Timeout {
                api: ApiKey::Metadata,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let count = AtomicUsize::new(0);
    let broker = FakeBroker::start(Era::Current, |port| {
        move |asked: &Asked| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Answer::Close,
            _ => asked.answer(&metadata(port)),
        }
    });
    let client = within(broker.client()).await;
    let cluster = within(client.cluster(None)).await.unwrap();
    assert_eq!(cluster.leader("t", 1).unwrap(), 1);
    assert_eq!(broker.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error() {
    let broker = FakeBroker::start(Era::Current, |_| {
        |_: &Asked| Answer::Bytes(Bytes::from_static(b"\xff\xff"))
    });
    let client = within(broker.client()).await;
    let error = within(client.cluster(None)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Decode {
                api: ApiKey::Metadata,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn answers_find_their_callers_whatever_the_order_of_calls() {
    let broker = FakeBroker::start(Era::Current, |port| {
        move |asked: &Asked| {
            let request: MetadataRequest = asked.decode();
            let name = request.topics.unwrap()[0].name.clone();
            let mut response: MetadataResponse = metadata(port);
            response.topics[0].name = name;
            asked.answer(&response)
        }
    });
    let client = within(broker.client()).await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..100 {
        let client = client.clone();
        calls.spawn(async move {
            let name = format!("topic-{i}");
            let cluster = client.cluster(Some(&[&name])).await.unwrap();
            assert_eq!(cluster.topics.keys().collect::<Vec<_>>(), [&name]);
        });
    }
    while let Some(call) = within(calls.join_next()).await {
        call.unwrap();
    }
    assert_eq!(broker.connections.load(Ordering::SeqCst), 1);
}

fn produced(asked: &Asked, code: ErrorCode, base_offset: i64) -> Answer {
    let request: ProduceRequest = asked.decode();
    let topic = &request.topic_data[0];
    asked.answer(&ProduceResponse {
        responses: vec![TopicProduceResponse {
            name: topic.name.clone(),
            partition_responses: vec![PartitionProduceResponse {
                index: topic.partition_data[0].index,
                error_code: code.code(),
                base_offset,
                ..PartitionProduceResponse::default()
            }],
            ..TopicProduceResponse::default()
        }],
        ..ProduceResponse::default()
    })
}

fn record(value: &str) -> ProduceRecord {
    ProduceRecord {
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..ProduceRecord::default()
    }
}

/// Base sequence and number of records of a produced batch.
fn sequence(asked: &Asked) -> (i32, i32) {
    let request: ProduceRequest = asked.decode();
    let records = request.topic_data[0].partition_data[0]
        .records
        .clone()
        .unwrap();
    let batch = RawBatch::first(records.bytes().unwrap()).unwrap().unwrap();
    assert_eq!(batch.header().producer_id(), 77);
    (
        batch.header().base_sequence(),
        batch.header().record_count(),
    )
}

#[tokio::test]
async fn a_batch_is_sent_again_with_the_same_sequence() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let script = Arc::clone(&seen);
    let broker = FakeBroker::start(Era::Current, |port| {
        move |asked: &Asked| match asked.key {
            ApiKey::Metadata => asked.answer(&metadata(port)),
            ApiKey::InitProducerId => asked.answer(&InitProducerIdResponse {
                producer_id: 77,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            }),
            _ => {
                let mut seen = script.lock().unwrap();
                seen.push(sequence(asked));
                match seen.len() {
                    1 => produced(asked, ErrorCode::NotLeaderOrFollower, -1),
                    2 => Answer::Close,
                    // The second attempt had arrived after all.
                    3 => produced(asked, ErrorCode::DuplicateSequenceNumber, -1),
                    _ => produced(asked, ErrorCode::None, 3),
                }
            }
        }
    });
    let client = within(broker.client()).await;
    let mut producer = within(Producer::new(client, ProducerConfig::default()))
        .await
        .unwrap();
    for value in ["a", "b", "c"] {
        within(producer.send("t", record(value))).await.unwrap();
    }
    within(producer.flush()).await.unwrap();
    within(producer.send("t", record("d"))).await.unwrap();
    within(producer.flush()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(0, 3), (0, 3), (0, 3), (3, 1)]);
    assert_eq!(producer.produced().records, 4);
    assert_eq!(producer.produced().next_offsets[&("t".to_owned(), 0)], 4);
}

#[tokio::test]
async fn what_the_broker_refuses_for_good_is_not_sent_again() {
    let broker = FakeBroker::start(Era::Current, |port| {
        move |asked: &Asked| match asked.key {
            ApiKey::Metadata => asked.answer(&metadata(port)),
            _ => produced(asked, ErrorCode::MessageTooLarge, -1),
        }
    });
    let client = within(broker.client()).await;
    let config = ProducerConfig {
        idempotent: false,
        ..ProducerConfig::default()
    };
    let mut producer = within(Producer::new(client, config)).await.unwrap();
    within(producer.send("t", record("a"))).await.unwrap();
    let error = within(producer.flush()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    assert!(error.to_string().starts_with("t-0: "), "{error}");
    assert!(error.hint().unwrap().contains("max.message.bytes"));
    assert_eq!(broker.count(ApiKey::Produce), 1);
}

#[tokio::test]
async fn records_without_acknowledgement_do_not_wait() {
    let broker = FakeBroker::start(Era::Current, |port| {
        move |asked: &Asked| match asked.key {
            ApiKey::Metadata => asked.answer(&metadata(port)),
            _ => Answer::Nothing,
        }
    });
    let client = within(broker.client()).await;
    let config = ProducerConfig {
        acks: Acks::None,
        idempotent: false,
        ..ProducerConfig::default()
    };
    let mut producer = within(Producer::new(client, config)).await.unwrap();
    within(producer.send("t", record("a"))).await.unwrap();
    within(producer.flush()).await.unwrap();
    crate::testing::until(|| broker.count(ApiKey::Produce) == 1).await;
}
