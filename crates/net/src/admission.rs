//! Who may connect: connections in all, per listener and per address, and how often.
//!
//! Invariant: every open connection holds exactly one `Slot`, and the counts are the slots alive.
//! A full broker or listener makes the acceptor wait, a full address has its connection closed;
//! that is what Kafka does. Used by `server.rs`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::Limits;

/// How far ahead of its rate a burst of connections may run.
const CREATION_BURST: Duration = Duration::from_secs(1);

pub(crate) struct Admission {
    counts: Mutex<Counts>,
    freed: Notify,
}

struct Counts {
    connections_max: usize,
    per_ip_max: usize,
    per_ip_overrides: HashMap<IpAddr, usize>,
    creation_interval: Duration,
    /// When the connections admitted so far are paid for at the permitted rate.
    paid_until: Instant,
    total: usize,
    listeners: Vec<ListenerCount>,
    addresses: HashMap<IpAddr, usize>,
}

struct ListenerCount {
    connections: usize,
    max: usize,
}

/// A connection's place; dropping it makes room.
pub(crate) struct Slot {
    admission: Arc<Admission>,
    listener: usize,
    address: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} has {open} connections, max.connections.per.ip allows {max}")]
pub(crate) struct AddressFull {
    pub(crate) address: IpAddr,
    pub(crate) open: usize,
    pub(crate) max: usize,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, listeners_max: impl Iterator<Item = usize>) -> Self {
        Admission {
            counts: Mutex::new(Counts {
                connections_max: limits.connections_max,
                per_ip_max: limits.connections_per_ip_max,
                per_ip_overrides: limits.connections_per_ip_overrides.clone(),
                creation_interval: interval(limits.connection_creation_rate_max),
                paid_until: Instant::now(),
                total: 0,
                listeners: listeners_max
                    .map(|max| ListenerCount {
                        connections: 0,
                        max,
                    })
                    .collect(),
                addresses: HashMap::new(),
            }),
            freed: Notify::new(),
        }
    }

    /// Applies changed limits to connections to come; those that are open stay.
    pub(crate) fn update(&self, limits: &Limits) {
        let mut counts = self.lock();
        counts.connections_max = limits.connections_max;
        counts.per_ip_max = limits.connections_per_ip_max;
        counts.per_ip_overrides = limits.connections_per_ip_overrides.clone();
        counts.creation_interval = interval(limits.connection_creation_rate_max);
        drop(counts);
        self.freed.notify_waiters();
    }

    /// Waits until the broker and the listener have room for one more connection.
    pub(crate) async fn slot(self: &Arc<Self>, listener: usize) -> Slot {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Listening starts before looking, so that room made in between is not missed.
            freed.as_mut().enable();
            if let Some(slot) = self.try_slot(listener) {
                return slot;
            }
            freed.await;
        }
    }

    fn try_slot(self: &Arc<Self>, listener: usize) -> Option<Slot> {
        let mut counts = self.lock();
        if counts.total >= counts.connections_max {
            return None;
        }
        let count = counts.listeners.get_mut(listener)?;
        if count.connections >= count.max {
            return None;
        }
        count.connections += 1;
        counts.total += 1;
        Some(Slot {
            admission: Arc::clone(self),
            listener,
            address: None,
        })
    }

    /// Notes that a connection is being made; returns how long to wait before the next.
    pub(crate) fn pay(&self, now: Instant) -> Duration {
        let mut counts = self.lock();
        counts.paid_until = counts.paid_until.max(now) + counts.creation_interval;
        (counts.paid_until - now).saturating_sub(CREATION_BURST)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are whole after every statement that could panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time between connections at a rate; none for rates that no accept loop reaches.
fn interval(per_second: u32) -> Duration {
    const UNLIMITED_PER_SECOND: u32 = 1_000_000;
    match per_second {
        // Zero would never admit anybody; one per second is the slowest that makes sense.
        0 => Duration::from_secs(1),
        UNLIMITED_PER_SECOND.. => Duration::ZERO,
        rate => Duration::from_secs(1) / rate,
    }
}

impl Slot {
    /// Counts the slot for an address, unless the address has as many as it may.
    pub(crate) fn claim(&mut self, address: IpAddr) -> Result<(), AddressFull> {
        let address = address.to_canonical();
        let mut counts = self.admission.lock();
        let max = counts
            .per_ip_overrides
            .get(&address)
            .copied()
            .unwrap_or(counts.per_ip_max);
        let open = counts.addresses.get(&address).copied().unwrap_or(0);
        if open >= max {
            return Err(AddressFull { address, open, max });
        }
        counts.addresses.insert(address, open + 1);
        drop(counts);
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.total -= 1;
        if let Some(listener) = counts.listeners.get_mut(self.listener) {
            listener.connections -= 1;
        }
        if let Some(address) = self.address
            && let Some(open) = counts.addresses.get_mut(&address)
        {
            *open -= 1;
            if *open == 0 {
                counts.addresses.remove(&address);
            }
        }
        drop(counts);
        self.admission.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
