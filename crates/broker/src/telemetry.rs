//! Client telemetry (KIP-714): which metrics which client is to push, and what becomes of those that it pushes.
//!
//! Subscriptions are the `client-metrics` resources of the metadata log. Each client instance gets the union of
//! those that match it, under an id that changes with them; what it pushes is checked, unpacked and written to this
//! process's log (`sink.rs`). Nothing is kept.
//!
//! Invariant: no I/O and no clock; `api/get_telemetry_subscriptions.rs` and `api/push_telemetry.rs` pass `now_ms` and
//! random ids in. What is remembered of clients is bounded by [`INSTANCES_MAX`] and ends with the connection that
//! brought it.

mod instances;
mod otlp;
mod sink;
mod subscriptions;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_config::Overrides;
use ottla_protocol::{ErrorCode, Str, Uuid};
use ottla_records::Codec;

use instances::{Instance, Instances};
use subscriptions::Subscriptions;

pub use sink::Sink;
pub use subscriptions::ClientAttributes;

/// Client instances that are remembered; the one that was silent for longest makes room.
const INSTANCES_MAX: usize = 16_384;

/// In the order of preference that clients are told.
pub const ACCEPTED_CODECS: [Codec; 4] = [Codec::Zstd, Codec::Lz4, Codec::Gzip, Codec::Snappy];

/// What a client instance is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub subscription_id: i32,
    pub push_interval_ms: i32,
    /// Prefixes of names; `*` alone stands for all, and no entry for none.
    pub metrics: Vec<Str>,
}

/// A push without its metrics.
#[derive(Debug, Clone, Copy)]
pub struct Push {
    pub instance_id: Uuid,
    pub subscription_id: i32,
    pub is_terminating: bool,
    pub codec: i8,
    pub bytes: usize,
}

/// The broker's view of its clients' telemetry.
#[derive(Debug)]
pub struct Telemetry {
    state: Mutex<State>,
    bytes_max: usize,
}

#[derive(Debug)]
struct State {
    subscriptions: Subscriptions,
    instances: Instances,
}

/// Ties a client instance to the connection that brought it.
#[derive(Debug)]
pub struct Lease {
    telemetry: Arc<Telemetry>,
    instance_id: Uuid,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.telemetry.state().instances.remove(self.instance_id);
    }
}

impl Telemetry {
    /// Accepts pushes of up to `bytes_max`, packed and unpacked.
    pub fn new(bytes_max: usize) -> Self {
        let state = State {
            subscriptions: Subscriptions::default(),
            instances: Instances::new(INSTANCES_MAX),
        };
        Self {
            state: Mutex::new(state),
            bytes_max,
        }
    }

    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Follows the configuration of a subscription; an empty one is none.
    pub fn set_subscription(&self, name: &Str, configs: &Overrides) {
        self.state().subscriptions.set(name, configs);
    }

    /// Says what the instance is to push. A client that asks before its time is refused, unless it was told to ask
    /// or its subscriptions have changed.
    pub fn subscribe(
        self: &Arc<Self>,
        instance_id: Uuid,
        client: &ClientAttributes<'_>,
        lease: &mut Option<Lease>,
        now_ms: i64,
    ) -> Result<Granted, ErrorCode> {
        self.with_instance(instance_id, client, lease, now_ms, |instance| {
            instance.get(now_ms)?;
            Ok(instance.granted.clone())
        })
    }

    /// Says whether a push is welcome, and how often its sender pushes.
    pub fn accept(
        self: &Arc<Self>,
        push: &Push,
        client: &ClientAttributes<'_>,
        lease: &mut Option<Lease>,
        now_ms: i64,
    ) -> Result<i32, ErrorCode> {
        let bytes_max = self.bytes_max;
        self.with_instance(push.instance_id, client, lease, now_ms, |instance| {
            let accepted = instance.push(push, bytes_max, now_ms);
            instance.last_error = accepted.err();
            instance.is_terminating = push.is_terminating;
            accepted.map(|()| instance.granted.push_interval_ms)
        })
    }

    /// Notes that what an instance pushed cannot be read.
    pub fn note_unreadable(&self, instance_id: Uuid) {
        if let Some(instance) = self.state().instances.peek(instance_id) {
            instance.last_error = Some(ErrorCode::InvalidRecord);
        }
    }

    fn with_instance<T>(
        self: &Arc<Self>,
        instance_id: Uuid,
        client: &ClientAttributes<'_>,
        lease: &mut Option<Lease>,
        now_ms: i64,
        act: impl FnOnce(&mut Instance) -> T,
    ) -> T {
        let mut state = self.state();
        let State {
            subscriptions,
            instances,
        } = &mut *state;
        instances.expire(now_ms);
        let version = subscriptions.version();
        if instances.version_of(instance_id) != Some(version) {
            let granted = subscriptions.granted(instance_id, client);
            instances.put(instance_id, Instance::new(granted, version));
            let lease = lease.get_or_insert_with(|| Lease {
                telemetry: Arc::clone(self),
                instance_id,
            });
            lease.instance_id = instance_id;
        }
        act(instances.touch(instance_id, now_ms))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
