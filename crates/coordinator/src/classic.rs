//! The classic group protocol: members agree on a protocol, one of them assigns.
//!
//! Invariant: who is a member, and who waits for what, is soft state that dies with the machine; what
//! survives is one record per group, written when a generation's assignment is known, when the last
//! member leaves, when a static member comes back under another id, and when the group is born.

pub(crate) mod group;
mod heartbeat;
mod join;
mod leave;
pub(crate) mod member;
mod rebalance;
mod static_member;
mod subscription;
mod sync;
