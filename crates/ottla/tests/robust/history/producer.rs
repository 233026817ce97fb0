//! A transactional producer that is written for trouble: it repeats what was not answered, as real clients do.
//!
//! Invariant: after every call the producer knows what it may do next: go on in its transaction, or begin anew under
//! another epoch, in which case nothing of the transaction before may ever be seen unless its commit was asked for.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest,
    TxnOffsetCommitRequest,
};
use ottla_protocol::{ErrorCode, Request};
use ottla_records::{BatchBuilder, Compression, Producer};

use crate::client::{Client, produce_request};
use crate::crash::Address;
use crate::process::DEADLINE;

/// How long a client waits before it asks again what will be answered a moment later.
const BACKOFF: Duration = Duration::from_millis(5);
const TIMEOUT_MS: i32 = 60_000;

/// Which requests a client sends: those of before KIP-890, or those that leave it to the broker to add partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Explicit,
    Implicit,
}

/// The broker was killed while it had a request.
#[derive(Debug)]
pub struct Lost;

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Self {
        Self
    }
}

pub struct TransactionalProducer<'a> {
    address: &'a Address,
    client: Client,
    transactional_id: String,
    protocol: Protocol,
    id: i64,
    epoch: i16,
    /// The next sequence of each partition, under this id and epoch.
    sequences: BTreeMap<(String, i32), i32>,
}

impl<'a> TransactionalProducer<'a> {
    pub fn new(address: &'a Address, transactional_id: &str, protocol: Protocol) -> Self {
        let mut producer = Self {
            address,
            client: address.connect(),
            transactional_id: transactional_id.to_owned(),
            protocol,
            id: -1,
            epoch: -1,
            sequences: BTreeMap::new(),
        };
        producer.begin_anew();
        producer
    }

    /// Takes the transactional id over, as a process that was started again does.
    pub fn begin_anew(&mut self) {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.clone().into()),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let answer = loop {
            match self.ask(&request, 5, |answer| answer.error_code) {
                Ok(answer) => break answer,
                Err(Lost) => self.reconnect(),
            }
        };
        assert_eq!(
            answer.error_code, 0,
            "{}: {answer:?}",
            self.transactional_id
        );
        let before = (self.id, self.epoch);
        let now = (answer.producer_id, answer.producer_epoch);
        assert!(now.0 != before.0 || now.1 > before.1, "{before:?} {now:?}");
        self.follow(now);
    }

    pub fn reconnect(&mut self) {
        self.client = self.address.connect();
    }

    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Id and epoch; what a zombie goes on with.
    pub fn identity(&self) -> (i64, i16) {
        (self.id, self.epoch)
    }

    fn follow(&mut self, (id, epoch): (i64, i16)) {
        if (id, epoch) != (self.id, self.epoch) {
            self.sequences.clear();
        }
        (self.id, self.epoch) = (id, epoch);
    }

    /// Writes records to a partition, as part of the transaction.
    pub fn send(&mut self, topic: &str, partition: i32, values: &[String]) -> Result<(), Lost> {
        if self.protocol == Protocol::Explicit {
            self.add_partition(topic, partition)?;
        }
        let key = (topic.to_owned(), partition);
        let sequence = self.sequences.get(&key).copied().unwrap_or(0);
        let records = batch(values, (self.id, self.epoch), sequence);
        let error = self.produce(topic, partition, records)?;
        assert_eq!(
            error,
            ErrorCode::None,
            "{} into {key:?}",
            self.transactional_id
        );
        self.sequences.insert(key, sequence + values.len() as i32);
        Ok(())
    }

    fn produce(&mut self, topic: &str, partition: i32, records: Bytes) -> Result<ErrorCode, Lost> {
        let mut request = produce_request(topic, partition, records, -1);
        request.transactional_id = Some(self.transactional_id.clone().into());
        let version = match self.protocol {
            Protocol::Explicit => 9,
            Protocol::Implicit => 12,
        };
        let answer = self.ask(&request, version, |answer| {
            answer.responses[0].partition_responses[0].error_code
        })?;
        let code = answer.responses[0].partition_responses[0].error_code;
        Ok(ErrorCode::from_code(code))
    }

    /// Writes a record under an identity that has been replaced; it must be refused.
    pub fn send_as_zombie(&mut self, identity: (i64, i16), topic: &str) -> Result<(), Lost> {
        let records = batch(&["zombie".to_owned()], identity, 0);
        let error = self.produce(topic, 0, records)?;
        let is_refused = matches!(
            error,
            ErrorCode::InvalidProducerEpoch
                | ErrorCode::ProducerFenced
                | ErrorCode::InvalidProducerIdMapping
                | ErrorCode::InvalidTxnState
        );
        assert!(is_refused, "a zombie's record was answered with {error:?}");
        Ok(())
    }

    fn add_partition(&mut self, topic: &str, partition: i32) -> Result<(), Lost> {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone().into(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: topic.to_owned().into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        let code = |topics: &[ottla_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult]| {
            topics[0].results_by_partition[0].partition_error_code
        };
        let answer = self.ask(&request, 3, |answer| {
            code(&answer.results_by_topic_v3_and_below)
        })?;
        assert_eq!(code(&answer.results_by_topic_v3_and_below), 0, "{answer:?}");
        Ok(())
    }

    /// Commits an offset of a group, as part of the transaction.
    pub fn send_offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), Lost> {
        if self.protocol == Protocol::Explicit {
            let request = AddOffsetsToTxnRequest {
                transactional_id: self.transactional_id.clone().into(),
                producer_id: self.id,
                producer_epoch: self.epoch,
                group_id: group.to_owned().into(),
                ..Default::default()
            };
            let answer = self.ask(&request, 3, |answer| answer.error_code)?;
            assert_eq!(answer.error_code, 0, "{answer:?}");
        }
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone().into(),
            group_id: group.to_owned().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            generation_id: -1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: topic.to_owned().into(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    committed_leader_epoch: -1,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let version = match self.protocol {
            Protocol::Explicit => 3,
            Protocol::Implicit => 5,
        };
        let answer = self.ask(&request, version, |answer| {
            answer.topics[0].partitions[0].error_code
        })?;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{answer:?}");
        Ok(())
    }

    /// Ends the transaction.
    pub fn end(&mut self, committed: bool) -> Result<(), Lost> {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..Default::default()
        };
        let version = match self.protocol {
            Protocol::Explicit => 3,
            Protocol::Implicit => 5,
        };
        let answer = self.ask(&request, version, |answer| answer.error_code)?;
        let id = &self.transactional_id;
        assert_eq!(answer.error_code, 0, "{id} {committed}: {answer:?}");
        if self.protocol == Protocol::Implicit {
            self.follow((answer.producer_id, answer.producer_epoch));
        }
        Ok(())
    }

    /// Asks, and asks again while the answer is one that goes away by itself.
    fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, Lost> {
        ask(&mut self.client, request, version, code)
    }
}

/// Asks, and asks again while the answer is one that goes away by itself.
pub fn ask<R: Request>(
    client: &mut Client,
    request: &R,
    version: i16,
    code: impl Fn(&R::Response) -> i16,
) -> Result<R::Response, Lost> {
    let begun = Instant::now();
    loop {
        let answer = client.ask(request, version)?;
        let error = ErrorCode::from_code(code(&answer));
        if !error.is_retriable() {
            return Ok(answer);
        }
        assert!(begun.elapsed() < DEADLINE, "{}: {error:?}", R::KEY);
        std::thread::park_timeout(BACKOFF);
    }
}

fn batch(values: &[String], (id, epoch): (i64, i16), base_sequence: i32) -> Bytes {
    let producer = Producer {
        id,
        epoch,
        base_sequence,
    };
    let mut builder = BatchBuilder::new(Compression::NONE)
        .producer(producer)
        .transactional(true);
    for value in values {
        builder.append(1_700_000_000_000, None, Some(value.as_bytes()));
    }
    builder.build().unwrap()
}
