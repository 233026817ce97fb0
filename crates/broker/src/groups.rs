//! The home of the group coordinators: one machine per partition of `__consumer_offsets` that this broker leads.
//!
//! A handler calls a machine under its lock; what the machine wants done (append these records, answer that
//! caller) is done before the lock is released, so that records lie in the log in the order in which the machine
//! decided. Answers that rest on records leave once the high watermark has passed them.
//!
//! Invariant: a machine is only reached after its partition's log was replayed into it.

mod catalog;
mod load;
mod shard;

use std::sync::{Arc, RwLock};

use ottla_coordinator::{
    Answer, DeletedTopic, GroupConfig, GroupCoordinator, Token, TopicCatalog, TopicsChange,
    partition_for,
};
use ottla_metadata::{MetadataDelta, MetadataImage};
use ottla_protocol::ErrorCode;

use crate::clock::Clock;
use crate::partition::Partition;
use crate::partition::append::CoordinatorAppend;
use catalog::Catalog;
use shard::Shard;

pub struct Groups {
    clock: Clock,
    config: GroupConfig,
    /// By index of the partition of `__consumer_offsets`; empty while the topic does not exist.
    homes: RwLock<Vec<Home>>,
    /// The topics as the machines see them; a machine that is put in its place takes these along.
    topics: RwLock<Arc<dyn TopicCatalog>>,
}

/// Where a partition's machine is.
#[derive(Clone, Default)]
enum Home {
    #[default]
    Elsewhere,
    Loading,
    Here(Arc<Shard>),
}

impl Groups {
    pub fn new(clock: Clock, config: GroupConfig) -> Self {
        Self {
            clock,
            config,
            homes: RwLock::default(),
            topics: RwLock::new(Arc::new(Catalog::default())),
        }
    }

    /// Makes the machines of partitions that this broker begins to lead, on disk threads: their logs are replayed.
    ///
    /// `count` is the number of partitions that the topic has.
    pub fn begin(self: &Arc<Self>, partitions: Vec<Arc<Partition>>, count: usize) {
        {
            let mut homes = self.homes.write().expect("group homes lock");
            let count = count.max(homes.len());
            homes.resize(count, Home::default());
            for partition in &partitions {
                homes[partition.index as usize] = Home::Loading;
            }
        }
        for partition in partitions {
            let groups = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                let home = match load::load(
                    &partition,
                    groups.config.clone(),
                    groups.clock.now_ms(),
                ) {
                    Ok(machine) => {
                        Home::Here(Shard::start(Arc::clone(&partition), machine, groups.clock))
                    }
                    Err(error) => {
                        tracing::error!(partition = partition.index, %error, "cannot load groups");
                        Home::Elsewhere
                    }
                };
                groups.place(partition.index, home);
            });
        }
    }

    /// Puts a machine in its place, with the topics as they are: a change of theirs comes either before this, and
    /// is among them, or after, and finds the machine.
    fn place(&self, partition: i32, home: Home) {
        let mut homes = self.homes.write().expect("group homes lock");
        if let Home::Here(shard) = &home {
            let topics = Arc::clone(&self.topics.read().expect("group topics lock"));
            shard
                .tell(|machine, _now_ms| machine.handle_metadata(topics, &TopicsChange::default()));
        }
        homes[partition as usize] = home;
    }

    /// Shows a change of the metadata to the machines, if it concerns topics.
    pub fn follow(&self, image: &Arc<MetadataImage>, delta: &MetadataDelta) {
        let Some(change) = catalog::topics_change(delta) else {
            return;
        };
        let topics: Arc<dyn TopicCatalog> = Arc::new(Catalog::new(Arc::clone(image)));
        *self.topics.write().expect("group topics lock") = Arc::clone(&topics);
        self.tell_all(|machine, _now_ms| machine.handle_metadata(Arc::clone(&topics), &change));
    }

    /// Forgets what groups committed for topics that are gone.
    pub fn forget_topics(&self, topics: &[DeletedTopic]) {
        self.tell_all(|machine, _now_ms| machine.handle_topics_deleted(topics));
    }

    /// Calls the machine that coordinates `group_id`, and waits for its answer.
    ///
    /// The operation runs before the first await, so that the calls of one connection keep their order.
    pub async fn call(
        &self,
        group_id: &str,
        operation: impl FnOnce(&mut GroupCoordinator, i64, Token),
    ) -> Result<Answer, ErrorCode> {
        let answer = self
            .shard(group_id)?
            .call(CoordinatorAppend::default(), operation);
        // A machine that is gone has moved to another broker.
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Calls the machine of a partition of `__consumer_offsets`, for what belongs to a transaction.
    pub async fn call_partition(
        &self,
        partition: i32,
        how: CoordinatorAppend,
        operation: impl FnOnce(&mut GroupCoordinator, i64, Token),
    ) -> Result<Answer, ErrorCode> {
        let answer = self.shard_of(partition)?.call(how, operation);
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// The partition of `__consumer_offsets` that is home to `group_id`.
    pub fn partition_of(&self, group_id: &str) -> Result<i32, ErrorCode> {
        match self.homes.read().expect("group homes lock").len() {
            0 => Err(ErrorCode::CoordinatorNotAvailable),
            count => Ok(partition_for(group_id, count as i32)),
        }
    }

    /// Looks into the machine that coordinates `group_id`.
    pub fn look<T>(
        &self,
        group_id: &str,
        look: impl FnOnce(&GroupCoordinator) -> T,
    ) -> Result<T, ErrorCode> {
        Ok(self.shard(group_id)?.look(look))
    }

    /// Looks into every machine that is here; returns whether some are still loading.
    pub fn each(&self, mut look: impl FnMut(&GroupCoordinator)) -> bool {
        let homes = self.homes.read().expect("group homes lock").clone();
        for home in &homes {
            if let Home::Here(shard) = home {
                shard.look(&mut look);
            }
        }
        homes.iter().any(|home| matches!(home, Home::Loading))
    }

    /// Lets every machine do something that nobody waits for, such as forgetting the offsets of a deleted topic.
    fn tell_all(&self, tell: impl Fn(&mut GroupCoordinator, i64)) {
        let homes = self.homes.read().expect("group homes lock").clone();
        for home in &homes {
            if let Home::Here(shard) = home {
                shard.tell(&tell);
            }
        }
    }

    fn shard(&self, group_id: &str) -> Result<Arc<Shard>, ErrorCode> {
        self.shard_of(self.partition_of(group_id)?)
    }

    fn shard_of(&self, partition: i32) -> Result<Arc<Shard>, ErrorCode> {
        let homes = self.homes.read().expect("group homes lock");
        let home = usize::try_from(partition)
            .ok()
            .and_then(|index| homes.get(index));
        match home {
            Some(Home::Here(shard)) => Ok(Arc::clone(shard)),
            Some(Home::Loading) => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Home::Elsewhere) | None => Err(ErrorCode::NotCoordinator),
        }
    }
}
