use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::Uuid;
use ottla_records::{BatchBuilder, Compression};

use super::*;
use crate::disk::Disk;
use crate::environment::Environment;
use crate::manager::dirs::LogDirs;
use crate::manager::{LoadSummary, ManagerSettings};
use crate::testing::records;
use crate::{Background, LeaderAppend, LogConfig};

const ID: Uuid = Uuid::from_u128(77);

fn config() -> LogConfig {
    LogConfig {
        is_compact: true,
        is_delete: false,
        segment_bytes: 600,
        ..LogConfig::default()
    }
}

fn start(dir: &Path) -> (Arc<LogManager>, LoadSummary) {
    start_on(Disk::new(), dir)
}

fn start_on(disk: Disk, dir: &Path) -> (Arc<LogManager>, LoadSummary) {
    let environment = Environment::new(disk, 1_000, Background::Inline);
    let dirs = LogDirs::open(environment, &[dir.to_path_buf()], 1, Some("cluster")).unwrap();
    let config = Arc::new(config());
    let settings = ManagerSettings::default();
    LogManager::start(dirs, settings, &|_| Arc::clone(&config), 0).unwrap()
}

fn topic(name: &str) -> TopicPartition {
    TopicPartition::new(name, 0)
}

fn create(manager: &LogManager, name: &str, config: LogConfig) -> Arc<Log> {
    manager
        .get_or_create(&topic(name), ID, Arc::new(config), None, true, 0)
        .unwrap()
}

fn record(key: u8) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(10, Some(&[key]), Some(b"a value of some length"));
    builder.build().unwrap()
}

/// Appends `count` records of three keys, and rolls.
fn fill(log: &Log, count: usize) {
    for n in 0..count {
        log.append_as_leader(&[record((n % 3) as u8)], &LeaderAppend::client(0), 0)
            .unwrap();
    }
    log.set_high_watermark(log.log_end_offset());
    log.roll(0).unwrap();
}

fn clean(manager: &LogManager) -> bool {
    manager.clean_filthiest(&CleanerSettings::default(), 0)
}

fn checkpoint(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("cleaner-offset-checkpoint")).unwrap()
}

/// Damages a batch in the first segment, whose checksum then does not hold.
fn damage(log: &Log) {
    let path = log.dir().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn the_dirtiest_log_comes_first_and_then_the_others() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let (a, b) = (
        create(&manager, "a", config()),
        create(&manager, "b", config()),
    );
    let plain = LogConfig {
        is_compact: false,
        ..config()
    };
    let c = create(&manager, "c", plain);
    for log in [&a, &b, &c] {
        fill(log, 30);
    }
    assert!(clean(&manager));
    // Each is all dirty; now one of them is half clean.
    let (first, second) = match a.cleaned_until() {
        Some(_) => (a, b),
        None => (b, a),
    };
    fill(&first, 30);
    assert!(clean(&manager));
    assert_eq!(second.cleaned_until(), Some(30));
    assert!(clean(&manager));
    assert_eq!(first.cleaned_until(), Some(60));
    assert!(
        !clean(&manager),
        "a log that is not compacted is not cleaned"
    );
    assert_eq!(records(&c, 0, 1_000).len(), 30);
    assert_eq!(checkpoint(root.path()).lines().count(), 4);
}

#[test]
fn little_dirt_waits_until_it_is_overdue() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let log = create(&manager, "a", config());
    for key in 0..60 {
        log.append_as_leader(&[record(key)], &LeaderAppend::client(0), 0)
            .unwrap();
    }
    log.set_high_watermark(60);
    log.roll(0).unwrap();
    assert!(clean(&manager));
    fill(&log, 10);
    assert!(!clean(&manager));
    log.set_config(Arc::new(LogConfig {
        max_compaction_lag_ms: 1_000,
        ..config()
    }));
    let settings = CleanerSettings::default();
    assert!(!manager.clean_filthiest(&settings, 1_010));
    assert!(manager.clean_filthiest(&settings, 1_011));
    assert_eq!(log.cleaned_until(), Some(70));
}

#[test]
fn the_checkpoint_is_kafkas_and_is_taken_up_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let log = create(&manager, "a", config());
    fill(&log, 30);
    assert!(clean(&manager));
    assert_eq!(checkpoint(root.path()), "0\n1\na 0 30\n");
    manager.shutdown(1);
    drop((manager, log));
    let (manager, summary) = start(root.path());
    assert_eq!(summary.ignored_checkpoints, []);
    let log = manager.get(&topic("a")).unwrap();
    assert_eq!(log.cleaned_until(), Some(30));
    assert!(!clean(&manager));
    // One that Kafka wrote, of a log that has lost its tail since.
    manager.shutdown(1);
    drop((manager, log));
    std::fs::write(
        root.path().join("cleaner-offset-checkpoint"),
        "0\n2\na 0 31\nb 7 12\n",
    )
    .unwrap();
    let (manager, _) = start(root.path());
    let log = manager.get(&topic("a")).unwrap();
    assert_eq!(log.cleaned_until(), None);
    fill(&log, 3);
    assert!(clean(&manager));
    assert_eq!(checkpoint(root.path()), "0\n1\na 0 33\n");
}

#[test]
fn a_cut_and_a_removal_reach_the_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let log = create(&manager, "a", config());
    fill(&log, 30);
    assert!(clean(&manager));
    manager.truncate_to(&topic("a"), 29, 0).unwrap();
    assert_eq!(checkpoint(root.path()), "0\n1\na 0 29\n");
    manager
        .truncate_fully_and_start_at(&topic("a"), 7, None, 0)
        .unwrap();
    assert_eq!(checkpoint(root.path()), "0\n1\na 0 7\n");
    manager.delete(&topic("a"), None, 0).unwrap();
    manager.tick(1);
    assert_eq!(checkpoint(root.path()), "0\n0\n");
}

#[test]
fn records_deleted_below_the_log_start_move_the_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let log = create(&manager, "a", config());
    fill(&log, 30);
    assert!(clean(&manager));
    fill(&log, 30);
    log.advance_log_start_offset(50).unwrap();
    log.run_retention(0).unwrap();
    assert!(clean(&manager));
    assert_eq!(log.cleaned_until(), Some(60));
}

#[test]
fn a_log_that_cannot_be_cleaned_is_passed_over_and_told() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let (bad, good) = (
        create(&manager, "bad", config()),
        create(&manager, "good", config()),
    );
    fill(&bad, 30);
    damage(&bad);
    assert!(!clean(&manager));
    let aside = manager.set_aside_by_cleaner();
    assert_eq!(aside.len(), 1);
    assert!(aside[0].1.contains("damaged at position"), "{}", aside[0].1);
    fill(&good, 30);
    assert!(clean(&manager));
    assert_eq!(good.cleaned_until(), Some(30));
    assert!(!clean(&manager));
    // Another log of the name begins without the stain.
    manager.delete(&topic("bad"), None, 0).unwrap();
    drop(bad);
    let bad = create(&manager, "bad", config());
    assert_eq!(manager.set_aside_by_cleaner(), []);
    fill(&bad, 30);
    assert!(clean(&manager));
}

/// Panics when the log with this name in its way is read.
struct Fatal;

impl Pace for Fatal {
    fn spend(&self, _: u64) -> Result<(), Stopped> {
        panic!("a bug in the cleaner")
    }
}

#[test]
fn a_panic_over_one_log_leaves_the_others_and_the_thread() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let bad = create(&manager, "bad", config());
    fill(&bad, 30);
    let settings = CleanerSettings::default();
    assert!(!manager.clean_at_pace(&settings, &Fatal, 0));
    let aside = manager.set_aside_by_cleaner();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].1, "the cleaner panicked: a bug in the cleaner");
    let good = create(&manager, "good", config());
    fill(&good, 30);
    assert!(clean(&manager));
    assert_eq!(
        (good.cleaned_until(), bad.cleaned_until()),
        (Some(30), None)
    );
    // Other settings are another try, for which nothing was left in progress.
    manager.forget_set_aside();
    assert!(clean(&manager));
    assert_eq!(bad.cleaned_until(), Some(30));
    assert_eq!(records(&bad, 0, 1_000).len(), 3);
}

/// Panics at one of the renames and removals of `bad`'s files.
#[derive(Debug)]
struct PanicAt(std::sync::atomic::AtomicI64);

impl crate::disk::Faults for PanicAt {
    fn before_write(&self, _: &Path, _: u64, _: usize) -> crate::disk::WriteFault {
        crate::disk::WriteFault::None
    }

    fn before_sync(&self, _: &Path) -> std::io::Result<()> {
        Ok(())
    }

    fn before_change(&self, path: &Path) -> std::io::Result<()> {
        let is_of_bad = path.to_string_lossy().contains("bad-0");
        if is_of_bad && self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
            panic!("a bug in the swap");
        }
        Ok(())
    }
}

#[test]
fn a_panic_in_the_middle_of_a_swap_takes_that_log_offline_and_no_other() {
    let mut panics = 0;
    for at in 0.. {
        let root = tempfile::tempdir().unwrap();
        let faults = Arc::new(PanicAt(i64::MAX.into()));
        let (manager, _) = start_on(Disk::with_faults(faults.clone()), root.path());
        let bad = create(&manager, "bad", config());
        fill(&bad, 12);
        let good = create(&manager, "good", config());
        faults.0.store(at, Ordering::Relaxed);
        if clean(&manager) {
            break;
        }
        panics += 1;
        let is_offline = bad.check_online().is_err();
        let appended = bad.append_as_leader(&[record(0)], &LeaderAppend::client(0), 0);
        assert_eq!(appended.is_err(), is_offline);
        assert_eq!(bad.read(0, 1_000, true, 1).is_err(), is_offline);
        assert_eq!(bad.flush().is_err(), is_offline);
        // Everything that looks at all logs goes on.
        manager.run_retention(0);
        assert_eq!(manager.tick(i64::MAX / 2), []);
        fill(&good, 30);
        assert!(clean(&manager));
        assert_eq!(records(&good, 0, 1_000).len(), 3);
        assert!(!bad.log_dir().has_failed());
        // The directory is not called clean, so that the next start finishes what is half done.
        manager.shutdown(1);
        assert_eq!(
            root.path().join(".kafka_cleanshutdown").exists(),
            !is_offline
        );
        drop((manager, bad, good));
        let (manager, _) = start(root.path());
        let bad = manager.get(&topic("bad")).unwrap();
        assert_eq!(bad.log_end_offset(), 12 + i64::from(!is_offline));
        let found = records(&bad, 0, 1_000);
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        // The last record of each key.
        for offset in 9..12 {
            assert!(found.iter().any(|record| record.0 == offset), "{found:?}");
        }
        assert!(manager.delete(&topic("bad"), None, 0).unwrap());
    }
    assert!(panics > 5, "{panics}");
}

#[test]
fn a_log_that_a_panic_took_offline_can_be_deleted_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    let faults = Arc::new(PanicAt(i64::MAX.into()));
    let (manager, _) = start_on(Disk::with_faults(faults.clone()), root.path());
    let bad = create(&manager, "bad", config());
    fill(&bad, 30);
    faults.0.store(8, Ordering::Relaxed);
    assert!(!clean(&manager));
    assert!(bad.check_online().is_err());
    assert!(manager.delete(&topic("bad"), None, 0).unwrap());
    let bad = create(&manager, "bad", config());
    fill(&bad, 30);
    assert!(clean(&manager));
    assert_eq!(records(&bad, 0, 1_000).len(), 3);
}

/// Has no room for what is cleaned of `bad`.
#[derive(Debug, Default)]
struct FullForOne(std::sync::atomic::AtomicBool);

impl crate::disk::Faults for FullForOne {
    fn before_write(&self, path: &Path, _: u64, _: usize) -> crate::disk::WriteFault {
        let path = path.to_string_lossy();
        if self.0.load(Ordering::Relaxed) && path.contains("bad-0") && path.contains("cleaned") {
            let full = std::io::ErrorKind::StorageFull.into();
            return crate::disk::WriteFault::Short(0, full);
        }
        crate::disk::WriteFault::None
    }
}

#[test]
fn a_log_that_the_disk_has_no_room_for_does_not_keep_others_waiting() {
    let root = tempfile::tempdir().unwrap();
    let faults = Arc::new(FullForOne::default());
    let (manager, _) = start_on(Disk::with_faults(faults.clone()), root.path());
    let good = create(&manager, "good", config());
    fill(&good, 30);
    assert!(clean(&manager));
    fill(&good, 30);
    let bad = create(&manager, "bad", config());
    fill(&bad, 30);
    faults.0.store(true, Ordering::Relaxed);
    assert!(!clean(&manager), "the dirtiest one comes first");
    assert!(clean(&manager));
    assert_eq!(
        (good.cleaned_until(), bad.cleaned_until()),
        (Some(60), None)
    );
    assert_eq!(manager.set_aside_by_cleaner(), []);
    assert!(!clean(&manager), "there is nothing else to be cleaned");
    faults.0.store(false, Ordering::Relaxed);
    assert!(clean(&manager));
    assert_eq!(bad.cleaned_until(), Some(30));
}

#[test]
fn a_change_of_policy_begins_and_ends_cleaning() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let plain = LogConfig {
        is_compact: false,
        ..config()
    };
    let log = create(&manager, "a", plain.clone());
    fill(&log, 30);
    assert!(!clean(&manager));
    log.set_config(Arc::new(config()));
    assert!(clean(&manager));
    fill(&log, 30);
    log.set_config(Arc::new(plain));
    assert!(!clean(&manager));
}

/// Waits for what another thread brings about.
fn eventually(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !what() {
        assert!(Instant::now() < end, "it never came about");
        std::thread::yield_now();
    }
}

#[test]
fn threads_clean_by_themselves_and_follow_their_settings() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let log = create(&manager, "a", config());
    fill(&log, 30);
    let idle = CleanerSettings {
        is_enabled: false,
        backoff_ms: u64::MAX,
        ..CleanerSettings::default()
    };
    let cleaner = CleanerThreads::start(&manager, idle, || 0).unwrap();
    assert_eq!(log.cleaned_until(), None);
    let one = CleanerSettings {
        is_enabled: true,
        ..idle
    };
    cleaner.reconfigure(one).unwrap();
    eventually(|| log.cleaned_until() == Some(30));
    // It waits for ever; only a change wakes it.
    fill(&log, 30);
    let two = CleanerSettings { threads: 2, ..one };
    cleaner.reconfigure(two).unwrap();
    eventually(|| log.cleaned_until() == Some(60));
    cleaner.reconfigure(one).unwrap();
    drop(cleaner);
    fill(&log, 30);
    assert_eq!(log.cleaned_until(), Some(60));
}

fn bytes_of(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn a_month_of_commits_does_not_grow_the_disk() {
    const HOUR_MS: i64 = 3_600_000;
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(root.path());
    let offsets = LogConfig {
        segment_bytes: 20_000,
        ..config()
    };
    let log = create(&manager, "__consumer_offsets", offsets);
    let (mut appended, mut largest) = (0, 0);
    for hour in 0..30 * 24 {
        let now_ms = hour * HOUR_MS;
        for commit in 0..36 {
            let mut builder = BatchBuilder::new(Compression::NONE);
            let now_ms = now_ms + commit * HOUR_MS / 36;
            builder.append(now_ms, Some(&[(commit % 6) as u8]), Some(&[7; 40]));
            let batch = builder.build().unwrap();
            let how = LeaderAppend::coordinator(0);
            let info = log.append_as_leader(&[batch], &how, now_ms).unwrap();
            appended += info.bytes;
        }
        log.set_high_watermark(log.log_end_offset());
        while manager.clean_filthiest(&CleanerSettings::default(), now_ms) {}
        manager.tick(now_ms);
        largest = largest.max(bytes_of(&log.dir()));
    }
    assert!(appended > 2_500_000, "{appended}");
    assert!(largest < 100_000, "{largest} of {appended}");
    assert!(log.segment_count() < 5);
}
