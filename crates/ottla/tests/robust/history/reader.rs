//! A consumer that sees what its isolation lets it see, batch by batch, as real clients do it.
//!
//! Invariant: it never goes back; what it has read it has read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Records};
use ottla_records::{ControlType, MAX_DECOMPRESSED_BYTES, RecordIter, batches};

use super::producer::Lost;
use crate::client::{Client, Consumed, fetch_request};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    Uncommitted = 0,
    Committed = 1,
}

/// What one reader has seen of one partition.
#[derive(Debug)]
pub struct PartitionReader {
    topic: String,
    partition: i32,
    isolation: Isolation,
    next: i64,
    pub seen: Vec<Consumed>,
}

/// How far one fetch could see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub last_stable: i64,
    pub high_watermark: i64,
}

impl PartitionReader {
    pub fn new(topic: &str, partition: i32, isolation: Isolation) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            isolation,
            next: 0,
            seen: Vec::new(),
        }
    }

    /// Reads what one fetch returns.
    pub fn poll(&mut self, client: &mut Client) -> Result<Bounds, Lost> {
        let mut request = fetch_request(&self.topic, self.partition, self.next);
        request.isolation_level = self.isolation as i8;
        request.max_wait_ms = 5;
        request.min_bytes = 1;
        let answer = client.ask(&request, 11)?;
        let data = &answer.responses[0].partitions[0];
        let error = ErrorCode::from_code(data.error_code);
        if error.is_retriable() {
            let nowhere = Bounds {
                last_stable: -1,
                high_watermark: i64::MAX,
            };
            return Ok(nowhere);
        }
        assert_eq!(error, ErrorCode::None, "{self:?}");
        let bounds = Bounds {
            last_stable: data.last_stable_offset,
            high_watermark: data.high_watermark,
        };
        assert!(bounds.last_stable <= bounds.high_watermark, "{bounds:?}");
        let mut aborted: BTreeMap<i64, VecDeque<i64>> = BTreeMap::new();
        for transaction in data.aborted_transactions.iter().flatten() {
            let of_producer = aborted.entry(transaction.producer_id).or_default();
            of_producer.push_back(transaction.first_offset);
        }
        if let Some(Records::Bytes(bytes)) = &data.records {
            self.take(bytes, aborted, bounds);
        }
        Ok(bounds)
    }

    /// Reads on until it has come to the bounds; returns them.
    pub fn read_to_end(&mut self, client: &mut Client) -> Result<Bounds, Lost> {
        loop {
            let bounds = self.poll(client)?;
            let end = match self.isolation {
                Isolation::Committed => bounds.last_stable,
                Isolation::Uncommitted => bounds.high_watermark,
            };
            if end >= 0 && self.next >= end {
                return Ok(bounds);
            }
        }
    }

    fn take(&mut self, bytes: &Bytes, aborted: BTreeMap<i64, VecDeque<i64>>, bounds: Bounds) {
        let mut aborted = aborted;
        let mut dropped: BTreeSet<i64> = BTreeSet::new();
        let mut at = 0;
        for batch in batches(bytes) {
            let batch = batch.unwrap();
            batch.verify().unwrap();
            let (header, from) = (batch.header(), at);
            at += header.size();
            if self.isolation == Isolation::Committed {
                assert!(header.last_offset() < bounds.last_stable, "a dirty read");
            }
            let producer_id = header.producer_id();
            if let Some(starts) = aborted.get_mut(&producer_id) {
                while starts
                    .front()
                    .is_some_and(|&first| first <= header.last_offset())
                {
                    starts.pop_front();
                    dropped.insert(producer_id);
                }
            }
            let records = RecordIter::new(&bytes.slice(from..), MAX_DECOMPRESSED_BYTES).unwrap();
            let records: Vec<_> = records.map(|record| record.unwrap()).collect();
            if header.is_control() {
                let key = records[0].key.clone().unwrap_or_default();
                if ControlType::parse(&key).unwrap() == Some(ControlType::Abort) {
                    dropped.remove(&producer_id);
                }
            } else if self.isolation == Isolation::Uncommitted
                || !header.is_transactional()
                || !dropped.contains(&producer_id)
            {
                let wanted = records
                    .into_iter()
                    .filter(|record| record.offset >= self.next);
                self.seen.extend(wanted.map(|record| Consumed {
                    offset: record.offset,
                    value: record.value.unwrap_or_default(),
                }));
            }
            self.next = self.next.max(header.next_offset());
        }
    }
}
