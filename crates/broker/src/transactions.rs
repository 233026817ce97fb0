//! The home of the transaction coordinators: one machine per partition of `__transaction_state` that this broker leads.
//!
//! Invariant: a machine knows every change of the configuration and of the cluster's features, those that come while
//! it is loaded too. Called by the handlers of transactions, and by the publisher.

pub mod markers;
pub mod verification;

use std::sync::{Arc, Weak};

use ottla_coordinator::transaction::{
    Answer, Effect, Marker, ProducerIds, TransactionConfig, TransactionCoordinator,
    TransactionLoader, TransactionReplayError,
};
use ottla_coordinator::{AppendBatch, AppendId, LoggedRecord};
use ottla_protocol::ErrorCode;

use crate::broker::Broker;
use crate::coordinators::homes::{Homes, Maker};
use crate::coordinators::load::{LoadError, load};
use crate::coordinators::machine::{Loader, Machine, Step};
use crate::coordinators::shard::Shard;
use crate::partition::Partition;

/// The feature that decides how transactions end.
const TRANSACTION_VERSION_FEATURE: &str = "transaction.version";

pub type Transactions = Homes<TransactionCoordinator>;

/// Producer ids that are at hand without waiting.
pub struct Ids(Weak<Broker>);

impl Ids {
    pub fn of(broker: &Arc<Broker>) -> Self {
        Self(Arc::downgrade(broker))
    }
}

impl ProducerIds for Ids {
    fn next_producer_id(&mut self) -> Result<i64, ErrorCode> {
        let broker = self.0.upgrade().ok_or(ErrorCode::NotCoordinator)?;
        broker.producer_ids.take(&broker)
    }
}

/// Lets every machine know what the configuration, or the cluster's features, have become.
pub fn reconfigure(broker: &Broker) {
    let config = config(broker);
    let each = |machine: &mut TransactionCoordinator, _now_ms| machine.set_config(config.clone());
    broker.transactions.tell_all(each);
}

/// What the broker's configuration and the cluster's features ask of a coordinator.
fn config(broker: &Broker) -> TransactionConfig {
    let config = broker.config();
    let transaction = &config.transaction;
    let millis = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    TransactionConfig {
        max_timeout_ms: transaction.timeout_ms_max,
        id_expiration_ms: millis(transaction.transactional_id_expiration_ms),
        abort_timed_out_interval_ms: millis(transaction.abort_timed_out_interval_ms),
        remove_expired_interval_ms: millis(transaction.remove_expired_interval_ms),
        two_phase_commit_enabled: transaction.two_phase_commit,
        transaction_version: broker.image().features.level(TRANSACTION_VERSION_FEATURE),
        ..TransactionConfig::default()
    }
}

impl Maker<TransactionCoordinator> for Broker {
    fn homes(&self) -> &Transactions {
        &self.transactions
    }

    fn load(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
    ) -> Result<Arc<Shard<TransactionCoordinator>>, LoadError> {
        let mut loader = TransactionLoader::new(config(self));
        load(partition, &mut loader)?;
        let machine = loader.finish(self.now_ms(), partition.leader_epoch());
        let outside = Arc::downgrade(self);
        Ok(Shard::start(
            Arc::clone(partition),
            machine,
            self.clock,
            outside,
        ))
    }

    fn catch_up(&self, shard: &Shard<TransactionCoordinator>) {
        shard.tell(|machine, _now_ms| machine.set_config(config(self)));
    }
}

impl Machine for TransactionCoordinator {
    type Answer = Answer;
    type Work = Marker;
    type Outside = Weak<Broker>;
    const SUBJECT: &'static str = "transactions";
    const WITHOUT_TOPIC: ErrorCode = ErrorCode::NotCoordinator;

    fn next_step(&mut self) -> Option<Step<Self>> {
        Some(match self.next_effect()? {
            Effect::Append { id, records } => Step::Append {
                id,
                batch: AppendBatch::Records(records),
            },
            Effect::Respond { token, answer } => Step::Respond { token, answer },
            Effect::WriteMarkers(marker) => Step::Work(marker),
        })
    }

    fn poll_timeout(&self) -> Option<i64> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now_ms: i64, broker: &Weak<Broker>) {
        self.handle_timeout(now_ms, &mut Ids(Weak::clone(broker)));
    }

    fn handle_committed(&mut self, now_ms: i64, id: AppendId) {
        self.handle_committed(now_ms, id);
    }

    fn handle_append_failed(&mut self, now_ms: i64, id: AppendId, error: ErrorCode) {
        self.handle_append_failed(now_ms, id, error);
    }

    fn work(&mut self, marker: Marker, shard: &Shard<Self>) {
        markers::send(self, marker, shard);
    }
}

impl Loader for TransactionLoader {
    type Error = TransactionReplayError;

    fn replay(&mut self, record: LoggedRecord<'_>) -> Result<(), TransactionReplayError> {
        self.replay(record.offset, record.key, record.value)
    }
}
