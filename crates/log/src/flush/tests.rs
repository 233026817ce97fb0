use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::{FlushGate, Waiting};
use crate::background::Limit;
use crate::testing::{Fixture, append};
use crate::{Background, Disk, Environment, HeldSyncs, Log, LogConfig};

struct Slow {
    fixture: Fixture,
    syncs: HeldSyncs,
}

fn slow() -> Slow {
    slow_with(|disk| Environment::new(disk, 20, Background::threads(1, "test")))
}

fn slow_with(environment: impl FnOnce(Disk) -> Arc<Environment>) -> Slow {
    let (disk, syncs) = HeldSyncs::disk();
    let fixture = Fixture {
        environment: environment(disk),
        ..Fixture::new(LogConfig::default())
    };
    Slow { fixture, syncs }
}

#[test]
fn those_that_come_while_the_disk_works_share_the_next_sync() {
    let slow = slow();
    let log = slow.fixture.fresh();
    let (sender, told) = channel();
    let wait = |n: i64| {
        let offset = append(&log, &[n]).last_offset + 1;
        let sender = sender.clone();
        log.flush_then(offset, move |is_flushed| {
            sender.send((offset, is_flushed)).unwrap();
        });
    };
    wait(1);
    slow.syncs.begun.recv().unwrap();
    for n in 2..=10 {
        wait(n);
    }
    assert!(told.try_recv().is_err(), "nothing is durable");
    slow.syncs.let_end.send(Ok(())).unwrap();
    assert_eq!(told.recv().unwrap(), (1, true));
    slow.syncs.begun.recv().unwrap();
    assert!(told.try_recv().is_err());
    slow.syncs.let_end.send(Ok(())).unwrap();
    for offset in 2..=10 {
        assert_eq!(told.recv().unwrap(), (offset, true));
    }
    assert!(slow.syncs.begun.try_recv().is_err(), "two syncs for all");
    assert_eq!(log.recovery_point(), 10);
    // What is durable needs no thread.
    log.flush_then(10, move |is_flushed| sender.send((0, is_flushed)).unwrap());
    assert_eq!(told.try_recv().unwrap(), (0, true));
}

#[test]
fn a_failed_sync_is_told_to_all_who_wait() {
    let slow = slow();
    let log = slow.fixture.fresh();
    let (sender, told) = channel();
    append(&log, &[1, 2]);
    for offset in 1..=2 {
        let sender = sender.clone();
        log.flush_then(offset, move |is_flushed| sender.send(is_flushed).unwrap());
    }
    slow.syncs
        .let_end
        .send(Err(io::ErrorKind::Other.into()))
        .unwrap();
    assert_eq!((told.recv(), told.recv()), (Ok(false), Ok(false)));
    log.flush_then(2, move |is_flushed| sender.send(is_flushed).unwrap());
    assert_eq!(told.recv(), Ok(false), "and to those who come later");
}

#[test]
fn what_was_cut_is_never_durable() {
    let slow = slow();
    let log = slow.fixture.fresh();
    let (sender, told) = channel();
    append(&log, &[1]);
    append(&log, &[2]);
    let first = sender.clone();
    log.flush_then(1, move |is_flushed| first.send(is_flushed).unwrap());
    slow.syncs.begun.recv().unwrap();
    // The sync under way holds the gate: whoever cuts the log waits for it.
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| log.truncate_to(1, 0));
        slow.syncs.let_end.send(Ok(())).unwrap();
        // Cutting may sync as well.
        slow.syncs.let_end.send(Ok(())).unwrap();
        cut.join().unwrap().unwrap();
    });
    assert_eq!(told.recv(), Ok(true));
    slow.syncs.let_end.send(Ok(())).unwrap();
    log.flush_then(2, move |is_flushed| sender.send(is_flushed).unwrap());
    assert_eq!(told.recv(), Ok(false));
}

/// A log end, a gate, and those who append and wait at a moment that the test chooses.
#[derive(Default)]
struct Turns {
    gate: FlushGate,
    end: AtomicI64,
    told: Arc<Mutex<Vec<(i64, bool)>>>,
}

impl Turns {
    /// Appends, and waits; returns whether a sync thread has to be sent.
    fn append_and_wait(&self) -> bool {
        let offset = self.end.fetch_add(1, Ordering::Relaxed) + 1;
        let told = Arc::clone(&self.told);
        self.gate.add(Waiting {
            offset,
            tell: Box::new(move |is_flushed| told.lock().unwrap().push((offset, is_flushed))),
        })
    }

    /// The log end, for a gate that lets nobody in meanwhile.
    fn log_end(&self) -> i64 {
        let is_locked = self.gate.state.try_lock().is_err();
        assert!(
            is_locked,
            "the log end is asked for while somebody may come to wait behind it"
        );
        self.end.load(Ordering::Relaxed)
    }

    /// A turn in which `meanwhile` happens after the flush, and before those who wait are looked at.
    fn turn(&self, meanwhile: impl FnOnce()) -> bool {
        let flush = || {
            let reached = self.end.load(Ordering::Relaxed);
            meanwhile();
            Some(reached)
        };
        self.gate.serve(flush, || self.log_end())
    }

    fn told(&self) -> Vec<(i64, bool)> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

#[test]
fn who_comes_between_a_flush_and_its_end_is_served_by_the_next() {
    let turns = Turns::default();
    assert!(turns.append_and_wait(), "the first one sends a thread");
    let others_left = turns.turn(|| assert!(!turns.append_and_wait(), "a thread is there"));
    assert_eq!(turns.told(), [(1, true)]);
    assert!(others_left, "the thread has another turn to take");
    assert!(!turns.append_and_wait(), "a thread is still there");
    assert!(!turns.turn(|| ()));
    assert_eq!(turns.told(), [(2, true), (3, true)]);
    assert!(turns.append_and_wait(), "the thread was let go");
}

#[test]
fn who_waits_for_what_was_cut_is_told_so_and_others_are_not() {
    let turns = Turns::default();
    turns.append_and_wait();
    turns.append_and_wait();
    let cut = || {
        turns.end.store(1, Ordering::Relaxed);
        Some(1)
    };
    assert!(!turns.gate.serve(cut, || turns.log_end()));
    assert_eq!(turns.told(), [(1, true), (2, false)]);
}

#[test]
fn a_flush_that_failed_is_told_to_those_who_came_meanwhile_too() {
    let turns = Turns::default();
    turns.append_and_wait();
    let failed = || {
        turns.append_and_wait();
        None
    };
    assert!(!turns.gate.serve(failed, || turns.log_end()));
    assert_eq!(turns.told(), [(1, false), (2, false)]);
}

#[test]
fn logs_take_turns_at_the_threads() {
    // One thread, two logs: while the first one's sync goes on, more wait for the first, and somebody for the second.
    let slow = slow_with(|disk| {
        let one_at_a_time = Limit {
            at_least: 1,
            jobs_per_thread: usize::MAX,
        };
        Environment::with_syncs(disk, Background::limited(2, "test", one_at_a_time))
    });
    let first = slow.fixture.fresh();
    let second = slow.fixture.named("other");
    let (sender, told) = channel();
    let wait = |log: &Arc<Log>, name: &'static str| {
        let offset = append(log, &[1]).last_offset + 1;
        let sender = sender.clone();
        log.flush_then(offset, move |_| sender.send((name, offset)).unwrap());
    };
    wait(&first, "first");
    slow.syncs.begun.recv().unwrap();
    wait(&first, "first");
    wait(&second, "second");
    for _ in 0..3 {
        slow.syncs.let_end.send(Ok(())).unwrap();
    }
    let order: Vec<_> = told.iter().take(3).collect();
    assert_eq!(order, [("first", 1), ("second", 1), ("first", 2)]);
}
