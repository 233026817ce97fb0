//! What the server asks of the broker: one call per frame, one outcome per call.
//!
//! Invariant: `net` knows nothing of what a frame means; it moves whole frames in and whole
//! replies out. Implemented by the broker's shell, called by `connection.rs`.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;

/// Answers the frames of every connection of a server.
pub trait Service: Send + Sync + 'static {
    /// State of one connection, made when it is accepted and dropped when it ends.
    type Connection: Send + Sync + 'static;

    /// Makes the state of a connection that was just accepted.
    fn connected(&self, info: ConnectionInfo) -> Self::Connection;

    /// Handles one frame (without its length prefix).
    ///
    /// Frames of a connection arrive in order, and each future is polled once before the next
    /// frame is handed over; what a handler does before its first `await` therefore happens in the
    /// order in which the client asked. Answers leave in the same order whatever finishes first.
    ///
    /// The future is dropped when the connection breaks, so work that must be finished does not
    /// live in it. `frame` keeps a whole receive buffer alive: copy what outlives the request.
    fn call(
        &self,
        connection: &Arc<Self::Connection>,
        frame: Bytes,
    ) -> impl Future<Output = Outcome> + Send;
}

/// Who is at the other end of a connection, and where it came in.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Unique within the server.
    pub id: u64,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Name of the listener, as in `listeners=NAME://host:port`.
    pub listener: Arc<str>,
}

/// What a call came to.
#[derive(Debug)]
pub enum Outcome {
    Reply(Reply),
    /// The request wants no answer (produce with `acks=0`).
    NoReply,
    /// Send what was answered before, then close; later requests of the connection are dropped.
    Close(Box<dyn Error + Send + Sync>),
}

/// The body of one answer; the length prefix is added when it is sent.
#[derive(Debug, Default)]
pub struct Reply {
    pub parts: Vec<Part>,
}

impl Reply {
    /// Length on the wire, without the prefix.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that wait in memory, as opposed to those that still lie in files.
    pub(crate) fn len_in_memory(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Bytes(bytes) => bytes.len(),
                Part::File(_) => 0,
            })
            .sum()
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Reply {
            parts: vec![Part::Bytes(bytes)],
        }
    }
}

/// A stretch of an answer.
#[derive(Debug)]
pub enum Part {
    Bytes(Bytes),
    File(FilePart),
}

impl Part {
    pub fn file(file: Arc<dyn FileSource>, position: u64, len: u64) -> Self {
        Part::File(FilePart {
            file,
            position,
            len,
        })
    }

    pub fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(part) => part.len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A range of a file that is sent as it lies there.
///
/// The range must stay readable until it is sent: a file that ends early costs the connection,
/// because an answer whose length has left cannot be shortened.
#[derive(Clone)]
pub struct FilePart {
    pub file: Arc<dyn FileSource>,
    pub position: u64,
    pub len: u64,
}

impl fmt::Debug for FilePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilePart")
            .field("position", &self.position)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// An open file: `std::fs::File`, or whatever keeps one open.
pub trait FileSource: AsFd + Send + Sync + 'static {}

impl<T: AsFd + Send + Sync + 'static> FileSource for T {}
