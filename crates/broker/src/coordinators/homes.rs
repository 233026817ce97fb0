//! Where the machines of one kind are: one per partition of their internal topic that this broker leads.
//!
//! Invariant: a machine is only reached after its partition's log was replayed into it. Held by `groups.rs` and
//! `transactions.rs`.

use std::sync::{Arc, RwLock};

use ottla_coordinator::{Token, partition_for};
use ottla_protocol::ErrorCode;

use super::load::LoadError;
use super::machine::Machine;
use super::shard::Shard;
use crate::partition::Partition;
use crate::partition::append::CoordinatorAppend;

pub struct Homes<M: Machine> {
    /// By index of the partition; empty while the topic does not exist.
    by_partition: RwLock<Vec<Home<M>>>,
}

/// Where a partition's machine is.
enum Home<M: Machine> {
    Elsewhere,
    Loading,
    Here(Arc<Shard<M>>),
}

impl<M: Machine> Clone for Home<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Elsewhere => Self::Elsewhere,
            Self::Loading => Self::Loading,
            Self::Here(shard) => Self::Here(Arc::clone(shard)),
        }
    }
}

impl<M: Machine> Default for Homes<M> {
    fn default() -> Self {
        Self {
            by_partition: RwLock::default(),
        }
    }
}

/// Who makes machines: what the homes ask when a partition's lead begins.
pub trait Maker<M: Machine>: Send + Sync + 'static {
    fn homes(&self) -> &Homes<M>;

    /// Replays the partition's log into a machine. On a disk thread.
    fn load(self: &Arc<Self>, partition: &Arc<Partition>) -> Result<Arc<Shard<M>>, LoadError>;

    /// Brings a machine that was loaded up to date, as it is put in its place: a change of what it follows comes
    /// either before this, and is seen here, or after, and finds the machine.
    fn catch_up(&self, shard: &Shard<M>);
}

impl<M: Machine> Homes<M> {
    /// Makes the machines of partitions that this broker begins to lead, on disk threads.
    ///
    /// `count` is the number of partitions that the topic has.
    pub fn begin(maker: &Arc<impl Maker<M>>, partitions: Vec<Arc<Partition>>, count: usize) {
        {
            let mut homes = maker.homes().by_partition.write().expect("homes lock");
            let count = count.max(homes.len());
            homes.resize(count, Home::Elsewhere);
            for partition in &partitions {
                homes[partition.index as usize] = Home::Loading;
            }
        }
        for partition in partitions {
            let maker = Arc::clone(maker);
            tokio::task::spawn_blocking(move || {
                let home = match maker.load(&partition) {
                    Ok(shard) => Home::Here(shard),
                    Err(error) => {
                        let (partition, subject) = (partition.index, M::SUBJECT);
                        tracing::error!(partition, %error, subject, "a coordinator cannot be loaded");
                        Home::Elsewhere
                    }
                };
                let mut homes = maker.homes().by_partition.write().expect("homes lock");
                if let Home::Here(shard) = &home {
                    maker.catch_up(shard);
                }
                homes[partition.index as usize] = home;
            });
        }
    }

    /// Calls the machine that coordinates `key`, and waits for its answer.
    ///
    /// The operation runs before the first await, so that the calls of one connection keep their order.
    pub async fn call(
        &self,
        key: &str,
        operation: impl FnOnce(&mut M, i64, Token),
    ) -> Result<M::Answer, ErrorCode> {
        let shard = self.of_key(key)?;
        let answer = shard.call(CoordinatorAppend::default(), operation);
        drop(shard);
        // A machine that is gone has moved to another broker.
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Looks into the machine that coordinates `key`.
    pub fn look<T>(&self, key: &str, look: impl FnOnce(&M) -> T) -> Result<T, ErrorCode> {
        Ok(self.of_key(key)?.look(look))
    }

    /// Looks into every machine that is here; returns whether some are still loading.
    pub fn each(&self, mut look: impl FnMut(&M)) -> bool {
        let homes = self.all();
        for home in &homes {
            if let Home::Here(shard) = home {
                shard.look(&mut look);
            }
        }
        homes.iter().any(|home| matches!(home, Home::Loading))
    }

    /// Lets every machine do something that nobody waits for.
    pub fn tell_all(&self, tell: impl Fn(&mut M, i64)) {
        for home in self.all() {
            if let Home::Here(shard) = home {
                shard.tell(&tell);
            }
        }
    }

    /// The partition that is home to `key`.
    pub fn partition_of(&self, key: &str) -> Result<i32, ErrorCode> {
        match self.by_partition.read().expect("homes lock").len() {
            0 => Err(M::WITHOUT_TOPIC),
            count => Ok(partition_for(key, count as i32)),
        }
    }

    fn of_key(&self, key: &str) -> Result<Arc<Shard<M>>, ErrorCode> {
        self.of_partition(self.partition_of(key)?)
    }

    pub fn of_partition(&self, partition: i32) -> Result<Arc<Shard<M>>, ErrorCode> {
        let homes = self.by_partition.read().expect("homes lock");
        let home = usize::try_from(partition)
            .ok()
            .and_then(|index| homes.get(index));
        match home {
            Some(Home::Here(shard)) => Ok(Arc::clone(shard)),
            Some(Home::Loading) => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Home::Elsewhere) | None => Err(ErrorCode::NotCoordinator),
        }
    }

    fn all(&self) -> Vec<Home<M>> {
        self.by_partition.read().expect("homes lock").clone()
    }
}
