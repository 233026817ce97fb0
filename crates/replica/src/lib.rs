//! One partition's role: in-sync replicas, epochs, high watermark, acknowledgements.
//!
//! Everything here is sans-IO: the owner of a partition feeds what happened (an append, a follower's
//! fetch, an assignment from the metadata log, a passage of time) and carries out what comes back.
//!
//! **Invariant:** within one leader epoch the high watermark never moves back, and it never passes
//! the end of a replica that belongs to the in-sync set, be that set committed or only proposed.
//!
//! ```
//! use ottla_replica::{Acks, AckState, Assignment, Leader, Settings};
//!
//! // A cluster of one: no broker but ourselves is ever asked about.
//! let nobody = |_broker: i32| None;
//! let assignment = Assignment { replicas: vec![1], isr: vec![1], leader_epoch: 0, partition_epoch: 0 };
//! let settings = Settings { lag_time_ms_max: 30_000, min_insync_replicas: 1 };
//! let mut leader = Leader::new(1, &assignment, settings, 0, 0, 1_000);
//!
//! leader.check_append(Acks::All).unwrap();
//! // The log took ten records, so its end is 10.
//! assert_eq!(leader.on_append(10, 1_001, nobody), Some(10));
//! assert_eq!(leader.ack_state(10), AckState::Done);
//! ```

mod epoch;
mod follower;
mod leader;

pub use epoch::{EpochError, check_leader_epoch, require_leader_epoch};
pub use follower::{EpochEnd, FetchReply, Follower, FollowerEffect, LeaderRange};
pub use leader::{
    AckState, Acks, Assignment, FollowerFetch, FollowerFetchEffect, FollowerFetchError, IsrAnswer,
    IsrEffect, IsrMember, IsrProposal, IsrRejection, Leader, NotEnoughReplicas, Settings,
};

/// The offset of which nothing is known.
pub const UNKNOWN_OFFSET: i64 = -1;
