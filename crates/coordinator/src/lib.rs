//! Group coordination: requests in, records and answers out.
//!
//! One [`GroupCoordinator`] is the coordinator of every group that lives in one partition of
//! `__consumer_offsets`. It is sans-IO and event-sourced: handlers take `now_ms`, a [`Token`] for
//! whoever waits, and a request in plain words; what is to be done comes out of
//! [`GroupCoordinator::next_effect`]. The state is the replay of the partition's log ([`GroupLoader`]);
//! who is a member and who waits is soft and goes with the machine.
//!
//! **Invariants.** No clock, socket, task or random number inside. Every token is answered exactly
//! once. An answer that rests on a record leaves after `handle_committed` of that record. Effects are
//! carried out in order; after an append failed, none that was asked for after it may be carried out.
//!
//! The shell's loop, with the machine behind a mutex:
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use ottla_coordinator::*;
//! # struct Log; impl Log { fn append(&self, _: AppendBatch) -> Result<(), ottla_protocol::ErrorCode> { Ok(()) } }
//! # let now_ms = 0; let log = Log; let mut waiting: BTreeMap<Token, Box<dyn FnOnce(Answer)>> = BTreeMap::new();
//! // Load: read the partition from its start, then begin to serve.
//! let mut loader = GroupLoader::new(GroupConfig::default());
//! // for each record of the log: loader.replay(LoggedRecord { offset, producer_id, key, value })?;
//! let mut groups = loader.finish(now_ms);
//!
//! // Serve: one request, or one timeout when `groups.poll_timeout()` has come …
//! waiting.insert(Token(1), Box::new(|answer| drop(answer)));
//! groups.handle_delete_groups(Token(1), vec!["my-group".into()]);
//! // … then carry out the effects, in order, before the mutex is released.
//! while let Some(effect) = groups.next_effect() {
//!     match effect {
//!         Effect::Respond { token, answer } => (waiting.remove(&token).unwrap())(answer),
//!         Effect::Append { id, batch } => match log.append(batch) {
//!             // Or later, when the high watermark passes the batch: ids commit in order.
//!             Ok(()) => groups.handle_committed(now_ms, id),
//!             Err(error) => groups.handle_append_failed(now_ms, id, error),
//!         },
//!     }
//! }
//! // When leadership goes: for each effect of groups.unload(): send its answer.
//! ```

mod admin;
mod answer;
mod classic;
mod config;
mod coordinator;
mod effect;
mod error;
mod in_flight;
mod offsets;
mod partitioner;
mod records;
mod replay;
mod request;
mod timers;

pub use answer::*;
pub use config::*;
pub use coordinator::GroupCoordinator;
pub use effect::{AppendBatch, AppendId, Effect, KeyValue};
pub use error::{GroupError, append_error};
pub use partitioner::partition_for;
pub use replay::{GroupLoader, LoggedRecord, ReplayError};
pub use request::*;

#[cfg(test)]
mod tests;
