//! Transactions under `kill -9`: producers, a consume-transform-produce for each input partition and readers run while
//! the broker is killed and started again; then the history of all of them is judged.
//!
//! Judged is: no lost write, no dirty read, no aborted read, no reordered write, all of a transaction or nothing of it
//! across partitions, each input exactly once, no record of a fenced producer, nothing left open at the end.
//!
//! The choices of all actors follow from `OTTLA_HISTORY_SEED`; `OTTLA_HISTORY_ROUNDS` makes it longer.

mod producer;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_protocol::messages::{FindCoordinatorRequest, OffsetFetchRequest};

use crate::client::{Client, Consumed, batch};
use crate::crash::Address;
use crate::process::{Broker, DEADLINE};
use producer::Lost;
pub use producer::{Protocol, TransactionalProducer, ask};
use reader::{Isolation, PartitionReader};

const SEED_DEFAULT: u64 = 20_261_124;
const ROUNDS_DEFAULT: u64 = 5;
/// Transactions that all actors together have ended before the next kill.
const TRANSACTIONS_PER_ROUND: u32 = 120;
const WRITERS: usize = 3;
const INPUTS: i32 = 2;
const INPUT_RECORDS: i32 = 20_000;
const INPUT_RECORDS_PER_BATCH: i32 = 500;
/// Input that one transaction takes at most.
const TAKEN_MAX: u64 = 8;
const OUTPUTS: i32 = 3;
const GROUP: &str = "transform";
const SETTINGS: [&str; 2] = [
    "transaction.state.log.num.partitions=3",
    "transaction.state.log.min.isr=1",
];

/// What became of a writer's transaction, as far as the writer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Committed,
    Aborted,
    /// The commit was asked for and not answered.
    Unknown,
}

/// What the threads share.
struct Load {
    address: Address,
    /// Producers end with their transaction under way.
    is_over: AtomicBool,
    /// Nothing is written any more: readers read to the end.
    is_written: AtomicBool,
}

/// Choices that follow from a seed (xorshift64*).
struct Choices(u64);

impl Choices {
    fn new(seed: u64, actor: u64) -> Self {
        Self((seed ^ (actor + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

fn protocol(actor: usize) -> Protocol {
    match actor % 2 {
        0 => Protocol::Implicit,
        _ => Protocol::Explicit,
    }
}

/// A transaction of a writer: what became of it, and the partitions that it wrote to.
type Written = (Outcome, BTreeSet<i32>);

/// Transactions over several partitions, some of them aborted, some abandoned.
fn run_writer(load: &Load, writer: usize, seed: u64, ended: &mpsc::Sender<()>) -> Vec<Written> {
    let mut choices = Choices::new(seed, writer as u64);
    let id = format!("writer-{writer}");
    let mut producer = TransactionalProducer::new(&load.address, &id, protocol(writer));
    let mut history = Vec::new();
    while !load.is_over.load(Ordering::Relaxed) {
        let number = history.len();
        let partitions: BTreeSet<i32> = (0..1 + choices.below(3))
            .map(|_| choices.below(OUTPUTS as u64) as i32)
            .collect();
        let outcome = write(
            &mut producer,
            &mut choices,
            &partitions,
            &format!("w{writer}:{number}"),
        );
        history.push((outcome, partitions));
        // Whoever waits for it may have seen enough.
        let _ = ended.send(());
    }
    history
}

fn write(
    producer: &mut TransactionalProducer<'_>,
    choices: &mut Choices,
    partitions: &BTreeSet<i32>,
    value: &str,
) -> Outcome {
    if choices.one_in(40) {
        let before = producer.identity();
        producer.begin_anew();
        if producer.send_as_zombie(before, "out").is_err() {
            producer.reconnect();
        }
    }
    for &partition in partitions {
        while producer
            .send("out", partition, &[value.to_owned()])
            .is_err()
        {
            producer.reconnect();
            if choices.one_in(2) {
                producer.begin_anew();
                return Outcome::Aborted;
            }
        }
    }
    if choices.one_in(30) {
        // It is as if the process had died here.
        producer.begin_anew();
        return Outcome::Aborted;
    }
    end(producer, choices, partitions.len() > 1)
}

/// Ends the transaction one way or the other.
fn end(
    producer: &mut TransactionalProducer<'_>,
    choices: &mut Choices,
    may_abort: bool,
) -> Outcome {
    let committed = !(may_abort && choices.one_in(4));
    while producer.end(committed).is_err() {
        producer.reconnect();
        if choices.one_in(2) {
            producer.begin_anew();
            return match committed {
                true => Outcome::Unknown,
                false => Outcome::Aborted,
            };
        }
    }
    match committed {
        true => Outcome::Committed,
        false => Outcome::Aborted,
    }
}

/// Reads an input partition from where the group has come, writes what it read, and commits the offset with it.
fn run_transform(load: &Load, input: i32, seed: u64, ended: &mpsc::Sender<()>) {
    let actor = 100 + input as u64;
    let mut choices = Choices::new(seed, actor);
    let id = format!("transform-{input}");
    let mut producer = TransactionalProducer::new(&load.address, &id, protocol(input as usize));
    while !load.is_over.load(Ordering::Relaxed) {
        if transform(&mut producer, &mut choices, input).is_err() {
            producer.reconnect();
            // What is open is aborted, or its end is completed, before the offset is read again.
            producer.begin_anew();
        }
        // Whoever waits for it may have seen enough.
        let _ = ended.send(());
    }
}

fn transform(
    producer: &mut TransactionalProducer<'_>,
    choices: &mut Choices,
    input: i32,
) -> Result<(), Lost> {
    let from = committed(producer.client(), input)?.max(0);
    let to = (from + 1 + choices.below(TAKEN_MAX) as i64).min(INPUT_RECORDS.into());
    if from == to {
        return Ok(());
    }
    let values: Vec<String> = (from..to)
        .map(|offset| format!("t{input}:{offset}"))
        .collect();
    producer.send("out", input, &values)?;
    producer.send_offset(GROUP, "in", input, to)?;
    producer.end(!choices.one_in(5))
}

/// How far the group has come in an input partition, once nothing is pending there; -1 at the beginning.
fn committed(client: &mut Client, input: i32) -> Result<i64, Lost> {
    let request = OffsetFetchRequest {
        group_id: GROUP.into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "in".into(),
            partition_indexes: vec![input],
            ..Default::default()
        }]),
        require_stable: true,
        ..Default::default()
    };
    let answer = ask(client, &request, 7, |answer| {
        let of_partition = answer
            .topics
            .first()
            .map(|topic| topic.partitions[0].error_code);
        of_partition
            .filter(|code| *code != 0)
            .unwrap_or(answer.error_code)
    })?;
    assert_eq!(answer.error_code, 0, "{answer:?}");
    Ok(answer.topics[0].partitions[0].committed_offset)
}

/// Follows the output all the time, across the kills, to its end.
fn run_reader(load: &Load, isolation: Isolation) -> Vec<PartitionReader> {
    let mut readers: Vec<_> = (0..OUTPUTS)
        .map(|partition| PartitionReader::new("out", partition, isolation))
        .collect();
    let mut client = load.address.connect();
    while !load.is_written.load(Ordering::Relaxed) {
        for reader in &mut readers {
            if reader.poll(&mut client).is_err() {
                client = load.address.connect();
            }
        }
    }
    for reader in &mut readers {
        while reader.read_to_end(&mut client).is_err() {
            client = load.address.connect();
        }
    }
    readers
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

fn prepare(client: &mut Client) {
    client.create_topic("in", INPUTS, &[]).unwrap();
    client
        .create_topic("out", OUTPUTS, &[("segment.bytes", "1048576")])
        .unwrap();
    let producer_id = client.init_producer().unwrap();
    for input in 0..INPUTS {
        for first in (0..INPUT_RECORDS).step_by(INPUT_RECORDS_PER_BATCH as usize) {
            let values: Vec<Vec<u8>> = (first..first + INPUT_RECORDS_PER_BATCH)
                .map(|number| number.to_string().into_bytes())
                .collect();
            let records = batch(&values, Some((producer_id, first)));
            assert_eq!(client.produce("in", input, records).unwrap().0, 0);
        }
    }
    for key_type in [0, 1] {
        let request = FindCoordinatorRequest {
            key: GROUP.into(),
            key_type,
            ..Default::default()
        };
        let found = ask(client, &request, 3, |answer| answer.error_code).unwrap();
        assert_eq!(found.error_code, 0, "{found:?}");
    }
}

#[test]
fn transactions_are_whole_whatever_is_killed() {
    let seed = setting("OTTLA_HISTORY_SEED", SEED_DEFAULT);
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(dir.path(), &SETTINGS);
    prepare(&mut Client::connect(broker.address).unwrap());
    let load = Arc::new(Load {
        address: Address::default(),
        is_over: AtomicBool::new(false),
        is_written: AtomicBool::new(false),
    });
    load.address.set(Some(broker.address));

    let (sender, ended) = mpsc::channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (load, sender) = (Arc::clone(&load), sender.clone());
            std::thread::spawn(move || run_writer(&load, writer, seed, &sender))
        })
        .collect();
    let transforms: Vec<_> = (0..INPUTS)
        .map(|input| {
            let (load, sender) = (Arc::clone(&load), sender.clone());
            std::thread::spawn(move || run_transform(&load, input, seed, &sender))
        })
        .collect();
    let readers = [Isolation::Committed, Isolation::Uncommitted].map(|isolation| {
        let load = Arc::clone(&load);
        std::thread::spawn(move || run_reader(&load, isolation))
    });

    for _ in 0..setting("OTTLA_HISTORY_ROUNDS", ROUNDS_DEFAULT) {
        for _ in 0..TRANSACTIONS_PER_ROUND {
            ended.recv_timeout(DEADLINE).expect("transactions go on");
        }
        load.address.set(None);
        broker.check_errors();
        broker.kill();
        broker = Broker::start(dir.path(), &SETTINGS);
        load.address.set(Some(broker.address));
    }
    for _ in 0..TRANSACTIONS_PER_ROUND {
        ended.recv_timeout(DEADLINE).expect("transactions go on");
    }
    load.is_over.store(true, Ordering::Relaxed);

    let written: Vec<Vec<Written>> = writers.into_iter().map(|w| w.join().unwrap()).collect();
    transforms
        .into_iter()
        .for_each(|transform| transform.join().unwrap());
    load.is_written.store(true, Ordering::Relaxed);
    let [committed_live, uncommitted_live] = readers.map(|reader| reader.join().unwrap());
    let mut client = Client::connect(broker.address).unwrap();
    let visible = read(&mut client, Isolation::Committed);
    let everything = read(&mut client, Isolation::Uncommitted);
    check_readers(&committed_live, &visible);
    check_readers(&uncommitted_live, &everything);
    for (visible, everything) in visible.iter().zip(&everything) {
        let everything: BTreeSet<_> = everything.iter().map(key).collect();
        assert!(
            visible
                .iter()
                .all(|record| everything.contains(&key(record)))
        );
    }
    for (writer, history) in written.iter().enumerate() {
        check_writer(writer, history, &visible);
    }
    for input in 0..INPUTS {
        check_transform(&mut client, input, &visible);
    }
    broker.check_errors();
}

/// All that can be seen in each output partition; nothing may be open any more.
fn read(client: &mut Client, isolation: Isolation) -> Vec<Vec<Consumed>> {
    let each = (0..OUTPUTS).map(|partition| {
        let mut reader = PartitionReader::new("out", partition, isolation);
        let bounds = reader.read_to_end(client).unwrap();
        assert_eq!(
            bounds.last_stable, bounds.high_watermark,
            "a transaction is left open"
        );
        reader.seen
    });
    each.collect()
}

fn key(record: &Consumed) -> (i64, &[u8]) {
    (record.offset, &record.value)
}

/// Whoever read all the time has read what is there in the end, in the same order.
fn check_readers(live: &[PartitionReader], in_the_end: &[Vec<Consumed>]) {
    for (live, in_the_end) in live.iter().zip(in_the_end) {
        let common = live
            .seen
            .iter()
            .zip(in_the_end)
            .take_while(|(a, b)| a == b)
            .count();
        let rest = (live.seen.get(common), in_the_end.get(common));
        assert_eq!(rest, (None, None), "readers part after {common} records");
    }
}

/// The numbers of the transactions whose records can be seen, by partition, in order.
fn numbers(prefix: &str, records: &[Consumed]) -> Vec<usize> {
    let values = records
        .iter()
        .map(|record| std::str::from_utf8(&record.value).unwrap());
    let own = values.filter_map(|value| {
        assert_ne!(value, "zombie", "a fenced producer's record can be seen");
        value.strip_prefix(prefix)
    });
    own.map(|number| number.parse().unwrap()).collect()
}

fn check_writer(writer: usize, history: &[Written], visible: &[Vec<Consumed>]) {
    let mut seen: BTreeMap<usize, BTreeSet<i32>> = BTreeMap::new();
    for (partition, records) in visible.iter().enumerate() {
        let numbers = numbers(&format!("w{writer}:"), records);
        // Each once, in the order in which they were written.
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "writer {writer} in {partition}: {numbers:?}"
        );
        for number in numbers {
            seen.entry(number).or_default().insert(partition as i32);
        }
    }
    let none = BTreeSet::new();
    for (number, (outcome, partitions)) in history.iter().enumerate() {
        let seen = seen.get(&number).unwrap_or(&none);
        let is_right = match outcome {
            Outcome::Committed => seen == partitions,
            Outcome::Aborted => seen.is_empty(),
            Outcome::Unknown => seen == partitions || seen.is_empty(),
        };
        assert!(
            is_right,
            "w{writer}:{number} {outcome:?} in {partitions:?}, seen in {seen:?}"
        );
    }
    let committed = history
        .iter()
        .filter(|(outcome, _)| *outcome == Outcome::Committed);
    assert!(committed.count() > 0, "writer {writer} got nothing done");
}

/// Every input up to the committed offset has been transformed, once and in order, and no other.
fn check_transform(client: &mut Client, input: i32, visible: &[Vec<Consumed>]) {
    let committed = committed(client, input).unwrap();
    assert!(committed > 0, "input {input} was not read");
    let expected: Vec<usize> = (0..committed as usize).collect();
    let transformed = numbers(&format!("t{input}:"), &visible[input as usize]);
    assert_eq!(transformed, expected, "input {input}");
}
