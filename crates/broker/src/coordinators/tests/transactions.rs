//! Transactional ids that begin, end, wait for their markers, time out and expire.

use std::collections::VecDeque;

use fastrand::Rng;
use ottla_coordinator::transaction::{
    AddPartitions, Answer, Effect, EndTransaction, InitProducerId, Marker, MarkerOutcome,
    ProducerAnswer, TransactionConfig, TransactionCoordinator, TransactionLoader,
};
use ottla_coordinator::{AppendBatch, Token};
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{ErrorCode, Str};

use super::Kept;
use crate::coordinators::shard::encode;
use crate::topics::TRANSACTIONS_TOPIC;

const SEEDS: u64 = 6;
const ROUNDS: usize = 12;
const STEPS: usize = 80;
const IDS: usize = 8;
const EPOCH: i32 = 3;
const TIMEOUT_MS: i32 = 60_000;
const DAY_MS: i64 = 24 * 3_600_000;

struct Run {
    rng: Rng,
    kept: Kept,
    machine: TransactionCoordinator,
    next_producer_id: i64,
    /// What each transactional id believes that it is.
    producers: Vec<(i64, i16)>,
    asked: Vec<usize>,
    unwritten: VecDeque<Marker>,
}

fn transactional_id(index: usize) -> Str {
    format!("id-{index}").into()
}

fn loader() -> TransactionLoader {
    TransactionLoader::new(TransactionConfig::default())
}

#[test]
fn transactions_are_after_cleaning_what_they_were_before() {
    let seen: String = (0..SEEDS).map(run).collect();
    for state in [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
    ] {
        assert!(seen.contains(&format!("state: {state}")), "never {state}");
    }
}

/// Returns all that was known after each clean.
fn run(seed: u64) -> String {
    let mut kept = Kept::new(TRANSACTIONS_TOPIC);
    kept.now_ms += seed as i64;
    let mut run = Run {
        machine: loader().finish(kept.now_ms, EPOCH),
        rng: Rng::with_seed(seed),
        kept,
        next_producer_id: 1_000,
        producers: vec![(-1, -1); IDS],
        asked: Vec::new(),
        unwritten: VecDeque::new(),
    };
    let mut seen = String::new();
    for round in 0..ROUNDS {
        for _ in 0..STEPS {
            run.step();
        }
        if round == ROUNDS / 2 {
            // All ids that are not in a transaction expire, which leaves tombstones.
            run.advance(8 * DAY_MS);
        }
        seen += &run.kept.clean(loader);
    }
    assert!(run.kept.removed > 20_000, "{} bytes", run.kept.removed);
    seen
}

impl Run {
    fn step(&mut self) {
        let index = self.rng.usize(..IDS);
        let (transactional_id, token) = (transactional_id(index), Token(self.asked.len() as u64));
        self.asked.push(index);
        let (producer_id, producer_epoch) = self.producers[index];
        let now_ms = self.kept.now_ms;
        let next = &mut self.next_producer_id;
        let mut ids = || {
            *next += 1;
            Ok(*next)
        };
        match self.rng.u32(..12) {
            0 | 1 => {
                let request = InitProducerId {
                    transactional_id,
                    timeout_ms: TIMEOUT_MS,
                    enable_two_phase_commit: false,
                    keep_prepared: false,
                    current: None,
                };
                self.machine
                    .handle_init_producer_id(now_ms, token, &request, &mut ids);
            }
            2..6 => {
                let partition = self.rng.i32(0..5);
                let request = AddPartitions {
                    transactional_id,
                    producer_id,
                    producer_epoch,
                    partitions: vec![TopicPartition::new("topic", partition)],
                    client_version: 2,
                };
                self.machine.handle_add_partitions(now_ms, token, &request);
            }
            6..9 => {
                let request = EndTransaction {
                    transactional_id,
                    producer_id,
                    producer_epoch,
                    committed: self.rng.bool(),
                    client_version: 2,
                };
                self.machine
                    .handle_end_transaction(now_ms, token, &request, &mut ids);
            }
            9 | 10 => self.write_markers(),
            _ => {
                let ms = self.rng.i64(0..i64::from(TIMEOUT_MS));
                self.advance(ms);
            }
        }
        self.drain();
    }

    fn advance(&mut self, ms: i64) {
        self.kept.now_ms += ms;
        let next = &mut self.next_producer_id;
        let mut ids = || {
            *next += 1;
            Ok(*next)
        };
        self.machine.handle_timeout(self.kept.now_ms, &mut ids);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Append { id, records } => {
                    let batch = encode(AppendBatch::Records(records), self.kept.now_ms).unwrap();
                    self.kept.append(&batch);
                    self.machine.handle_committed(self.kept.now_ms, id);
                }
                Effect::WriteMarkers(marker) => self.unwritten.push_back(marker),
                Effect::Respond { token, answer } => self.hear(token, answer),
            }
        }
    }

    fn hear(&mut self, token: Token, answer: Answer) {
        let (Answer::InitProducerId(producer) | Answer::EndTransaction(producer)) = answer else {
            return;
        };
        let ProducerAnswer {
            error: ErrorCode::None,
            producer_id,
            producer_epoch,
        } = producer
        else {
            return;
        };
        let index = self.asked[token.0 as usize];
        self.producers[index] = (producer_id, producer_epoch);
    }

    /// The oldest markers arrive at their partitions.
    fn write_markers(&mut self) {
        let Some(marker) = self.unwritten.pop_front() else {
            return;
        };
        let outcome = MarkerOutcome::Answered(ErrorCode::None);
        for (topic, partition) in marker.partitions.iter() {
            self.machine.handle_marker_outcome(
                self.kept.now_ms,
                marker.id,
                &marker.transactional_id,
                (topic, partition),
                outcome,
            );
        }
    }
}
