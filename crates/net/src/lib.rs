//! Listeners, connections, frames and limits; the client that tools use.
//!
//! # Server
//!
//! The broker implements [`Service`] and hands it to a [`Server`]:
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use bytes::Bytes;
//! use ottla_net::{ConnectionInfo, Limits, ListenerConfig, Outcome, Reply, Server, Service};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Connection = ConnectionInfo;
//!     fn connected(&self, info: ConnectionInfo) -> ConnectionInfo {
//!         info
//!     }
//!     async fn call(&self, _connection: &Arc<ConnectionInfo>, frame: Bytes) -> Outcome {
//!         Outcome::Reply(Reply::from(frame))
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = ListenerConfig::new("PLAINTEXT", "127.0.0.1:0".parse()?);
//! let server = Server::bind(Limits::default(), &[listener])?;
//! println!("listening on {:?}", server.addresses());
//! let handle = server.start(Arc::new(Echo));
//! handle.stop(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! - Frames come without their length prefix, replies get theirs here.
//! - The calls of a connection are first polled in the order of its frames and answered in that
//!   order; up to [`limits::IN_FLIGHT_MAX`] run at a time. A call is polled on the connection's own
//!   task, whenever anything of the connection wakes.
//! - [`Part::file`] takes any `Arc` of something that is `AsFd`, such as `Arc<std::fs::File>`.
//! - A call is dropped when its connection breaks; a panic in one costs only its connection.
//! - [`ServerHandle::stop`] stops accepting, lets calls in flight finish for a time, then closes.
//!
//! # Client
//!
//! [`client::Client`] connects to a cluster; [`client::Producer`], [`client::Consumer`] and
//! [`client::GroupConsumer`] stand on it, and its methods ask and order what administrators do.

mod admission;
mod budget;
pub mod client;
mod cold;
mod connection;
mod frames;
mod give_way;
pub mod limits;
mod metrics;
mod send;
mod server;
mod service;
mod stop;
#[cfg(test)]
mod testing;

pub use frames::FrameError;
pub use limits::Limits;
pub use metrics::{Counter, NetMetrics};
pub use send::FileWay;
pub use server::{BindError, ConnectionLimits, ListenerConfig, Server, ServerHandle};
pub use service::{ConnectionInfo, FilePart, FileSource, Outcome, Part, Reply, Service};
/// For the micro-benchmarks, which are crates of their own.
#[doc(hidden)]
pub use {budget::Budget, frames::FrameReader};
