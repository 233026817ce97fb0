//! What is known about one transactional id, and the steps that lead from one state to the next.
//!
//! Invariant: a step makes a new value and leaves the old one alone; the new one takes effect when its record
//! is committed. Called by the handlers beside it.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::Str;
use ottla_protocol::ids::TopicPartition;

use super::config::EPOCH_BUMP_VERSION;
use super::error::TransactionError;

pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// When no transaction has begun.
pub(crate) const NO_START_MS: i64 = -1;
/// A timeout that never comes: that of a transaction under an external coordinator.
pub(crate) const NO_TIMEOUT_MS: i32 = i32::MAX;

/// A producer never gets the last epoch, so that there is always one left to fence it with.
pub(crate) fn is_epoch_exhausted(producer_epoch: i16) -> bool {
    producer_epoch >= i16::MAX - 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl TransactionState {
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// As admin clients know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// As records know it.
    pub(crate) fn id(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
        }
    }

    pub(crate) fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    /// Markers are being written.
    pub(crate) fn is_prepare(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// No transaction is open.
    pub(crate) fn is_idle(self) -> bool {
        matches!(
            self,
            Self::Empty | Self::CompleteCommit | Self::CompleteAbort
        )
    }
}

/// Partitions by topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partitions(BTreeMap<Str, BTreeSet<i32>>);

impl Partitions {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        self.0
            .get(topic)
            .is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Copies the topic's name if it is not known yet: it may lie in a request's frame.
    pub fn insert(&mut self, topic: &str, partition: i32) {
        match self.0.get_mut(topic) {
            Some(partitions) => {
                partitions.insert(partition);
            }
            None => {
                self.0.insert(topic.into(), BTreeSet::from([partition]));
            }
        }
    }

    pub fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.0.get_mut(topic) else {
            return false;
        };
        let is_removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.0.remove(topic);
        }
        is_removed
    }

    pub fn topics(&self) -> impl Iterator<Item = (&Str, &BTreeSet<i32>)> {
        self.0.iter()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Str, i32)> {
        let each = |(topic, partitions)| {
            BTreeSet::iter(partitions).map(move |&partition| (topic, partition))
        };
        self.0.iter().flat_map(each)
    }
}

impl<'a> FromIterator<&'a TopicPartition> for Partitions {
    fn from_iter<I: IntoIterator<Item = &'a TopicPartition>>(from: I) -> Self {
        let mut partitions = Self::default();
        for TopicPartition { topic, partition } in from {
            partitions.insert(topic, *partition);
        }
        partitions
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub state: TransactionState,
    pub producer_id: i64,
    /// The producer id before the last step; differs once epochs ran out.
    pub previous_producer_id: i64,
    /// The producer id that takes over when the transaction is complete, if epochs ran out.
    pub next_producer_id: i64,
    pub producer_epoch: i16,
    /// The epoch that the producer may still know; recognizes a repeated request. Not in the log.
    pub last_producer_epoch: i16,
    pub timeout_ms: i32,
    pub partitions: Partitions,
    pub start_ms: i64,
    pub last_update_ms: i64,
    /// The `transaction.version` of the client that made the last step.
    pub client_version: i16,
}

impl Metadata {
    /// A transactional id that nobody has used.
    pub fn born(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            state: TransactionState::Empty,
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            partitions: Partitions::default(),
            start_ms: NO_START_MS,
            last_update_ms: now_ms,
            client_version: 0,
        }
    }

    pub fn is_epoch_exhausted(&self) -> bool {
        is_epoch_exhausted(self.producer_epoch)
    }

    pub fn is_timed_out(&self, now_ms: i64) -> bool {
        self.state == TransactionState::Ongoing
            && self.timeout_ms != NO_TIMEOUT_MS
            && self.start_ms.saturating_add(self.timeout_ms.into()) < now_ms
    }

    fn step_to(&self, state: TransactionState, now_ms: i64) -> Self {
        Self {
            state,
            previous_producer_id: self.producer_id,
            last_update_ms: now_ms,
            ..self.clone()
        }
    }

    fn step_to_empty(&self, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            timeout_ms,
            partitions: Partitions::default(),
            start_ms: NO_START_MS,
            ..self.step_to(TransactionState::Empty, now_ms)
        }
    }

    /// The producer begins anew, with the next epoch; or with the same one if it asks again what it asked before.
    pub fn with_next_epoch(
        &self,
        timeout_ms: i32,
        current_epoch: Option<i16>,
        now_ms: i64,
    ) -> Result<Self, TransactionError> {
        if self.is_epoch_exhausted() {
            return Err(TransactionError::EpochsExhausted);
        }
        let next_epoch = self.producer_epoch + 1;
        let (producer_epoch, last_producer_epoch) = match current_epoch {
            None => (next_epoch, NO_PRODUCER_EPOCH),
            Some(current)
                if self.producer_epoch == NO_PRODUCER_EPOCH || current == self.producer_epoch =>
            {
                (next_epoch, self.producer_epoch)
            }
            // A producer that knows the last epoch has not been replaced: another one would have reset it.
            Some(current) if current == self.last_producer_epoch => {
                (self.producer_epoch, self.last_producer_epoch)
            }
            Some(_) => return Err(TransactionError::ProducerFenced),
        };
        Ok(Self {
            producer_epoch,
            last_producer_epoch,
            ..self.step_to_empty(timeout_ms, now_ms)
        })
    }

    /// The producer begins anew, with another producer id, since the epochs of this one are used up.
    pub fn with_producer_id(
        &self,
        producer_id: i64,
        timeout_ms: i32,
        is_recovery: bool,
        now_ms: i64,
    ) -> Self {
        let last_producer_epoch = if is_recovery {
            self.producer_epoch
        } else {
            NO_PRODUCER_EPOCH
        };
        Self {
            producer_id,
            producer_epoch: 0,
            last_producer_epoch,
            ..self.step_to_empty(timeout_ms, now_ms)
        }
    }

    pub fn with_partitions(
        &self,
        added: &[TopicPartition],
        client_version: i16,
        now_ms: i64,
    ) -> Self {
        let mut next = self.step_to(TransactionState::Ongoing, now_ms);
        if self.state.is_idle() {
            next.start_ms = now_ms;
        }
        for TopicPartition { topic, partition } in added {
            next.partitions.insert(topic, *partition);
        }
        next.client_version = client_version;
        next
    }

    /// The outcome is decided; from `EPOCH_BUMP_VERSION` on the markers carry the next epoch, so that nothing that
    /// belongs to this transaction can follow them.
    pub fn prepared(&self, end: Prepare, now_ms: i64) -> Self {
        let state = if end.committed {
            TransactionState::PrepareCommit
        } else {
            TransactionState::PrepareAbort
        };
        let mut next = self.step_to(state, now_ms);
        if end.client_version >= EPOCH_BUMP_VERSION {
            // At the very last epoch there is nothing to bump; an abort must go through nevertheless.
            next.producer_epoch = self.producer_epoch.saturating_add(1);
            next.last_producer_epoch = self.producer_epoch;
        }
        if end.is_without_partitions {
            next.start_ms = now_ms;
        }
        next.next_producer_id = end.next_producer_id;
        next.client_version = end.client_version;
        next
    }

    /// All markers are written.
    pub fn completed(&self, now_ms: i64) -> Self {
        let state = if self.state == TransactionState::PrepareCommit {
            TransactionState::CompleteCommit
        } else {
            TransactionState::CompleteAbort
        };
        let mut next = Self {
            partitions: Partitions::default(),
            next_producer_id: NO_PRODUCER_ID,
            ..self.step_to(state, now_ms)
        };
        if self.client_version >= EPOCH_BUMP_VERSION && self.next_producer_id != NO_PRODUCER_ID {
            next.producer_id = self.next_producer_id;
            next.producer_epoch = 0;
        }
        next
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prepare {
    pub committed: bool,
    pub client_version: i16,
    pub next_producer_id: i64,
    /// A client of version 2 aborts without knowing whether the transaction has begun.
    pub is_without_partitions: bool,
}

#[cfg(test)]
mod tests;
