//! One partition's replica on this broker: its log, how far it is replicated, and who waits for it.
//!
//! ```text
//! log start offset ≤ last stable offset ≤ high watermark ≤ log end offset
//! ```
//!
//! Invariant: within one leader epoch the high watermark never moves back, and no method holds a lock over a
//! disk wait. Handlers below `api/` call [`Partition`]; `publisher.rs` makes it and changes its role.

pub mod append;
pub mod offsets;
pub mod read;

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use ottla_config::TopicConfigs;
use ottla_log::Log;
use ottla_protocol::{ErrorCode, Str};
use ottla_records::ValidationRules;
use ottla_replica::{Assignment, EpochError, Leader, Settings, check_leader_epoch};

use crate::waiters::Waiters;

pub struct Partition {
    pub topic: Str,
    pub index: i32,
    pub log: Arc<Log>,
    /// Locked over appends into the page cache, so that log end and high watermark move together.
    leader: Mutex<Leader>,
    /// What `leader` knows, for readers that must not wait for its lock.
    leader_epoch: AtomicI32,
    rules: ArcSwap<TopicRules>,
    /// Fetches that wait for records.
    pub readers: Waiters,
    /// Produces and coordinators that wait for replicas.
    pub acknowledgers: Waiters,
}

/// What the topic's configuration asks of this partition.
struct TopicRules {
    configs: Arc<TopicConfigs>,
    validation: ValidationRules,
}

impl TopicRules {
    fn of(configs: Arc<TopicConfigs>) -> Self {
        Self {
            validation: append::validation_rules(&configs),
            configs,
        }
    }
}

impl Partition {
    pub fn new(
        topic: Str,
        index: i32,
        log: Arc<Log>,
        leader: Leader,
        configs: Arc<TopicConfigs>,
    ) -> Self {
        Self {
            topic,
            index,
            log,
            leader_epoch: AtomicI32::new(leader.leader_epoch()),
            leader: Mutex::new(leader),
            rules: ArcSwap::from_pointee(TopicRules::of(configs)),
            readers: Waiters::default(),
            acknowledgers: Waiters::default(),
        }
    }

    /// Exclusive end of what every in-sync replica has, and thus of what consumers may see.
    pub fn high_watermark(&self) -> i64 {
        self.log.high_watermark()
    }

    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Acquire)
    }

    pub fn configs(&self) -> Arc<TopicConfigs> {
        Arc::clone(&self.rules.load().configs)
    }

    /// Compares the epoch that a client believes in (-1: none) with the partition's.
    pub fn check_epoch(&self, requested: i32) -> Result<(), ErrorCode> {
        let requested = (requested >= 0).then_some(requested);
        check_leader_epoch(self.leader_epoch(), requested).map_err(|error| match error {
            EpochError::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
            EpochError::Unknown { .. } => ErrorCode::UnknownLeaderEpoch,
        })
    }

    /// Follows a change of the topic's configuration.
    pub fn set_configs(&self, configs: Arc<TopicConfigs>, settings: Settings, now_ms: i64) {
        self.rules.store(Arc::new(TopicRules::of(configs)));
        let mut leader = self.leader();
        let advanced = leader.on_settings(settings, now_ms, |_| None);
        self.follow_high_watermark(leader, advanced);
    }

    /// Follows a change of the partition's registration in which this broker still leads.
    pub fn set_assignment(&self, assignment: &Assignment, now_ms: i64) {
        let mut leader = self.leader();
        let advanced = leader.on_assignment(assignment, now_ms, |_| None);
        self.leader_epoch
            .store(leader.leader_epoch(), Ordering::Release);
        self.follow_high_watermark(leader, advanced);
    }

    fn leader(&self) -> MutexGuard<'_, Leader> {
        self.leader.lock().expect("partition leader lock")
    }

    /// Publishes what the leader decided, in the order of its decisions, and wakes who waits for it.
    fn follow_high_watermark(&self, leader: MutexGuard<'_, Leader>, advanced: Option<i64>) {
        let Some(high_watermark) = advanced else {
            return;
        };
        self.log.set_high_watermark(high_watermark);
        drop(leader);
        self.acknowledgers.wake();
        self.readers.wake();
    }

    /// Ends the waits of everybody, who will find the partition gone.
    pub fn wake_all(&self) {
        self.readers.wake();
        self.acknowledgers.wake();
    }
}
