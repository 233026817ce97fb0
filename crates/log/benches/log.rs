//! What an append costs, and what it costs to find where a fetch begins: `cargo bench -p ottla-log`.

use std::sync::Arc;

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ottla_log::{
    Background, DEFAULT_OPEN_FILES_MAX, Disk, Environment, LeaderAppend, Log, LogConfig, LogDir,
    OpenOptions,
};
use ottla_protocol::ids::TopicPartition;
use ottla_records::{BatchBuilder, Compression};

/// Appended to a log before it is thrown away, so that a run's data stay bounded.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// Batches of the log that is read; with 4 KiB between entries its index has half as many.
const BATCHES: i64 = 100_000;
const FETCH_BYTES: usize = 1 << 20;
const NOW_MS: i64 = 1 << 40;

fn main() {
    divan::main();
}

struct Place {
    log: Arc<Log>,
    /// Deleted with the log.
    _dir: tempfile::TempDir,
}

fn open() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let background = Background::threads(1, "bench");
    let environment = Environment::new(Disk::new(), DEFAULT_OPEN_FILES_MAX, background);
    let (log, _report) = Log::open(
        &environment,
        &LogDir::new(dir.path()),
        &TopicPartition::new("bench", 0),
        Arc::new(LogConfig::default()),
        &OpenOptions::fresh(None, NOW_MS),
    )
    .unwrap();
    Place { log, _dir: dir }
}

fn batch(bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(NOW_MS, None, Some(&vec![b'x'; bytes]));
    builder.build().unwrap()
}

/// The whole of an append: checks, offsets, the write to the page cache, indexes.
#[divan::bench(args = [100, 16 << 10, 1 << 20])]
fn append(bencher: Bencher<'_, '_>, bytes: usize) {
    let batch = [batch(bytes)];
    let mut place = open();
    bencher
        .counter(BytesCount::new(batch[0].len()))
        .bench_local(|| {
            if place.log.size() > LOG_BYTES_MAX {
                place = open();
            }
            place
                .log
                .append_as_leader(black_box(&batch), &LeaderAppend::client(0), NOW_MS)
                .unwrap()
        });
}

fn filled() -> Place {
    let place = open();
    let batch = [batch(2000)];
    for _ in 0..BATCHES {
        place
            .log
            .append_as_leader(&batch, &LeaderAppend::client(0), NOW_MS)
            .unwrap();
    }
    place
}

/// Anywhere in the log: the index look-up, the search behind it, and where the range ends.
#[divan::bench]
fn plan_fetch_anywhere(bencher: Bencher<'_, '_>) {
    let place = filled();
    let mut offset = 0;
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        offset = (offset + 7919) % BATCHES;
        place
            .log
            .read(black_box(offset), FETCH_BYTES, true, BATCHES)
            .unwrap()
    });
}

/// At the tail, where consumers wait: the last batch, and nothing behind it.
#[divan::bench(args = [1, 0])]
fn plan_fetch_at_tail(bencher: Bencher<'_, '_>, behind: i64) {
    let place = filled();
    bencher.counter(ItemsCount::new(1usize)).bench(|| {
        place
            .log
            .read(black_box(BATCHES - behind), FETCH_BYTES, true, BATCHES)
            .unwrap()
    });
}

#[divan::bench]
fn look_up_timestamp(bencher: Bencher<'_, '_>) {
    let place = filled();
    bencher
        .counter(ItemsCount::new(1usize))
        .bench(|| place.log.offset_for_timestamp(black_box(NOW_MS)).unwrap());
}
