//! Requests of one connection that are under way: one thread sends, another reads the answers.
//!
//! Invariant: no more are under way than the connection may have. Whichever side ends lets the other
//! one know, so that neither waits for ever.
//! Used by `produce.rs` and `latency.rs`.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use super::meter::{Latencies, Run};

/// A request that is under way.
pub struct Sent {
    /// When the schedule wanted it to leave.
    pub due: Instant,
    pub sent: Instant,
    pub records: u64,
    pub bytes: u64,
}

impl Sent {
    /// Counts its answer, which came `now`.
    pub fn count(&self, run: &Run, now: Instant, latencies: &mut Latencies) {
        if run.count(now, self.records, self.bytes) {
            latencies.record(self.due, self.sent, now);
        }
    }
}

/// The sender's side.
pub struct Room {
    freed: Receiver<()>,
    sent: Sender<Sent>,
}

/// The reader's side.
pub struct Awaited {
    sent: Receiver<Sent>,
    freed: Sender<()>,
}

/// Both sides of a connection that may have `max` requests under way.
pub fn bounded(max: usize) -> (Room, Awaited) {
    let ((sent_in, sent_out), (freed_in, freed_out)) = (mpsc::channel(), mpsc::channel());
    for _ in 0..max {
        // The other end lives until this function returns.
        let _open = freed_in.send(());
    }
    let room = Room {
        freed: freed_out,
        sent: sent_in,
    };
    let awaited = Awaited {
        sent: sent_out,
        freed: freed_in,
    };
    (room, awaited)
}

impl Room {
    /// Waits until another request may leave; false if nobody reads answers any more.
    pub fn wait(&self) -> bool {
        self.freed.recv().is_ok()
    }

    /// Notes a request that is about to leave.
    pub fn note(&self, sent: Sent) {
        // A reader that is gone is found by the next `wait`.
        let _gone = self.sent.send(sent);
    }
}

impl Awaited {
    /// The request whose answer comes next; `None` when there will be no more.
    pub fn next(&self) -> Option<Sent> {
        self.sent.recv().ok()
    }

    /// Notes that an answer has come.
    pub fn answered(&self) {
        // A sender that is gone needs no room.
        let _gone = self.freed.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(records: u64) -> Sent {
        let now = Instant::now();
        Sent {
            due: now,
            sent: now,
            records,
            bytes: 0,
        }
    }

    #[test]
    fn room_comes_back_with_answers() {
        let (room, awaited) = bounded(2);
        for records in [1, 2] {
            assert!(room.wait());
            room.note(sent(records));
        }
        assert!(room.freed.try_recv().is_err(), "no third one leaves");
        assert_eq!(awaited.next().map(|sent| sent.records), Some(1));
        awaited.answered();
        assert!(room.wait());
        drop(room);
        assert_eq!(awaited.next().map(|sent| sent.records), Some(2));
        assert!(awaited.next().is_none());
    }

    #[test]
    fn a_sender_learns_that_nobody_reads() {
        let (room, awaited) = bounded(1);
        assert!(room.wait());
        room.note(sent(1));
        drop(awaited);
        assert!(!room.wait());
    }
}
