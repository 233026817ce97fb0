//! The power fails at each operation of a move.
//!
//! Whatever was flushed is there after the restart, in one place, and the move that begins again comes to its end.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::crash::Platter;
use super::{Fixture, batch, records};
use crate::manager::moves::tests::{carry_out, carry_out_told};
use crate::{
    Disk, Environment, LeaderAppend, Log, LogConfig, LogDirs, LogManager, ManagerSettings,
};

const SEGMENT_BYTES: u32 = 600;

struct Machine {
    platter: Arc<Platter>,
    fixture: Fixture,
}

impl Machine {
    fn new() -> Machine {
        let platter = Arc::new(Platter::default());
        let config = LogConfig {
            segment_bytes: SEGMENT_BYTES,
            index_interval_bytes: 150,
            ..LogConfig::default()
        };
        let fixture = Fixture::with_disk(config, Disk::with_faults(platter.clone()));
        Machine { platter, fixture }
    }

    fn dirs(&self) -> [PathBuf; 2] {
        ["a", "b"].map(|name| self.fixture.dir.path().join(name))
    }

    fn start(&self) -> Arc<LogManager> {
        let environment = Environment::inline(Disk::with_faults(self.platter.clone()));
        let dirs = LogDirs::open(environment, &self.dirs(), 1, Some("cluster")).unwrap();
        let config = Arc::new(self.fixture.config.clone());
        let settings = ManagerSettings::default();
        LogManager::start(dirs, settings, &|_| Arc::clone(&config), 0)
            .unwrap()
            .0
    }

    /// What lies in the log directories.
    fn listed(&self) -> Vec<String> {
        let dirs = self.dirs().into_iter();
        let entries = dirs.flat_map(|dir| std::fs::read_dir(dir).unwrap());
        let paths = entries.map(|entry| entry.unwrap().path());
        let paths = paths.filter(|path| path.is_dir());
        paths.map(|path| path.display().to_string()).collect()
    }

    /// The directories that have the partition's name.
    fn live(&self) -> Vec<PathBuf> {
        let paths = self.dirs().map(|dir| dir.join("topic-0")).into_iter();
        paths.filter(|path| path.exists()).collect()
    }
}

fn partition() -> TopicPartition {
    Fixture::partition()
}

fn begin(machine: &Machine, manager: &LogManager) -> Arc<Log> {
    let id = manager.dirs().dirs()[0].directory_id;
    let config = Arc::new(machine.fixture.config.clone());
    let topic_id = Uuid::from_u128(7);
    manager
        .get_or_create(&partition(), topic_id, config, Some(id), true, 0)
        .unwrap()
}

/// What a client knows.
#[derive(Default)]
struct Known {
    /// Records that were sent, of which each has its offset for a timestamp.
    sent: Cell<i64>,
    /// Everything before was acknowledged as durable.
    flushed: Cell<i64>,
    log_start: Cell<i64>,
}

impl Known {
    /// Uses the log a little; once the disk has failed nothing more is acknowledged.
    fn work(&self, log: &Log, random: &RefCell<fastrand::Rng>) {
        let mut random = random.borrow_mut();
        match random.u8(..10) {
            0..6 => {
                let next = self.sent.get();
                let one = [batch(&[next])];
                if log
                    .append_as_leader(&one, &LeaderAppend::client(0), 0)
                    .is_ok()
                {
                    self.sent.set(next + 1);
                    log.set_high_watermark(next + 1);
                }
            }
            6..8 => {
                if log.flush().is_ok() {
                    self.flushed.set(log.log_end_offset());
                }
            }
            8 => _ = log.roll(0),
            _ => {
                let to = self.log_start.get() + 1;
                if to < log.log_end_offset() && log.advance_log_start_offset(to).is_ok() {
                    self.log_start.set(to);
                }
                let _ = log.run_retention(0);
            }
        }
    }
}

/// Lets the power fail after `operations` of a move; returns whether the move was done before.
fn crash_after(operations: usize, seed: u64) -> bool {
    let what = format!("operation {operations}, seed {seed}");
    let machine = Machine::new();
    let manager = machine.start();
    let log = begin(&machine, &manager);
    let known = Known::default();
    let random = RefCell::new(fastrand::Rng::with_seed(seed));
    for _ in 0..40 {
        known.work(&log, &random);
    }
    manager.checkpoint().unwrap();
    machine.platter.fail_after(operations);
    manager
        .alter_log_dir(&partition(), &machine.dirs()[1])
        .unwrap();
    let left = Cell::new(10);
    let between = || {
        if left.get() > 0 {
            left.set(left.get() - 1);
            known.work(&log, &random);
        }
    };
    // What is acknowledged after the copy was made durable has to be so in the copy.
    let assign = |_: &TopicPartition, _, _| {
        for _ in 0..seed {
            known.work(&log, &random);
        }
        true
    };
    carry_out_told(&manager, &between, &assign);
    let is_moved = machine.platter.has_power();
    if is_moved {
        known.work(&log, &random);
    }
    for log in manager.logs() {
        log.abandon();
    }
    drop((manager, log));
    machine.platter.restore_power();
    for dir in machine.dirs() {
        machine
            .platter
            .cut_power_below(&dir, &mut random.borrow_mut());
    }

    let what = format!("{what}, {:?}", machine.listed());
    let manager = machine.start();
    let log = manager
        .get(&partition())
        .unwrap_or_else(|| panic!("no log after {what}"));
    assert_eq!(machine.live(), [log.dir()], "{what}");
    check(&log, &known, &what);
    let end = log.log_end_offset();
    known.sent.set(end);
    known.flushed.set(known.flushed.get().min(end));
    // What was interrupted is done now.
    carry_out(&manager, &|| {});
    if !is_moved {
        assert!(
            log.log_dir().path() == machine.dirs()[1] || !known_moves(&manager),
            "{what}"
        );
    }
    check(&log, &known, &what);
    assert!(
        log.append_as_leader(&[batch(&[end])], &LeaderAppend::client(0), 0)
            .is_ok()
    );
    is_moved
}

fn known_moves(manager: &LogManager) -> bool {
    let described = manager.describe().into_iter();
    described.flat_map(|dir| dir.logs).any(|log| log.is_future)
}

fn check(log: &Log, known: &Known, what: &str) {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    assert!(
        end >= known.flushed.get(),
        "{what}: ends at {end}, flushed {}",
        known.flushed.get()
    );
    assert!(end <= known.sent.get(), "{what}");
    assert!(start <= known.log_start.get(), "{what}");
    let expected: Vec<(i64, i64)> = (start..end).map(|offset| (offset, offset)).collect();
    assert_eq!(records(log, start, 300), expected, "{what}");
    assert_eq!(log.topic_id(), Some(Uuid::from_u128(7)), "{what}");
}

#[test]
fn the_power_fails_at_each_operation_of_a_move() {
    for seed in 0..6 {
        let mut operations = 0;
        while !crash_after(operations, seed) {
            operations += 1;
        }
        assert!(operations > 40, "{operations}");
    }
}
