use std::cell::RefCell;
use std::sync::atomic::AtomicUsize;

use ottla_records::Producer;

use super::*;
use crate::disk::Disk;
use crate::environment::Environment;
use crate::manager::dirs::LogDirs;
use crate::manager::{CleanerSettings, LoadSummary, ManagerSettings, MoverSettings, MoverThreads};
use crate::testing::{append, batch, batch_of, marker, records};
use crate::{AbortedTxn, Background, LeaderAppend, LogConfig};

const ID: Uuid = Uuid::from_u128(77);

/// Two log directories and what manages them.
struct Broker {
    root: tempfile::TempDir,
    manager: Arc<LogManager>,
    summary: LoadSummary,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 150,
        is_transaction_verified: false,
        ..LogConfig::default()
    }
}

fn start(root: tempfile::TempDir, background: Background) -> Broker {
    let environment = Environment::new(Disk::new(), 100, background);
    let paths = ["a", "b"].map(|name| root.path().join(name));
    let dirs = LogDirs::open(environment, &paths, 1, Some("cluster")).unwrap();
    let config = Arc::new(config());
    let settings = ManagerSettings::default();
    let (manager, summary) =
        LogManager::start(dirs, settings, &|_| Arc::clone(&config), 0).unwrap();
    Broker {
        root,
        manager,
        summary,
    }
}

/// Thousands of syncs are for free in memory.
fn memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

impl Broker {
    fn new() -> Broker {
        start(memory(), Background::Inline)
    }

    /// As after a crash of the process.
    fn again(self) -> Broker {
        let Broker { root, manager, .. } = self;
        for log in manager.logs() {
            log.abandon();
        }
        drop(manager);
        start(root, Background::Inline)
    }

    fn path(&self, dir: usize) -> PathBuf {
        self.manager.dirs().dirs()[dir].dir.path().to_path_buf()
    }

    /// A log in the first directory.
    fn log(&self, config: LogConfig) -> Arc<Log> {
        let id = self.manager.dirs().dirs()[0].directory_id;
        let config = Arc::new(config);
        self.manager
            .get_or_create(&partition(), ID, config, Some(id), true, 0)
            .unwrap()
    }

    fn alter(&self, dir: usize) -> Result<(), AlterDirError> {
        self.manager.alter_log_dir(&partition(), &self.path(dir))
    }

    /// Carries out the moves that wait, and calls `between` before each piece.
    fn carry_out(&self, between: &dyn Fn()) {
        self.carry_out_told(between, &|_, _, _| true);
    }

    fn carry_out_told(
        &self,
        between: &dyn Fn(),
        assign: &dyn Fn(&TopicPartition, Uuid, Uuid) -> bool,
    ) {
        carry_out_told(&self.manager, between, assign);
    }

    /// The directories of the partition, without their unique parts.
    fn listed(&self) -> String {
        let mut found = Vec::new();
        for dir in ["a", "b"] {
            for entry in std::fs::read_dir(self.root.path().join(dir)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let parts: Vec<&str> = name.split('.').collect();
                match parts[..] {
                    ["t-0"] => found.push(format!("{dir}/t-0")),
                    ["t-0", unique] => {
                        let (_, mark) = unique.split_once('-').unwrap();
                        found.push(format!("{dir}/-{mark}"));
                    }
                    _ => {}
                }
            }
        }
        found.sort();
        found.join(" ")
    }

    fn described(&self) -> Vec<(usize, u64, i64, bool)> {
        let described = self.manager.describe().into_iter().enumerate();
        described
            .flat_map(|(at, dir)| {
                let logs = dir.logs.into_iter();
                logs.map(move |log| (at, log.size, log.offset_lag, log.is_future))
            })
            .collect()
    }

    fn checkpoint(&self, dir: usize, name: &str) -> String {
        std::fs::read_to_string(self.path(dir).join(name)).unwrap()
    }
}

/// Carries out the moves that wait, and calls `between` after each piece.
pub(crate) fn carry_out(manager: &LogManager, between: &dyn Fn()) {
    carry_out_told(manager, between, &|_, _, _| true);
}

pub(crate) fn carry_out_told(
    manager: &LogManager,
    between: &dyn Fn(),
    assign: &dyn Fn(&TopicPartition, Uuid, Uuid) -> bool,
) {
    let next = || manager.moves.state().take_waiting();
    while let Some(one) = next() {
        let spend = |_| {
            between();
            if one.is_cancelled() {
                Err(Stopped)
            } else {
                Ok(())
            }
        };
        let pace = MovePace { one: &one, spend };
        let carrier = Carrier {
            pace: &pace,
            assign,
            now_ms: &|| 1000,
        };
        manager.carry_out(&one, &carrier);
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn expected(from: i64, to: i64) -> Vec<(i64, i64)> {
    (from..to).map(|offset| (offset, offset)).collect()
}

fn file_names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_log_moves_with_all_that_belongs_to_it() {
    let broker = Broker::new();
    let log = broker.log(config());
    log.assign_epoch_start_offset(0, 0).unwrap();
    for n in 0..60 {
        append(&log, &[n]);
    }
    let producer = Producer {
        id: 9,
        epoch: 0,
        base_sequence: 0,
    };
    let open = batch_of(&[60], producer, true);
    log.append_as_leader(&[open], &LeaderAppend::client(0), 0)
        .unwrap();
    log.append_as_leader(&[marker(9, 0, true)], &LeaderAppend::coordinator(0), 0)
        .unwrap();
    for n in 62..100 {
        append(&log, &[n]);
    }
    log.advance_log_start_offset(25).unwrap();
    let (segments, aborted) = (
        log.segment_count(),
        log.aborted_transactions(25, 100).unwrap(),
    );
    assert!(segments > 5 && aborted.len() == 1);
    for segment in log.segments.load().iter() {
        segment.flush_indexes().unwrap();
    }
    let before = file_names(&log.dir());
    broker.alter(1).unwrap();
    assert!(broker.described()[1].3);
    broker.carry_out(&|| {});

    assert_eq!(broker.listed(), "a/-delete b/t-0");
    assert_eq!(log.log_dir().path(), broker.path(1));
    assert_eq!(log.dir(), broker.path(1).join("t-0"));
    assert_eq!(file_names(&log.dir()), before);
    check(&log, &aborted);
    assert_eq!(broker.described(), [(1, log.size(), 0, false)]);
    assert_eq!(
        broker.checkpoint(1, "log-start-offset-checkpoint"),
        "0\n1\nt 0 25\n"
    );
    append(&log, &[100]);
    // The old directory goes after a while, and its checkpoints forget the log.
    broker.manager.tick(61_000);
    assert_eq!(broker.listed(), "b/t-0");
    assert_eq!(
        broker.checkpoint(0, "recovery-point-offset-checkpoint"),
        "0\n0\n"
    );
    assert_eq!(
        broker.checkpoint(0, "log-start-offset-checkpoint"),
        "0\n0\n"
    );

    let broker = broker.again();
    assert_eq!(broker.summary.notes, []);
    let log = broker.manager.get(&partition()).unwrap();
    assert_eq!(log.log_end_offset(), 101);
    check(&log, &aborted);
}

fn check(log: &Log, aborted: &[AbortedTxn]) {
    assert_eq!(log.log_start_offset(), 25);
    assert_eq!(log.topic_id(), Some(ID));
    assert_eq!(log.latest_epoch(), Some(0));
    assert_eq!(log.producer_count(), 1);
    assert_eq!(log.aborted_transactions(25, 100).unwrap(), aborted);
    let found = records(log, 25, 300);
    assert_eq!(found.len() as i64, log.log_end_offset() - 25);
    let timestamp = log.offset_for_timestamp(70).unwrap().unwrap();
    assert_eq!((timestamp.offset, timestamp.timestamp), (70, 70));
}

#[test]
fn a_log_in_use_moves_to_and_fro() {
    let broker = Broker::new();
    let log = broker.log(config());
    let appended = RefCell::new(0);
    let use_it = || {
        let mut next = appended.borrow_mut();
        append(&log, &[*next]);
        *next += 1;
        if *next % 5 == 0 {
            log.flush().unwrap();
        }
        if *next % 7 == 0 {
            log.roll(0).unwrap();
        }
        assert_eq!(
            records(&log, (*next - 20).max(0), 300),
            expected((*next - 20).max(0), *next)
        );
    };
    for _ in 0..60 {
        use_it();
    }
    for round in 0..6 {
        let target = 1 - round % 2;
        // A reader that holds a range of the old place goes on.
        let range = log.read(0, 1000, true, i64::MAX).unwrap();
        broker.alter(target).unwrap();
        let left = RefCell::new(60);
        broker.carry_out(&|| {
            if *left.borrow() > 0 {
                *left.borrow_mut() -= 1;
                use_it();
            }
        });
        assert_eq!(log.log_dir().path(), broker.path(target));
        assert_eq!(range.read().unwrap().len(), range.len);
        let next = *appended.borrow();
        assert_eq!(records(&log, 0, 300), expected(0, next));
    }
    let end = *appended.borrow();
    drop(log);
    let broker = broker.again();
    assert_eq!(broker.summary.notes, []);
    let log = broker.manager.get(&partition()).unwrap();
    assert_eq!(records(&log, 0, 300), expected(0, end));
}

#[test]
fn what_is_cleaned_retired_and_cut_meanwhile_is_so_in_the_copy() {
    let broker = Broker::new();
    let log = broker.log(LogConfig {
        is_compact: true,
        retention_bytes: 4000,
        ..config()
    });
    for n in 0..100 {
        append(&log, &[n]);
    }
    broker.alter(1).unwrap();
    let turn = RefCell::new(0);
    broker.carry_out(&|| {
        *turn.borrow_mut() += 1;
        match *turn.borrow() {
            3 => log.advance_log_start_offset(30).map(|_| ()).unwrap(),
            4 => _ = log.run_retention(0).unwrap(),
            6 => assert!(log.truncate_to(95, 0).unwrap()),
            7 => (95..99).for_each(|n| _ = append(&log, &[n + 1000])),
            9 => assert!(
                broker
                    .manager
                    .clean_filthiest(&CleanerSettings::default(), 0)
            ),
            _ => {}
        }
    });
    assert!(*turn.borrow() > 9);
    assert_eq!(broker.listed(), "a/-delete b/t-0");
    let found = records(&log, log.log_start_offset(), 300);
    // All have one key, and what is in the active segment is not cleaned.
    assert_eq!(found.last(), Some(&(98, 1098)));
    assert!(found.len() < 40, "{found:?}");
    let cleaned_until = log.cleaned_until();
    assert!(cleaned_until.is_some());
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    broker.manager.checkpoint().unwrap();
    drop(log);
    let broker = broker.again();
    assert_eq!(broker.summary.notes, []);
    let log = broker.manager.get(&partition()).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
    assert_eq!(log.cleaned_until(), cleaned_until);
    assert_eq!(records(&log, start, 300), found);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let broker = Broker::new();
    let elsewhere = broker.root.path().join("c");
    assert_eq!(
        broker.manager.alter_log_dir(&partition(), &elsewhere),
        Err(AlterDirError::UnknownDirectory(elsewhere))
    );
    let long = TopicPartition::new("x".repeat(220), 0);
    assert_eq!(
        broker.manager.alter_log_dir(&long, &broker.path(0)),
        Err(AlterDirError::NameTooLong(long))
    );
    // Where there is no log, the directory is remembered until it begins.
    for dir in [1, 0, 1] {
        assert_eq!(broker.alter(dir), Err(AlterDirError::NoLog(partition())));
    }
    let create = || {
        let config = Arc::new(config());
        broker
            .manager
            .get_or_create(&partition(), ID, config, None, true, 0)
            .unwrap()
    };
    assert_eq!(create().log_dir().path(), broker.path(1));
    assert_eq!(broker.alter(1), Ok(()));
    assert_eq!(broker.described().len(), 1);
    broker.manager.delete(&partition(), None, 0).unwrap();
    assert_eq!(
        create().log_dir().path(),
        broker.path(0),
        "it is forgotten then"
    );
    broker.manager.dirs().dirs()[1].dir.fail("pulled out");
    assert_eq!(
        broker.alter(1),
        Err(AlterDirError::DirectoryOffline(broker.path(1)))
    );
}

#[test]
fn a_move_ends_where_it_is_not_wanted_any_more() {
    let broker = Broker::new();
    let log = broker.log(config());
    for n in 0..60 {
        append(&log, &[n]);
    }
    // Back to where it is.
    broker.alter(1).unwrap();
    broker.alter(1).unwrap();
    let assigned = RefCell::new(Vec::new());
    let pieces = AtomicUsize::new(0);
    let nth = |n| pieces.fetch_add(1, Ordering::Relaxed) == n;
    broker.carry_out(&|| {
        if nth(4) {
            assert_eq!(broker.listed(), "a/t-0 b/-future");
            let described = broker.described();
            assert_eq!((described[1].0, described[1].3), (1, true));
            assert!(described[1].1 > 0 && (1..60).contains(&described[1].2));
            broker.alter(0).unwrap();
        }
    });
    assert_eq!(broker.described(), [(0, log.size(), 0, false)]);
    assert_eq!(broker.listed(), "a/t-0 b/-delete");
    // After the metadata was told, which is told of it again.
    broker.alter(1).unwrap();
    let is_told = || !assigned.borrow().is_empty();
    let cancel = || {
        if is_told() && log.log_dir().path() == broker.path(0) {
            broker.alter(0).unwrap();
        }
    };
    broker.carry_out_told(&cancel, &|_, _, id| {
        assigned.borrow_mut().push(id);
        true
    });
    let ids: Vec<Uuid> = broker
        .manager
        .dirs()
        .dirs()
        .iter()
        .map(|d| d.directory_id)
        .collect();
    assert_eq!(*assigned.borrow(), [ids[1], ids[0]]);
    // Whom the metadata does not believe stays.
    broker.alter(1).unwrap();
    broker.carry_out_told(&|| {}, &|_, _, _| false);
    assert_eq!(log.log_dir().path(), broker.path(0));
    // With its topic.
    broker.alter(1).unwrap();
    pieces.store(0, Ordering::Relaxed);
    broker.carry_out(&|| {
        if nth(4) {
            broker.manager.delete(&partition(), Some(ID), 1000).unwrap();
        }
    });
    assert_eq!(broker.described(), []);
    broker.manager.tick(100_000);
    assert_eq!(broker.listed(), "");
}

#[test]
fn a_failing_target_abandons_the_move() {
    let broker = Broker::new();
    let log = broker.log(config());
    for n in 0..60 {
        append(&log, &[n]);
    }
    broker.alter(1).unwrap();
    broker.carry_out(&|| broker.manager.dirs().dirs()[1].dir.fail("pulled out"));
    assert!(!log.log_dir().has_failed() && !log.is_closed());
    append(&log, &[60]);
    assert_eq!(records(&log, 0, 300), expected(0, 61));
    assert_eq!(broker.described(), [(0, log.size(), 0, false)]);
    // Nothing moves while a copy may lie where nobody sees it.
    assert_eq!(broker.alter(0), Ok(()));
}

#[test]
fn a_failing_source_leaves_the_copy_as_it_is() {
    let broker = Broker::new();
    let log = broker.log(config());
    for n in 0..60 {
        append(&log, &[n]);
    }
    broker.alter(1).unwrap();
    broker.carry_out(&|| broker.manager.dirs().dirs()[0].dir.fail("pulled out"));
    let failures = broker.manager.tick(2000);
    assert_eq!(failures[0].partitions, [partition()]);
    assert_eq!(broker.listed(), "a/t-0 b/-future");
    assert_eq!(broker.described(), []);
    // With the directory back, the move begins again and comes to its end.
    drop(log);
    let broker = broker.again();
    assert_eq!(broker.described().len(), 2);
    broker.carry_out(&|| {});
    let log = broker.manager.get(&partition()).unwrap();
    assert_eq!(log.log_dir().path(), broker.path(1));
    assert_eq!(records(&log, 0, 300), expected(0, 60));
}

#[test]
fn threads_move_logs_that_threads_use() {
    let root = memory();
    let background = Background::threads(2, "moved");
    let broker = start(root, background);
    let log = broker.log(LogConfig {
        segment_bytes: 20_000,
        flush_messages: 50,
        ..config()
    });
    let rate = MoverSettings {
        threads: 2,
        bytes_per_second_max: f64::MAX,
    };
    let movers = MoverThreads::start(&broker.manager, rate, || 0, |_, _, _| true).unwrap();
    let is_over = AtomicBool::new(false);
    let appended = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut next = 0;
            while !is_over.load(Ordering::Relaxed) {
                append(&log, &[next]);
                next += 1;
                if next % 50 == 0 {
                    log.flush().unwrap();
                }
                if next % 500 == 0 {
                    log.flush_and_settle().unwrap();
                }
            }
            next
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let end = log.log_end_offset();
                let from = (end - 40).max(0);
                let found = records(&log, from, 1000);
                assert!(found.len() as i64 >= end - from);
                assert_eq!(found[..(end - from) as usize], expected(from, end));
            }
        });
        for round in 0..8 {
            let target = 1 - round % 2;
            let before = log.log_end_offset();
            broker.alter(target).unwrap();
            while log.log_dir().path() != broker.path(target) || log.log_end_offset() == before {
                assert!(!log.is_closed() && !log.log_dir().has_failed());
                std::thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    drop(movers);
    assert_eq!(records(&log, 0, 5000), expected(0, appended));
    for open in broker.manager.dirs().dirs() {
        assert!(!open.dir.has_failed());
    }
    assert_eq!(
        log.append_as_leader(&[batch(&[1])], &LeaderAppend::client(0), 0)
            .unwrap()
            .first_offset,
        appended
    );
}
