//! The bytes of requests that the whole server may hold at a time.
//!
//! Invariant: bytes are reserved before they are buffered, beyond what one shared receive buffer
//! yields per connection. First come, first served, so a large request is not starved.
//! Used by `frames.rs` while a frame grows and by `connection.rs` for frames that came whole.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

#[derive(Debug, Clone)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
}

/// Bytes taken from the budget; dropping gives them back.
pub(crate) type Reservation = OwnedSemaphorePermit;

type Waiting = Pin<Box<dyn Future<Output = Result<Reservation, AcquireError>> + Send>>;

/// A place in the queue for bytes, if one is needed.
#[derive(Default)]
pub(crate) struct Waiter(Option<Waiting>);

impl Waiter {
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.is_some()
    }
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Budget {
            semaphore: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes `bytes` at once or not at all. Never overtakes a waiter.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let permits = u32::try_from(bytes).ok()?;
        self.semaphore.clone().try_acquire_many_owned(permits).ok()
    }

    /// Takes `bytes`, or waits for them in `waiter`, which belongs to this one reservation.
    pub(crate) fn poll_reserve(
        &self,
        bytes: usize,
        waiter: &mut Waiter,
        cx: &mut Context<'_>,
    ) -> Poll<Reservation> {
        if waiter.0.is_none() {
            if let Some(reservation) = self.try_reserve(bytes) {
                return Poll::Ready(reservation);
            }
            // A frame's length is an i32, so it always fits.
            let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
            waiter.0 = Some(Box::pin(self.semaphore.clone().acquire_many_owned(permits)));
        }
        let Some(waiting) = waiter.0.as_mut() else {
            return Poll::Pending;
        };
        match waiting.as_mut().poll(cx) {
            Poll::Ready(Ok(reservation)) => {
                waiter.0 = None;
                Poll::Ready(reservation)
            }
            // The semaphore is never closed.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    #[cfg(test)]
    pub(crate) fn available(&self) -> usize {
        self.semaphore.available_permits()
    }
}
