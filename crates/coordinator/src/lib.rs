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
//! # #[derive(Debug)] struct Topics; impl TopicCatalog for Topics {
//! #     fn version(&self) -> i64 { 0 }
//! #     fn by_name(&self, _: &str) -> Option<TopicInfo> { None }
//! #     fn by_id(&self, _: ottla_protocol::Uuid) -> Option<TopicInfo> { None }
//! #     fn for_each_name(&self, _: &mut dyn FnMut(&ottla_protocol::Str)) {}
//! # }
//! # let topics = std::sync::Arc::new(Topics);
//! # let now_ms = 0; let log = Log; let mut waiting: BTreeMap<Token, Box<dyn FnOnce(Answer)>> = BTreeMap::new();
//! // Load: read the partition from its start, then begin to serve.
//! let mut loader = GroupLoader::new(GroupConfig::default());
//! // for each record of the log: loader.replay(LoggedRecord { offset, producer_id, key, value })?;
//! let mut groups = loader.finish(now_ms);
//! // And with every change of the metadata:
//! groups.handle_metadata(topics.clone(), &TopicsChange::default());
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
//!         // Better done without holding the mutex, and short of topics that the client may not see.
//!         Effect::ResolveRegexes(task) => groups.handle_regexes_resolved(now_ms, task.resolve(&*topics)),
//!     }
//! }
//! // When leadership goes: for each effect of groups.unload(): send its answer.
//! ```

mod admin;
mod answer;
mod assignor;
mod classic;
mod config;
mod consumer;
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
mod topics;
pub mod transaction;

pub use answer::*;
pub use config::*;
pub use consumer::{RegexTask, ResolvedRegexes};
pub use coordinator::GroupCoordinator;
pub use effect::{AppendBatch, AppendId, Effect, KeyValue};
pub use error::{GroupError, append_error};
pub use partitioner::partition_for;
pub use replay::{GroupLoader, LoggedRecord, ReplayError};
pub use request::*;
pub use topics::{TopicCatalog, TopicInfo, TopicsChange};

#[cfg(test)]
mod tests;
