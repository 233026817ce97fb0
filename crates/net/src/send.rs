//! Sends answers: bytes from memory and ranges of files, in order, by as few writes as possible.
//!
//! Invariant: no thread that serves sockets waits for a disk. What the page cache has is sent at
//! once; what it lacks is read by `cold.rs` first.
//! Last step of the fetch path; called by `connection.rs`.
//!
//! There are two ways out for cached ranges. *Copy* reads a piece into a buffer of the worker
//! thread and writes it together with the bytes around it. *Sendfile* lets the kernel move the
//! pages. `FileWay` chooses; see there for what was measured.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use crate::cold::{ColdRead, ColdReads};
use crate::give_way::{give_core_away, give_way};
use crate::limits::{FILE_PIECE_BYTES, WRITE_BYTES_PER_POLL, WRITE_SLICES_MAX};
use crate::service::{FilePart, Part, Reply};

/// What a waiting part costs beside its bytes, so that empty answers are bounded as well.
const PART_OVERHEAD_BYTES: usize = 64;

thread_local! {
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How cached ranges of files reach the socket.
///
/// Measured on the development machine, others working on it, loopback, `cargo bench -p ottla-net`,
/// least CPU seconds of the server per GB of four runs:
///
/// | answers, socket buffers | copy          | sendfile      |
/// |-------------------------|---------------|---------------|
/// | 16 KiB, 100 KiB         | 0.65          | 0.95          |
/// | 1 MiB, 100 KiB          | 0.13          | 0.13          |
/// | 16 KiB, the system's    | 0.64          | 0.94          |
/// | 1 MiB, the system's     | 0.17          | 0.10          |
///
/// Copying wins where answers are small, for header and records leave by one write; it also knows
/// for every byte that it was cached, where sendfile can only be told of a range's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileWay {
    #[default]
    Copy,
    Sendfile,
}

#[derive(Debug)]
pub(crate) enum SendError {
    Socket(io::Error),
    File(io::Error),
    /// The file ended before the range did.
    FileEnded {
        position: u64,
        missing: u64,
    },
}

/// What was sent by one call.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) bytes: u64,
    pub(crate) file_bytes: u64,
    pub(crate) cold_reads: u64,
}

pub(crate) struct Outbox {
    queue: VecDeque<Chunk>,
    memory_bytes: usize,
    cold: Option<ColdRead>,
    way: FileWay,
}

enum Chunk {
    Prefix { bytes: [u8; 4], start: usize },
    Bytes(Bytes),
    File(FilePart),
}

impl Chunk {
    fn memory_bytes(&self) -> usize {
        PART_OVERHEAD_BYTES
            + match self {
                Chunk::Bytes(bytes) => bytes.len(),
                Chunk::Prefix { .. } | Chunk::File(_) => 0,
            }
    }
}

impl Outbox {
    pub(crate) fn new(way: FileWay) -> Self {
        Outbox {
            queue: VecDeque::new(),
            memory_bytes: 0,
            cold: None,
            way,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Queues an answer behind those that wait, or reports that no frame can be that long.
    pub(crate) fn push(&mut self, reply: Reply) -> Result<(), u64> {
        let len = reply.len();
        let prefix = i32::try_from(len).map_err(|_| len)?.to_be_bytes();
        self.push_chunk(Chunk::Prefix {
            bytes: prefix,
            start: 0,
        });
        for part in reply.parts {
            match part {
                Part::Bytes(bytes) if bytes.is_empty() => {}
                Part::Bytes(bytes) => self.push_chunk(Chunk::Bytes(bytes)),
                Part::File(file) if file.len == 0 => {}
                Part::File(file) => self.push_chunk(Chunk::File(file)),
            }
        }
        Ok(())
    }

    fn push_chunk(&mut self, chunk: Chunk) {
        self.memory_bytes += chunk.memory_bytes();
        self.queue.push_back(chunk);
    }

    /// Writes until nothing is left or the socket takes no more; `sent` grows by what left.
    pub(crate) fn poll_flush(
        &mut self,
        stream: &mut TcpStream,
        cold_reads: &ColdReads,
        sent: &mut Sent,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let mut left = WRITE_BYTES_PER_POLL;
        while !self.queue.is_empty() {
            if left == 0 {
                give_way(cx);
                give_core_away();
                return Poll::Pending;
            }
            if self.cold.is_some() {
                ready!(self.poll_cold(cx))?;
            }
            let written = match ready!(self.poll_write_some(stream, cx))? {
                Written::Some { bytes, from_files } => {
                    sent.file_bytes += from_files as u64;
                    bytes
                }
                Written::Cold => {
                    sent.cold_reads += u64::from(self.start_cold(cold_reads));
                    0
                }
            };
            sent.bytes += written as u64;
            left = left.saturating_sub(written);
        }
        // An idle connection keeps no queue.
        self.queue = VecDeque::new();
        Poll::Ready(Ok(()))
    }

    fn poll_write_some(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Written, SendError>> {
        match (self.way, self.queue.front()) {
            (FileWay::Sendfile, Some(Chunk::File(part))) => {
                let written = ready!(poll_sendfile(part, stream, cx))?;
                self.advance(written.bytes());
                Poll::Ready(Ok(written))
            }
            (way, _) => PIECE.with_borrow_mut(|piece| self.poll_copy(way, stream, piece, cx)),
        }
    }

    /// Gathers what lies in memory and, unless files go another way, reads cached ranges beside
    /// it, and writes all of that at once. What a file yielded and the socket did not take is
    /// read again later.
    fn poll_copy(
        &mut self,
        way: FileWay,
        stream: &mut TcpStream,
        piece: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Written, SendError>> {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
        let mut count = 0;
        let mut file_bytes_gathered = 0;
        if piece.is_empty() && self.queue.iter().any(|c| matches!(c, Chunk::File(_))) {
            piece.resize(FILE_PIECE_BYTES, 0);
        }
        let mut room = piece.as_mut_slice();
        for chunk in self.queue.iter().take(WRITE_SLICES_MAX) {
            let slice: &[u8] = match chunk {
                Chunk::Prefix { bytes, start } => &bytes[*start..],
                Chunk::Bytes(bytes) => bytes,
                Chunk::File(_) if way == FileWay::Sendfile || room.is_empty() => break,
                Chunk::File(part) => {
                    let wanted = usize::try_from(part.len)
                        .unwrap_or(usize::MAX)
                        .min(room.len());
                    let read = match read_cached(part, &mut room[..wanted])? {
                        // Not in the cache: what was gathered before it goes first.
                        None => break,
                        Some(read) => read,
                    };
                    let (filled, rest) = std::mem::take(&mut room).split_at_mut(read);
                    // A range that is not sent whole ends this write.
                    room = if (read as u64) < part.len {
                        &mut []
                    } else {
                        rest
                    };
                    file_bytes_gathered += read;
                    slices[count] = IoSlice::new(filled);
                    count += 1;
                    if (read as u64) < part.len {
                        break;
                    }
                    continue;
                }
            };
            slices[count] = IoSlice::new(slice);
            count += 1;
        }
        if count == 0 {
            return Poll::Ready(Ok(Written::Cold));
        }
        let written = ready!(Pin::new(stream).poll_write_vectored(cx, &slices[..count]))
            .map_err(SendError::Socket)?;
        let from_files = self.advance(written).min(file_bytes_gathered);
        Poll::Ready(Ok(Written::Some {
            bytes: written,
            from_files,
        }))
    }

    /// Removes what was written from the front of the queue; returns how much of it was files'.
    fn advance(&mut self, mut written: usize) -> usize {
        let mut from_files = 0;
        while written > 0 {
            let Some(front) = self.queue.front_mut() else {
                break;
            };
            let (taken, done) = match front {
                Chunk::Prefix { bytes, start } => {
                    let taken = written.min(bytes.len() - *start);
                    *start += taken;
                    (taken, *start == bytes.len())
                }
                Chunk::Bytes(bytes) => {
                    let taken = written.min(bytes.len());
                    bytes.advance(taken);
                    self.memory_bytes -= taken;
                    (taken, bytes.is_empty())
                }
                Chunk::File(part) => {
                    let taken = written.min(usize::try_from(part.len).unwrap_or(usize::MAX));
                    from_files += taken;
                    part.position += taken as u64;
                    part.len -= taken as u64;
                    (taken, part.len == 0)
                }
            };
            written -= taken;
            if done {
                self.memory_bytes -= PART_OVERHEAD_BYTES;
                self.queue.pop_front();
            }
        }
        from_files
    }

    fn start_cold(&mut self, cold_reads: &ColdReads) -> bool {
        if let Some(Chunk::File(part)) = self.queue.front() {
            self.cold = Some(cold_reads.start(part.clone()));
        }
        self.cold.is_some()
    }

    /// Puts what a cold read brought in front of the rest of its range.
    fn poll_cold(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(cold) = &mut self.cold else {
            return Poll::Ready(Ok(()));
        };
        let bytes = ready!(cold.as_mut().poll(cx)).map_err(SendError::File)?;
        self.cold = None;
        let Some(Chunk::File(part)) = self.queue.front_mut() else {
            return Poll::Ready(Ok(()));
        };
        if bytes.is_empty() {
            return Poll::Ready(Err(ended(part)));
        }
        part.position += bytes.len() as u64;
        part.len -= bytes.len() as u64;
        if part.len == 0 {
            self.memory_bytes -= PART_OVERHEAD_BYTES;
            self.queue.pop_front();
        }
        let chunk = Chunk::Bytes(bytes);
        self.memory_bytes += chunk.memory_bytes();
        self.queue.push_front(chunk);
        Poll::Ready(Ok(()))
    }
}

enum Written {
    Some {
        bytes: usize,
        from_files: usize,
    },
    /// The front of the queue is a range that is not in the page cache.
    Cold,
}

impl Written {
    fn bytes(&self) -> usize {
        match self {
            Written::Some { bytes, .. } => *bytes,
            Written::Cold => 0,
        }
    }
}

/// Reads from the page cache only; `None` if nothing of the range is there.
fn read_cached(part: &FilePart, buffer: &mut [u8]) -> Result<Option<usize>, SendError> {
    let mut buffers = [io::IoSliceMut::new(buffer)];
    match rustix::io::preadv2(
        part.file.as_ref(),
        &mut buffers,
        part.position,
        ReadWriteFlags::NOWAIT,
    ) {
        Ok(0) => Err(ended(part)),
        Ok(n) => Ok(Some(n)),
        // EOPNOTSUPP: a file system that cannot tell is read as if it were cold.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
        Err(errno) => Err(SendError::File(errno.into())),
    }
}

fn ended(part: &FilePart) -> SendError {
    SendError::FileEnded {
        position: part.position,
        missing: part.len,
    }
}

/// Lets the kernel move a piece whose ends are in the page cache.
fn poll_sendfile(
    part: &FilePart,
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Poll<Result<Written, SendError>> {
    let len = usize::try_from(part.len)
        .unwrap_or(usize::MAX)
        .min(FILE_PIECE_BYTES);
    let last = FilePart {
        position: part.position + len as u64 - 1,
        ..part.clone()
    };
    let mut probe = [0];
    if read_cached(part, &mut probe)?.is_none() || read_cached(&last, &mut probe)?.is_none() {
        return Poll::Ready(Ok(Written::Cold));
    }
    loop {
        ready!(stream.poll_write_ready(cx)).map_err(SendError::Socket)?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let mut position = part.position;
            let sent = rustix::fs::sendfile(&*stream, part.file.as_ref(), Some(&mut position), len);
            Ok(sent?)
        });
        return match sent {
            Ok(0) => Poll::Ready(Err(ended(part))),
            Ok(n) => Poll::Ready(Ok(Written::Some {
                bytes: n,
                from_files: n,
            })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => Poll::Ready(Err(SendError::Socket(error))),
        };
    }
}

#[cfg(test)]
mod tests;
