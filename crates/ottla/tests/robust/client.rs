//! A client that sees everything: frames as they are, and the few requests that all tests need.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ProduceRequest,
};
use ottla_protocol::{Decoder, Message, Records, Request, ResponseHeader, Str, frame};
use ottla_records::{BatchBuilder, Compression, MAX_DECOMPRESSED_BYTES, Producer, RecordIter};

/// An answer that takes longer does not come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const NONE: i16 = 0;

pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    pub offset: i64,
    pub value: Bytes,
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            correlation_id: 0,
        })
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Tells the broker that nothing more comes, and reads what it still sends.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.stream.shutdown(std::net::Shutdown::Write)?;
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The next answer, without its length; an error of kind `UnexpectedEof` if the connection is closed.
    pub fn read_frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Sends a request in `version` and reads its answer, which must decode to the last byte.
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let frame = frame::encode_request(request, version, id, Some("robust".into())).unwrap();
        self.send_raw(&frame.into_bytes().unwrap())?;
        let answer = self.read_frame()?;
        Ok(decode_answer::<R>(answer, version, id)
            .unwrap_or_else(|error| panic!("{} v{version}: {error}", R::KEY)))
    }

    /// Creates a topic, which must succeed.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&'static str, &str)],
    ) -> io::Result<()> {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: Str::from_static(name),
            value: Some(value.to_string().into()),
            ..Default::default()
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.to_owned().into(),
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = self.ask(&request, 7)?;
        assert_eq!(answer.topics[0].error_code, NONE, "{answer:?}");
        Ok(())
    }

    /// A producer id, with its epoch 0.
    pub fn init_producer(&mut self) -> io::Result<i64> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let answer = self.ask(&request, 4)?;
        assert_eq!(answer.error_code, NONE, "{answer:?}");
        Ok(answer.producer_id)
    }

    /// Produces one batch with acks=all; returns the error code and the offset of its first record.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> io::Result<(i16, i64)> {
        let answer = self.ask(&produce_request(topic, partition, records, -1), 9)?;
        let of_partition = &answer.responses[0].partition_responses[0];
        Ok((of_partition.error_code, of_partition.base_offset))
    }

    /// Every record of a partition from offset 0 to the high watermark.
    pub fn read_all(&mut self, topic: &str, partition: i32) -> io::Result<Vec<Consumed>> {
        let mut records: Vec<Consumed> = Vec::new();
        let mut next = 0;
        loop {
            let answer = self.ask(&fetch_request(topic, partition, next), 11)?;
            let of_partition = &answer.responses[0].partitions[0];
            assert_eq!(
                of_partition.error_code, NONE,
                "{topic}-{partition} at {next}"
            );
            let bytes = match &of_partition.records {
                Some(Records::Bytes(bytes)) => bytes.clone(),
                _ => Bytes::new(),
            };
            let before = next;
            let mut at = 0;
            for batch in ottla_records::batches(&bytes) {
                let batch = batch.unwrap();
                batch.verify().unwrap();
                next = batch.header().next_offset();
                let iter = RecordIter::new(&bytes.slice(at..), MAX_DECOMPRESSED_BYTES).unwrap();
                records.extend(iter.map(|record| {
                    let record = record.unwrap();
                    Consumed {
                        offset: record.offset,
                        value: record.value.unwrap_or_default(),
                    }
                }));
                at += batch.header().size();
            }
            if next >= of_partition.high_watermark {
                return Ok(records);
            }
            assert!(next > before, "no progress at {next} of {of_partition:?}");
        }
    }
}

/// Reads an answer in its version; nothing may be left over.
pub fn decode_answer<R: Request>(
    answer: Bytes,
    version: i16,
    correlation_id: i32,
) -> Result<R::Response, String> {
    let mut d = Decoder::new(answer);
    let header_version = R::KEY.response_header_version(version);
    let header = ResponseHeader::decode(&mut d, header_version).map_err(|e| e.to_string())?;
    if header.correlation_id != correlation_id {
        return Err(format!(
            "answers {} instead of {correlation_id}",
            header.correlation_id
        ));
    }
    let body = R::Response::decode(&mut d, version).map_err(|e| e.to_string())?;
    match d.remaining() {
        0 => Ok(body),
        n => Err(format!("{n} bytes after the answer")),
    }
}

/// One batch with a record per value; `producer` is an id and the first sequence.
pub fn batch(values: &[Vec<u8>], producer: Option<(i64, i32)>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    if let Some((id, base_sequence)) = producer {
        builder = builder.producer(Producer {
            id,
            epoch: 0,
            base_sequence,
        });
    }
    for value in values {
        builder.append(1_700_000_000_000, Some(b"key"), Some(value));
    }
    builder.build().unwrap()
}

pub fn produce_request(topic: &str, partition: i32, records: Bytes, acks: i16) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned().into(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(Records::Bytes(records)),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 100,
        min_bytes: 0,
        max_bytes: 8 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.to_owned().into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 8 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}
