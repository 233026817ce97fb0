//! How a member comes from what it owns to what it should own.
//!
//! Invariant: a member gets a partition only when nobody else owns it, and it follows to the next epoch
//! only when it owns nothing that the target takes from it.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::Uuid;

use super::group::{ConsumerGroup, NOT_OWNED};
use super::member::{Member, MemberState, Owned, Progress};
use crate::assignor::Assignment;
use crate::error::GroupError;

/// Partitions by topic, as a member reports what it owns.
pub(crate) type Reported = BTreeMap<Uuid, BTreeSet<i32>>;

pub(super) struct Reconciliation<'a> {
    pub group: &'a ConsumerGroup,
    pub member: &'a Member,
    pub target_epoch: i32,
    pub target: &'a Assignment,
    /// Topics that the member subscribes to and that exist.
    pub subscribed: BTreeSet<Uuid>,
    pub has_subscription_changed: bool,
    /// `None` when the member does not say.
    pub reported: Option<&'a Reported>,
}

impl Reconciliation<'_> {
    pub fn next(&self) -> Result<Progress, GroupError> {
        let progress = &self.member.progress;
        match progress.state {
            MemberState::Stable if progress.epoch != self.target_epoch => {
                Ok(self.advance(progress.epoch))
            }
            MemberState::Unrevoked if self.still_owns(&progress.pending_revocation) => {
                Ok(self.drop_unsubscribed_if_changed())
            }
            MemberState::Stable => Ok(self.drop_unsubscribed_if_changed()),
            MemberState::Unrevoked | MemberState::Unreleased => Ok(self.advance(progress.epoch)),
            // Its state is beyond us: it must show empty hands to begin anew.
            MemberState::Unknown(_) if self.reported.is_some_and(BTreeMap::is_empty) => {
                Ok(self.advance(self.target_epoch))
            }
            MemberState::Unknown(_) => Err(GroupError::FencedMemberEpoch),
        }
    }

    fn drop_unsubscribed_if_changed(&self) -> Progress {
        if self.has_subscription_changed {
            self.drop_unsubscribed()
        } else {
            self.member.progress.clone()
        }
    }

    /// Takes back what the member does not subscribe to any more, at once, whatever the target says.
    fn drop_unsubscribed(&self) -> Progress {
        let progress = &self.member.progress;
        let mut assigned = progress.assigned.clone();
        let mut pending_revocation = progress.pending_revocation.clone();
        for (topic, partitions) in &progress.assigned {
            if !self.subscribed.contains(topic) {
                assigned.remove(topic);
                pending_revocation
                    .entry(*topic)
                    .or_default()
                    .extend(partitions);
            }
        }
        if assigned == progress.assigned {
            return progress.clone();
        }
        let must_revoke = !pending_revocation.is_empty() && self.still_owns(&pending_revocation);
        let (state, pending_revocation) = match must_revoke {
            true => (MemberState::Unrevoked, pending_revocation),
            false => (progress.state, progress.pending_revocation.clone()),
        };
        Progress {
            state,
            pending_revocation,
            assigned,
            previous_epoch: progress.epoch,
            epoch: progress.epoch,
        }
    }

    /// The next step towards the target, seen from a member of this epoch.
    fn advance(&self, epoch: i32) -> Progress {
        let progress = &self.member.progress;
        let mut assigned = Owned::new();
        let mut to_revoke = Owned::new();
        let mut to_assign: Vec<(Uuid, i32)> = Vec::new();
        let mut waits_for_others = false;

        let topics: BTreeSet<Uuid> = self
            .target
            .keys()
            .chain(progress.assigned.keys())
            .copied()
            .collect();
        let nothing = BTreeSet::new();
        for topic in topics {
            let target = match self.subscribed.contains(&topic) {
                true => self.target.get(&topic).unwrap_or(&nothing),
                false => &nothing,
            };
            let current = progress.assigned.get(&topic);
            for (&partition, &since) in current.into_iter().flatten() {
                let goes_to = if target.contains(&partition) {
                    &mut assigned
                } else {
                    &mut to_revoke
                };
                goes_to.entry(topic).or_default().insert(partition, since);
            }
            for &partition in target
                .iter()
                .filter(|partition| current.is_none_or(|own| !own.contains_key(partition)))
            {
                if self.is_free(topic, partition) {
                    to_assign.push((topic, partition));
                } else {
                    waits_for_others = true;
                }
            }
        }

        if !to_revoke.is_empty() && self.still_owns(&to_revoke) {
            let state = MemberState::Unrevoked;
            return Progress {
                epoch,
                previous_epoch: progress.epoch,
                state,
                assigned,
                pending_revocation: to_revoke,
            };
        }
        for (topic, partition) in to_assign {
            assigned
                .entry(topic)
                .or_default()
                .insert(partition, self.target_epoch);
        }
        Progress {
            epoch: self.target_epoch,
            previous_epoch: progress.epoch,
            state: if waits_for_others {
                MemberState::Unreleased
            } else {
                MemberState::Stable
            },
            assigned,
            pending_revocation: Owned::new(),
        }
    }

    /// Nobody owns it, or only this member, which was about to give it up.
    fn is_free(&self, topic: Uuid, partition: i32) -> bool {
        let pending = self.member.progress.pending_revocation.get(&topic);
        self.group.partition_epoch(topic, partition) == NOT_OWNED
            || pending.is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// A member that does not say what it owns may own anything.
    fn still_owns(&self, revoked: &Owned) -> bool {
        let Some(reported) = self.reported else {
            return true;
        };
        reported.iter().any(|(topic, partitions)| {
            revoked.get(topic).is_some_and(|revoked| {
                partitions
                    .iter()
                    .any(|partition| revoked.contains_key(partition))
            })
        })
    }
}
