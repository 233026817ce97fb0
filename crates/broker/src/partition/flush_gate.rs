//! Group commit: many produces that must be on disk before their answer share one fdatasync.
//!
//! The first that asks starts a flush on a disk thread; whoever asks meanwhile waits for the next one, which
//! covers all of them. No lock is held and no socket's thread waits while the disk works.

use std::sync::{Arc, Mutex};

use ottla_log::Log;
use tokio::sync::oneshot;

#[derive(Debug, Default)]
pub struct FlushGate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    waiting: Vec<(i64, oneshot::Sender<bool>)>,
}

impl FlushGate {
    /// Completes with true when every record before `offset` is on disk, with false when the flush failed.
    pub async fn flushed(self: &Arc<Self>, log: &Arc<Log>, offset: i64) -> bool {
        if log.recovery_point() >= offset {
            return true;
        }
        let (sender, receiver) = oneshot::channel();
        let start = {
            let mut state = self.state.lock().expect("flush gate lock");
            state.waiting.push((offset, sender));
            !std::mem::replace(&mut state.running, true)
        };
        if start {
            let (gate, log) = (Arc::clone(self), Arc::clone(log));
            tokio::task::spawn_blocking(move || gate.run(&log));
        }
        receiver.await.unwrap_or(false)
    }

    /// Flushes until nobody waits.
    fn run(&self, log: &Log) {
        loop {
            let result = log.flush();
            let mut state = self.state.lock().expect("flush gate lock");
            let reached = log.recovery_point();
            let failed = result.is_err();
            for (offset, sender) in std::mem::take(&mut state.waiting) {
                if failed || offset <= reached {
                    // The receiver may be gone with its connection.
                    let _ = sender.send(!failed);
                } else {
                    state.waiting.push((offset, sender));
                }
            }
            if state.waiting.is_empty() {
                state.running = false;
                return;
            }
        }
    }
}
