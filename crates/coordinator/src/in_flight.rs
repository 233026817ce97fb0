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
use crate::consumer::group::ConsumerGroup;
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
    /// `None` if the group did not exist.
    Group {
        group_id: Str,
        before: Option<AnyGroup>,
    },
}

#[derive(Debug)]
pub(crate) enum AnyGroup {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
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
#[derive(Debug, Default)]
pub(crate) struct CommittedGroups<'a> {
    pub classic: BTreeMap<&'a str, &'a ClassicGroup>,
    pub consumer: BTreeMap<&'a str, &'a ConsumerGroup>,
}

impl<'a> CommittedGroups<'a> {
    pub fn of(
        classic: &'a BTreeMap<Str, ClassicGroup>,
        consumer: &'a BTreeMap<Str, ConsumerGroup>,
        in_flight: &'a VecDeque<InFlight>,
    ) -> Self {
        let mut view = Self {
            classic: classic.iter().map(|(id, group)| (&**id, group)).collect(),
            consumer: consumer.iter().map(|(id, group)| (&**id, group)).collect(),
        };
        for undo in in_flight
            .iter()
            .rev()
            .flat_map(|append| append.undo.iter().rev())
        {
            let Undo::Group { group_id, before } = undo else {
                continue;
            };
            view.classic.remove(&**group_id);
            view.consumer.remove(&**group_id);
            match before {
                Some(AnyGroup::Classic(group)) => drop(view.classic.insert(group_id, group)),
                Some(AnyGroup::Consumer(group)) => drop(view.consumer.insert(group_id, group)),
                None => {}
            }
        }
        view
    }
}

/// The consumer group as it is in the log as far as it is committed.
pub(crate) fn committed_consumer_group<'a>(
    groups: &'a BTreeMap<Str, ConsumerGroup>,
    in_flight: &'a VecDeque<InFlight>,
    group_id: &str,
) -> Option<&'a ConsumerGroup> {
    for undo in in_flight.iter().flat_map(|append| &append.undo) {
        match undo {
            Undo::Group {
                group_id: id,
                before,
            } if **id == *group_id => {
                return match before {
                    Some(AnyGroup::Consumer(group)) => Some(group),
                    Some(AnyGroup::Classic(_)) | None => None,
                };
            }
            _ => {}
        }
    }
    groups.get(group_id)
}
