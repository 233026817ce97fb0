//! What a coordinator is after its partition's log was cleaned is what it was before; seeded.
//!
//! Many operations, then a clean far later than `delete.retention.ms`, again and again: fresh coordinators are loaded
//! from the log before and after each clean, and have to be equal in all that they know.

mod groups;
mod transactions;

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use ottla_config::BrokerConfig;
use ottla_log::{
    Background, CleanerSettings, Disk, Environment, Log, LogConfig, LogDirs, LogManager,
    ManagerSettings,
};
use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;
use ottla_replica::{Assignment, Leader, Settings};

use super::load::load;
use super::machine::Loader;
use crate::partition::Partition;
use crate::partition::append::CoordinatorAppend;

const NODE: i32 = 1;
/// Small, so that a log has many segments.
const SEGMENT_BYTES: u32 = 4_000;
const DELETE_RETENTION_MS: i64 = 60_000;

/// The only replica of a partition.
pub(crate) fn led_alone(topic: &str, log: Arc<Log>) -> Partition {
    let assignment = Assignment {
        replicas: vec![NODE],
        isr: vec![NODE],
        leader_epoch: 0,
        partition_epoch: 0,
    };
    let settings = Settings {
        lag_time_ms_max: 30_000,
        min_insync_replicas: 1,
    };
    let leader = Leader::new(NODE, &assignment, settings, 0, 0, 0);
    let configs = BrokerConfig::load(None, &[]).unwrap().topic_defaults;
    Partition::new(topic.into(), 0, log, leader, Arc::new(configs))
}

/// A partition of an internal topic, and what cleans it.
struct Kept {
    partition: Arc<Partition>,
    manager: Arc<LogManager>,
    now_ms: i64,
    /// Bytes that cleaning took away.
    removed: u64,
    _root: tempfile::TempDir,
}

impl Kept {
    fn new(topic: &str) -> Kept {
        let root = tempfile::tempdir().unwrap();
        let environment = Environment::new(Disk::new(), 1_000, Background::Inline);
        let dirs = LogDirs::open(environment, &[root.path().to_path_buf()], NODE, None).unwrap();
        let config = Arc::new(LogConfig {
            is_compact: true,
            is_delete: false,
            segment_bytes: SEGMENT_BYTES,
            min_cleanable_dirty_ratio: 0.0,
            delete_retention_ms: DELETE_RETENTION_MS,
            file_delete_delay_ms: 0,
            is_transaction_verified: false,
            ..LogConfig::default()
        });
        let config_of = |_: &TopicPartition| Arc::clone(&config);
        let settings = ManagerSettings::default();
        let (manager, _) = LogManager::start(dirs, settings, &config_of, 0).unwrap();
        let log = manager
            .get_or_create(
                &TopicPartition::new(topic, 0),
                Uuid::from_u128(1),
                config,
                None,
                true,
                0,
            )
            .unwrap();
        Kept {
            partition: Arc::new(led_alone(topic, log)),
            manager,
            now_ms: 1_000_000,
            removed: 0,
            _root: root,
        }
    }

    fn append(&self, records: &Bytes) {
        let how = CoordinatorAppend::default();
        let appended = self
            .partition
            .append_from_coordinator(records, how, self.now_ms);
        assert!(appended.is_ok(), "a coordinator's records are taken");
    }

    /// Loads with a fresh loader before and after a clean of all that may be cleaned, and compares. Returns what the
    /// coordinator knows.
    fn clean<L: Loader + Debug>(&mut self, fresh: impl Fn() -> L) -> String {
        let before = self.load(&fresh);
        self.now_ms += DELETE_RETENTION_MS + 1;
        self.partition.log.roll(self.now_ms).unwrap();
        let bytes = self.partition.log.size();
        let settings = CleanerSettings::default();
        while self.manager.clean_filthiest(&settings, self.now_ms) {}
        assert_eq!(self.manager.set_aside_by_cleaner(), []);
        self.removed += bytes - self.partition.log.size();
        let after = self.load(&fresh);
        if before != after {
            let differs = before.lines().zip(after.lines()).position(|(a, b)| a != b);
            let from = differs.unwrap_or(0).saturating_sub(10);
            let excerpt = |text: &str| {
                let lines: Vec<&str> = text.lines().skip(from).take(25).collect();
                lines.join("\n")
            };
            panic!("before:\n{}\nafter:\n{}", excerpt(&before), excerpt(&after));
        }
        after
    }

    fn load<L: Loader + Debug>(&self, fresh: impl Fn() -> L) -> String {
        let mut loader = fresh();
        load(&self.partition, &mut loader).unwrap();
        let known = format!("{loader:#?}");
        // Where the next record goes is the log's business; the loader only learns a lower bound.
        let lines = known
            .lines()
            .filter(|line| !line.contains("next_position:"));
        lines.collect::<Vec<_>>().join("\n")
    }
}
