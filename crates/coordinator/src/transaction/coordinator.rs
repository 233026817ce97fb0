//! The machine of one `__transaction_state` partition: its transactional ids, what is on its way to the log, and
//! who waits for that.
//!
//! Invariant: metadata changes when a record is committed, every token is answered exactly once, and an answer
//! that depends on a record leaves after that record is committed. Owned by the broker's shell of the partition;
//! made by `TransactionLoader` from the partition's log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_protocol::{ErrorCode, Str};

use super::answer::{Answer, ProducerAnswer};
use super::config::TransactionConfig;
use super::effect::{Effect, MarkerId};
use super::ending::Ending;
use super::error::append_error;
use super::in_flight::{Change, Ender, InFlight, Then};
use super::metadata::{Metadata, NO_PRODUCER_EPOCH};
use super::records;
use super::request::ProducerIds;
use crate::effect::{AppendId, KeyValue};
use crate::request::Token;

#[derive(Debug)]
pub struct TransactionCoordinator {
    pub(crate) config: TransactionConfig,
    pub(crate) coordinator_epoch: i32,
    pub(crate) transactions: BTreeMap<Str, Transaction>,
    pub(crate) effects: VecDeque<Effect>,
    in_flight: VecDeque<InFlight>,
    next_append_id: u64,
    next_marker_id: u64,
    /// When which transaction writes its markers or its last record again.
    pub(crate) retries: BTreeSet<(i64, Str)>,
    pub(crate) next_timeout_check_ms: i64,
    pub(crate) next_expiry_check_ms: i64,
}

/// One transactional id.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub metadata: Metadata,
    /// A record is on its way to the log, or markers are on their way to partitions: no other change may begin.
    pub is_changing: bool,
    /// The epoch was bumped to fence the producer, and the record that says so did not reach the log: the next
    /// fence need not bump it again.
    pub has_failed_fence: bool,
    pub ending: Option<Ending>,
}

impl Transaction {
    pub fn new(metadata: Metadata) -> Self {
        Self {
            metadata,
            is_changing: false,
            has_failed_fence: false,
            ending: None,
        }
    }
}

impl TransactionCoordinator {
    pub(crate) fn start(
        config: TransactionConfig,
        transactions: BTreeMap<Str, Transaction>,
        now_ms: i64,
        coordinator_epoch: i32,
    ) -> Self {
        let decided = transactions
            .iter()
            .filter(|(_, transaction)| transaction.metadata.state.is_prepare());
        let decided: Vec<Str> = decided.map(|(id, _)| id.clone()).collect();
        let mut machine = Self {
            coordinator_epoch,
            transactions,
            effects: VecDeque::new(),
            in_flight: VecDeque::new(),
            next_append_id: 0,
            next_marker_id: 0,
            retries: BTreeSet::new(),
            next_timeout_check_ms: now_ms.saturating_add(config.abort_timed_out_interval_ms),
            next_expiry_check_ms: now_ms.saturating_add(config.remove_expired_interval_ms),
            config,
        };
        for transactional_id in decided {
            machine.resume_ending(now_ms, &transactional_id);
        }
        machine
    }

    /// What to do next; the shell takes effects until there are none.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When `handle_timeout` is wanted.
    pub fn poll_timeout(&self) -> Option<i64> {
        let check_ms = self.next_timeout_check_ms.min(self.next_expiry_check_ms);
        let retry_ms = self.retries.first().map(|(at_ms, _)| *at_ms);
        Some(retry_ms.map_or(check_ms, |retry_ms| retry_ms.min(check_ms)))
    }

    /// Does what is due at `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: i64, ids: &mut dyn ProducerIds) {
        self.retry_endings(now_ms);
        if self.next_timeout_check_ms <= now_ms {
            let interval_ms = self.config.abort_timed_out_interval_ms;
            self.next_timeout_check_ms = now_ms.saturating_add(interval_ms);
            self.abort_timed_out(now_ms, ids);
        }
        if self.next_expiry_check_ms <= now_ms {
            let interval_ms = self.config.remove_expired_interval_ms;
            self.next_expiry_check_ms = now_ms.saturating_add(interval_ms);
            self.expire_transactional_ids(now_ms);
        }
    }

    /// Replaces the limits; they rule what happens from here on.
    pub fn set_config(&mut self, config: TransactionConfig) {
        self.config = config;
    }

    /// The leader epoch under which this machine coordinates.
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// Every append up to and including `id` is committed.
    pub fn handle_committed(&mut self, now_ms: i64, id: AppendId) {
        while self.in_flight.front().is_some_and(|append| append.id <= id) {
            let Some(append) = self.in_flight.pop_front() else {
                return;
            };
            match append.change {
                Change::Step {
                    transactional_id,
                    next,
                    then,
                } => self.complete_step(now_ms, &transactional_id, *next, then),
                Change::Expired(transactional_ids) => self.forget(&transactional_ids),
            }
        }
    }

    /// The append `id` is not in the log, and neither is any that was asked for after it: the shell drops those,
    /// and the machine forgets them all.
    pub fn handle_append_failed(&mut self, now_ms: i64, id: AppendId, error: ErrorCode) {
        let error = append_error(error);
        let first = self.in_flight.partition_point(|append| append.id < id);
        let failed = self.in_flight.split_off(first);
        self.effects
            .retain(|effect| !matches!(effect, Effect::Append { id: other, .. } if *other >= id));
        for append in failed {
            match append.change {
                Change::Step {
                    transactional_id,
                    then,
                    ..
                } => self.fail_step(now_ms, &transactional_id, then, error),
                Change::Expired(transactional_ids) => self.keep(&transactional_ids),
            }
        }
    }

    /// The partition has moved away: everybody who waits is sent to look for the new coordinator, which resumes
    /// what is undone. Returns the last answers; other effects that were not carried out yet are void.
    pub fn unload(mut self) -> Vec<Effect> {
        for append in std::mem::take(&mut self.in_flight) {
            if let Change::Step { then, .. } = append.change {
                self.answer_failed(then, ErrorCode::NotCoordinator);
            }
        }
        let effects = self.effects.into_iter();
        effects
            .filter(|effect| matches!(effect, Effect::Respond { .. }))
            .collect()
    }

    /// Stores the step; it takes effect when it is committed.
    pub(crate) fn append_step(&mut self, transactional_id: &Str, next: Metadata, then: Then) {
        let version = self.config.transaction_version;
        let record = records::encode(transactional_id, &next, version);
        if let Some(transaction) = self.transactions.get_mut(transactional_id) {
            transaction.is_changing = true;
        }
        let change = Change::Step {
            transactional_id: transactional_id.clone(),
            next: Box::new(next),
            then,
        };
        self.push_append(vec![record], change);
    }

    pub(crate) fn push_append(&mut self, records: Vec<KeyValue>, change: Change) {
        let id = AppendId(self.next_append_id);
        self.next_append_id += 1;
        self.in_flight.push_back(InFlight { id, change });
        self.effects.push_back(Effect::Append { id, records });
    }

    pub(crate) fn next_marker_id(&mut self) -> MarkerId {
        let id = MarkerId(self.next_marker_id);
        self.next_marker_id += 1;
        id
    }

    pub(crate) fn respond(&mut self, token: Token, answer: Answer) {
        self.effects.push_back(Effect::Respond { token, answer });
    }

    fn complete_step(&mut self, now_ms: i64, transactional_id: &Str, next: Metadata, then: Then) {
        let Some(transaction) = self.transactions.get_mut(transactional_id) else {
            return;
        };
        let (producer_id, producer_epoch) = (next.producer_id, next.producer_epoch);
        transaction.metadata = next;
        transaction.is_changing = false;
        transaction.ending = None;
        match then {
            Then::AnswerInit(token) => {
                tracing::info!(%transactional_id, producer_id, producer_epoch, "producer initialized");
                let answer = ProducerAnswer::ok(producer_id, producer_epoch);
                self.respond(token, Answer::InitProducerId(answer));
            }
            Then::AnswerAdd(token) => self.respond(token, Answer::AddPartitions(ErrorCode::None)),
            Then::WriteMarkers(ender) => self.start_ending(now_ms, transactional_id, ender),
            Then::Nothing => {}
        }
    }

    fn fail_step(&mut self, now_ms: i64, transactional_id: &Str, then: Then, error: ErrorCode) {
        let Some(transaction) = self.transactions.get_mut(transactional_id) else {
            return;
        };
        if let Some(ending) = &mut transaction.ending {
            // The markers are written, so the transaction must get to its end.
            ending.completion_failed();
            return self.schedule_retry(now_ms, transactional_id);
        }
        transaction.is_changing = false;
        if transaction.metadata.producer_epoch == NO_PRODUCER_EPOCH {
            // It was never stored, and nobody has heard of it.
            self.transactions.remove(transactional_id);
        }
        self.answer_failed(then, error);
    }

    fn answer_failed(&mut self, then: Then, error: ErrorCode) {
        let failed = ProducerAnswer::error(error);
        match then {
            Then::AnswerInit(token) | Then::WriteMarkers(Ender::Init(token)) => {
                self.respond(token, Answer::InitProducerId(failed));
            }
            Then::AnswerAdd(token) => self.respond(token, Answer::AddPartitions(error)),
            Then::WriteMarkers(Ender::Producer { token, .. }) => {
                self.respond(token, Answer::EndTransaction(failed));
            }
            Then::WriteMarkers(Ender::Timeout) | Then::Nothing => {}
        }
    }
}
