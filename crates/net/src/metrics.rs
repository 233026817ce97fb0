//! Counters of the server; plain atomics that an exporter reads.
//!
//! Called by the acceptors and by every connection, which adds up and writes once per turn.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that other threads may read at any time.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        if n != 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }
}

/// What a server counts. All but `connections_open` only grow.
#[derive(Debug, Default)]
pub struct NetMetrics {
    pub connections_open: Counter,
    pub connections_accepted: Counter,
    /// Turned away by `max.connections.per.ip`.
    pub connections_refused_per_ip: Counter,
    /// Closed because nothing moved for `connections.max.idle.ms`, or a frame stalled.
    pub connections_idle_closed: Counter,
    pub accept_errors: Counter,
    /// A handler panicked; its connection was closed.
    pub panics: Counter,
    pub frames_received: Counter,
    /// Frames whose length was not acceptable; their connections were closed.
    pub frames_refused: Counter,
    pub replies_sent: Counter,
    pub bytes_received: Counter,
    pub bytes_sent: Counter,
    /// Of `bytes_sent`, those that came from files.
    pub file_bytes_sent: Counter,
    pub cold_reads: Counter,
    /// Times a request had to wait for `queued.max.request.bytes`.
    pub budget_waits: Counter,
}
