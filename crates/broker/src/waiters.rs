//! Delayed operations: what waits for a partition to move, and wakes on exactly that.
//!
//! A waiting request registers one [`Waiter`] with each partition that it looks at. Whoever moves a partition
//! (an append, a high watermark, a deletion) wakes that partition's waiters and no others.
//!
//! Invariant: a waiter that registers and then looks at the partition again can miss nothing: a move before the
//! look is seen by the look, a move after it finds the waiter registered.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

/// One waiting request.
#[derive(Debug, Default)]
pub struct Waiter {
    notify: Notify,
    /// Set when its request is gone, so that partitions may forget it.
    gone: AtomicBool,
}

impl Waiter {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Completes at the next wake-up, or at once if one came since the last call.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}

/// Marks its waiter as gone when the request that owns it ends or is cancelled.
#[derive(Debug)]
pub struct WaiterGuard(pub Arc<Waiter>);

impl Drop for WaiterGuard {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
    }
}

/// The requests that wait for one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    any: AtomicBool,
    list: Mutex<Vec<Arc<Waiter>>>,
}

/// The list is swept of waiters that are gone when it has grown by this many.
const SWEEP_EVERY: usize = 64;

impl Waiters {
    /// Adds a waiter; it stays until it is woken or gone.
    pub fn register(&self, waiter: &Arc<Waiter>) {
        let mut list = self.list.lock().expect("waiters lock");
        if list.len() % SWEEP_EVERY == SWEEP_EVERY - 1 {
            list.retain(|waiter| !waiter.gone.load(Ordering::Acquire));
        }
        list.push(Arc::clone(waiter));
        // Under the lock, so that a wake that empties the list and a registration agree on the flag.
        self.any.store(true, Ordering::SeqCst);
        // Pairs with the fence in `wake`: either the look that follows sees the move, or the wake sees the flag.
        fence(Ordering::SeqCst);
    }

    /// Wakes and forgets every waiter. Costs one load where nobody waits.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        let woken = {
            let mut list = self.list.lock().expect("waiters lock");
            self.any.store(false, Ordering::SeqCst);
            std::mem::take(&mut *list)
        };
        for waiter in woken {
            waiter.notify.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_between_registration_and_wait_is_not_lost() {
        let waiters = Waiters::default();
        let waiter = Waiter::new();
        waiters.register(&waiter);
        waiters.wake();
        waiter.woken().await;
        assert!(waiters.list.lock().unwrap().is_empty());
    }

    #[test]
    fn waiters_that_are_gone_are_swept() {
        let waiters = Waiters::default();
        for _ in 0..10 * SWEEP_EVERY {
            drop(WaiterGuard({
                let waiter = Waiter::new();
                waiters.register(&waiter);
                waiter
            }));
        }
        assert!(waiters.list.lock().unwrap().len() <= SWEEP_EVERY);
    }
}
