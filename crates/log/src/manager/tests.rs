use std::path::Path;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::*;
use crate::behind::Checkpointed;
use crate::disk::Disk;
use crate::environment::Environment;
use crate::testing::{append, records};

mod power;

const ID: Uuid = Uuid::from_u128(77);

fn start(dirs: &[&Path], now_ms: i64) -> (Arc<LogManager>, LoadSummary) {
    start_on(Disk::new(), dirs, now_ms)
}

fn start_on(disk: Disk, dirs: &[&Path], now_ms: i64) -> (Arc<LogManager>, LoadSummary) {
    let paths: Vec<PathBuf> = dirs.iter().map(|dir| dir.to_path_buf()).collect();
    let environment = Environment::inline(disk);
    let dirs = LogDirs::open(environment, &paths, 1, Some("cluster")).unwrap();
    let config = Arc::new(LogConfig {
        segment_bytes: 1000,
        retention_ms: 100_000,
        ..LogConfig::default()
    });
    LogManager::start(
        dirs,
        ManagerSettings::default(),
        &|_| Arc::clone(&config),
        now_ms,
    )
    .unwrap()
}

fn topic(name: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(name, partition)
}

fn create(manager: &LogManager, name: &str, partition: i32) -> Arc<Log> {
    let config = Arc::new(LogConfig {
        segment_bytes: 1000,
        retention_ms: 100_000,
        ..LogConfig::default()
    });
    manager
        .get_or_create(&topic(name, partition), ID, config, None, true, 0)
        .unwrap()
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_clean_stop_scans_nothing_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let log = create(&manager, "a", 0);
    for n in 0..40 {
        append(&log, &[n]);
    }
    log.advance_log_start_offset(17).unwrap();
    create(&manager, "b", 3);
    manager.shutdown(99);
    drop((manager, log));
    let checkpoint = |name| read(root.path().join(name));
    assert_eq!(
        checkpoint("recovery-point-offset-checkpoint"),
        "0\n1\na 0 40\n"
    );
    assert_eq!(checkpoint("log-start-offset-checkpoint"), "0\n1\na 0 17\n");
    assert_eq!(
        checkpoint("replication-offset-checkpoint"),
        "0\n1\na 0 40\n"
    );
    assert_eq!(
        checkpoint(".kafka_cleanshutdown"),
        "{\"version\":0,\"brokerEpoch\":99}"
    );

    let (manager, summary) = start(&[root.path()], 0);
    assert_eq!((summary.logs, summary.unclean_dirs), (2, 0));
    assert_eq!(summary.notes, []);
    assert!(summary.scanned_bytes < 1000, "{}", summary.scanned_bytes);
    assert_eq!(manager.previous_broker_epoch(), Some(99));
    assert!(!root.path().join(".kafka_cleanshutdown").exists());
    let log = manager.get(&topic("a", 0)).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (17, 40));
    assert_eq!((log.high_watermark(), log.recovery_point()), (40, 40));
    assert_eq!(log.topic_id(), Some(ID));
    assert_eq!(records(&log, 17, 500).len(), 23);
}

#[test]
fn after_a_crash_only_what_was_not_flushed_is_read() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let log = create(&manager, "a", 0);
    for n in 0..100 {
        append(&log, &[n]);
    }
    log.flush().unwrap();
    manager.checkpoint().unwrap();
    append(&log, &[1000]);
    drop((manager, log));
    let (manager, summary) = start(&[root.path()], 0);
    assert_eq!((summary.logs, summary.unclean_dirs), (1, 1));
    assert!(summary.scanned_bytes < 2000, "{}", summary.scanned_bytes);
    let log = manager.get(&topic("a", 0)).unwrap();
    assert_eq!(log.log_end_offset(), 101);
    assert_eq!(log.recovery_point(), 100);
}

#[test]
fn a_log_inherits_nothing_of_one_that_had_its_name() {
    // Removed while the broker runs, and just before it crashes.
    for is_restarted in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let (mut manager, _) = start(&[root.path()], 0);
        let log = create(&manager, "a", 0);
        for n in 0..40 {
            append(&log, &[n]);
        }
        log.advance_log_start_offset(30).unwrap();
        log.flush().unwrap();
        log.set_cleaned_until(20);
        manager.checkpoint().unwrap();
        manager.delete(&topic("a", 0), None, 0).unwrap();
        if is_restarted {
            drop((manager, log));
            (manager, _) = start(&[root.path()], 0);
        }
        let log = create(&manager, "a", 0);
        for n in 0..50 {
            append(&log, &[n]);
        }
        drop((manager, log));
        let (manager, _) = start(&[root.path()], 0);
        let log = manager.get(&topic("a", 0)).unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 50));
        assert_eq!(log.cleaned_until(), None);
        assert_eq!(records(&log, 0, 500).len(), 50);
    }
}

#[test]
fn logs_go_where_the_fewest_are_and_are_found_again() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    let (manager, _) = start(&[&a, &b], 0);
    for n in 0..6 {
        create(&manager, "t", n);
    }
    let described = manager.describe();
    assert_eq!(described.len(), 2);
    for dir in &described {
        assert_eq!(dir.logs.len(), 3);
        assert!(!dir.is_offline && dir.usable_bytes > 0 && dir.total_bytes >= dir.usable_bytes);
    }
    let wanted = described[1].directory_id;
    let log = manager
        .get_or_create(&topic("u", 0), ID, Arc::default(), Some(wanted), true, 0)
        .unwrap();
    assert_eq!(manager.directory_id(&log), Some(wanted));
    let unknown = Some(Uuid::from_u128(1));
    assert!(matches!(
        manager.get_or_create(&topic("v", 0), ID, Arc::default(), unknown, true, 0),
        Err(CreateError::UnknownDirectory(_))
    ));
    assert!(matches!(
        manager.get_or_create(
            &topic("u", 0),
            Uuid::from_u128(5),
            Arc::default(),
            None,
            true,
            0
        ),
        Err(CreateError::InconsistentTopicId { .. })
    ));
    for name in ["../x", "a/b", ""] {
        assert!(matches!(
            manager.get_or_create(&topic(name, 0), ID, Arc::default(), None, true, 0),
            Err(CreateError::Open(OpenError::InvalidName(_)))
        ));
    }
}

#[test]
fn a_deleted_log_is_out_of_the_way_at_once_and_gone_later() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let log = create(&manager, "t", 0);
    append(&log, &[1]);
    let range = log.read(0, 1000, true, 1).unwrap();
    assert!(
        !manager
            .delete(&topic("t", 0), Some(Uuid::from_u128(5)), 0)
            .unwrap()
    );
    assert!(manager.delete(&topic("t", 0), Some(ID), 0).unwrap());
    assert!(!manager.delete(&topic("t", 0), Some(ID), 0).unwrap());
    // Who was reading goes on.
    assert_eq!(range.read().unwrap().len(), range.len);
    assert!(matches!(
        log.append_as_leader(
            &[crate::testing::batch(&[1])],
            &crate::LeaderAppend::client(0),
            0
        ),
        Err(crate::AppendError::Closed(_))
    ));
    let marked = || {
        std::fs::read_dir(root.path())
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_str().unwrap().ends_with("-delete")
            })
            .count()
    };
    assert_eq!(marked(), 1);
    let fresh = create(&manager, "t", 0);
    assert_eq!(fresh.log_end_offset(), 0);
    manager.tick(59_999);
    assert_eq!(marked(), 1);
    manager.tick(60_000);
    assert_eq!(marked(), 0);
    // What a crash left of a deletion goes at the next start.
    manager.delete(&topic("t", 0), None, 60_000).unwrap();
    drop((manager, log, fresh));
    let (manager, summary) = start(&[root.path()], 61_000);
    assert_eq!(summary.logs, 0);
    manager.tick(61_000);
    assert_eq!(marked(), 0);
}

#[test]
fn a_log_that_is_set_aside_has_whole_indexes() {
    for (is_stray, after_roll) in [(false, 3), (true, 0)] {
        let root = tempfile::tempdir().unwrap();
        let (manager, _) = start(&[root.path()], 0);
        let log = create(&manager, "t", 0);
        log.set_config(Arc::new(LogConfig {
            index_interval_bytes: 100,
            ..LogConfig::default()
        }));
        for n in 0..6 {
            append(&log, &[n]);
        }
        log.roll(0).unwrap();
        for n in 0..after_roll {
            append(&log, &[6 + n]);
        }
        // As if the background had not come to it yet.
        log.active_segment().close_files();
        for name in [
            "00000000000000000006.index",
            "00000000000000000006.timeindex",
        ] {
            std::fs::remove_file(log.dir().join(name)).unwrap();
        }
        let is_gone = match is_stray {
            false => manager.delete(&topic("t", 0), None, 0),
            true => manager.set_aside_as_stray(&topic("t", 0)),
        };
        assert!(is_gone.unwrap());
        let mut sizes = Vec::new();
        for base in [0, 6] {
            for kind in ["log", "index", "timeindex"] {
                let path = log.dir().join(format!("{base:020}.{kind}"));
                sizes.push(std::fs::metadata(path).unwrap().len());
            }
        }
        let has_something = sizes.iter().map(|&size| size > 0);
        let expected = [[true; 3], [after_roll > 0; 3]];
        assert!(
            has_something.eq(expected.into_iter().flatten()),
            "{sizes:?}"
        );
    }
}

#[test]
fn logs_that_are_not_used_keep_no_file_open() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let logs: Vec<_> = (0..20).map(|n| create(&manager, "t", n)).collect();
    let open_below_root = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| target.starts_with(root.path()))
            .count()
    };
    // The lock of the directory is one.
    assert_eq!(open_below_root(), 1);
    append(&logs[3], &[1]);
    assert_eq!(open_below_root(), 2);
}

#[test]
fn ticks_flush_what_waits_and_remove_what_is_old() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let log = create(&manager, "t", 0);
    append(&log, &[1]);
    manager.tick(9_999);
    assert_eq!(log.recovery_point(), 0);
    manager.tick(11_000);
    assert_eq!(log.recovery_point(), 1);
    assert_eq!(log.unflushed_since_ms(), None);
    log.append_as_leader(
        &[crate::testing::batch(&[2])],
        &crate::LeaderAppend::client(0),
        12_000,
    )
    .unwrap();
    // Checkpoints follow flushes by five seconds, and need not wait for their own minute.
    let path = root.path().join("recovery-point-offset-checkpoint");
    manager.tick(15_999);
    assert!(!path.exists());
    manager.tick(16_000);
    assert_eq!(
        (log.recovery_point(), &*read(path.clone())),
        (1, "0\n1\nt 0 1\n")
    );
    manager.tick(22_500);
    assert_eq!(log.recovery_point(), 2);
    manager.tick(27_499);
    assert_eq!(read(path.clone()), "0\n1\nt 0 1\n");
    manager.tick(27_500);
    assert_eq!(read(path.clone()), "0\n1\nt 0 2\n");
    log.set_high_watermark(2);
    manager.tick(300_000);
    assert_eq!((log.log_start_offset(), log.size()), (2, 0));
}

#[test]
fn a_failed_directory_takes_its_own_logs_only() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    let (manager, _) = start(&[&a, &b], 0);
    for n in 0..4 {
        create(&manager, "t", n);
    }
    let failed = Arc::clone(&manager.dirs().dirs()[0].dir);
    failed.fail("pulled out");
    let failures = manager.tick(1);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].partitions.len(), 2);
    assert_eq!(failures[0].reason, "pulled out");
    assert_eq!(manager.tick(2), []);
    assert_eq!(manager.len(), 2);
    for log in manager.logs() {
        append(&log, &[1]);
    }
    // A partition that is not known to be new may be on the failed disk.
    assert!(matches!(
        manager.get_or_create(&topic("t", 0), ID, Arc::default(), None, false, 0),
        Err(CreateError::MayBeOffline { .. })
    ));
    let log = create(&manager, "fresh", 0);
    assert_eq!(log.log_dir().path(), manager.dirs().dirs()[1].dir.path());
    assert!(manager.describe()[0].is_offline);
    manager.shutdown(1);
    let root = |dir: &Path| dir.join(".kafka_cleanshutdown").exists();
    assert!(!root(&a) && root(&b));
}

#[test]
fn two_logs_of_one_partition_stop_the_start() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    for dir in [&a, &b] {
        std::fs::create_dir_all(dir.join("t-0")).unwrap();
    }
    let environment = Environment::inline(Disk::new());
    let dirs = LogDirs::open(environment, &[a, b], 1, None).unwrap();
    let started = LogManager::start(dirs, ManagerSettings::default(), &|_| Arc::default(), 0);
    assert!(matches!(started, Err(StartError::DuplicateLog { .. })));
}

#[test]
fn damaged_checkpoints_are_told_and_cost_only_time() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let log = create(&manager, "t", 0);
    for n in 0..50 {
        append(&log, &[n]);
    }
    manager.shutdown(1);
    drop((manager, log));
    for name in [
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "replication-offset-checkpoint",
    ] {
        std::fs::write(root.path().join(name), "0\n7\nt 0 x\n").unwrap();
    }
    std::fs::remove_file(root.path().join(".kafka_cleanshutdown")).unwrap();
    std::fs::write(root.path().join("t-0/leader-epoch-checkpoint"), "garbage").unwrap();
    let (manager, summary) = start(&[root.path()], 0);
    assert_eq!(summary.ignored_checkpoints.len(), 3);
    assert_eq!(summary.notes.len(), 1);
    let log = manager.get(&topic("t", 0)).unwrap();
    assert_eq!(records(&log, 0, 1000).len(), 50);
    assert_eq!(log.latest_epoch(), Some(0));
}

#[test]
fn an_epoch_is_written_with_its_first_batch_and_not_before() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let log = create(&manager, "t", 0);
    let file = || read(root.path().join("t-0/leader-epoch-checkpoint"));
    // Kafka has the file of a fresh leader at once.
    log.assign_epoch_start_offset(0, 0).unwrap();
    assert_eq!(file(), "0\n1\n0 0\n");
    append(&log, &[1]);
    for epoch in 1..4 {
        log.assign_epoch_start_offset(epoch, 1).unwrap();
    }
    assert_eq!(file(), "0\n1\n0 0\n");
    assert_eq!(log.latest_epoch(), Some(3));
    log.append_as_leader(
        &[crate::testing::batch(&[2])],
        &crate::LeaderAppend::client(3),
        0,
    )
    .unwrap();
    assert_eq!(file(), "0\n2\n0 0\n3 1\n");
    log.assign_epoch_start_offset(4, 2).unwrap();
    manager.shutdown(1);
    assert_eq!(file(), "0\n3\n0 0\n3 1\n4 2\n");
}

#[test]
fn what_did_not_change_is_not_looked_at() {
    let root = tempfile::tempdir().unwrap();
    let (manager, _) = start(&[root.path()], 0);
    let logs: Vec<_> = (0..5).map(|n| create(&manager, "t", n)).collect();
    append(&logs[1], &[1]);
    append(&logs[3], &[1]);
    let used = || manager.listed(List::Used, Log::is_used).len();
    assert_eq!((used(), manager.run_retention(0)), (2, 0));
    let stale = &logs[0].log_dir().stale;
    let is_due = || {
        stale
            .behind(Checkpointed::HighWatermarks)
            .is_due
            .load(Ordering::Relaxed)
    };
    let file = || read(root.path().join("replication-offset-checkpoint"));
    manager.checkpoint().unwrap();
    assert_eq!(file(), "0\n2\nt 1 1\nt 3 1\n");
    assert!(!is_due());
    let written = || std::fs::metadata(root.path().join("replication-offset-checkpoint")).unwrap();
    let before = std::os::unix::fs::MetadataExt::ino(&written());
    // Comes back to where it was: no line changes, and nothing is written.
    logs[3].set_high_watermark(0);
    logs[3].set_high_watermark(1);
    assert!(is_due());
    assert_eq!(stale.behind(Checkpointed::HighWatermarks).take().len(), 1);
    logs[3].unmark_behind(Checkpointed::HighWatermarks);
    logs[3].note_behind(Checkpointed::HighWatermarks);
    manager.checkpoint().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&written()), before);
    append(&logs[4], &[1]);
    manager.checkpoint().unwrap();
    assert_eq!(file(), "0\n3\nt 1 1\nt 3 1\nt 4 1\n");
    // What retention empties leaves the list, and comes back with its next batch.
    assert_eq!(manager.run_retention(200_000), 3);
    assert_eq!(used(), 0);
    append(&logs[1], &[1]);
    assert_eq!(used(), 1);
    // A log that is gone leaves lists and files.
    manager.delete(&topic("t", 1), None, 0).unwrap();
    assert_eq!(used(), 0);
    manager.checkpoint().unwrap();
    assert_eq!(file(), "0\n2\nt 3 1\nt 4 1\n");
}
