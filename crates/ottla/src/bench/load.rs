//! Produce requests made before the run, and those that are made while it goes on.
//!
//! Bulk load sends the same frames again and again: only the correlation id changes, and with
//! idempotence the sequence in the headers of the batches. Latency load builds small batches whose
//! records carry the moment at which they were due.
//! Used by `produce.rs`, `latency.rs` and `compaction.rs`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_net::client::ClientError;
use ottla_protocol::Records;
use ottla_protocol::Str;
use ottla_protocol::messages::ProduceRequest;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_records::{BatchBuilder, Compression, Producer};

use super::pipe;
use super::under_way::Sent;

/// What the records of a load look like.
#[derive(Debug, Clone)]
pub struct Shape {
    pub topic: String,
    /// -1, 0 or 1, as on the wire.
    pub acks: i16,
    /// Bytes of a record's value.
    pub record_bytes: usize,
    pub keyed: bool,
    pub compression: Compression,
    /// Values of noise, or of one letter.
    pub random: bool,
}

/// The key of a keyed record has this many bytes.
pub const KEY_BYTES: usize = 16;

/// A request that can be sent many times.
pub struct Prepared {
    pub frame: Vec<u8>,
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Prepared {
    /// The request as it leaves now.
    pub fn sent(&self, due: Instant) -> Sent {
        Sent {
            due,
            sent: Instant::now(),
            records: self.records,
            bytes: self.bytes,
        }
    }
}

impl Shape {
    /// A request with one batch of `batch_bytes` for each of `partitions`.
    pub fn prepare(
        &self,
        version: i16,
        partitions: &[i32],
        batch_bytes: usize,
    ) -> Result<Prepared, ClientError> {
        let mut noise = fastrand::Rng::with_seed(1);
        let record = self.bytes_of_record();
        let per_batch = self.records_in(batch_bytes);
        let batches = partitions
            .iter()
            .map(|partition| Ok((*partition, self.batch(per_batch, &mut noise)?)))
            .collect::<Result<Vec<_>, ClientError>>()?;
        let records = per_batch as u64 * partitions.len() as u64;
        Ok(Prepared {
            frame: self.request(version, batches)?.to_vec(),
            records,
            bytes: records * record as u64,
        })
    }

    /// Bytes of a record's key and value.
    pub fn bytes_of_record(&self) -> usize {
        self.record_bytes + if self.keyed { KEY_BYTES } else { 0 }
    }

    /// How many records make a batch of `batch_bytes`.
    pub fn records_in(&self, batch_bytes: usize) -> usize {
        (batch_bytes / self.bytes_of_record().max(1)).max(1)
    }

    fn batch(&self, records: usize, noise: &mut fastrand::Rng) -> Result<Bytes, ClientError> {
        let keys = (0..records).map(|_| noise.u128(..)).collect::<Vec<_>>();
        self.batch_of(keys.into_iter(), noise)
    }

    /// A batch with a record for each of `keys`, which unkeyed records leave out.
    pub fn batch_of(
        &self,
        keys: impl Iterator<Item = u128>,
        noise: &mut fastrand::Rng,
    ) -> Result<Bytes, ClientError> {
        let mut builder = BatchBuilder::new(self.compression).producer(Producer::NONE);
        let mut value = vec![b'x'; self.record_bytes];
        let now = crate::text::now_ms();
        for key in keys {
            if self.random {
                noise.fill(&mut value);
            }
            let key = self.keyed.then(|| key.to_be_bytes());
            builder.append(
                now,
                key.as_ref().map(<[u8; KEY_BYTES]>::as_slice),
                Some(&value),
            );
        }
        builder.build().map_err(|source| ClientError::Batch {
            subject: self.topic.clone(),
            source,
        })
    }

    /// A request with one batch of records that are due at `due`, moments since `epoch`.
    pub fn stamped(
        &self,
        version: i16,
        partition: i32,
        due: impl Iterator<Item = Duration>,
    ) -> Result<Bytes, ClientError> {
        let mut builder = BatchBuilder::new(self.compression).producer(Producer::NONE);
        let mut value = vec![b'x'; self.record_bytes.max(STAMP_BYTES)];
        let now = crate::text::now_ms();
        for due in due {
            let stamp = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            value[..STAMP_BYTES].copy_from_slice(&stamp.to_be_bytes());
            builder.append(now, None, Some(&value));
        }
        let batch = builder.build().map_err(|source| ClientError::Batch {
            subject: self.topic.clone(),
            source,
        })?;
        self.request(version, vec![(partition, batch)])
    }

    /// A request with these batches of partitions.
    pub fn request(&self, version: i16, batches: Vec<(i32, Bytes)>) -> Result<Bytes, ClientError> {
        let partition = |(index, batch)| PartitionProduceData {
            index,
            records: Some(Records::Bytes(batch)),
            ..PartitionProduceData::default()
        };
        let request = ProduceRequest {
            acks: self.acks,
            timeout_ms: i32::try_from(pipe::PATIENCE.as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: Str::from(self.topic.as_str()),
                partition_data: batches.into_iter().map(partition).collect(),
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        pipe::encode(&request, version, 0)
    }
}

/// The moment that a record's value carries takes this many bytes at its beginning.
pub const STAMP_BYTES: usize = 8;

/// When a record was due, if its value says so.
pub fn stamp(value: &[u8]) -> Option<Duration> {
    let stamp = value.first_chunk::<STAMP_BYTES>()?;
    Some(Duration::from_nanos(u64::from_be_bytes(*stamp)))
}

/// Sleeps until `moment`, to a few microseconds where the thread's timer slack is small.
pub fn sleep_until(moment: Instant) {
    let now = Instant::now();
    if moment > now {
        std::thread::sleep(moment - now);
    }
}

/// Makes this thread's sleeps precise; the kernel otherwise adds up to 50 µs.
pub fn sleep_precisely() {
    // Refused only by kernels that have no such thing; sleeps are then a little longer.
    let _refused = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}
