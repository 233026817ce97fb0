//! Transaction coordination: requests in, records, markers and answers out.
//!
//! One [`TransactionCoordinator`] coordinates every transactional id that lives in one partition of
//! `__transaction_state`. It is sans-IO and event-sourced like the group coordinator beside it: handlers
//! take `now_ms` and a [`Token`](crate::Token) for whoever waits; what is to be done comes out of
//! [`TransactionCoordinator::next_effect`]; the state is the replay of the partition's log
//! ([`TransactionLoader`]) and changes when a record is committed, not before.
//!
//! ```text
//!                         add                    end, and all markers written
//!  Empty, CompleteX  ------------>  Ongoing  -->  PrepareCommit  -->  CompleteCommit
//!         |                            |     -->  PrepareAbort   -->  CompleteAbort
//!         +--- abort (version 2) ------------------^
//!  Empty, CompleteX  -- init -->  Empty      -- expiry -->  gone
//!  Ongoing           -- init, timeout: the producer is fenced -->  PrepareAbort
//! ```
//!
//! **Invariants.** No clock, socket, task or random number inside. Every token is answered exactly once.
//! While a record of a transactional id is on its way to the log, or its markers are on their way to the
//! partitions, every request that would change it is told CONCURRENT_TRANSACTIONS. Whoever was told that a
//! transaction is committed will see it committed: that answer leaves after `PrepareCommit` is committed, and
//! loading the log resumes writing the markers.

mod add;
mod answer;
mod config;
mod coordinator;
mod effect;
mod end;
mod ending;
mod error;
mod expire;
mod in_flight;
mod init;
mod metadata;
mod query;
mod records;
mod replay;
mod request;

pub use answer::*;
pub use config::*;
pub use coordinator::TransactionCoordinator;
pub use effect::{Effect, Marker, MarkerId, MarkerOutcome};
pub use error::{TransactionError, append_error};
pub use metadata::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Partitions, TransactionState};
pub use query::ListTransactions;
pub use records::RecordError;
pub use replay::{TransactionLoader, TransactionReplayError};
pub use request::*;

#[cfg(test)]
mod tests;
