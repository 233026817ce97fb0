//! The home of the transaction coordinators: one machine per partition of `__transaction_state` that this broker leads.
//!
//! Like the home of the groups beside it: a handler calls a machine under its lock, and what the machine wants done
//! is done before the lock is released. Markers alone are written outside of it, by tasks that report back.
//!
//! Invariant: a machine is only reached after its partition's log was replayed into it.

mod load;
pub mod markers;
mod shard;
pub mod verification;

use std::sync::{Arc, RwLock};

use ottla_coordinator::transaction::{
    Answer, TransactionConfig, TransactionCoordinator, TransactionLoader,
};
use ottla_coordinator::{Token, partition_for};
use ottla_protocol::ErrorCode;

use crate::broker::Broker;
use crate::partition::Partition;
use shard::{Ids, Shard};

/// The feature that decides how transactions end.
const TRANSACTION_VERSION_FEATURE: &str = "transaction.version";

#[derive(Default)]
pub struct Transactions {
    /// By index of the partition of `__transaction_state`; empty while the topic does not exist.
    homes: RwLock<Vec<Home>>,
}

/// Where a partition's machine is.
#[derive(Clone, Default)]
enum Home {
    #[default]
    Elsewhere,
    Loading,
    Here(Arc<Shard>),
}

impl Transactions {
    /// Makes the machines of partitions that this broker begins to lead, on disk threads: their logs are replayed.
    ///
    /// `count` is the number of partitions that the topic has.
    pub fn begin(broker: &Arc<Broker>, partitions: Vec<Arc<Partition>>, count: usize) {
        {
            let mut homes = broker
                .transactions
                .homes
                .write()
                .expect("transaction homes lock");
            let count = count.max(homes.len());
            homes.resize(count, Home::default());
            for partition in &partitions {
                homes[partition.index as usize] = Home::Loading;
            }
        }
        for partition in partitions {
            let broker = Arc::clone(broker);
            tokio::task::spawn_blocking(move || {
                let home = take_over(&broker, &partition);
                let mut homes = broker
                    .transactions
                    .homes
                    .write()
                    .expect("transaction homes lock");
                if let Home::Here(shard) = &home {
                    // Under the lock: a change of features comes either before this, or finds the machine.
                    shard.tell(|machine, _now_ms, _ids| machine.set_config(config(&broker)));
                }
                homes[partition.index as usize] = home;
            });
        }
    }

    /// Lets every machine know what the configuration, or the cluster's features, have become.
    pub fn reconfigure(&self, config: &TransactionConfig) {
        let homes = self.homes.read().expect("transaction homes lock").clone();
        for home in &homes {
            if let Home::Here(shard) = home {
                shard.tell(|machine, _now_ms, _ids| machine.set_config(config.clone()));
            }
        }
    }

    /// Calls the machine that coordinates `transactional_id`, and waits for its answer.
    ///
    /// The operation runs before the first await, so that the calls of one connection keep their order.
    pub async fn call(
        &self,
        transactional_id: &str,
        operation: impl FnOnce(&mut TransactionCoordinator, i64, Token, &mut Ids),
    ) -> Result<Answer, ErrorCode> {
        let answer = self.shard(transactional_id)?.call(operation);
        // A machine that is gone has moved to another broker.
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Looks into the machine that coordinates `transactional_id`.
    pub fn look<T>(
        &self,
        transactional_id: &str,
        look: impl FnOnce(&TransactionCoordinator) -> T,
    ) -> Result<T, ErrorCode> {
        Ok(self.shard(transactional_id)?.look(look))
    }

    /// Looks into every machine that is here; returns whether some are still loading.
    pub fn each(&self, mut look: impl FnMut(&TransactionCoordinator)) -> bool {
        let homes = self.homes.read().expect("transaction homes lock").clone();
        for home in &homes {
            if let Home::Here(shard) = home {
                shard.look(&mut look);
            }
        }
        homes.iter().any(|home| matches!(home, Home::Loading))
    }

    fn shard(&self, transactional_id: &str) -> Result<Arc<Shard>, ErrorCode> {
        let homes = self.homes.read().expect("transaction homes lock");
        if homes.is_empty() {
            return Err(ErrorCode::NotCoordinator);
        }
        match &homes[partition_for(transactional_id, homes.len() as i32) as usize] {
            Home::Here(shard) => Ok(Arc::clone(shard)),
            Home::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Home::Elsewhere => Err(ErrorCode::NotCoordinator),
        }
    }
}

/// What the broker's configuration and the cluster's features ask of a coordinator.
pub fn config(broker: &Broker) -> TransactionConfig {
    let config = broker.config();
    let transaction = &config.transaction;
    let millis = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    TransactionConfig {
        max_timeout_ms: transaction.timeout_ms_max,
        id_expiration_ms: millis(transaction.transactional_id_expiration_ms),
        abort_timed_out_interval_ms: millis(transaction.abort_timed_out_interval_ms),
        remove_expired_interval_ms: millis(transaction.remove_expired_interval_ms),
        transaction_version: broker.image().features.level(TRANSACTION_VERSION_FEATURE),
        ..TransactionConfig::default()
    }
}

fn take_over(broker: &Arc<Broker>, partition: &Arc<Partition>) -> Home {
    let mut loader = TransactionLoader::new(config(broker));
    if let Err(error) = load::load(partition, &mut loader) {
        tracing::error!(partition = partition.index, %error, "cannot load transactions");
        return Home::Elsewhere;
    }
    let machine = loader.finish(broker.now_ms(), partition.leader_epoch());
    Home::Here(Shard::start(
        Arc::downgrade(broker),
        Arc::clone(partition),
        machine,
    ))
}
