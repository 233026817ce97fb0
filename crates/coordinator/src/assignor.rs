//! Server-side assignors: who of a consumer group should own what.
//!
//! Invariant: every partition of every subscribed topic goes to exactly one of its subscribers, and the
//! same input gives the same output. Called when a group's epoch is ahead of its assignment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::{Str, Uuid};

mod heterogeneous;
mod homogeneous;
mod range;

/// Partitions by topic; no topic has none.
pub(crate) type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// What an assignor sees of a member.
#[derive(Debug, Clone)]
pub(crate) struct MemberSpec {
    pub instance_id: Option<Str>,
    /// Topics that exist and that the member subscribes to.
    pub topics: BTreeSet<Uuid>,
    /// What it should own up to now.
    pub assignment: Arc<Assignment>,
}

#[derive(Debug, Clone)]
pub(crate) struct GroupSpec {
    pub members: BTreeMap<Str, MemberSpec>,
    /// All members subscribe to the same topics.
    pub is_homogeneous: bool,
    /// Partitions of every topic that any member subscribes to.
    pub partition_counts: BTreeMap<Uuid, i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assignor {
    /// Balanced and sticky.
    Uniform,
    /// Ranges of each topic, so that partitions of the same number meet in one member.
    Range,
}

/// The assignor of groups whose members name none.
pub(crate) const DEFAULT_ASSIGNOR: Assignor = Assignor::Uniform;

impl Assignor {
    pub fn named(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range]
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// An assignment for each member, empty ones included.
    pub fn assign(self, spec: &GroupSpec) -> BTreeMap<Str, Assignment> {
        if spec.members.is_empty() {
            return BTreeMap::new();
        }
        match (self, spec.is_homogeneous) {
            (Self::Range, _) => range::assign(spec),
            (Self::Uniform, true) => homogeneous::assign(spec),
            (Self::Uniform, false) => heterogeneous::assign(spec),
        }
    }
}

#[cfg(test)]
mod tests;
