//! Every limit of the server, with the name of its key where Kafka has one.
//!
//! Invariant: what a connection may cost in memory is bounded by these, whatever its peer sends.
//! Filled by the broker from its configuration, read by all of this crate's server side.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Receive buffer that a worker thread shares between its connections; frames that fit are copied
/// out of it, longer ones are read into buffers of their own from here on.
pub(crate) const SCRATCH_BYTES: usize = 32 * 1024;

/// Requests of one connection that may be with the service at the same time.
///
/// Kafka serves one at a time, and clients keep five or fewer in flight; deep pipelines of tiny
/// requests profit from more.
pub const IN_FLIGHT_MAX: usize = 64;

/// Bytes of answers that may wait in memory for a slow reader before its requests are left unread.
pub const REPLY_BYTES_BUFFERED_MAX: usize = 4 * 1024 * 1024;

/// Steps (frames started, writes made) after which a connection lets others of its thread run.
pub(crate) const WORK_PER_POLL: usize = 64;

/// Bytes a connection may write before it lets others of its thread run: a fraction of a millisecond.
pub(crate) const WRITE_BYTES_PER_POLL: usize = 512 * 1024;

/// A frame that has begun must go on: its buffer counts against everybody's budget.
pub const FRAME_STALL_MAX: Duration = Duration::from_secs(60);

/// How long requests in flight may go on after their peer closed its side.
pub const HALF_CLOSED_MAX: Duration = Duration::from_secs(30);

/// A frame that does not fit the shared receive buffer reserves as much again as has arrived, but
/// at least and at most so much at a time.
pub(crate) const FRAME_STEP_MIN_BYTES: usize = 64 * 1024;
pub(crate) const FRAME_STEP_MAX_BYTES: usize = 1024 * 1024;

/// Room made for a frame that has filled a shared receive buffer's worth; it doubles beyond.
pub(crate) const FRAME_EAGER_BYTES: usize = 1024 * 1024;

/// Slices handed to the kernel by one write.
pub(crate) const WRITE_SLICES_MAX: usize = 64;

/// Piece of a cached file that is read and sent at a time; a worker thread has one such buffer.
pub(crate) const FILE_PIECE_BYTES: usize = 256 * 1024;

/// Piece of a file that is read when it is not in the page cache.
pub(crate) const COLD_PIECE_BYTES: usize = 512 * 1024;

/// Cold reads that run at the same time; connections beyond wait their turn, each with one read.
pub const COLD_READS_MAX: usize = 16;

/// Waits between attempts to accept while the process or the system is out of files or memory.
pub(crate) const ACCEPT_BACKOFF_FIRST: Duration = Duration::from_millis(10);
pub(crate) const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);

pub const REQUEST_BYTES_MAX_DEFAULT: usize = 100 * 1024 * 1024;
pub const QUEUED_BYTES_MAX_DEFAULT: usize = 512 * 1024 * 1024;
pub const IDLE_MAX_DEFAULT: Duration = Duration::from_secs(600);
/// Kafka's 100 KiB are full at once, and then the connection waits for a core, and its client as well: on a busy machine
/// a consumer that has fallen behind falls further. ARCHITECTURE.md, "What was tried", has the figures.
pub const SEND_BUFFER_BYTES_DEFAULT: usize = 1024 * 1024;
pub const LISTEN_BACKLOG_DEFAULT: u32 = 50;

/// The server's limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`: bytes of requests that are being read or served, over all
    /// connections. Raised to `request_bytes_max` if lower, so that any legal request can pass.
    pub queued_bytes_max: usize,
    /// `max.connections`
    pub connections_max: usize,
    /// `max.connections.per.ip`
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`, host names resolved.
    pub connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// `max.connection.creation.rate`, per second
    pub connection_creation_rate_max: u32,
    /// `connections.max.idle.ms`
    pub idle_max: Duration,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`
    pub listen_backlog: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_bytes_max: REQUEST_BYTES_MAX_DEFAULT,
            queued_bytes_max: QUEUED_BYTES_MAX_DEFAULT,
            connections_max: i32::MAX as usize,
            connections_per_ip_max: i32::MAX as usize,
            connections_per_ip_overrides: HashMap::new(),
            connection_creation_rate_max: i32::MAX as u32,
            idle_max: IDLE_MAX_DEFAULT,
            send_buffer_bytes: Some(SEND_BUFFER_BYTES_DEFAULT),
            receive_buffer_bytes: None,
            listen_backlog: LISTEN_BACKLOG_DEFAULT,
        }
    }
}

const _: () = assert!(SCRATCH_BYTES <= FRAME_EAGER_BYTES);
const _: () = assert!(FRAME_STEP_MIN_BYTES <= FRAME_STEP_MAX_BYTES);
const _: () = assert!(QUEUED_BYTES_MAX_DEFAULT >= REQUEST_BYTES_MAX_DEFAULT);
