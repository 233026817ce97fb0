//! What transactional requests are refused with over a socket, where neither the coordinator's machine nor the log
//! decides alone.

use expect_test::{Expect, expect};
use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use ottla_protocol::messages::*;
use ottla_protocol::{ErrorCode, Records, Str};
use ottla_records::{BatchBuilder, Compression, Producer as BatchProducer};

use crate::client::Client;

const TOPIC: &str = "orders";
const TRANSACTIONAL_ID: &str = "shop";
/// The last version whose topics are named by name.
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;

#[derive(Debug, Clone, Copy)]
struct Producer {
    id: i64,
    epoch: i16,
}

#[derive(Clone, Copy)]
struct Batch {
    producer: Producer,
    sequence: i32,
    is_transactional: bool,
}

/// Runs `test` against a broker with a topic of two partitions and coordinators that are ready.
fn with_broker(settings: &[&str], test: impl FnOnce(&mut Client)) {
    let dir = tempfile::tempdir().unwrap();
    let mut all = vec![
        "offsets.topic.num.partitions=1",
        "transaction.state.log.num.partitions=1",
    ];
    all.extend(settings);
    crate::with_broker(&[dir.path()], &all, |address| {
        let mut client = Client::connect(address);
        client.create_topic(TOPIC, 2);
        test(&mut client);
    });
}

impl Client {
    /// Takes the transactional id over, once its coordinator is there.
    fn init(&mut self) -> Producer {
        let find = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec![TRANSACTIONAL_ID.into()],
            ..Default::default()
        };
        assert_eq!(self.call(&find).coordinators[0].error_code, 0);
        let request = InitProducerIdRequest {
            transactional_id: Some(TRANSACTIONAL_ID.into()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        loop {
            // The newest version is not stable yet.
            let answer = self.call_in(5, &request);
            match ErrorCode::from_code(answer.error_code) {
                ErrorCode::None => {
                    break Producer {
                        id: answer.producer_id,
                        epoch: answer.producer_epoch,
                    };
                }
                ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {}
                error => panic!("{error:?}"),
            }
        }
    }

    /// Produces a batch to each partition; shows error and log start of each.
    fn produce(&mut self, transactional_id: Option<&str>, batches: &[(i32, Batch)]) -> String {
        let partition = |(index, batch): &(i32, Batch)| PartitionProduceData {
            index: *index,
            records: Some(Records::Bytes(batch.build())),
            ..Default::default()
        };
        let request = ProduceRequest {
            transactional_id: transactional_id.map(Str::from),
            acks: -1,
            timeout_ms: 5000,
            topic_data: vec![TopicProduceData {
                name: TOPIC.into(),
                partition_data: batches.iter().map(partition).collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = self.call_in(PRODUCE_VERSION, &request);
        let line = |partition: &produce_response::PartitionProduceResponse| {
            let error = ErrorCode::from_code(partition.error_code);
            format!(
                "{} {error:?} start={}\n",
                partition.index, partition.log_start_offset
            )
        };
        answer.responses[0]
            .partition_responses
            .iter()
            .map(line)
            .collect()
    }

    fn write_marker(&mut self, producer: Producer) -> ErrorCode {
        let marker = WritableTxnMarker {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            topics: vec![WritableTxnMarkerTopic {
                name: TOPIC.into(),
                partition_indexes: vec![0],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = self.call(&WriteTxnMarkersRequest {
            markers: vec![marker],
            ..Default::default()
        });
        ErrorCode::from_code(answer.markers[0].topics[0].partitions[0].error_code)
    }

    /// Commits once the group's coordinator is there.
    fn commit_offset(&mut self, group_id: &str, producer: Producer) -> ErrorCode {
        let topic = TxnOffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                committed_offset: 7,
                ..Default::default()
            }],
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: TRANSACTIONAL_ID.into(),
            group_id: group_id.into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            topics: vec![topic],
            ..Default::default()
        };
        loop {
            // The last version that verifies and adds nothing.
            let answer = self.call_in(4, &request);
            match ErrorCode::from_code(answer.topics[0].partitions[0].error_code) {
                ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {}
                code => return code,
            }
        }
    }

    fn add_offsets(&mut self, producer: Producer) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: TRANSACTIONAL_ID.into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group_id: "group".into(),
            ..Default::default()
        };
        ErrorCode::from_code(self.call(&request).error_code)
    }
}

impl Batch {
    fn build(self) -> bytes::Bytes {
        let Producer { id, epoch } = self.producer;
        let producer = BatchProducer {
            id,
            epoch,
            base_sequence: self.sequence,
        };
        let mut batch = BatchBuilder::new(Compression::NONE)
            .producer(producer)
            .transactional(self.is_transactional);
        batch.append(1_700_000_000_000, None, Some(b"value"));
        batch.build().unwrap()
    }
}

fn check(actual: &str, expected: Expect) {
    expected.assert_eq(actual);
}

#[test]
fn records_of_a_transaction_need_a_transactional_id() {
    with_broker(&[], |client| {
        let producer = client.init();
        let batch = |is_transactional| Batch {
            producer,
            sequence: 0,
            is_transactional,
        };
        let refused = client.produce(None, &[(0, batch(true)), (1, batch(false))]);
        check(
            &refused,
            expect![[r#"
            0 TransactionalIdAuthorizationFailed start=-1
            1 TransactionalIdAuthorizationFailed start=-1
        "#]],
        );
    });
}

#[test]
fn records_of_two_producers_are_refused_whole() {
    with_broker(&[], |client| {
        let producer = client.init();
        let stranger = Producer { id: 4242, epoch: 0 };
        let batch = |producer| Batch {
            producer,
            sequence: 0,
            is_transactional: true,
        };
        let refused = client.produce(
            Some(TRANSACTIONAL_ID),
            &[(0, batch(producer)), (1, batch(stranger))],
        );
        check(
            &refused,
            expect![[r#"
            0 InvalidProducerIdMapping start=-1
            1 InvalidProducerIdMapping start=-1
        "#]],
        );
        let taken = client.produce(Some(TRANSACTIONAL_ID), &[(0, batch(producer))]);
        check(
            &taken,
            expect![[r#"
            0 None start=0
        "#]],
        );
    });
}

#[test]
fn what_is_wrong_with_a_producer_is_answered_with_the_log_start() {
    with_broker(&[], |client| {
        let producer = client.init();
        let batch = |sequence, is_transactional| Batch {
            producer,
            sequence,
            is_transactional,
        };
        let id = Some(TRANSACTIONAL_ID);
        let mut answers = client.produce(id, &[(0, batch(0, true))]);
        answers += &client.produce(id, &[(0, batch(5, true))]);
        answers += &client.produce(id, &[(0, batch(1, false))]);
        check(
            &answers,
            expect![[r#"
            0 None start=0
            0 OutOfOrderSequenceNumber start=0
            0 InvalidTxnState start=0
        "#]],
        );
    });
}

#[test]
fn markers_and_offsets_of_nobody_are_refused() {
    with_broker(
        &["transaction.partition.verification.enable=false"],
        |client| {
            let producer = client.init();
            assert_eq!(client.add_offsets(producer), ErrorCode::None);
            let without_epoch = Producer {
                epoch: -1,
                ..producer
            };
            assert_eq!(
                client.write_marker(without_epoch),
                ErrorCode::InvalidProducerEpoch
            );
            assert_eq!(
                client.commit_offset("group", without_epoch),
                ErrorCode::InvalidProducerEpoch
            );
            let nobody = Producer { id: -1, epoch: 0 };
            assert_eq!(
                client.write_marker(nobody),
                ErrorCode::InvalidProducerIdMapping
            );
            assert_eq!(
                client.commit_offset("group", nobody),
                ErrorCode::InvalidProducerIdMapping
            );
            assert_eq!(client.commit_offset("group", producer), ErrorCode::None);
        },
    );
}

#[test]
fn offsets_join_a_transaction_before_anybody_asked_for_a_group() {
    with_broker(&[], |client| {
        let producer = client.init();
        assert_eq!(client.add_offsets(producer), ErrorCode::None);
        assert_eq!(
            client.commit_offset("", producer),
            ErrorCode::InvalidGroupId
        );
        // An epoch that cannot be is the coordinator's to refuse, not the partition's, which knows of no producer.
        let strange = Producer {
            id: producer.id + 1,
            epoch: -2,
        };
        assert_eq!(
            client.commit_offset("group", strange),
            ErrorCode::InvalidProducerIdMapping
        );
    });
}

#[test]
fn a_fetch_that_fails_says_nothing_of_aborted_transactions() {
    with_broker(&[], |client| {
        let partition = FetchPartition {
            fetch_offset: 99,
            partition_max_bytes: 1024,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = FetchRequest {
            max_bytes: 1024,
            isolation_level: 1,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = client
            .call_in(FETCH_VERSION, &request)
            .responses
            .remove(0)
            .partitions
            .remove(0);
        assert_eq!(
            ErrorCode::from_code(answer.error_code),
            ErrorCode::OffsetOutOfRange
        );
        assert_eq!(answer.aborted_transactions, None);
    });
}

#[test]
fn a_pattern_of_transactional_ids_must_be_one_by_itself() {
    with_broker(&[], |client| {
        client.init();
        let mut list = |pattern: &str| {
            let request = ListTransactionsRequest {
                duration_filter: -1,
                transactional_id_pattern: Some(pattern.into()),
                ..Default::default()
            };
            let answer = client.call(&request);
            (
                ErrorCode::from_code(answer.error_code),
                answer.transaction_states.len(),
            )
        };
        assert_eq!(list("s.op|x"), (ErrorCode::None, 1));
        assert_eq!(list("s.o"), (ErrorCode::None, 0));
        assert_eq!(list("x)|(s.*"), (ErrorCode::InvalidRegularExpression, 0));
    });
}

#[test]
fn producers_of_a_topic_that_is_not_there_are_refused_in_words() {
    with_broker(&[], |client| {
        let mut describe = |name: &str| {
            let topic = TopicRequest {
                name: name.into(),
                partition_indexes: vec![5],
                ..Default::default()
            };
            let request = DescribeProducersRequest {
                topics: vec![topic],
                ..Default::default()
            };
            let partition = client.call(&request).topics.remove(0).partitions.remove(0);
            (
                ErrorCode::from_code(partition.error_code),
                partition.error_message.is_some(),
            )
        };
        assert_eq!(describe(TOPIC), (ErrorCode::UnknownTopicOrPartition, false));
        assert_eq!(
            describe("nowhere"),
            (ErrorCode::UnknownTopicOrPartition, true)
        );
    });
}
