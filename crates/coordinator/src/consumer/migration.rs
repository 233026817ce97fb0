//! Between the protocols: a classic group of consumers becomes a consumer group when the first member
//! of the consumer protocol joins it, and goes back when the last one leaves. Empty groups change
//! freely.
//!
//! Invariant: members keep what they own across the change; whoever spoke the classic protocol goes on
//! speaking it. Called by joins of either protocol and when members are fenced.

use std::sync::Arc;

use ottla_protocol::Str;

use super::draft::Draft;
use super::group::{Change, ConsumerGroup, GroupEpoch, TargetEpoch};
use super::member::{ClassicTerms, Member, MemberMetadata, MemberState, Owned, Progress};
use super::metadata_hash::metadata_hash;
use super::protocol::{read_assignment, read_subscription, write_assignment};
use super::timers::TimerChange;
use crate::assignor::Assignment;
use crate::classic::group::{CONSUMER_PROTOCOL_TYPE, ClassicGroup};
use crate::classic::member::{Member as ClassicMember, MemberIdentity, MemberTerms};
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::records::Record;

impl GroupCoordinator {
    /// A draft of the consumer group that a heartbeat names, which may have to be made first.
    pub(super) fn consumer_draft(
        &self,
        group_id: &Str,
        may_create: bool,
    ) -> Result<Draft<'_>, GroupError> {
        if let Some(group) = self.consumer_groups.get(group_id) {
            return Ok(Draft::of(group));
        }
        if !may_create {
            return Err(GroupError::GroupIdNotFound);
        }
        let Some(classic) = self.groups.get(group_id) else {
            self.check_room_for_group()?;
            return Ok(Draft::of_new(
                ConsumerGroup::new(group_id.clone()),
                Vec::new(),
            ));
        };
        let tombstone = Record::Group {
            group_id: group_id.clone(),
            value: None,
        };
        let mut draft = Draft::of_new(ConsumerGroup::new(group_id.clone()), vec![tombstone]);
        if !classic.is_empty() {
            self.check_upgrade(classic)?;
            self.upgrade(classic, &mut draft)?;
        }
        Ok(draft)
    }

    fn check_upgrade(&self, classic: &ClassicGroup) -> Result<(), GroupError> {
        if !self.config.consumer_migration.allows_upgrade() {
            return Err(GroupError::CannotUpgrade("online upgrade is disabled"));
        }
        if !classic.uses_consumer_protocol() {
            return Err(GroupError::CannotUpgrade("its members are not consumers"));
        }
        if classic.member_count() > self.config.consumer_max_size {
            return Err(GroupError::CannotUpgrade(
                "it is larger than a consumer group may be",
            ));
        }
        Ok(())
    }

    /// Writes the members of a classic group into the draft of a consumer group.
    fn upgrade(&self, classic: &ClassicGroup, draft: &mut Draft<'_>) -> Result<(), GroupError> {
        let members = classic
            .members()
            .map(|member| self.upgraded_member(classic, member))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| match error {
                GroupError::CustomAssignor => {
                    GroupError::CannotUpgrade("an unsupported custom assignor is in use")
                }
                _ => GroupError::CannotUpgrade("its embedded consumer protocol is malformed"),
            })?;
        for (member, _) in &members {
            let (member_id, value) = (member.member_id.clone(), Some(member.metadata.clone()));
            draft.push(Change::Member { member_id, value });
        }
        let hash = metadata_hash(&*self.topics, draft.group().topics().keys());
        let epoch = classic.generation_id;
        draft.push(Change::Epoch(Some(GroupEpoch {
            epoch,
            metadata_hash: hash,
        })));
        for (member, target) in &members {
            let (member_id, value) = (member.member_id.clone(), Some(target.clone()));
            draft.push(Change::TargetMember { member_id, value });
        }
        draft.push(Change::TargetEpoch(Some(TargetEpoch {
            epoch,
            computed_at_ms: 0,
        })));
        for (member, _) in members {
            if let Some(classic) = &member.metadata.classic {
                draft.timers.push(TimerChange::session(
                    &member.member_id,
                    classic.session_timeout_ms,
                ));
            }
            draft.push(Change::Progress {
                member_id: member.member_id,
                value: Some(member.progress),
            });
        }
        Ok(())
    }

    fn upgraded_member(
        &self,
        group: &ClassicGroup,
        member: &ClassicMember,
    ) -> Result<(Member, Assignment), GroupError> {
        let protocol = group.protocol_name.as_deref().unwrap_or_default();
        let subscription = read_subscription(&*self.topics, &member.metadata(protocol))?;
        let target = read_assignment(&*self.topics, &member.assignment)?;
        let epoch = group.generation_id;
        let since = |partitions: &std::collections::BTreeSet<i32>| {
            partitions
                .iter()
                .map(|&partition| (partition, epoch))
                .collect()
        };
        let metadata = MemberMetadata {
            instance_id: member.group_instance_id.clone(),
            rack_id: subscription.rack_id,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: subscription.topics,
            regex: Str::default(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            assignor: None,
            classic: Some(ClassicTerms {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.clone(),
            }),
        };
        let progress = Progress {
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned: target
                .iter()
                .map(|(topic, partitions)| (*topic, since(partitions)))
                .collect(),
            pending_revocation: Owned::new(),
        };
        Ok((
            Member {
                member_id: member.member_id.clone(),
                metadata,
                progress,
            },
            target,
        ))
    }

    pub(super) fn becomes_classic_without(
        &self,
        group: &ConsumerGroup,
        leaving: &[Arc<Member>],
    ) -> bool {
        let remaining = group.members().len().saturating_sub(leaving.len());
        group.all_use_classic_protocol_except(leaving)
            && remaining > 0
            && remaining <= self.config.max_size
            && self.config.consumer_migration.allows_downgrade()
    }

    /// Whether the group becomes a classic one when this member, the last of the consumer protocol, is
    /// replaced by a classic one.
    pub(super) fn becomes_classic_replacing(
        &self,
        group: &ConsumerGroup,
        replaced: &Arc<Member>,
    ) -> bool {
        !replaced.uses_classic_protocol()
            && group.all_use_classic_protocol_except(std::slice::from_ref(replaced))
            && group.members().len() <= self.config.max_size
            && self.config.consumer_migration.allows_downgrade()
    }

    /// The last members of the consumer protocol leave: the others go on as a classic group, with a
    /// rebalance.
    pub(super) fn downgrade_without(
        &mut self,
        now_ms: i64,
        group_id: &str,
        leaving: &[Arc<Member>],
    ) -> Result<(), GroupError> {
        let group = self
            .consumer_groups
            .get(group_id)
            .ok_or(GroupError::GroupIdNotFound)?;
        let classic = self.downgraded(now_ms, group, leaving)?;
        let records = group.tombstones();
        self.install_downgraded(now_ms, classic, records, true);
        Ok(())
    }

    /// Puts a classic group in the place of a consumer group.
    pub(super) fn install_downgraded(
        &mut self,
        now_ms: i64,
        classic: ClassicGroup,
        mut records: Vec<Record>,
        must_rebalance: bool,
    ) {
        let group_id = classic.group_id.clone();
        records.push(Record::group(&classic, &classic.assignments()));
        self.replace_by_classic_group(classic, records);
        self.start_classic_timers(now_ms, &group_id);
        if must_rebalance {
            self.prepare_rebalance(
                now_ms,
                &group_id,
                "the group went back to the classic protocol",
            );
        }
    }

    /// The classic group of a consumer group's remaining members, each with the target as assignment.
    pub(super) fn downgraded(
        &self,
        now_ms: i64,
        group: &ConsumerGroup,
        leaving: &[Arc<Member>],
    ) -> Result<ClassicGroup, GroupError> {
        let mut classic = ClassicGroup::new(group.group_id.clone(), Some(now_ms));
        classic.generation_id = group.epoch();
        classic.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.into());
        let is_leaving = |member: &Member| {
            leaving
                .iter()
                .any(|gone| gone.member_id == member.member_id)
        };
        for member in group.members().filter(|member| !is_leaving(member)) {
            let terms = member
                .metadata
                .classic
                .as_ref()
                .ok_or(GroupError::InconsistentGroupProtocol)?;
            classic
                .leader_id
                .get_or_insert_with(|| member.member_id.clone());
            classic.restore_member(downgraded_member(member, terms));
        }
        classic.protocol_name = classic.select_protocol();
        classic.subscribed_topics = classic.compute_subscribed_topics();
        let protocol = classic.protocol_name.clone().unwrap_or_default();
        for member in classic.members_mut() {
            let target = group.target(&member.member_id).cloned().unwrap_or_default();
            let version = read_subscription(&*self.topics, &member.metadata(&protocol))?.version;
            member.assignment = write_assignment(&*self.topics, &target, version);
        }
        Ok(classic)
    }
}

fn downgraded_member(member: &Member, terms: &ClassicTerms) -> ClassicMember {
    let identity = MemberIdentity {
        member_id: member.member_id.clone(),
        group_instance_id: member.metadata.instance_id.clone(),
        client_id: member.metadata.client_id.clone(),
        client_host: member.metadata.client_host.clone(),
    };
    let terms = MemberTerms {
        rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
        session_timeout_ms: terms.session_timeout_ms,
        protocols: terms.protocols.clone(),
    };
    ClassicMember::new(identity, terms)
}

impl ConsumerGroup {
    /// The records that remove the group, in the order in which readers want them.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        let ids = || self.members().map(|member| member.member_id.clone());
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(ids().map(|member_id| Change::Progress {
            member_id,
            value: None,
        }));
        changes.extend(ids().map(|member_id| Change::TargetMember {
            member_id,
            value: None,
        }));
        changes.push(Change::TargetEpoch(None));
        changes.extend(ids().map(|member_id| Change::Member {
            member_id,
            value: None,
        }));
        changes.extend(self.regexes().keys().map(|regex| Change::Regex {
            regex: regex.clone(),
            value: None,
        }));
        changes.push(Change::TopicMetadata { is_present: false });
        changes.push(Change::Epoch(None));
        changes
            .into_iter()
            .map(|change| Record::Consumer {
                group_id: self.group_id.clone(),
                change,
            })
            .collect()
    }
}
