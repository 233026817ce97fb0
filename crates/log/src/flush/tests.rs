use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::disk::{Faults, WriteFault};
use crate::testing::{Fixture, append};
use crate::{Background, Disk, Environment, LogConfig};

/// A disk whose syncs of log files end when the test lets them.
#[derive(Debug)]
struct SlowSyncs {
    begun: Sender<()>,
    may_end: Mutex<Receiver<io::Result<()>>>,
    count: AtomicUsize,
}

impl Faults for SlowSyncs {
    fn before_write(&self, _: &Path, _: u64, _: usize) -> WriteFault {
        WriteFault::None
    }

    fn before_sync(&self, path: &Path) -> io::Result<()> {
        if path.extension().is_none_or(|extension| extension != "log") {
            return Ok(());
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.begun.send(()).unwrap();
        self.may_end.lock().unwrap().recv().unwrap()
    }

    fn synced(&self, _: &Path) {}

    fn renamed(&self, _: &Path, _: &Path) {}

    fn removed(&self, _: &Path) {}
}

struct Slow {
    fixture: Fixture,
    disk: Arc<SlowSyncs>,
    begun: Receiver<()>,
    let_end: Sender<io::Result<()>>,
}

fn slow() -> Slow {
    let ((begun_sender, begun), (let_end, may_end)) = (channel(), channel());
    let disk = Arc::new(SlowSyncs {
        begun: begun_sender,
        may_end: Mutex::new(may_end),
        count: AtomicUsize::new(0),
    });
    let environment = Environment::new(
        Disk::with_faults(disk.clone()),
        20,
        Background::threads(1, "test"),
    );
    let fixture = Fixture {
        environment,
        ..Fixture::new(LogConfig::default())
    };
    Slow {
        fixture,
        disk,
        begun,
        let_end,
    }
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
    slow.begun.recv().unwrap();
    for n in 2..=10 {
        wait(n);
    }
    assert!(told.try_recv().is_err(), "nothing is durable");
    slow.let_end.send(Ok(())).unwrap();
    assert_eq!(told.recv().unwrap(), (1, true));
    slow.begun.recv().unwrap();
    assert!(told.try_recv().is_err());
    slow.let_end.send(Ok(())).unwrap();
    for offset in 2..=10 {
        assert_eq!(told.recv().unwrap(), (offset, true));
    }
    assert_eq!(slow.disk.count.load(Ordering::Relaxed), 2);
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
    slow.let_end.send(Err(io::ErrorKind::Other.into())).unwrap();
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
    slow.begun.recv().unwrap();
    // The sync under way holds the gate: whoever cuts the log waits for it.
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| log.truncate_to(1, 0));
        slow.let_end.send(Ok(())).unwrap();
        // Cutting may sync as well.
        slow.let_end.send(Ok(())).unwrap();
        cut.join().unwrap().unwrap();
    });
    assert_eq!(told.recv(), Ok(true));
    slow.let_end.send(Ok(())).unwrap();
    log.flush_then(2, move |is_flushed| sender.send(is_flushed).unwrap());
    assert_eq!(told.recv(), Ok(false));
}

#[test]
fn many_appenders_are_all_told() {
    let environment = Environment::new(Disk::new(), 20, Background::threads(1, "test"));
    let fixture = Fixture {
        environment,
        ..Fixture::new(LogConfig::default())
    };
    let log = fixture.fresh();
    let (sender, told) = channel();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (log, sender) = (&log, sender.clone());
            scope.spawn(move || {
                for n in 0..2_000 {
                    let offset = append(log, &[n]).last_offset + 1;
                    let sender = sender.clone();
                    log.flush_then(offset, move |is_flushed| sender.send(is_flushed).unwrap());
                }
            });
        }
    });
    drop(sender);
    assert!(told.iter().take(8_000).all(|is_flushed| is_flushed));
}
