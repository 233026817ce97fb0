//! What the tests of this crate share: logs in temporary directories, batches, what a log holds.

pub(crate) mod crash;
mod damage;
mod faults;
mod model;
mod moving;

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ids::TopicPartition;
use ottla_records::{BatchBuilder, Compression, MAX_DECOMPRESSED_BYTES, Producer, RecordIter};

use crate::{Disk, Environment, LeaderAppend, Log, LogConfig, LogDir, OpenOptions, RecoveryReport};

pub(crate) struct Fixture {
    pub dir: tempfile::TempDir,
    pub environment: Arc<Environment>,
    pub config: LogConfig,
}

impl Fixture {
    pub fn new(config: LogConfig) -> Fixture {
        Fixture::with_disk(config, Disk::new())
    }

    /// In the file system's own place for temporary files, where blocks are counted as they are on disks.
    pub fn on_disk(config: LogConfig) -> Fixture {
        Fixture {
            dir: tempfile::tempdir().unwrap(),
            ..Fixture::new(config)
        }
    }

    pub fn with_disk(config: LogConfig, disk: Disk) -> Fixture {
        // Thousands of syncs are for free in memory.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        Fixture {
            dir: dir.unwrap(),
            environment: Environment::inline(disk),
            config,
        }
    }

    pub fn partition() -> TopicPartition {
        TopicPartition::new("topic", 0)
    }

    pub fn open(&self, options: OpenOptions) -> (Arc<Log>, RecoveryReport) {
        self.open_as(&Fixture::partition(), options)
    }

    /// A fresh log of another topic.
    pub fn named(&self, topic: &'static str) -> Arc<Log> {
        let partition = TopicPartition::new(topic, 0);
        self.open_as(&partition, OpenOptions::fresh(None, 0)).0
    }

    fn open_as(
        &self,
        partition: &TopicPartition,
        options: OpenOptions,
    ) -> (Arc<Log>, RecoveryReport) {
        let log_dir = LogDir::new(self.dir.path());
        Log::open(
            &self.environment,
            &log_dir,
            partition,
            Arc::new(self.config.clone()),
            &options,
        )
        .unwrap()
    }

    pub fn fresh(&self) -> Arc<Log> {
        self.open(OpenOptions::fresh(None, 0)).0
    }

    /// Opens again after a clean stop.
    pub fn clean(&self, log: &Log) -> (Arc<Log>, RecoveryReport) {
        log.close().unwrap();
        self.open(OpenOptions {
            log_start_offset: log.log_start_offset(),
            recovery_point: log.recovery_point(),
            ..OpenOptions::fresh(None, 0)
        })
    }

    /// Opens again as after a crash of the process.
    pub fn crashed(&self, log: &Log) -> (Arc<Log>, RecoveryReport) {
        log.abandon();
        self.open(OpenOptions {
            log_start_offset: log.log_start_offset(),
            recovery_point: log.recovery_point(),
            is_clean: false,
            ..OpenOptions::fresh(None, 0)
        })
    }

    pub fn path(&self, file: &str) -> std::path::PathBuf {
        self.dir.path().join("topic-0").join(file)
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// A batch of records with these timestamps; each value tells the timestamp.
pub(crate) fn batch(timestamps: &[i64]) -> Bytes {
    batch_of(timestamps, Producer::NONE, false)
}

pub(crate) fn batch_of(timestamps: &[i64], producer: Producer, is_transactional: bool) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE)
        .producer(producer)
        .transactional(is_transactional);
    for timestamp in timestamps {
        let value = format!("record at {timestamp}");
        builder.append(*timestamp, Some(b"key"), Some(value.as_bytes()));
    }
    builder.build().unwrap()
}

/// A transaction marker.
pub(crate) fn marker(producer_id: i64, epoch: i16, is_abort: bool) -> Bytes {
    let producer = Producer {
        id: producer_id,
        epoch,
        base_sequence: -1,
    };
    let mut builder = BatchBuilder::new(Compression::NONE)
        .producer(producer)
        .transactional(true)
        .control(true);
    let key = [0, 0, 0, u8::from(!is_abort)];
    builder.append(0, Some(&key), Some(&[0, 0, 0, 0, 0, 0]));
    builder.build().unwrap()
}

pub(crate) fn append(log: &Log, timestamps: &[i64]) -> crate::AppendInfo {
    let info = log
        .append_as_leader(&[batch(timestamps)], &LeaderAppend::client(0), 0)
        .unwrap();
    log.set_high_watermark(log.log_end_offset());
    info
}

/// Offsets and timestamps of all records from `from` on, read in steps of at most `max_bytes`.
pub(crate) fn records(log: &Log, from: i64, max_bytes: usize) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    let mut offset = from;
    while offset < log.log_end_offset() {
        let range = log.read(offset, max_bytes, true, i64::MAX).unwrap();
        if range.is_empty() {
            break;
        }
        let bytes = range.read().unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let batch = bytes.slice(at..);
            let raw = ottla_records::RawBatch::first(&batch).unwrap().unwrap();
            raw.verify().unwrap();
            at += raw.size();
            for record in RecordIter::new(&batch, MAX_DECOMPRESSED_BYTES).unwrap() {
                let record = record.unwrap();
                if record.offset >= from {
                    found.push((record.offset, record.timestamp));
                }
            }
        }
        assert!(range.end_offset > offset, "a read moves on");
        offset = range.end_offset;
    }
    found
}
