//! Sends records in batches, one request per leader at a time, in order.
//!
//! Invariant: batches of a partition are sent one after the other, so retries keep the order; with
//! idempotence the broker also keeps each record single. Memory holds one batch that fills and one
//! that is under way for each partition.
//! Used by `ottla produce`.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use ottla_protocol::{ErrorCode, Records, Str};
use ottla_records::{BatchBuilder, Compression, Producer as ProducerIdentity, increment_sequence};
use tokio::task::JoinSet;

use super::error::ClientError;
use super::partitioner::Partitioner;
use super::{Client, Purpose, check};

const PRODUCE_VERSIONS: RangeInclusive<i16> = 3..=12;
const INIT_PRODUCER_ID_VERSIONS: RangeInclusive<i16> = 0..=5;

/// How many acknowledgements a write needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    /// As on the wire.
    pub fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

#[derive(Debug, Clone)]
pub struct ProducerConfig {
    pub acks: Acks,
    pub compression: Compression,
    /// A batch is sent when its records, before compression, reach this size.
    pub batch_bytes: usize,
    /// The largest record, with its overhead.
    pub record_bytes_max: usize,
    /// Lets the broker recognise what it has already. Needs `Acks::All`.
    pub idempotent: bool,
    /// Lets the broker create topics that do not exist, if it is configured to.
    pub create_topics: bool,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        ProducerConfig {
            acks: Acks::All,
            compression: Compression::NONE,
            batch_bytes: 256 * 1024,
            record_bytes_max: 64 * 1024 * 1024,
            idempotent: true,
            create_topics: true,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct ProduceRecord {
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// `None` leaves the choice to the key.
    pub partition: Option<i32>,
}

/// What has been acknowledged so far.
#[derive(Debug, Clone, Default)]
pub struct Produced {
    pub records: u64,
    pub batches: u64,
    /// Bytes of batches, compressed.
    pub bytes: u64,
    /// Next offset by topic and partition, where the broker told it.
    pub next_offsets: HashMap<(String, i32), i64>,
}

pub struct Producer {
    client: Client,
    config: ProducerConfig,
    identity: Option<(i64, i16)>,
    topics: HashMap<String, Topic>,
    sending: JoinSet<Result<Produced, ClientError>>,
    produced: Produced,
}

struct Topic {
    partitioner: Partitioner,
    partitions: HashMap<i32, Filling>,
}

#[derive(Default)]
struct Filling {
    builder: Option<BatchBuilder>,
    next_sequence: i32,
}

/// A batch on its way.
#[derive(Clone)]
struct Batch {
    topic: String,
    partition: i32,
    records: i32,
    bytes: Bytes,
}

impl Batch {
    fn subject(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

impl Producer {
    pub async fn new(client: Client, config: ProducerConfig) -> Result<Producer, ClientError> {
        let identity = match config.idempotent {
            true => Some(init_producer_id(&client).await?),
            false => None,
        };
        Ok(Producer {
            client,
            config,
            identity,
            topics: HashMap::new(),
            sending: JoinSet::new(),
            produced: Produced::default(),
        })
    }

    /// Takes a record into its batch, and sends what is full.
    ///
    /// Waits while the batches before are under way; an error of theirs is reported here.
    pub async fn send(&mut self, topic: &str, record: ProduceRecord) -> Result<(), ClientError> {
        let headers: Vec<(&[u8], Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_deref()))
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let size = BatchBuilder::record_size_max(key, value, &headers);
        if size > self.config.record_bytes_max {
            return Err(ClientError::RecordTooLarge {
                bytes: size,
                max: self.config.record_bytes_max,
            });
        }
        let (partition, is_full) = {
            let batch_bytes = self.config.batch_bytes;
            let topic = self.topic(topic).await?;
            let partition = match record.partition {
                Some(partition) => partition,
                None => topic.partitioner.choose(key).unwrap_or(0),
            };
            let filling = topic.partitions.get(&partition);
            let filled = filling
                .and_then(|filling| filling.builder.as_ref())
                .map_or(0, BatchBuilder::uncompressed_size);
            let is_full = filled > 0 && filled + size > batch_bytes;
            if is_full && record.key.is_none() && record.partition.is_none() {
                topic.partitioner.batch_is_full();
            }
            (partition, is_full)
        };
        if is_full {
            self.start_sending().await?;
        }
        let compression = self.config.compression;
        let filling = self
            .topic(topic)
            .await?
            .partitions
            .entry(partition)
            .or_default();
        filling
            .builder
            .get_or_insert_with(|| BatchBuilder::new(compression))
            .append_with_headers(record.timestamp, key, value, &headers);
        Ok(())
    }

    /// Sends everything and waits until it is acknowledged.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        self.start_sending().await?;
        self.finish_sending().await
    }

    pub fn produced(&self) -> &Produced {
        &self.produced
    }

    async fn topic(&mut self, name: &str) -> Result<&mut Topic, ClientError> {
        // A look-up by reference and then an entry: records far outnumber topics.
        if !self.topics.contains_key(name) {
            let client = &self.client;
            let create = self.config.create_topics;
            let cluster = client
                .retry(|| async {
                    let cluster = client.metadata(Some(&[name]), create).await?;
                    cluster.topic(name)?;
                    Ok(cluster)
                })
                .await?;
            let partitions = cluster.partitions(name)?;
            if partitions.is_empty() {
                return Err(ClientError::refused(
                    format!("topic {name}"),
                    ErrorCode::LeaderNotAvailable.code(),
                    None,
                ));
            }
            let start = self.produced.batches as usize;
            let topic = Topic {
                partitioner: Partitioner::new(partitions, start),
                partitions: HashMap::new(),
            };
            self.topics.insert(name.to_owned(), topic);
        }
        self.topics
            .get_mut(name)
            .ok_or_else(|| ClientError::Missing {
                api: ottla_protocol::ApiKey::Metadata,
                subject: format!("topic {name}"),
            })
    }

    /// Waits for the batches before, then sends what has been gathered since.
    async fn start_sending(&mut self) -> Result<(), ClientError> {
        self.finish_sending().await?;
        let batches = self.take_batches()?;
        for batch in batches {
            let client = self.client.clone();
            let acks = self.config.acks;
            self.sending.spawn(send_batch(client, acks, batch));
        }
        Ok(())
    }

    async fn finish_sending(&mut self) -> Result<(), ClientError> {
        while let Some(joined) = self.sending.join_next().await {
            let sent = joined.map_err(|_| ClientError::TaskFailed("a produce"))??;
            self.produced.records += sent.records;
            self.produced.batches += sent.batches;
            self.produced.bytes += sent.bytes;
            self.produced.next_offsets.extend(sent.next_offsets);
        }
        Ok(())
    }

    fn take_batches(&mut self) -> Result<Vec<Batch>, ClientError> {
        let mut batches = Vec::new();
        for (topic, state) in &mut self.topics {
            for (partition, filling) in &mut state.partitions {
                let Some(builder) = filling.builder.take() else {
                    continue;
                };
                let records = builder.record_count();
                let builder = match self.identity {
                    None => builder,
                    Some((id, epoch)) => {
                        let base_sequence = filling.next_sequence;
                        filling.next_sequence = increment_sequence(base_sequence, records);
                        builder.producer(ProducerIdentity {
                            id,
                            epoch,
                            base_sequence,
                        })
                    }
                };
                let bytes = builder.build().map_err(|source| ClientError::Batch {
                    subject: format!("{topic}-{partition}"),
                    source,
                })?;
                batches.push(Batch {
                    topic: topic.clone(),
                    partition: *partition,
                    records,
                    bytes,
                });
            }
        }
        Ok(batches)
    }
}

async fn init_producer_id(client: &Client) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        // Without transactions nothing reads it, but it must be positive.
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    client
        .retry(|| async {
            let response = client
                .any()
                .await?
                .call(&request, &INIT_PRODUCER_ID_VERSIONS, Duration::ZERO)
                .await?;
            check(|| "a producer id".to_owned(), response.error_code, None)?;
            Ok((response.producer_id, response.producer_epoch))
        })
        .await
}

/// Sends one batch to whoever leads its partition, until it is acknowledged.
async fn send_batch(client: Client, acks: Acks, batch: Batch) -> Result<Produced, ClientError> {
    let next_offset = client
        .retry(|| async {
            let sent = send_once(&client, acks, &batch).await;
            if sent.as_ref().is_err_and(ClientError::is_retriable) {
                // The leader may be another by now.
                client.cluster(Some(&[&batch.topic])).await?;
            }
            sent
        })
        .await?;
    let next_offsets = next_offset.map(|offset| ((batch.topic.clone(), batch.partition), offset));
    Ok(Produced {
        records: batch.records.unsigned_abs().into(),
        batches: 1,
        bytes: batch.bytes.len() as u64,
        next_offsets: next_offsets.into_iter().collect(),
    })
}

/// The offset behind the batch, if the broker tells.
async fn send_once(client: &Client, acks: Acks, batch: &Batch) -> Result<Option<i64>, ClientError> {
    let timeout = client.config().request_timeout;
    let request = ProduceRequest {
        acks: acks.code(),
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: vec![TopicProduceData {
            name: Str::from(batch.topic.as_str()),
            partition_data: vec![PartitionProduceData {
                index: batch.partition,
                records: Some(Records::Bytes(batch.bytes.clone())),
                ..PartitionProduceData::default()
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let known = std::sync::Arc::clone(&client.known_cluster());
    let leader = match known.leader(&batch.topic, batch.partition) {
        Ok(leader) => leader,
        // Another topic was asked for last.
        Err(_) => {
            let cluster = client.cluster(Some(&[&batch.topic])).await?;
            cluster.leader(&batch.topic, batch.partition)?
        }
    };
    if acks == Acks::None {
        client
            .tell_broker(leader, &request, PRODUCE_VERSIONS)
            .await?;
        return Ok(None);
    }
    let response = client
        .call_broker(
            leader,
            Purpose::General,
            &request,
            PRODUCE_VERSIONS,
            timeout,
        )
        .await?;
    read_answer(&response, batch)
}

fn read_answer(response: &ProduceResponse, batch: &Batch) -> Result<Option<i64>, ClientError> {
    let answer = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .next()
        .ok_or_else(|| ClientError::Missing {
            api: ottla_protocol::ApiKey::Produce,
            subject: batch.subject(),
        })?;
    match ErrorCode::from_code(answer.error_code) {
        // It was there already: an earlier attempt had arrived, and only its answer was lost.
        ErrorCode::DuplicateSequenceNumber => Ok(None),
        ErrorCode::None if answer.base_offset < 0 => Ok(None),
        ErrorCode::None => Ok(Some(answer.base_offset + i64::from(batch.records))),
        _ => {
            let of_record = answer
                .record_errors
                .first()
                .and_then(|error| error.batch_index_error_message.as_deref());
            Err(ClientError::refused(
                batch.subject(),
                answer.error_code,
                answer.error_message.as_deref().or(of_record),
            ))
        }
    }
}
