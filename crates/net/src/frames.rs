//! Cuts the stream of a connection into frames: four bytes of length, then that many bytes.
//!
//! Invariant: memory follows what has arrived, never what a length claims, and everything beyond
//! one shared receive buffer's worth is reserved from the budget first.
//! Step 1 of the produce and fetch paths; called by `connection.rs`.
//!
//! Small frames are read many at a time into a buffer that belongs to the worker thread and copied
//! out (a copy within the cache is cheaper than keeping the buffer alive for its smallest frame).
//! A frame that does not fit is read straight into a buffer of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::budget::{Budget, Reservation, Waiter};
use crate::limits::{FRAME_EAGER_BYTES, FRAME_STEP_MAX_BYTES, FRAME_STEP_MIN_BYTES, SCRATCH_BYTES};

const PREFIX_LEN: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// A length that no frame may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a request claims a length of {len} bytes")]
    NotPositive { len: i32 },
    #[error(
        "a request claims {len} bytes, more than socket.request.max.bytes={max}{}",
        hint(*len)
    )]
    TooLarge { len: i32, max: usize },
}

/// What peers that speak something else usually are.
fn hint(len: i32) -> &'static str {
    match len.to_be_bytes() {
        [0x16, 0x03, ..] => " (this looks like TLS on a plaintext listener)",
        [b'G', b'E', b'T', b' '] | [b'P', b'O', b'S', b'T'] | [b'H', b'E', b'A', b'D'] => {
            " (this looks like HTTP)"
        }
        _ => "",
    }
}

/// A whole frame; what it has reserved is released with it.
#[derive(Debug)]
pub struct Frame {
    pub bytes: Bytes,
    /// `None` for frames that came within the shared buffer: to be reserved when it is served.
    pub(crate) reservation: Option<Reservation>,
}

#[derive(Debug)]
pub enum ReadError {
    Frame(FrameError),
    Io(io::Error),
}

pub struct FrameReader {
    bytes_max: usize,
    ready: VecDeque<Frame>,
    /// The start of a length whose rest has not arrived.
    prefix: [u8; PREFIX_LEN],
    prefix_len: usize,
    partial: Option<Partial>,
    /// Found behind the frames that are ready; reported once they are taken.
    broken: Option<FrameError>,
}

impl FrameReader {
    pub fn new(bytes_max: usize) -> Self {
        FrameReader {
            bytes_max,
            ready: VecDeque::new(),
            prefix: [0; PREFIX_LEN],
            prefix_len: 0,
            partial: None,
            broken: None,
        }
    }

    pub(crate) fn front(&self) -> Option<&Frame> {
        self.ready.front()
    }

    pub fn take(&mut self) -> Option<Frame> {
        let frame = self.ready.pop_front();
        if self.ready.is_empty() {
            // An idle connection keeps no queue.
            self.ready = VecDeque::new();
        }
        frame
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.partial.is_some() || self.prefix_len > 0
    }

    /// Reads once. Called only while no frame is ready, which is what bounds the queue.
    ///
    /// Zero bytes are the end of the stream.
    pub fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        budget: &Budget,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, ReadError>> {
        if let Some(error) = self.broken {
            return Poll::Ready(Err(ReadError::Frame(error)));
        }
        match &mut self.partial {
            Some(partial) => {
                let n = ready!(partial.poll_read(stream, budget, cx))?;
                if partial.is_whole() {
                    self.ready.extend(self.partial.take().map(Partial::finish));
                }
                Poll::Ready(Ok(n))
            }
            None => SCRATCH.with_borrow_mut(|scratch| self.poll_read_scratch(stream, scratch, cx)),
        }
    }

    fn poll_read_scratch<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        scratch: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, ReadError>> {
        let held = self.prefix_len;
        scratch[..held].copy_from_slice(&self.prefix[..held]);
        let mut buffer = ReadBuf::new(&mut scratch[held..]);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer)).map_err(ReadError::Io)?;
        let n = buffer.filled().len();
        if n > 0 {
            self.split(&scratch[..held + n]);
        }
        Poll::Ready(Ok(n))
    }

    fn split(&mut self, mut rest: &[u8]) {
        self.prefix_len = 0;
        while let Some((prefix, body)) = rest.split_first_chunk::<PREFIX_LEN>() {
            let len = match self.check(i32::from_be_bytes(*prefix)) {
                Ok(len) => len,
                Err(error) => {
                    self.broken = Some(error);
                    return;
                }
            };
            let Some((frame, after)) = body.split_at_checked(len) else {
                self.partial = Some(Partial::begin(body, len));
                return;
            };
            self.ready.push_back(Frame {
                bytes: Bytes::copy_from_slice(frame),
                reservation: None,
            });
            rest = after;
        }
        self.prefix[..rest.len()].copy_from_slice(rest);
        self.prefix_len = rest.len();
    }

    fn check(&self, len: i32) -> Result<usize, FrameError> {
        match usize::try_from(len) {
            Err(_) | Ok(0) => Err(FrameError::NotPositive { len }),
            Ok(bytes) if bytes > self.bytes_max => Err(FrameError::TooLarge {
                len,
                max: self.bytes_max,
            }),
            Ok(bytes) => Ok(bytes),
        }
    }
}

/// A frame of which some bytes are still to come.
struct Partial {
    buffer: BytesMut,
    len: usize,
    reservation: Option<Reservation>,
    waiter: Waiter,
}

impl Partial {
    fn begin(start: &[u8], len: usize) -> Self {
        Partial {
            buffer: BytesMut::from(start),
            len,
            reservation: None,
            waiter: Waiter::default(),
        }
    }

    fn is_whole(&self) -> bool {
        self.buffer.len() == self.len
    }

    fn finish(self) -> Frame {
        Frame {
            bytes: self.buffer.freeze(),
            reservation: self.reservation,
        }
    }

    fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        budget: &Budget,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, ReadError>> {
        if self.room() == 0 {
            ready!(self.poll_reserve(budget, cx));
        }
        let room = self.room();
        if self.buffer.len() == self.buffer.capacity() {
            if self.buffer.len() < SCRATCH_BYTES {
                return self.poll_read_scratch(stream, room, cx);
            }
            let more = self.next_capacity() - self.buffer.len();
            self.buffer.reserve(more);
        }
        let mut room = (&mut self.buffer).limit(room);
        let read = pin!(stream.read_buf(&mut room));
        read.poll(cx).map_err(ReadError::Io)
    }

    /// Reads the start of a frame without having made room for it: a peer that sends a length and
    /// little more has a buffer for that little.
    fn poll_read_scratch<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        room: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, ReadError>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = room.min(scratch.len());
            let mut buffer = ReadBuf::new(&mut scratch[..room]);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer)).map_err(ReadError::Io)?;
            self.buffer.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Bytes that may be buffered without reserving more. What fits the shared receive buffer is
    /// free, as it is for whole frames until they are served.
    fn room(&self) -> usize {
        self.reserved().max(SCRATCH_BYTES).min(self.len) - self.buffer.len()
    }

    fn reserved(&self) -> usize {
        self.reservation
            .as_ref()
            .map_or(0, Reservation::num_permits)
    }

    /// Reserves what has arrived and about as much again.
    fn poll_reserve(&mut self, budget: &Budget, cx: &mut Context<'_>) -> Poll<()> {
        let arrived = self.buffer.len();
        let target =
            (arrived + arrived.clamp(FRAME_STEP_MIN_BYTES, FRAME_STEP_MAX_BYTES)).min(self.len);
        let missing = target - self.reserved();
        let more = ready!(budget.poll_reserve(missing, &mut self.waiter, cx));
        match &mut self.reservation {
            Some(reservation) => reservation.merge(more),
            None => self.reservation = Some(more),
        }
        Poll::Ready(())
    }

    /// Addresses are cheap and moving bytes is not, so the buffer runs ahead of the reservation;
    /// memory that nothing was read into is not there yet.
    fn next_capacity(&self) -> usize {
        let arrived = self.buffer.len();
        (arrived * 2).max(FRAME_EAGER_BYTES).min(self.len)
    }
}

#[cfg(test)]
mod tests;
