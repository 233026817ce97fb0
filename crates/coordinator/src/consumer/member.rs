//! One member of a consumer group.
//!
//! | state      | the member …                                                                  |
//! |------------|-------------------------------------------------------------------------------|
//! | Stable     | owns what it was last told to own                                             |
//! | Unrevoked  | has partitions to give up before it may follow to the next epoch              |
//! | Unreleased | follows the newest target, some of whose partitions others still own          |
//!
//! Invariant: a partition is assigned or pending revocation, never both.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{Str, Uuid};

use crate::request::Protocol;

/// Partitions by topic, each with the epoch at which the member got it.
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// Epoch of a member that joins.
pub(crate) const JOINING_EPOCH: i32 = 0;
/// Epoch of a member that leaves.
pub(crate) const LEAVING_EPOCH: i32 = -1;
/// Epoch of a static member that leaves for a while.
pub(crate) const LEAVING_STATIC_EPOCH: i32 = -2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    Stable,
    Unrevoked,
    Unreleased,
    /// Written by a version that knows more than this one.
    Unknown(i8),
}

impl MemberState {
    pub fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::Unrevoked => 1,
            Self::Unreleased => 2,
            Self::Unknown(code) => code,
        }
    }

    pub fn of_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::Unrevoked,
            2 => Self::Unreleased,
            code => Self::Unknown(code),
        }
    }
}

/// What the member says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub instance_id: Option<Str>,
    pub rack_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub topics: BTreeSet<Str>,
    /// Empty without one.
    pub regex: Str,
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<Str>,
    /// Only members of the classic protocol have this.
    pub classic: Option<ClassicTerms>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicTerms {
    pub session_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: Str::default(),
            client_host: Str::default(),
            topics: BTreeSet::new(),
            regex: Str::default(),
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

/// What the member owns, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Owned,
    pub pending_revocation: Owned,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            epoch: JOINING_EPOCH,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Owned::new(),
            pending_revocation: Owned::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub member_id: Str,
    pub metadata: MemberMetadata,
    pub progress: Progress,
}

impl Member {
    pub fn new(member_id: Str) -> Self {
        Self {
            member_id,
            metadata: MemberMetadata::default(),
            progress: Progress::default(),
        }
    }

    pub fn epoch(&self) -> i32 {
        self.progress.epoch
    }

    pub fn uses_classic_protocol(&self) -> bool {
        self.metadata.classic.is_some()
    }

    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.progress.state == MemberState::Stable && self.progress.epoch == epoch
    }

    /// Since when the member has the partition, assigned or still to be given up.
    pub fn partition_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        let find = |owned: &Owned| {
            owned
                .get(&topic)
                .and_then(|partitions| partitions.get(&partition))
                .copied()
        };
        find(&self.progress.assigned).or_else(|| find(&self.progress.pending_revocation))
    }
}
