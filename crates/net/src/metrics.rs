//! Counters of the server; sums of plain atomics that an exporter reads.
//!
//! Invariant: threads that count do not share a cache line, which would cost each request more than its parsing.
//! Called by the acceptors and by every connection, which adds up and writes once per turn.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Parts of a counter; threads beyond so many share.
const SHARDS: usize = 8;

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

/// A number that other threads may read at any time.
#[derive(Debug, Default)]
pub struct Counter([Shard; SHARDS]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(AtomicU64);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.iter().fold(0, |sum, shard| {
            sum.wrapping_add(shard.0.load(Ordering::Relaxed))
        })
    }

    pub(crate) fn add(&self, n: u64) {
        if n != 0 {
            self.own().fetch_add(n, Ordering::Relaxed);
        }
    }

    /// May be called on another thread than the [`Counter::add`] that it undoes: a shard may wrap, the sum is right.
    pub(crate) fn sub(&self, n: u64) {
        self.own().fetch_sub(n, Ordering::Relaxed);
    }

    fn own(&self) -> &AtomicU64 {
        &self.0[SHARD.with(|shard| *shard)].0
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
