//! The way to a disk thread, for what may wait for the disk.

use ottla_protocol::ErrorCode;

/// Runs `work` on a thread that may block, and waits for it.
///
/// A panic in `work` is the caller's error, not the broker's end.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ErrorCode> + Send + 'static,
) -> Result<T, ErrorCode> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "work on a disk thread failed");
            Err(ErrorCode::UnknownServerError)
        }
    }
}
