//! Many producers over a slow, failing log, brokers that answer markers late, wrongly or twice, and coordinators that
//! crash; seeded.
//!
//! Checked: every token is answered exactly once; epochs of a transactional id never go back; a transaction that
//! was said to be committed has commit markers and no others, in every partition it had; one that was aborted has no
//! commit marker; a machine loaded from the log knows what the live one knows; and in the end everything completes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{ErrorCode, Str};

use super::{COORDINATOR_EPOCH, durable, load};
use crate::effect::{AppendId, KeyValue};
use crate::request::Token;
use crate::transaction::*;

const SEEDS: u64 = 50;
/// Over all seeds; less would mean that the model proves little.
const MIN_COMMITS: usize = 300;
const MIN_EXPIRED: usize = 20;
const STEPS: usize = 3_000;
const IDS: usize = 4;
const PRODUCERS: usize = 6;
const PARTITIONS: i32 = 3;
/// So short that ids expire while their producers are at work.
const SHORT_EXPIRATION_MS: i64 = 5_000;
/// Enough for every timeout and retry.
const SETTLE_MS: i64 = 200_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Init,
    Add(i32),
    Commit,
    Abort,
}

/// A client; several share a transactional id, and fence one another.
#[derive(Debug, Clone)]
struct Producer {
    transactional_id: Str,
    version: i16,
    /// Id and epoch, once it is initialized and until it is fenced.
    identity: Option<(i64, i16)>,
    added: BTreeSet<i32>,
    waits_for: Option<(Token, Asked)>,
}

struct Model {
    rng: Rng,
    config: TransactionConfig,
    machine: TransactionCoordinator,
    log: Vec<KeyValue>,
    now_ms: i64,
    next_token: u64,
    next_producer_id: i64,
    producers: Vec<Producer>,
    open: BTreeMap<Token, usize>,
    answered: u64,
    in_flight: VecDeque<(AppendId, Vec<KeyValue>)>,
    markers: Vec<(Marker, Str, i32)>,
    /// Markers in the partitions: by producer and epoch of the transaction, whether committed.
    written: BTreeMap<(i64, i16, i32), bool>,
    /// Transactions that producers were told about, with the partitions that they must show in.
    told: Vec<(i64, i16, bool, BTreeSet<i32>)>,
    /// Transactional ids that were forgotten.
    expired: usize,
    /// The highest epoch seen of each producer id.
    epochs: BTreeMap<i64, i16>,
}

#[test]
fn transactions_are_atomic_whatever_crashes() {
    let runs: Vec<_> = (0..SEEDS).map(|seed| Model::new(seed).run()).collect();
    let commits: usize = runs.iter().map(|(commits, _)| commits).sum();
    let expired: usize = runs.iter().map(|(_, expired)| expired).sum();
    assert!(commits >= MIN_COMMITS, "{commits} commits");
    assert!(expired >= MIN_EXPIRED, "{expired} ids expired");
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let config = TransactionConfig {
            transaction_version: if rng.bool() { 2 } else { 0 },
            id_expiration_ms: if rng.bool() {
                SHORT_EXPIRATION_MS
            } else {
                DEFAULT_ID_EXPIRATION_MS
            },
            remove_expired_interval_ms: SHORT_EXPIRATION_MS,
            ..TransactionConfig::default()
        };
        // A cluster of version 0 has only clients of version 0.
        let highest = config.transaction_version;
        let producers = (0..PRODUCERS).map(|index| Producer {
            transactional_id: format!("id{}", index % IDS).into(),
            version: if rng.bool() { highest } else { 0 },
            identity: None,
            added: BTreeSet::new(),
            waits_for: None,
        });
        Self {
            producers: producers.collect(),
            machine: TransactionLoader::new(config.clone()).finish(0, COORDINATOR_EPOCH),
            config,
            rng,
            log: Vec::new(),
            now_ms: 0,
            next_token: 0,
            next_producer_id: 0,
            open: BTreeMap::new(),
            answered: 0,
            in_flight: VecDeque::new(),
            markers: Vec::new(),
            written: BTreeMap::new(),
            told: Vec::new(),
            expired: 0,
            epochs: BTreeMap::new(),
        }
    }

    /// Returns how many producers were told that their transaction is committed, and how many ids expired.
    fn run(mut self) -> (usize, usize) {
        for _ in 0..STEPS {
            self.step();
        }
        self.settle();
        assert!(self.open.is_empty(), "unanswered: {:?}", self.open);
        assert_eq!(self.answered, self.next_token);
        self.check_told();
        let commits = self.told.iter().filter(|(.., committed, _)| *committed);
        (commits.count(), self.expired)
    }

    fn step(&mut self) {
        match self.rng.u32(0..400) {
            0..160 => {
                let index = self.rng.usize(0..PRODUCERS);
                self.act(index);
            }
            160..180 => {
                let ms = self.rng.i64(0..3_000);
                self.advance(ms);
            }
            180..280 => self.commit_some(),
            280..390 => self.mark_some(),
            390..394 => self.fail(),
            394..396 => self.crash(),
            396..398 => self.unload(),
            _ => self.nearly_exhaust(),
        }
    }

    fn act(&mut self, index: usize) {
        let producer = &self.producers[index];
        if producer.waits_for.is_some() {
            return;
        }
        let Some((producer_id, producer_epoch)) = producer.identity else {
            return self.init(index, None);
        };
        let asked = match self.rng.u32(0..40) {
            0 => return self.init(index, None),
            1 if producer.version == 2 => {
                return self.init(index, Some((producer_id, producer_epoch)));
            }
            2..25 => Asked::Add(self.rng.i32(0..PARTITIONS)),
            25..35 => Asked::Commit,
            _ => Asked::Abort,
        };
        if asked == Asked::Commit && producer.added.is_empty() {
            return;
        }
        let token = self.token(index, asked);
        let producer = &self.producers[index];
        let (transactional_id, client_version) =
            (producer.transactional_id.clone(), producer.version);
        if let Asked::Add(partition) = asked {
            let request = AddPartitions {
                transactional_id,
                producer_id,
                producer_epoch,
                partitions: vec![TopicPartition::new("t", partition)],
                client_version,
            };
            self.machine
                .handle_add_partitions(self.now_ms, token, &request);
        } else {
            let request = EndTransaction {
                transactional_id,
                producer_id,
                producer_epoch,
                committed: asked == Asked::Commit,
                client_version,
            };
            let next = &mut self.next_producer_id;
            let mut ids = || fresh(next);
            self.machine
                .handle_end_transaction(self.now_ms, token, &request, &mut ids);
        }
        self.drain();
    }

    fn init(&mut self, index: usize, current: Option<(i64, i16)>) {
        let token = self.token(index, Asked::Init);
        let request = InitProducerId {
            transactional_id: self.producers[index].transactional_id.clone(),
            timeout_ms: 30_000,
            enable_two_phase_commit: false,
            keep_prepared: false,
            current,
        };
        let next = &mut self.next_producer_id;
        let mut ids = || fresh(next);
        self.machine
            .handle_init_producer_id(self.now_ms, token, &request, &mut ids);
        self.drain();
    }

    fn token(&mut self, index: usize, asked: Asked) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.open.insert(token, index);
        self.producers[index].waits_for = Some((token, asked));
        token
    }

    fn advance(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(at_ms) = self.machine.poll_timeout().filter(|&at_ms| at_ms <= end_ms) {
            self.now_ms = at_ms.max(self.now_ms);
            let next = &mut self.next_producer_id;
            let mut ids = || fresh(next);
            self.machine.handle_timeout(self.now_ms, &mut ids);
            self.drain();
        }
        self.now_ms = end_ms;
    }

    fn commit_some(&mut self) {
        for _ in 0..self.rng.usize(0..=self.in_flight.len()) {
            self.commit_next();
        }
    }

    fn commit_next(&mut self) {
        if let Some((id, records)) = self.in_flight.pop_front() {
            self.expired += records.iter().filter(|(_, value)| value.is_none()).count();
            self.log.extend(records);
            self.machine.handle_committed(self.now_ms, id);
            self.drain();
        }
    }

    /// Partitions get markers in any order; some brokers answer late, wrongly or twice.
    fn mark_some(&mut self) {
        for _ in 0..self.rng.usize(0..=self.markers.len()) {
            let index = self.rng.usize(0..self.markers.len());
            let (marker, topic, partition) = self.markers.swap_remove(index);
            let outcome = match self.rng.u32(0..10) {
                0 => MarkerOutcome::Unreachable,
                1 => MarkerOutcome::Answered(ErrorCode::NotLeaderOrFollower),
                2 => {
                    // Written, and the answer is lost.
                    self.write(&marker, partition);
                    MarkerOutcome::Unreachable
                }
                _ => {
                    self.write(&marker, partition);
                    MarkerOutcome::Answered(ErrorCode::None)
                }
            };
            for _ in 0..self.rng.usize(1..3) {
                self.machine.handle_marker_outcome(
                    self.now_ms,
                    marker.id,
                    &marker.transactional_id,
                    (&topic, partition),
                    outcome,
                );
                self.drain();
            }
            if self.markers.is_empty() {
                return;
            }
        }
    }

    fn write(&mut self, marker: &Marker, partition: i32) {
        let key = (marker.producer_id, marker.producer_epoch, partition);
        let before = self.written.insert(key, marker.committed);
        // With an epoch for each transaction the outcome of each can be told apart.
        if marker.transaction_version == 2 {
            let is_same = before.is_none_or(|before| before == marker.committed);
            assert!(is_same, "both outcomes of {key:?}");
        }
    }

    fn fail(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let first = self.rng.usize(0..self.in_flight.len());
        let failed = self.in_flight.split_off(first);
        let error = ErrorCode::NotEnoughReplicas;
        self.machine
            .handle_append_failed(self.now_ms, failed[0].0, error);
        self.drain();
    }

    /// Some of what was on its way is in the log nevertheless.
    fn crash(&mut self) {
        let survive = self.rng.usize(0..=self.in_flight.len());
        let surviving: Vec<_> = self.in_flight.drain(..survive).collect();
        self.log
            .extend(surviving.into_iter().flat_map(|(_, records)| records));
        self.in_flight.clear();
        self.machine = load(&self.config, &self.log, self.now_ms);
        for (token, index) in std::mem::take(&mut self.open) {
            // The connection breaks: an answer of sorts.
            self.answered += 1;
            self.on_lost(index, token);
        }
        self.drain();
    }

    fn unload(&mut self) {
        while !self.in_flight.is_empty() {
            self.commit_next();
        }
        let loaded = load(&self.config, &self.log, self.now_ms);
        assert_eq!(durable(&loaded), durable(&self.machine), "after replay");
        for effect in std::mem::replace(&mut self.machine, loaded).unload() {
            self.effect(effect);
        }
        self.drain();
    }

    /// As if a producer had used up most of its epochs.
    fn nearly_exhaust(&mut self) {
        self.unload();
        let id: Str = format!("id{}", self.rng.usize(0..IDS)).into();
        let Ok(described) = self.machine.describe(&id) else {
            return;
        };
        let (producer_id, epoch) = (described.producer_id, described.producer_epoch);
        let is_idle = matches!(
            described.state,
            "Empty" | "CompleteCommit" | "CompleteAbort"
        );
        let is_held = self
            .open
            .values()
            .any(|&index| self.producers[index].transactional_id == id);
        if !is_idle || is_held || epoch > i16::MAX - 10 || !self.in_flight.is_empty() {
            return;
        }
        let mut metadata = self.machine.transactions[&id].metadata.clone();
        metadata.producer_epoch = i16::MAX - 4;
        self.log.push(super::records::encode(
            &id,
            &metadata,
            self.config.transaction_version,
        ));
        self.machine = load(&self.config, &self.log, self.now_ms);
        for producer in &mut self.producers {
            if producer.identity == Some((producer_id, epoch)) {
                producer.identity = Some((producer_id, i16::MAX - 4));
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Append { id, records } => self.in_flight.push_back((id, records)),
            Effect::WriteMarkers(marker) => {
                for (topic, partition) in marker.partitions.iter() {
                    let marker = Marker {
                        partitions: Partitions::default(),
                        ..marker.clone()
                    };
                    self.markers.push((marker, topic.clone(), partition));
                }
            }
            Effect::Respond { token, answer } => {
                let index = self
                    .open
                    .remove(&token)
                    .unwrap_or_else(|| panic!("{token:?} answered twice"));
                self.answered += 1;
                self.on_answer(index, token, answer);
            }
        }
    }

    fn on_answer(&mut self, index: usize, token: Token, answer: Answer) {
        let (waited, asked) = self.producers[index].waits_for.take().expect("it asked");
        assert_eq!(waited, token);
        let (error, producer) = match answer {
            Answer::InitProducerId(answer) | Answer::EndTransaction(answer) => (
                answer.error,
                Some((answer.producer_id, answer.producer_epoch)),
            ),
            Answer::AddPartitions(error) => (error, None),
        };
        if error != ErrorCode::None {
            return self.on_error(index, asked, error);
        }
        let identity = self.producers[index].identity;
        match asked {
            Asked::Init => {
                let (producer_id, epoch) = producer.expect("an identity");
                let highest = self.epochs.entry(producer_id).or_insert(-1);
                assert!(
                    epoch >= *highest,
                    "epoch {epoch} after {highest} of {producer_id}"
                );
                *highest = epoch;
                self.producers[index].identity = producer;
                self.producers[index].added.clear();
            }
            Asked::Add(partition) => {
                self.producers[index].added.insert(partition);
            }
            Asked::Commit | Asked::Abort => {
                let added = std::mem::take(&mut self.producers[index].added);
                let (producer_id, epoch) = identity.expect("an identity");
                if self.producers[index].version == 2 {
                    // The markers carry the epoch after the transaction's.
                    self.told
                        .push((producer_id, epoch + 1, asked == Asked::Commit, added));
                    self.producers[index].identity = producer;
                }
            }
        }
    }

    fn on_error(&mut self, index: usize, asked: Asked, error: ErrorCode) {
        let producer = &mut self.producers[index];
        match (asked, error) {
            (_, ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorNotAvailable) => {}
            (Asked::Init, _) => producer.identity = None,
            (_, ErrorCode::NotCoordinator) => {}
            _ => {
                producer.identity = None;
                producer.added.clear();
            }
        }
    }

    /// The producer cannot know whether its request was carried out: it starts anew.
    fn on_lost(&mut self, index: usize, token: Token) {
        let producer = &mut self.producers[index];
        assert_eq!(
            producer.waits_for.take().map(|(waited, _)| waited),
            Some(token)
        );
        producer.identity = None;
        producer.added.clear();
    }

    /// Everything that is on its way arrives.
    fn settle(&mut self) {
        let end_ms = self.now_ms + SETTLE_MS;
        while self.now_ms < end_ms || !self.in_flight.is_empty() || !self.markers.is_empty() {
            while !self.in_flight.is_empty() {
                self.commit_next();
            }
            self.mark_some();
            self.advance(1_000);
        }
        for transaction in self.machine.list(self.now_ms, ListTransactions::default()) {
            assert!(
                matches!(
                    transaction.state,
                    "Empty" | "CompleteCommit" | "CompleteAbort"
                ),
                "{transaction:?} did not end"
            );
        }
        let loaded = load(&self.config, &self.log, self.now_ms);
        assert_eq!(durable(&loaded), durable(&self.machine), "after replay");
    }

    fn check_told(&self) {
        for (producer_id, epoch, committed, partitions) in &self.told {
            for partition in partitions {
                let marker = self.written.get(&(*producer_id, *epoch, *partition));
                assert_eq!(
                    marker,
                    Some(committed),
                    "marker of {producer_id}/{epoch} in partition {partition}"
                );
            }
        }
    }
}

fn fresh(next: &mut i64) -> Result<i64, ErrorCode> {
    *next += 1;
    Ok(*next)
}
