//! Appends that the log has not committed yet.
//!
//! Invariant: undoing the newest first, step by step, leads back to the committed state, so a reader
//! finds the committed value of anything in the oldest undo step that touches it. Kept by
//! `GroupCoordinator`.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ottla_protocol::Str;

use crate::answer::Answer;
use crate::classic::group::ClassicGroup;
use crate::classic::member::MemberTerms;
use crate::effect::AppendId;
use crate::offsets::{CommittedOffset, OffsetKey};
use crate::request::Token;

#[derive(Debug)]
pub(crate) struct InFlight {
    pub id: AppendId,
    pub undo: Vec<Undo>,
    pub completion: Completion,
    /// Answers that leave when this append is committed.
    pub waiting: Vec<(Token, Answer)>,
}

/// One step back.
#[derive(Debug)]
pub(crate) enum Undo {
    Offset {
        key: OffsetKey,
        before: Option<CommittedOffset>,
    },
    PendingOffset {
        producer_id: i64,
        key: OffsetKey,
        before: Option<CommittedOffset>,
    },
    GroupCreated {
        group_id: Str,
    },
    GroupRemoved(Box<ClassicGroup>),
}

/// What the fate of an append decides.
#[derive(Debug)]
pub(crate) enum Completion {
    Nothing,
    AssignmentStored(StoredAssignment),
    StaticMemberReplaced(StaticReplacement),
}

#[derive(Debug)]
pub(crate) struct StoredAssignment {
    pub group_id: Str,
    pub generation_id: i32,
    pub assignments: BTreeMap<Str, Bytes>,
}

#[derive(Debug)]
pub(crate) struct StaticReplacement {
    pub token: Token,
    pub group_id: Str,
    pub group_instance_id: Str,
    pub old_member_id: Str,
    pub new_member_id: Str,
    pub old_terms: MemberTerms,
    pub generation_id: i32,
    /// Who led before the replacement; old clients are told this one.
    pub leader_before: Option<Str>,
    pub can_skip_assignment: bool,
}

/// The groups as they are in the log as far as it is committed.
pub(crate) fn committed_groups<'a>(
    groups: &'a BTreeMap<Str, ClassicGroup>,
    in_flight: &'a VecDeque<InFlight>,
) -> BTreeMap<&'a str, &'a ClassicGroup> {
    let mut view: BTreeMap<&str, &ClassicGroup> =
        groups.iter().map(|(id, group)| (&**id, group)).collect();
    for append in in_flight.iter().rev() {
        for undo in append.undo.iter().rev() {
            match undo {
                Undo::GroupCreated { group_id } => {
                    view.remove(&**group_id);
                }
                Undo::GroupRemoved(group) => {
                    view.insert(&group.group_id, group);
                }
                Undo::Offset { .. } | Undo::PendingOffset { .. } => {}
            }
        }
    }
    view
}
