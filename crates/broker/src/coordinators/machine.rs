//! What the shell asks of a coordinator machine, whatever it coordinates.
//!
//! Invariant: a machine is sans-IO: it is told things under the shell's lock, and what is to be done comes out of
//! `next_step`, in order. Implemented by `groups.rs` and `transactions.rs`.

use ottla_coordinator::{AppendBatch, AppendId, LoggedRecord, Token};
use ottla_protocol::ErrorCode;

use super::shard::Shard;

pub trait Machine: Send + Sized + 'static {
    type Answer: Send + 'static;
    /// What it wants done besides appends and answers.
    type Work;
    /// What it needs of its surroundings.
    type Outside: Send + Sync + 'static;
    /// What its records are about, for logs.
    const SUBJECT: &'static str;
    /// What clients are told while the internal topic does not exist.
    const WITHOUT_TOPIC: ErrorCode;

    fn next_step(&mut self) -> Option<Step<Self>>;

    fn poll_timeout(&self) -> Option<i64>;

    fn handle_timeout(&mut self, now_ms: i64, outside: &Self::Outside);

    fn handle_committed(&mut self, now_ms: i64, id: AppendId);

    fn handle_append_failed(&mut self, now_ms: i64, id: AppendId, error: ErrorCode);

    /// Does the work, or has a task do it that comes back with `Shard::tell`.
    fn work(&mut self, work: Self::Work, shard: &Shard<Self>);
}

/// The next thing that a machine wants done.
pub enum Step<M: Machine> {
    /// Report `handle_committed` once every in-sync replica has it, or `handle_append_failed`.
    Append {
        id: AppendId,
        batch: AppendBatch,
    },
    Respond {
        token: Token,
        answer: M::Answer,
    },
    Work(M::Work),
}

/// A machine that is being built from its partition's log.
pub trait Loader {
    type Error: std::fmt::Display;

    /// Takes the next record; after an error the record is left out.
    fn replay(&mut self, record: LoggedRecord<'_>) -> Result<(), Self::Error>;

    /// Takes the end of a producer's transaction, where the log has such.
    fn replay_end_transaction(&mut self, _offset: i64, _producer_id: i64, _committed: bool) {}
}
