//! `kill -9` under load: what was acknowledged is there, once and in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use crate::client::{Client, batch};
use crate::process::{Broker, DEADLINE};

const ROUNDS: u32 = 5;
const PARTITIONS: i32 = 4;
const RECORDS_PER_BATCH: i32 = 10;
/// Batches that all producers together have acknowledged before the next kill.
const BATCHES_PER_ROUND: u32 = 300;
/// Small enough that a round fills several segments of a partition.
const SEGMENT_BYTES: &str = "1048576";
const VALUE_BYTES: usize = 4000;

/// Where the broker listens; producers wait here while it is down.
#[derive(Default)]
pub struct Address {
    current: Mutex<Option<SocketAddr>>,
    changed: Condvar,
}

impl Address {
    pub fn set(&self, address: Option<SocketAddr>) {
        *self.current.lock().unwrap() = address;
        self.changed.notify_all();
    }

    /// A connection to whichever broker runs. Fails only if none comes for too long.
    pub fn connect(&self) -> Client {
        loop {
            let current = self.current.lock().unwrap();
            let (address, timeout) = self
                .changed
                .wait_timeout_while(current, DEADLINE, |address| address.is_none())
                .unwrap();
            assert!(!timeout.timed_out(), "no broker comes back");
            let address = address.unwrap();
            if let Ok(client) = Client::connect(address) {
                return client;
            }
        }
    }
}

/// What the threads share.
struct Load {
    address: Address,
    is_over: AtomicBool,
}

/// An idempotent producer of one partition with one batch in flight, which it repeats until it is acknowledged.
fn run_producer(load: &Load, partition: i32, acknowledged: &mpsc::Sender<()>) -> i32 {
    let mut client = load.address.connect();
    let producer_id = loop {
        match client.init_producer() {
            Ok(id) => break id,
            Err(_) => client = load.address.connect(),
        }
    };
    let mut sequence = 0;
    while !load.is_over.load(Ordering::Relaxed) {
        let values: Vec<Vec<u8>> = (sequence..sequence + RECORDS_PER_BATCH)
            .map(value)
            .collect();
        let records = batch(&values, Some((producer_id, sequence)));
        loop {
            match client.produce("load", partition, records.clone()) {
                Ok((0, base_offset)) => {
                    assert_eq!(base_offset, i64::from(sequence), "partition {partition}");
                    break;
                }
                Ok((code, _)) => {
                    let error = ErrorCode::from_code(code);
                    assert!(error.is_retriable(), "partition {partition}: {error:?}");
                }
                Err(_) => client = load.address.connect(),
            }
        }
        sequence += RECORDS_PER_BATCH;
        acknowledged.send(()).unwrap();
    }
    sequence
}

fn value(number: i32) -> Vec<u8> {
    let mut value = format!("{number} ").into_bytes();
    value.resize(VALUE_BYTES, b'.');
    value
}

/// Waits for the coordinator of group `g`, which is asked for by creating the topic of the offsets.
pub fn find_coordinator(client: &mut Client) {
    let request = FindCoordinatorRequest {
        key: "g".into(),
        ..Default::default()
    };
    retry("coordinator", || {
        client.ask(&request, 3).unwrap().error_code
    });
}

/// Commits an offset of group `g` for partition 0 of `topic`.
pub fn commit(client: &mut Client, topic: &'static str, offset: i64) {
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: offset,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    retry("commit", || {
        let answer = client.ask(&request, 7).unwrap();
        answer.topics[0].partitions[0].error_code
    });
}

/// What group `g` has committed; -1 if nothing.
pub fn committed(client: &mut Client) -> i64 {
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: None,
        ..Default::default()
    };
    let mut offset = -1;
    retry("fetch of offsets", || {
        let answer = client.ask(&request, 5).unwrap();
        if let Some(topic) = answer.topics.first() {
            offset = topic.partitions[0].committed_offset;
        }
        answer.error_code
    });
    offset
}

/// Asks again while the answer is an error that goes away by itself.
fn retry(what: &str, mut ask: impl FnMut() -> i16) {
    let begun = std::time::Instant::now();
    loop {
        let error = ErrorCode::from_code(ask());
        if error == ErrorCode::None {
            return;
        }
        assert!(
            error.is_retriable() && begun.elapsed() < DEADLINE,
            "{what}: {error:?}"
        );
    }
}

fn topics(client: &mut Client) -> BTreeMap<String, usize> {
    let request = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let answer = client.ask(&request, 9).unwrap();
    let topics = answer.topics.into_iter().map(|topic| {
        let name = topic.name.unwrap_or_default().to_string();
        (name, topic.partitions.len())
    });
    topics.collect()
}

#[test]
fn what_was_acknowledged_survives_kills_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(dir.path(), &[]);
    let mut client = Client::connect(broker.address).unwrap();
    let configs = [("segment.bytes", SEGMENT_BYTES)];
    client.create_topic("load", PARTITIONS, &configs).unwrap();
    find_coordinator(&mut client);
    let load = Arc::new(Load {
        address: Address::default(),
        is_over: AtomicBool::new(false),
    });
    load.address.set(Some(broker.address));
    let (sender, acknowledged) = mpsc::channel();
    let producers: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let (load, sender) = (Arc::clone(&load), sender.clone());
            std::thread::spawn(move || run_producer(&load, partition, &sender))
        })
        .collect();
    drop(sender);

    for round in 0..ROUNDS {
        for _ in 0..BATCHES_PER_ROUND {
            acknowledged.recv_timeout(DEADLINE).unwrap();
        }
        commit(&mut client, "load", i64::from(round) + 100);
        client
            .create_topic(&format!("round-{round}"), 2, &[])
            .unwrap();
        load.address.set(None);
        broker.check_errors();
        broker.kill();
        broker = Broker::start(dir.path(), &[]);
        load.address.set(Some(broker.address));
        client = Client::connect(broker.address).unwrap();
        assert_eq!(committed(&mut client), i64::from(round) + 100);
        let topics = topics(&mut client);
        for earlier in 0..=round {
            assert_eq!(topics.get(&format!("round-{earlier}")), Some(&2));
        }
    }
    load.is_over.store(true, Ordering::Relaxed);
    let counts: Vec<i32> = producers
        .into_iter()
        .map(|producer| producer.join().unwrap())
        .collect();
    check_records(&mut client, &counts);
    broker.check_errors();

    broker.stop();
    let broker = Broker::start(dir.path(), &[]);
    check_records(&mut Client::connect(broker.address).unwrap(), &counts);
    broker.check_errors();
}

/// Each partition has exactly what its producer had acknowledged.
fn check_records(client: &mut Client, counts: &[i32]) {
    for (partition, count) in counts.iter().enumerate() {
        let read = client.read_all("load", partition as i32).unwrap();
        for (index, record) in read.iter().enumerate() {
            assert_eq!(record.offset, index as i64, "partition {partition}");
            let expected = value(index as i32);
            assert!(record.value == expected, "partition {partition} at {index}");
        }
        assert_eq!(read.len() as i32, *count, "partition {partition}");
    }
}
