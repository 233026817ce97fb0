//! Clients that mean harm, or are broken: none may hurt the broker, or another client.
//!
//! Every test ends with a well-behaved client that produces and fetches, a bound on the broker's
//! memory, and a look into what the broker printed.

use std::io;

use bytes::Bytes;
use ottla_protocol::messages::MetadataRequest;
use ottla_protocol::{ApiKey, frame};

use crate::api_sweep::advertised_samples;
use crate::apis::Sample;
use crate::client::{Client, batch};
use crate::process::Broker;

/// What a hostile client may make the broker's memory grow by.
const GROWTH_KIB_MAX: u64 = 192 * 1024;
/// A length or a count that no sender can keep.
const HUGE: [u8; 4] = [0x7F, 0xFF, 0xFF, 0xFF];
/// The same as a varint.
const HUGE_VARINT: [u8; 5] = [0xFF, 0xFF, 0xFF, 0xFF, 0x07];

/// A broker under attack, and the client that it must keep on serving.
struct Target {
    broker: Broker,
    samples: Vec<Sample>,
    resident_kib_before: u64,
    produced: usize,
    _dir: tempfile::TempDir,
}

impl Target {
    fn start() -> Target {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(dir.path(), &[]);
        let samples = advertised_samples(&broker);
        let mut friend = Client::connect(broker.address).unwrap();
        friend.create_topic("friend", 1, &[]).unwrap();
        let resident_kib_before = broker.resident_kib();
        Target {
            broker,
            samples,
            resident_kib_before,
            produced: 0,
            _dir: dir,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.broker.address).unwrap()
    }

    /// For each API and its oldest and newest version, the longest sample.
    fn longest_samples(&self) -> Vec<Sample> {
        let mut longest: Vec<Sample> = Vec::new();
        for sample in &self.samples {
            let versions = sample.key.valid_versions();
            if ![*versions.start(), *versions.end()].contains(&sample.version) {
                continue;
            }
            let same = longest
                .iter_mut()
                .find(|other| (other.key, other.version) == (sample.key, sample.version));
            match same {
                Some(other) if other.frame.len() < sample.frame.len() => *other = sample.clone(),
                Some(_) => {}
                None => longest.push(sample.clone()),
            }
        }
        // One altered bit would take the broker out of its cluster, as its administrator may.
        longest.retain(|sample| sample.key != ApiKey::UnregisterBroker);
        longest
    }

    /// Sends a frame on a connection of its own; the broker must answer it or close.
    fn strike(&self, key: ApiKey, body: &[u8]) {
        let mut client = self.connect();
        // The broker may close while we still write.
        if client.send_raw(&framed(body)).is_err() {
            return;
        }
        // These may wait for as long as they ask to.
        if matches!(key, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup) {
            return;
        }
        expect_end(client, key.name());
    }

    /// The other client is served, memory is bounded, and nothing panicked.
    fn check(&mut self) {
        let mut friend = self.connect();
        let value = format!("value {}", self.produced).into_bytes();
        let (error, offset) = friend.produce("friend", 0, batch(&[value], None)).unwrap();
        assert_eq!((error, offset), (0, self.produced as i64));
        self.produced += 1;
        let read = friend.read_all("friend", 0).unwrap();
        let expected: Vec<Bytes> = (0..self.produced)
            .map(|i| format!("value {i}").into())
            .collect();
        let values: Vec<Bytes> = read.into_iter().map(|record| record.value).collect();
        assert_eq!(values, expected);
        let growth = self
            .broker
            .resident_kib()
            .saturating_sub(self.resident_kib_before);
        assert!(growth < GROWTH_KIB_MAX, "memory grew by {growth} KiB");
        self.broker.check_errors();
    }
}

/// The body with its true length before it.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// Waits until the broker has closed the connection.
fn expect_end(client: Client, what: &str) {
    match client.finish() {
        Ok(_) => {}
        Err(error) => assert!(
            !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
            "{what}: neither answered nor closed"
        ),
    }
}

#[test]
fn every_prefix_of_a_request_is_answered_or_costs_the_connection() {
    let mut target = Target::start();
    for sample in target.longest_samples() {
        for end in 0..sample.frame.len() - 4 {
            target.strike(sample.key, &sample.frame[4..4 + end]);
        }
    }
    target.check();
}

#[test]
fn huge_counts_anywhere_in_a_request_do_no_harm() {
    let mut target = Target::start();
    for sample in target.longest_samples() {
        let body = &sample.frame[4..];
        // Key and version stay, so that it is the body of this API that is read.
        for at in 4..body.len().saturating_sub(4) {
            let mut struck = body.to_vec();
            struck[at..at + 4].copy_from_slice(&HUGE);
            target.strike(sample.key, &struck);
            let mut struck = body[..at].to_vec();
            struck.extend_from_slice(&HUGE_VARINT);
            struck.extend_from_slice(&body[at + 1..]);
            target.strike(sample.key, &struck);
        }
    }
    target.check();
}

#[test]
fn flipped_bits_and_random_bytes_do_no_harm() {
    let mut target = Target::start();
    let mut random = fastrand::Rng::with_seed(0x07714);
    for sample in target.longest_samples() {
        for _ in 0..8 {
            let mut body = sample.frame[4..].to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(4..body.len());
                body[at] ^= 1 << random.u8(0..8);
            }
            target.strike(sample.key, &body);
        }
    }
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..random.usize(0..200)).map(|_| random.u8(..)).collect();
        target.strike(ApiKey::ApiVersions, &bytes);
        // Without a length that means something.
        let mut client = target.connect();
        if client.send_raw(&bytes).is_ok() {
            expect_end(client, "random bytes");
        }
    }
    target.check();
}

#[test]
fn lengths_that_lie_cost_the_connection_and_no_memory() {
    let mut target = Target::start();
    for length in [0, -1, i32::MIN, i32::MAX, 100 * 1024 * 1024 + 1, 9] {
        let mut client = target.connect();
        client.send_raw(&length.to_be_bytes()).unwrap();
        // A length of nine promises bytes that do not come.
        expect_end(client, "a length");
    }
    // Lengths that are allowed, whose bytes never come.
    let waiting: Vec<Client> = (0..64)
        .map(|_| {
            let mut client = target.connect();
            client
                .send_raw(&(90 * 1024 * 1024i32).to_be_bytes())
                .unwrap();
            client.send_raw(b"a beginning").unwrap();
            client
        })
        .collect();
    target.check();
    drop(waiting);
    target.check();
}

#[test]
fn thousands_of_half_open_connections_leave_room_for_others() {
    const CONNECTIONS: usize = 2000;
    /// Fewer than the listener's backlog holds, beyond which the kernel lets a client wait for a second.
    const CONNECTIONS_AT_ONCE: usize = 32;
    let mut target = Target::start();
    let request = frame::encode_request(&MetadataRequest::default(), 1, 1, None).unwrap();
    let request = request.into_bytes().unwrap();
    let held: Vec<Client> = (0..CONNECTIONS)
        .map(|i| {
            if i % CONNECTIONS_AT_ONCE == 0 {
                // Its answer says that all before it have been accepted.
                let mut other = target.connect();
                other.ask(&MetadataRequest::default(), 1).unwrap();
            }
            let mut client = target.connect();
            // From nothing at all to all but the last byte.
            client.send_raw(&request[..i % request.len()]).unwrap();
            client
        })
        .collect();
    target.check();
    drop(held);
    target.check();
}

#[test]
fn damaged_batches_are_refused_and_leave_no_trace() {
    let mut target = Target::start();
    let mut client = target.connect();
    client.create_topic("damaged", 1, &[]).unwrap();
    let good = batch(&[b"one".to_vec(), b"two".to_vec()], None);
    let mut kept = 0;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.to_vec();
            bytes[at] ^= 1 << bit;
            let (error, offset) = client.produce("damaged", 0, bytes.into()).unwrap();
            // Base offset and leader epoch are the broker's to write, and not under the checksum.
            let is_ours_to_write = at < 8 || (12..16).contains(&at);
            assert!(error != 0 || is_ours_to_write, "byte {at} bit {bit}");
            if error == 0 {
                assert_eq!(offset, kept);
                kept += 2;
            }
        }
    }
    for end in 0..good.len() {
        let (error, _) = client.produce("damaged", 0, good.slice(..end)).unwrap();
        assert_ne!(error, 0, "a batch cut at {end}");
    }
    let read = client.read_all("damaged", 0).unwrap();
    assert_eq!(read.len() as i64, kept);
    for (index, record) in read.iter().enumerate() {
        assert_eq!(record.offset, index as i64);
        assert_eq!(record.value, [&b"one"[..], b"two"][index % 2]);
    }
    target.check();
}
