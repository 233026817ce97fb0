//! The way to a disk thread, for what may wait for the disk.
//!
//! Invariant: requests of one [`Lane`] have at most so many threads at a time as the lane says, however many wait; those
//! wait in the order in which they came, each in its own connection's task.

use ottla_protocol::ErrorCode;
use tokio::sync::Semaphore;

/// Disk threads that plan fetches and look up offsets at a time: as many as read for answers (`net/cold.rs`).
pub const READS_MAX: usize = 16;
/// Disk threads that serve administration (directories described, logs moved, records deleted) at a time.
pub const ADMINISTRATION_MAX: usize = 4;

/// Reads for consumers.
pub static READS: Lane = Lane::new(READS_MAX);
/// What an administrator asks for; consumers do not wait behind it.
pub static ADMINISTRATION: Lane = Lane::new(ADMINISTRATION_MAX);

/// A share of the disk threads.
#[derive(Debug)]
pub struct Lane {
    free: Semaphore,
}

impl Lane {
    const fn new(threads_max: usize) -> Lane {
        Lane {
            free: Semaphore::const_new(threads_max),
        }
    }

    /// Runs `work` on a thread that may block, as soon as the lane has one, and waits for it.
    ///
    /// Work that has begun ends even if nobody waits for it any more, and keeps its place until then. A panic in `work`
    /// is the caller's error, not the broker's end.
    pub async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> Result<T, ErrorCode> + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let Ok(place) = self.free.acquire().await else {
            // Nobody closes a lane.
            return Err(ErrorCode::UnknownServerError);
        };
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        match done.await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "work on a disk thread failed");
                Err(ErrorCode::UnknownServerError)
            }
        }
    }
}

#[cfg(test)]
mod tests;
