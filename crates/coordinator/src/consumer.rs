//! The consumer group protocol (KIP-848): the coordinator assigns, members follow at their own pace.
//!
//! Invariant: everything about a group except its timers is in its records. A request is planned on a
//! draft of the group, whose records are appended and which then becomes the group; if the append
//! fails, the group before it comes back. Members of the classic protocol take part as long as they
//! must.
//!
//! Four numbers rule a group: its epoch rises when what must be assigned changed; the assignment epoch
//! follows when a target was computed; a member's epoch follows when it has given up what it must; and
//! each partition remembers the epoch at which its member got it, which fences late commits.

mod classic_member;
pub(crate) mod commit;
pub(crate) mod describe;
mod draft;
mod fence;
pub(crate) mod group;
mod heartbeat;
pub(crate) mod member;
mod metadata_hash;
mod migration;
mod protocol;
mod reconcile;
mod regex;
mod target;
mod timers;

pub use regex::{RegexTask, ResolvedRegexes};
