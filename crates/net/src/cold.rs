//! Reads ranges of files that are not in the page cache, away from the threads of the sockets.
//!
//! Invariant: at most `COLD_READS_MAX` reads run at a time, and a connection has at most one, so
//! the queue is no longer than there are connections.
//! Used by `send.rs`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::Advice;
use tokio::sync::Semaphore;

use crate::limits::{COLD_PIECE_BYTES, COLD_READS_MAX};
use crate::service::FilePart;

pub(crate) type ColdRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

#[derive(Debug, Clone)]
pub(crate) struct ColdReads {
    running: Arc<Semaphore>,
}

impl ColdReads {
    pub(crate) fn new() -> Self {
        ColdReads {
            running: Arc::new(Semaphore::new(COLD_READS_MAX)),
        }
    }

    /// Reads the first piece of `part`; fewer bytes than asked for are possible, none are the end.
    pub(crate) fn start(&self, part: FilePart) -> ColdRead {
        let running = self.running.clone();
        Box::pin(async move {
            let permit = running.acquire_owned().await.map_err(io::Error::other)?;
            tokio::task::spawn_blocking(move || {
                let bytes = read_piece(&part);
                drop(permit);
                bytes
            })
            .await
            .map_err(io::Error::other)?
        })
    }
}

fn read_piece(part: &FilePart) -> io::Result<Bytes> {
    let len = usize::try_from(part.len)
        .unwrap_or(usize::MAX)
        .min(COLD_PIECE_BYTES);
    let mut buffer = vec![0; len];
    let read = read_at(part, &mut buffer)?;
    buffer.truncate(read);
    // The next piece comes along while this one is being sent. Advice that is refused costs only
    // time.
    let _refused = rustix::fs::fadvise(
        part.file.as_ref(),
        part.position + read as u64,
        std::num::NonZeroU64::new(COLD_PIECE_BYTES as u64),
        Advice::WillNeed,
    );
    Ok(buffer.into())
}

fn read_at(part: &FilePart, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::pread(part.file.as_ref(), &mut *buffer, part.position) {
            Err(rustix::io::Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}
