//! How fast the cleaner is, and what it needs: a compacted topic with a million keys (or `OTTLA_BENCH_KEYS`), of which
//! each was written twice, in batches of a hundred records of about 120 bytes.
//!
//! Prints bytes read per second, the size of the log before and after, and the process's largest resident memory.

use std::sync::Arc;
use std::time::Instant;

use ottla_log::{
    Background, CleanerSettings, Disk, Environment, LeaderAppend, LogConfig, LogDirs, LogManager,
    ManagerSettings,
};
use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;
use ottla_records::{BatchBuilder, Compression};

const RECORDS_PER_BATCH: u64 = 100;
const VALUE: &[u8] = &[b'v'; 100];

fn main() {
    let keys = std::env::var("OTTLA_BENCH_KEYS").map_or(1_000_000, |keys| {
        keys.parse::<u64>().expect("OTTLA_BENCH_KEYS is a number")
    });
    let dir = tempfile::tempdir().expect("a directory");
    let background = Background::threads(1, "log-background");
    let environment = Environment::new(Disk::new(), 1_000, background);
    let paths = [dir.path().to_path_buf()];
    let dirs = LogDirs::open(environment, &paths, 1, None).expect("a log directory");
    let config = Arc::new(LogConfig {
        is_compact: true,
        is_delete: false,
        segment_bytes: 100 << 20,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    });
    let settings = ManagerSettings::default();
    let (manager, _) =
        LogManager::start(dirs, settings, &|_| Arc::clone(&config), 0).expect("a manager");
    let partition = TopicPartition::new("compacted", 0);
    let id = Uuid::from_u128(1);
    let log = manager
        .get_or_create(&partition, id, config, None, true, 0)
        .expect("a log");
    for _ in 0..2 {
        for first in (0..keys).step_by(RECORDS_PER_BATCH as usize) {
            let mut builder = BatchBuilder::new(Compression::NONE);
            for key in first..first + RECORDS_PER_BATCH {
                builder.append(1, Some(format!("key-{key:012}").as_bytes()), Some(VALUE));
            }
            let batch = builder.build().expect("a batch");
            log.append_as_leader(&[batch], &LeaderAppend::client(0), 1)
                .expect("an append");
        }
    }
    log.set_high_watermark(log.log_end_offset());
    log.roll(1).expect("a roll");
    log.flush().expect("a flush");
    let before = log.size();
    let resident = resident_mib();
    let cleaner = CleanerSettings {
        dedupe_buffer_bytes: 1 << 30,
        ..CleanerSettings::default()
    };
    let started = Instant::now();
    assert!(manager.clean_filthiest(&cleaner, 1));
    let seconds = started.elapsed().as_secs_f64();
    let mib = before as f64 / f64::from(1 << 20);
    println!(
        "{keys} keys, {mib:.0} MiB before, {:.0} MiB after, {seconds:.2} s, {:.0} MiB/s, \
         resident {resident} MiB before, at most {} MiB",
        log.size() as f64 / f64::from(1 << 20),
        mib / seconds,
        resident_mib()
    );
}

/// The largest resident memory of this process so far.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
