//! A machine driven by a small script, its effects written down as text.
//!
//! One command a line; the answer of the n-th request carries token n. Appends commit at once unless `hold` says
//! otherwise, and markers are written at once unless `hold-markers` does. Producer ids count from 1000. Every script
//! ends with a check that a machine loaded from the log knows what the live one knows.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use expect_test::Expect;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{ErrorCode, Str};

use super::metadata::Metadata;
use super::records;
use super::*;
use crate::effect::{AppendId, KeyValue};
use crate::request::Token;

mod add;
mod durability;
mod end;
mod exhausted;
mod init;
mod markers;
mod model;
mod query;
mod time;

const COORDINATOR_EPOCH: i32 = 4;

fn check(script: &str, expected: Expect) {
    check_with(TransactionConfig::default(), script, expected);
}

/// With a cluster at `transaction.version` 0.
fn check_v0(script: &str, expected: Expect) {
    let config = TransactionConfig {
        transaction_version: 0,
        ..TransactionConfig::default()
    };
    check_with(config, script, expected);
}

fn check_with(config: TransactionConfig, script: &str, expected: Expect) {
    let mut run = Script::new(config);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        run.command(line);
    }
    run.check_replay();
    expected.assert_eq(&run.out);
}

struct Script {
    machine: TransactionCoordinator,
    config: TransactionConfig,
    now_ms: i64,
    tokens: u64,
    next_producer_id: i64,
    has_producer_ids: bool,
    log: Vec<KeyValue>,
    hold: bool,
    hold_markers: bool,
    held: Vec<(AppendId, Vec<KeyValue>)>,
    last_marker: Option<Marker>,
    out: String,
}

impl Script {
    fn new(config: TransactionConfig) -> Self {
        Self {
            machine: TransactionLoader::new(config.clone()).finish(0, COORDINATOR_EPOCH),
            config,
            now_ms: 0,
            tokens: 0,
            next_producer_id: 1_000,
            has_producer_ids: true,
            log: Vec::new(),
            hold: false,
            hold_markers: false,
            held: Vec::new(),
            last_marker: None,
            out: String::new(),
        }
    }

    fn command(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let rest = &words[1..];
        writeln!(self.out, "> {line}").expect("strings grow");
        match words[0] {
            "hold" => self.hold = true,
            "release" => self.release(),
            "fail" => self.fail(error_named(rest[0])),
            "hold-markers" => self.hold_markers = true,
            "marked" => self.marked(rest),
            "no-producer-ids" => self.has_producer_ids = false,
            "producer-ids" => self.has_producer_ids = true,
            "wait" => self.wait(rest[0].parse().expect("milliseconds")),
            "restart" => self.restart(),
            "unload" => self.unload(),
            "epoch" => self.set_epoch(rest[0], rest[1].parse().expect("an epoch")),
            "verify" => self.verify(rest),
            "describe" => self.describe(rest[0]),
            "list" => self.list(rest),
            verb => self.request(verb, rest),
        }
        self.drain();
    }

    fn request(&mut self, verb: &str, words: &[&str]) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let (next, has_ids) = (&mut self.next_producer_id, self.has_producer_ids);
        let mut ids = move || {
            if !has_ids {
                return Err(ErrorCode::CoordinatorLoadInProgress);
            }
            *next += 1;
            Ok(*next - 1)
        };
        let transactional_id: Str = words[0].trim_matches('-').into();
        match verb {
            "init" => {
                let request = InitProducerId {
                    transactional_id,
                    timeout_ms: value(words, "timeout").map_or(60_000, number),
                    enable_two_phase_commit: words.contains(&"2pc"),
                    keep_prepared: words.contains(&"keep"),
                    current: value(words, "current").map(producer),
                };
                self.machine
                    .handle_init_producer_id(self.now_ms, token, &request, &mut ids);
            }
            "add" => {
                let (producer_id, producer_epoch) = producer(words[1]);
                let request = AddPartitions {
                    transactional_id,
                    producer_id,
                    producer_epoch,
                    partitions: partitions(words),
                    client_version: value(words, "v").map_or(2, number) as i16,
                };
                self.machine
                    .handle_add_partitions(self.now_ms, token, &request);
            }
            "commit" | "abort" => {
                let (producer_id, producer_epoch) = producer(words[1]);
                let request = EndTransaction {
                    transactional_id,
                    producer_id,
                    producer_epoch,
                    committed: verb == "commit",
                    client_version: value(words, "v").map_or(2, number) as i16,
                };
                self.machine
                    .handle_end_transaction(self.now_ms, token, &request, &mut ids);
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn wait(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(at_ms) = self.machine.poll_timeout().filter(|&at_ms| at_ms <= end_ms) {
            self.now_ms = at_ms.max(self.now_ms);
            let (next, has_ids) = (&mut self.next_producer_id, self.has_producer_ids);
            let mut ids = move || {
                if !has_ids {
                    return Err(ErrorCode::CoordinatorLoadInProgress);
                }
                *next += 1;
                Ok(*next - 1)
            };
            self.machine.handle_timeout(self.now_ms, &mut ids);
            self.drain();
        }
        self.now_ms = end_ms;
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Respond { token, answer } => {
                    writeln!(self.out, "{}: {}", token.0, shown(&answer)).expect("strings grow");
                }
                Effect::Append { id, records } => {
                    for record in &records {
                        writeln!(self.out, "append {}", shown_record(record))
                            .expect("strings grow");
                    }
                    if self.hold {
                        self.held.push((id, records));
                    } else {
                        self.log.extend(records);
                        self.machine.handle_committed(self.now_ms, id);
                    }
                }
                Effect::WriteMarkers(marker) => self.markers(marker),
            }
        }
    }

    fn markers(&mut self, marker: Marker) {
        let what = if marker.committed { "commit" } else { "abort" };
        let (id, epoch) = (marker.producer_id, marker.producer_epoch);
        let partitions = shown_partitions(&marker.partitions);
        writeln!(
            self.out,
            "{what} markers of {} {id}/{epoch} version {} coordinator {} in {partitions}",
            marker.transactional_id, marker.transaction_version, marker.coordinator_epoch
        )
        .expect("strings grow");
        self.last_marker = Some(marker.clone());
        if !self.hold_markers {
            let outcome = MarkerOutcome::Answered(ErrorCode::None);
            for (topic, partition) in marker.partitions.iter() {
                self.report(&marker, topic, partition, outcome);
            }
        }
    }

    fn report(&mut self, marker: &Marker, topic: &str, partition: i32, outcome: MarkerOutcome) {
        self.machine.handle_marker_outcome(
            self.now_ms,
            marker.id,
            &marker.transactional_id,
            (topic, partition),
            outcome,
        );
    }

    fn marked(&mut self, words: &[&str]) {
        let marker = self.last_marker.clone().expect("markers");
        let outcome = match words[0] {
            "Unreachable" => MarkerOutcome::Unreachable,
            "NoSuchPartition" => MarkerOutcome::NoSuchPartition,
            name => MarkerOutcome::Answered(error_named(name)),
        };
        for TopicPartition { topic, partition } in partitions(words) {
            self.report(&marker, &topic, partition, outcome);
        }
    }

    fn release(&mut self) {
        self.hold = false;
        for (id, records) in std::mem::take(&mut self.held) {
            self.log.extend(records);
            self.machine.handle_committed(self.now_ms, id);
        }
    }

    fn fail(&mut self, error: ErrorCode) {
        self.hold = false;
        if let Some((id, _)) = std::mem::take(&mut self.held).first() {
            self.machine.handle_append_failed(self.now_ms, *id, error);
        }
    }

    fn load(&self) -> TransactionCoordinator {
        load(&self.config, &self.log, self.now_ms)
    }

    fn restart(&mut self) {
        self.machine = self.load();
        self.held.clear();
        self.hold = false;
    }

    fn unload(&mut self) {
        let fresh = self.load();
        for effect in std::mem::replace(&mut self.machine, fresh).unload() {
            if let Effect::Respond { token, answer } = effect {
                writeln!(self.out, "{}: {}", token.0, shown(&answer)).expect("strings grow");
            }
        }
        self.held.clear();
        self.hold = false;
    }

    /// Brings an id close to where its epochs end, as if many transactions had been.
    fn set_epoch(&mut self, transactional_id: &str, epoch: i16) {
        let id: Str = transactional_id.into();
        let mut metadata = self.machine.transactions[&id].metadata.clone();
        metadata.producer_epoch = epoch;
        let record = records::encode(&id, &metadata, self.config.transaction_version);
        self.log.push(record);
        self.restart();
    }

    fn verify(&mut self, words: &[&str]) {
        let (producer_id, producer_epoch) = producer(words[1]);
        let id = words[0].trim_matches('-');
        let partitions = partitions(words);
        let errors = self
            .machine
            .verify_partitions(id, producer_id, producer_epoch, &partitions);
        writeln!(self.out, "{errors:?}").expect("strings grow");
    }

    fn describe(&mut self, id: &str) {
        let described = match self.machine.describe(id.trim_matches('-')) {
            Ok(described) => format!(
                "{} {}/{} timeout {} since {} {}",
                described.state,
                described.producer_id,
                described.producer_epoch,
                described.timeout_ms,
                described.start_ms,
                shown_partitions(&described.partitions)
            ),
            Err(error) => format!("{:?}", error.code()),
        };
        writeln!(self.out, "{described}").expect("strings grow");
    }

    fn list(&mut self, words: &[&str]) {
        let split = |key| value(words, key).map(|list| list.split(',').collect());
        let states: Vec<&str> = split("states").unwrap_or_default();
        let states: Vec<Str> = states.into_iter().map(Str::from).collect();
        let producers: Vec<&str> = split("producers").unwrap_or_default();
        let producers: Vec<i64> = producers.into_iter().map(number).map(i64::from).collect();
        let suffix = value(words, "suffix").unwrap_or_default().to_owned();
        let filter = ListTransactions {
            producer_ids: &producers,
            states: &states,
            longer_than_ms: value(words, "longer").map_or(-1, number).into(),
            is_match: Some(&|id| id.ends_with(&suffix)),
        };
        for listed in self.machine.list(self.now_ms, filter) {
            let ListedTransaction {
                transactional_id,
                producer_id,
                state,
            } = listed;
            writeln!(self.out, "{transactional_id} {producer_id} {state}").expect("strings grow");
        }
        let unknown = filter.unknown_states();
        if !unknown.is_empty() {
            writeln!(self.out, "unknown states {unknown:?}").expect("strings grow");
        }
    }

    fn check_replay(&self) {
        if self.held.is_empty() {
            assert_eq!(
                durable(&self.load()),
                durable(&self.machine),
                "after replay"
            );
        }
    }
}

fn load(config: &TransactionConfig, log: &[KeyValue], now_ms: i64) -> TransactionCoordinator {
    let mut loader = TransactionLoader::new(config.clone());
    for (offset, (key, value)) in (0..).zip(log) {
        let replayed = loader.replay(offset, key, value.as_deref());
        replayed.expect("our own records are readable");
    }
    loader.finish(now_ms, COORDINATOR_EPOCH)
}

/// What a log can know: neither the last epoch, nor which markers are written, nor a fence that failed.
fn durable(machine: &TransactionCoordinator) -> BTreeMap<Str, Metadata> {
    let shown = machine.transactions.iter().map(|(id, transaction)| {
        let mut metadata = transaction.metadata.clone();
        metadata.last_producer_epoch = NO_PRODUCER_EPOCH;
        if metadata.state.is_prepare() {
            metadata.partitions = Partitions::default();
        }
        if transaction.has_failed_fence {
            metadata.producer_epoch -= 1;
        }
        if machine.config.transaction_version == 0 {
            // Records without tags.
            metadata.previous_producer_id = NO_PRODUCER_ID;
            metadata.client_version = 0;
        }
        (id.clone(), metadata)
    });
    shown.collect()
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::InitProducerId(answer) => format!("init {}", shown_producer(*answer)),
        Answer::AddPartitions(error) => format!("add {error:?}"),
        Answer::EndTransaction(answer) => format!("end {}", shown_producer(*answer)),
    }
}

fn shown_producer(answer: ProducerAnswer) -> String {
    match (answer.producer_id, answer.producer_epoch) {
        (-1, -1) => format!("{:?}", answer.error),
        (id, epoch) => format!("{:?} {id}/{epoch}", answer.error),
    }
}

fn shown_record((key, value): &(Bytes, Option<Bytes>)) -> String {
    let record = records::decode(key, value.as_deref());
    let record = record.expect("readable").expect("known");
    let Some(metadata) = record.metadata else {
        return format!("tombstone of {}", record.transactional_id);
    };
    let mut line = format!(
        "{} {} {}/{}",
        record.transactional_id,
        metadata.state.name(),
        metadata.producer_id,
        metadata.producer_epoch
    );
    if metadata.next_producer_id >= 0 {
        write!(line, " then {}", metadata.next_producer_id).expect("strings grow");
    }
    if !metadata.partitions.is_empty() {
        write!(line, " {}", shown_partitions(&metadata.partitions)).expect("strings grow");
    }
    line
}

fn shown_partitions(partitions: &Partitions) -> String {
    let each = partitions
        .iter()
        .map(|(topic, index)| format!("{topic}:{index}"));
    format!("[{}]", each.collect::<Vec<_>>().join(" "))
}

fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words
        .iter()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn number(text: &str) -> i32 {
    text.parse().expect("a number")
}

fn producer(text: &str) -> (i64, i16) {
    let (id, epoch) = text.split_once('/').expect("id/epoch");
    (id.parse().expect("an id"), epoch.parse().expect("an epoch"))
}

fn partitions(words: &[&str]) -> Vec<TopicPartition> {
    let named = words.iter().filter_map(|word| word.split_once(':'));
    let named = named.map(|(topic, index)| TopicPartition::new(topic, number(index)));
    named.collect()
}

fn error_named(name: &str) -> ErrorCode {
    *ErrorCode::ALL
        .iter()
        .find(|code| code.name() == name || format!("{code:?}") == name)
        .expect("a known error")
}
