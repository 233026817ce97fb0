//! What a partition that nobody uses holds in memory, so that 100,000 of them stay cheap.
//!
//! A binary of its own: its allocator counts, and a test beside it would be counted too. Bytes of the heap alone, so
//! that the figure is the same on every machine; `cargo xtask bench --scenario footprint` has the whole process's.

#[path = "../apis/client.rs"]
mod client;
mod counting;
#[path = "../apis/running.rs"]
mod running;

use std::thread;
use std::time::{Duration, Instant};

use client::Client;
use counting::held;
use running::with_broker;

const PARTITIONS: usize = 4_000;
/// What a partition may hold after it was made, and after it was loaded: a quarter more than was measured.
const MADE_BYTES_MAX: usize = 3_250;
const LOADED_BYTES_MAX: usize = 3_100;
/// Work that goes on after an answer is over when what is held does not change for so long.
const STEADY: Duration = Duration::from_millis(500);
const STEADY_WAIT_MAX: Duration = Duration::from_secs(30);
/// What connections and timers come and go with.
const NOISE_BYTES: usize = 64 << 10;

#[test]
fn an_idle_partition_costs_little() {
    let dir = tempfile::tempdir().unwrap();
    let mut empty = 0;
    let mut made = 0;
    with_broker(&[dir.path()], &[], |address| {
        empty = steady();
        let mut client = Client::connect(address);
        client.create_topic("idle", PARTITIONS as i32);
        made = per_partition(empty);
    });
    let mut loaded = 0;
    with_broker(&[dir.path()], &[], |_| loaded = per_partition(empty));
    println!("bytes per partition: made {made}, loaded {loaded}");
    assert!(made <= MADE_BYTES_MAX, "{made} bytes after it was made");
    assert!(
        loaded <= LOADED_BYTES_MAX,
        "{loaded} bytes after it was loaded"
    );
    // Bounds that are far off would not notice what a change adds.
    assert!(made.min(loaded) > MADE_BYTES_MAX / 4, "{made}, {loaded}");
}

fn per_partition(empty: usize) -> usize {
    steady().saturating_sub(empty) / PARTITIONS
}

/// The bytes that are held when they have stopped to change.
fn steady() -> usize {
    let begin = Instant::now();
    let (mut last, mut since) = (held(), begin);
    while since.elapsed() < STEADY {
        assert!(begin.elapsed() < STEADY_WAIT_MAX, "{last} bytes and more");
        thread::sleep(Duration::from_millis(20));
        let now = held();
        if now.abs_diff(last) > NOISE_BYTES {
            (last, since) = (now, Instant::now());
        }
    }
    held()
}
