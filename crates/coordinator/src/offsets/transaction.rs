//! The end of a transaction that committed offsets.
//!
//! Invariant: the marker is answered once it is committed. Called by the shell's WriteTxnMarkers
//! handler, for partitions of `__consumer_offsets`.

use ottla_protocol::ErrorCode;

use crate::answer::Answer;
use crate::coordinator::GroupCoordinator;
use crate::request::{EndTransaction, Token};

impl GroupCoordinator {
    pub fn handle_end_transaction(&mut self, token: Token, end: EndTransaction) {
        self.append_end_transaction(end);
        self.respond_when_stored(token, Answer::EndTransaction(ErrorCode::None));
    }
}
