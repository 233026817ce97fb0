//! Appends that the log has not committed yet.
//!
//! Invariant: a transactional id has at most one change in flight, so that each takes effect, or is dropped, on
//! its own. Kept by `TransactionCoordinator`.

use ottla_protocol::Str;

use super::metadata::Metadata;
use crate::effect::AppendId;
use crate::request::Token;

#[derive(Debug)]
pub(crate) struct InFlight {
    pub id: AppendId,
    pub change: Change,
}

#[derive(Debug)]
pub(crate) enum Change {
    Step {
        transactional_id: Str,
        next: Box<Metadata>,
        then: Then,
    },
    Expired(Vec<Str>),
}

/// What follows a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    AnswerInit(Token),
    AnswerAdd(Token),
    WriteMarkers(Ender),
    /// The transaction is complete: nobody waits.
    Nothing,
}

/// Who ended the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ender {
    Producer {
        token: Token,
        client_version: i16,
    },
    /// By another producer, which has to come again.
    Init(Token),
    Timeout,
}
