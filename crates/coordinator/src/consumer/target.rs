//! The group's epoch and the target assignment that follows it.
//!
//! Invariant: the target is computed for the whole group at once, and not more often than the
//! assignment interval says, so that many members who join together cause few assignments.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{Str, Uuid};

use super::draft::Draft;
use super::group::{Change, ConsumerGroup, GroupEpoch, TargetEpoch};
use super::member::Member;
use super::metadata_hash::metadata_hash;
use super::reconcile::{Reconciliation, Reported};
use super::timers::TimerChange;
use crate::assignor::{Assignment, Assignor, DEFAULT_ASSIGNOR, GroupSpec, MemberSpec};
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::timers::{MemberTimer, TimerTask};
use crate::topics::TopicCatalog;

/// How long the hash of the topics' metadata is taken to be current while no topic changes.
pub(super) const METADATA_FRESH_MS: i64 = i32::MAX as i64;

impl GroupCoordinator {
    /// Raises the group's epoch if what members subscribe to, or the topics themselves, changed.
    pub(super) fn update_epoch(
        &self,
        now_ms: i64,
        draft: &mut Draft<'_>,
        has_subscription_changed: bool,
    ) {
        let group = draft.group();
        if !has_subscription_changed && !group.is_stale(now_ms) {
            return;
        }
        let hash = metadata_hash(&*self.topics, group.topics().keys());
        let mut epoch = group.epoch();
        let has_topic_metadata = group.has_topic_metadata();
        if has_subscription_changed || hash != group.metadata_hash() {
            epoch = epoch.saturating_add(1);
            draft.push(Change::Epoch(Some(GroupEpoch {
                epoch,
                metadata_hash: hash,
            })));
        }
        draft.fresh_until = Some((now_ms.saturating_add(METADATA_FRESH_MS), epoch));
        if has_topic_metadata {
            draft.push(Change::TopicMetadata { is_present: false });
        }
    }

    /// Computes a new target if the group's epoch is ahead of it, and the interval allows.
    pub(super) fn update_target(&self, now_ms: i64, draft: &mut Draft<'_>) {
        let group = draft.group();
        let epoch = group.epoch();
        if group.assignment_epoch() >= epoch || !self.may_assign(now_ms, group) {
            return;
        }
        let assignor = group
            .preferred_assignor()
            .and_then(|name| Assignor::named(name))
            .unwrap_or(DEFAULT_ASSIGNOR);
        let targets = assignor.assign(&group_spec(&*self.topics, group));
        tracing::info!(group = %group.group_id, epoch, assignor = assignor.name(), "assignment computed");
        let changed: Vec<(Str, Assignment)> = targets
            .into_iter()
            .filter(|(member_id, target)| {
                group
                    .target(member_id)
                    .is_none_or(|before| **before != *target)
            })
            .collect();
        for (member_id, target) in changed {
            draft.push(Change::TargetMember {
                member_id,
                value: Some(target),
            });
        }
        draft.push(Change::TargetEpoch(Some(TargetEpoch {
            epoch,
            computed_at_ms: now_ms,
        })));
    }

    fn may_assign(&self, now_ms: i64, group: &ConsumerGroup) -> bool {
        let interval_ms = i64::from(
            self.config
                .consumer_of(&group.group_id)
                .assignment_interval_ms,
        );
        let computed_at_ms = group.assignment_computed_at_ms();
        computed_at_ms == 0
            || interval_ms == 0
            || now_ms >= computed_at_ms.saturating_add(interval_ms)
    }

    /// Brings the member one step nearer to its target.
    pub(super) fn reconcile(
        &self,
        draft: &mut Draft<'_>,
        member_id: &Str,
        has_subscription_changed: bool,
        reported: Option<&Reported>,
    ) -> Result<(), GroupError> {
        let group = draft.group();
        let target_epoch = group.assignment_epoch();
        let Some(member) = group.member(member_id).cloned() else {
            return Ok(());
        };
        if !has_subscription_changed && member.is_reconciled_to(target_epoch) {
            return Ok(());
        }
        let target = group.target(member_id).cloned().unwrap_or_default();
        let subscribed = topic_ids(&*self.topics, &group.subscribed_topics(&member));
        let reconciliation = Reconciliation {
            group,
            member: &member,
            target_epoch,
            target: &target,
            subscribed,
            has_subscription_changed,
            reported,
        };
        let progress = reconciliation.next()?;
        if progress == member.progress {
            return Ok(());
        }
        if !member.uses_classic_protocol() {
            draft.timers.push(rebalance_timer(
                &member,
                progress.state == super::member::MemberState::Unrevoked,
                progress.epoch,
            ));
        }
        draft.push(Change::Progress {
            member_id: member_id.clone(),
            value: Some(progress),
        });
        Ok(())
    }
}

fn rebalance_timer(member: &Member, must_revoke: bool, epoch: i32) -> TimerChange {
    let (timer, member_id) = (MemberTimer::Rebalance, member.member_id.clone());
    if must_revoke {
        let after_ms = member.metadata.rebalance_timeout_ms;
        TimerChange::Start {
            timer,
            member_id,
            after_ms,
            task: TimerTask::FenceAtEpoch { epoch },
        }
    } else {
        TimerChange::Cancel { timer, member_id }
    }
}

pub(super) fn topic_ids(topics: &dyn TopicCatalog, names: &BTreeSet<Str>) -> BTreeSet<Uuid> {
    names
        .iter()
        .filter_map(|name| topics.by_name(name))
        .map(|topic| topic.id)
        .collect()
}

fn group_spec(topics: &dyn TopicCatalog, group: &ConsumerGroup) -> GroupSpec {
    // Names are resolved once for the whole group.
    let known: BTreeMap<&Str, (Uuid, i32)> = group
        .topics()
        .keys()
        .filter_map(|name| {
            topics
                .by_name(name)
                .map(|topic| (name, (topic.id, topic.partitions)))
        })
        .collect();
    let members = group.members().map(|member| {
        let subscribed = group.subscribed_topics(member);
        let spec = MemberSpec {
            instance_id: member.metadata.instance_id.clone(),
            topics: subscribed
                .iter()
                .filter_map(|name| known.get(name))
                .map(|(id, _)| *id)
                .collect(),
            assignment: group.target(&member.member_id).cloned().unwrap_or_default(),
        };
        (member.member_id.clone(), spec)
    });
    GroupSpec {
        members: members.collect(),
        is_homogeneous: group.is_homogeneous(),
        partition_counts: known.values().copied().collect(),
    }
}
