//! One connection: reads frames, has them served in order, sends the answers in order.
//!
//! Invariant: a connection is one task and none of its steps hands work to another thread, save
//! for cold reads; what it holds in memory is bounded by `limits.rs`, and a reader that does not
//! read leaves its requests unread.
//! First and last step of the produce and fetch paths: `frames.rs` cuts the stream, the `Service`
//! answers, `send.rs` writes. Spawned by `server.rs`.

use std::collections::VecDeque;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::budget::{Reservation, Waiter};
use crate::frames::{FrameError, FrameReader, ReadError};
use crate::give_way::give_way;
use crate::limits::{
    FRAME_STALL_MAX, HALF_CLOSED_MAX, IN_FLIGHT_MAX, REPLY_BYTES_BUFFERED_MAX, WORK_PER_POLL,
};
use crate::send::{Outbox, SendError, Sent};
use crate::server::Shared;
use crate::service::{ConnectionInfo, Outcome, Service};
use crate::stop::Stopping;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("the client closed it")]
    ByPeer,
    #[error("the socket failed: {0}")]
    Socket(io::Error),
    #[error("nothing moved for too long")]
    Idle,
    #[error("a request stalled before it was whole")]
    Stalled,
    #[error("the server stops")]
    Stopped,
    #[error(transparent)]
    Frame(FrameError),
    #[error("{0}")]
    Service(Box<dyn Error + Send + Sync>),
    #[error("an answer of {len} bytes is too long for a frame")]
    ReplyTooLong { len: u64 },
    #[error("a file could not be read for an answer: {0}")]
    File(io::Error),
    #[error("a file ended at {position}, {missing} bytes before the range to be sent")]
    FileEnded { position: u64, missing: u64 },
    #[error("a handler panicked")]
    Panicked,
}

impl From<SendError> for Closed {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Socket(error) => Closed::Socket(error),
            SendError::File(error) => Closed::File(error),
            SendError::FileEnded { position, missing } => Closed::FileEnded { position, missing },
        }
    }
}

/// Serves a connection until it ends. A panic of a handler ends this connection and no other.
pub(crate) async fn run<S: Service>(
    stream: TcpStream,
    info: ConnectionInfo,
    service: Arc<S>,
    shared: Arc<Shared>,
) -> Closed {
    let serve = async {
        let state = Arc::new(service.connected(info.clone()));
        let mut connection = Connection::new(stream, &info, &*service, &state, &shared);
        std::future::poll_fn(|cx| connection.poll(cx)).await
    };
    let closed = std::panic::AssertUnwindSafe(serve)
        .catch_unwind()
        .await
        .unwrap_or(Closed::Panicked);
    shared.stopping.forget(info.id);
    closed
}

struct Connection<'a, S: Service> {
    stream: TcpStream,
    id: u64,
    service: &'a S,
    state: &'a Arc<S::Connection>,
    shared: &'a Shared,
    frames: FrameReader,
    /// Requests that did not finish at their first poll, and answers that wait behind them.
    in_flight: VecDeque<InFlight<'a>>,
    /// Bytes of answers in `in_flight`.
    done_bytes: usize,
    outbox: Outbox,
    waiter: Waiter,
    /// Set once no further request is taken: why, and since when.
    ending: Option<(Closed, Instant)>,
    is_registered: bool,
    last_progress: Instant,
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
}

type Call<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

enum InFlight<'a> {
    Running {
        call: Call<'a>,
        /// Released when the call is done.
        _reservation: Option<Reservation>,
    },
    Done(Outcome),
}

/// What became of the frames that were ready.
enum Started {
    /// All of them were started.
    All,
    /// A limit of the connection holds the next one back.
    Gated,
    /// The next one waits for the budget.
    WaitingForBudget,
}

impl<'a, S: Service> Connection<'a, S> {
    fn new(
        stream: TcpStream,
        info: &ConnectionInfo,
        service: &'a S,
        state: &'a Arc<S::Connection>,
        shared: &'a Shared,
    ) -> Self {
        let now = Instant::now();
        let armed = now + shared.limits.idle_max;
        Connection {
            stream,
            id: info.id,
            service,
            state,
            shared,
            frames: FrameReader::new(shared.limits.request_bytes_max),
            in_flight: VecDeque::new(),
            done_bytes: 0,
            outbox: Outbox::new(shared.file_way),
            waiter: Waiter::default(),
            ending: None,
            is_registered: false,
            last_progress: now,
            sleep: Box::pin(tokio::time::sleep_until(armed)),
            armed,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        if !self.is_registered {
            self.shared.stopping.register(self.id, cx.waker().clone());
            self.is_registered = true;
        }
        match self.shared.stopping.get() {
            Stopping::No => {}
            Stopping::Drain => self.end(Closed::Stopped),
            Stopping::Abort => return Poll::Ready(Closed::Stopped),
        }
        match self.turn(cx) {
            Err(closed) => Poll::Ready(closed),
            Ok(()) if self.is_finished() => {
                let ending = self.ending.take().map(|(closed, _)| closed);
                Poll::Ready(ending.unwrap_or(Closed::ByPeer))
            }
            Ok(()) => self.poll_timer(cx),
        }
    }

    /// Does what can be done without waiting.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        let mut work = WORK_PER_POLL;
        self.poll_in_flight(cx)?;
        loop {
            let started = self.start_ready(&mut work, cx)?;
            // Whatever the frames of one read came to leaves by one write.
            self.flush(cx)?;
            if work == 0 {
                give_way(cx);
                return Ok(());
            }
            match started {
                Started::All if self.takes_requests() => {}
                // Room that the flush made lets the next frame start.
                Started::Gated if self.takes_requests() => continue,
                _ => return Ok(()),
            }
            match self
                .frames
                .poll_read(&mut self.stream, &self.shared.budget, cx)
            {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => self.end(Closed::ByPeer),
                Poll::Ready(Ok(n)) => {
                    self.shared.metrics.bytes_received.add(n as u64);
                    self.last_progress = Instant::now();
                    work -= 1;
                }
                Poll::Ready(Err(ReadError::Frame(error))) => {
                    self.shared.metrics.frames_refused.add(1);
                    self.end(Closed::Frame(error));
                }
                Poll::Ready(Err(ReadError::Io(error))) => return Err(Closed::Socket(error)),
            }
        }
    }

    fn takes_requests(&self) -> bool {
        self.ending.is_none()
            && self.in_flight.len() < IN_FLIGHT_MAX
            && self.done_bytes + self.outbox.memory_bytes() < REPLY_BYTES_BUFFERED_MAX
    }

    /// Starts the frames that are ready, in order, and takes the answers that are there at once.
    fn start_ready(&mut self, work: &mut usize, cx: &mut Context<'_>) -> Result<Started, Closed> {
        let mut count = 0;
        let started = loop {
            let Some(frame) = self.frames.front() else {
                break Started::All;
            };
            if *work == 0 || !self.takes_requests() {
                break Started::Gated;
            }
            let mut reserved = None;
            if frame.reservation.is_none() {
                let was_waiting = self.waiter.is_waiting();
                let len = frame.bytes.len();
                match self.shared.budget.poll_reserve(len, &mut self.waiter, cx) {
                    Poll::Ready(reservation) => reserved = Some(reservation),
                    Poll::Pending => {
                        self.shared
                            .metrics
                            .budget_waits
                            .add(u64::from(!was_waiting));
                        break Started::WaitingForBudget;
                    }
                }
            }
            let Some(frame) = self.frames.take() else {
                break Started::All;
            };
            count += 1;
            *work -= 1;
            let mut call: Call<'a> = Box::pin(self.service.call(self.state, frame.bytes));
            match call.as_mut().poll(cx) {
                Poll::Ready(outcome) if self.in_flight.is_empty() => self.finish(outcome)?,
                Poll::Ready(outcome) => self.push_done(outcome),
                Poll::Pending => self.in_flight.push_back(InFlight::Running {
                    call,
                    _reservation: frame.reservation.or(reserved),
                }),
            }
        };
        self.shared.metrics.frames_received.add(count);
        Ok(started)
    }

    fn push_done(&mut self, outcome: Outcome) {
        self.done_bytes += memory_bytes(&outcome);
        self.in_flight.push_back(InFlight::Done(outcome));
    }

    /// Polls what runs, and takes the answers at the front. Once per wake-up: a call that can go
    /// on after that wakes the connection again.
    fn poll_in_flight(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        for slot in &mut self.in_flight {
            if let InFlight::Running { call, .. } = slot
                && let Poll::Ready(outcome) = call.as_mut().poll(cx)
            {
                self.done_bytes += memory_bytes(&outcome);
                *slot = InFlight::Done(outcome);
                self.last_progress = Instant::now();
            }
        }
        while let Some(InFlight::Done(_)) = self.in_flight.front() {
            if let Some(InFlight::Done(outcome)) = self.in_flight.pop_front() {
                self.done_bytes -= memory_bytes(&outcome);
                self.finish(outcome)?;
            }
        }
        Ok(())
    }

    /// Takes the outcome of the oldest request.
    fn finish(&mut self, outcome: Outcome) -> Result<(), Closed> {
        match outcome {
            Outcome::Reply(reply) => {
                self.shared.metrics.replies_sent.add(1);
                self.outbox
                    .push(reply)
                    .map_err(|len| Closed::ReplyTooLong { len })
            }
            Outcome::NoReply => Ok(()),
            Outcome::Close(reason) => {
                // Nothing behind it is answered.
                self.in_flight.clear();
                self.done_bytes = 0;
                self.ending = Some((Closed::Service(reason), Instant::now()));
                Ok(())
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let mut sent = Sent::default();
        let flushed =
            self.outbox
                .poll_flush(&mut self.stream, &self.shared.cold_reads, &mut sent, cx);
        let metrics = &self.shared.metrics;
        metrics.bytes_sent.add(sent.bytes);
        metrics.file_bytes_sent.add(sent.file_bytes);
        metrics.cold_reads.add(sent.cold_reads);
        if sent.bytes > 0 {
            self.last_progress = Instant::now();
        }
        match flushed {
            Poll::Ready(result) => Ok(result?),
            Poll::Pending => Ok(()),
        }
    }

    /// Takes no more requests; what was taken is finished first. The first reason stands.
    fn end(&mut self, closed: Closed) {
        if self.ending.is_none() {
            self.ending = Some((closed, Instant::now()));
        }
    }

    fn is_finished(&self) -> bool {
        self.ending.is_some() && self.in_flight.is_empty() && self.outbox.is_empty()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let (mut deadline, _) = self.deadline();
        loop {
            if deadline < self.armed || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(deadline);
                self.armed = deadline;
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let (moved, closes) = self.deadline();
            if moved > Instant::now() {
                deadline = moved;
                continue;
            }
            return Poll::Ready(match self.ending.take() {
                Some((closed, _)) => closed,
                None => {
                    self.shared.metrics.connections_idle_closed.add(1);
                    closes
                }
            });
        }
    }

    /// When to give up on the connection as it stands, and what for.
    fn deadline(&self) -> (Instant, Closed) {
        let idle_max = self.shared.limits.idle_max;
        if let Some((_, since)) = &self.ending {
            return (*since + HALF_CLOSED_MAX, Closed::Stopped);
        }
        if self.frames.is_mid_frame() && self.outbox.is_empty() {
            let stall_max = FRAME_STALL_MAX.min(idle_max);
            return (self.last_progress + stall_max, Closed::Stalled);
        }
        if self.in_flight.is_empty() || !self.outbox.is_empty() {
            return (self.last_progress + idle_max, Closed::Idle);
        }
        // The service has it: how long that may take is the service's business.
        (Instant::now() + idle_max, Closed::Idle)
    }
}

fn memory_bytes(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Reply(reply) => reply.len_in_memory(),
        Outcome::NoReply | Outcome::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests;
