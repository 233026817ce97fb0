//! The broker's shell: one file per API, partitions, delayed operations, start and stop.
//!
//! `api.rs` is where a frame becomes an answer; `partition.rs` is what most answers are about; `server.rs` puts
//! everything together. Decisions live in the crates below: this one feeds them and carries their answers out.

mod api;
mod blocking;
mod broker;
mod clock;
mod connection;
mod controller;
mod coordinators;
mod fetch_session;
mod groups;
mod loggers;
mod partition;
mod producer_ids;
mod publisher;
mod quorum;
mod server;
mod telemetry;
mod topics;
mod transactions;
mod waiters;

pub use api::served as served_apis;
pub use loggers::{Apply, Loggers};
pub use server::{FatalError, RunningBroker, StartError, start};
