//! Lets others run before a connection goes on with what it could do at once.
//!
//! A task that merely wakes itself is polled again before its thread has looked which sockets became ready, and a
//! thread that always has such a task looks only every few dozen polls: whoever is at the tail of a log would wait
//! for those who catch up. Used by `connection.rs` and `send.rs`.

use std::pin::pin;
use std::task::Context;

/// Polls the task of `cx` again after its thread has looked at the sockets.
pub(crate) fn give_way(cx: &mut Context<'_>) {
    // Its first poll notes the waker for later; nothing is left to be waited for.
    let _noted = pin!(tokio::task::yield_now()).poll(cx);
}
