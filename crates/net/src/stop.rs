//! Tells the connections of a server to stop, and tells the server when they have.
//!
//! Invariant: a connection sees a change at its next turn, and every change gives it one.
//! Set by `server.rs`, looked at by `connection.rs`: an atomic read per turn, nothing more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopping {
    No = 0,
    /// Take nothing more, finish what was taken.
    Drain = 1,
    /// Close at once.
    Abort = 2,
}

#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    state: AtomicU8,
    wakers: Mutex<HashMap<u64, Waker>>,
    connections: Mutex<usize>,
    none_left: Notify,
}

impl StopSignal {
    pub(crate) fn get(&self) -> Stopping {
        match self.state.load(Ordering::Acquire) {
            0 => Stopping::No,
            1 => Stopping::Drain,
            _ => Stopping::Abort,
        }
    }

    pub(crate) fn set(&self, stopping: Stopping) {
        self.state.store(stopping as u8, Ordering::Release);
        for waker in lock(&self.wakers).values() {
            waker.wake_by_ref();
        }
    }

    /// Has the task of a connection woken at each change.
    ///
    /// Called before the state is read, so that a change in between is not missed.
    pub(crate) fn register(&self, connection: u64, waker: Waker) {
        lock(&self.wakers).insert(connection, waker);
    }

    pub(crate) fn forget(&self, connection: u64) {
        lock(&self.wakers).remove(&connection);
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        *lock(&self.connections) += 1;
        Entered(Arc::clone(self))
    }

    pub(crate) fn connections(&self) -> usize {
        *lock(&self.connections)
    }

    pub(crate) async fn wait_for_none(&self) {
        loop {
            let none_left = self.none_left.notified();
            tokio::pin!(none_left);
            none_left.as_mut().enable();
            if self.connections() == 0 {
                return;
            }
            none_left.await;
        }
    }
}

pub(crate) struct Entered(Arc<StopSignal>);

impl Drop for Entered {
    fn drop(&mut self) {
        let mut connections = lock(&self.0.connections);
        *connections -= 1;
        if *connections == 0 {
            self.0.none_left.notify_waiters();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
