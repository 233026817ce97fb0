//! Members of the classic protocol inside of a consumer group.
//!
//! To them it looks like a group in which somebody else leads: a heartbeat tells them to join again
//! when there is something to give up or to get, the join tells them the epoch as generation, the sync
//! tells them what they own.
//!
//! Invariant: such a member reports what it owns in its join, and gives up what its sync leaves out.
//! Called by the handlers of the classic requests where the group is a consumer group.

use std::sync::Arc;

use ottla_protocol::{ErrorCode, Str, Uuid};

use super::draft::Plan;
use super::group::ConsumerGroup;
use super::heartbeat::{Arrival, admit};
use super::member::{ClassicTerms, Member, MemberMetadata, MemberState};
use super::protocol::{Subscription, read_subscription, write_assignment};
use super::timers::TimerChange;
use crate::answer::{Answer, JoinAnswer, LeaveAnswer, LeftMember, SyncAnswer};
use crate::assignor::Assignment;
use crate::classic::group::CONSUMER_PROTOCOL_TYPE;
use crate::classic::group::ClassicGroup;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::records::Record;
use crate::request::{FreshId, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, SyncGroup, Token};
use crate::timers::MemberTimer;

/// What a classic join makes of a consumer group.
enum Joined {
    Consumer(Plan),
    /// The last member of the consumer protocol was replaced.
    Classic {
        group: ClassicGroup,
        records: Vec<Record>,
        must_rebalance: bool,
    },
}

impl GroupCoordinator {
    pub(crate) fn join_consumer_group(
        &mut self,
        now_ms: i64,
        token: Token,
        request: JoinGroup,
        fresh_id: FreshId,
    ) {
        let member_id = match request.member_id.is_empty() {
            true => Str::from(Uuid::from_u128(fresh_id.0).to_string()),
            false => request.member_id.clone(),
        };
        let outcome = match self.check_classic_join(&request, &member_id) {
            Ok(()) if request.needs_member_id() => {
                let answer = JoinAnswer::error(member_id, ErrorCode::MemberIdRequired);
                return self.outbox.respond(token, Answer::Join(answer));
            }
            checked => checked.and_then(|()| self.plan_classic_join(now_ms, &request, &member_id)),
        };
        match outcome {
            Err(error) => {
                let answer = JoinAnswer::error(Str::default(), error.code());
                self.respond_when_stored(token, Answer::Join(answer));
            }
            Ok((joined, answer)) => {
                match joined {
                    Joined::Consumer(plan) => self.carry_out(now_ms, plan),
                    Joined::Classic {
                        group,
                        records,
                        must_rebalance,
                    } => {
                        self.install_downgraded(now_ms, group, records, must_rebalance);
                    }
                }
                self.respond_when_stored(token, Answer::Join(answer));
            }
        }
    }

    fn check_classic_join(&self, request: &JoinGroup, member_id: &str) -> Result<(), GroupError> {
        let group = self
            .consumer_groups
            .get(&request.group_id)
            .ok_or(GroupError::UnknownMemberId)?;
        if !self.config.consumer_migration.allows_classic_members() {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        self.check_group_size(group, member_id, request.group_instance_id.as_ref())?;
        if !group.supports_classic_protocols(&request.protocol_type, &request.protocols) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn plan_classic_join(
        &self,
        now_ms: i64,
        request: &JoinGroup,
        member_id: &Str,
    ) -> Result<(Joined, JoinAnswer), GroupError> {
        let mut draft = self.consumer_draft(&request.group_id, false)?;
        let first = request
            .protocols
            .first()
            .ok_or(GroupError::InconsistentGroupProtocol)?;
        let subscription = read_subscription(&*self.topics, &first.metadata)?;
        let replaced = request
            .group_instance_id
            .as_ref()
            .and_then(|id| draft.group().static_member(id));
        let is_downgrade = replaced
            .is_some_and(|replaced| self.becomes_classic_replacing(draft.group(), replaced));
        let arrival = Arrival {
            member_id,
            instance_id: request.group_instance_id.as_ref(),
            epoch: None,
            reported: Some(&subscription.owned),
            may_create: request.group_instance_id.is_none() || request.member_id.is_empty(),
        };
        let before = admit(&mut draft, &arrival)?;
        let metadata = joined_metadata(&before.metadata, request, &subscription);
        let change = self.update_metadata(now_ms, &mut draft, &before, metadata)?;
        self.update_epoch(now_ms, &mut draft, change.must_reassign);
        let has_changed = change.must_reassign;
        let must_rebalance =
            is_downgrade && draft.group().assignment_epoch() < draft.group().epoch();
        if !is_downgrade {
            self.update_target(now_ms, &mut draft);
        }
        if !must_rebalance {
            self.reconcile(
                &mut draft,
                member_id,
                has_changed,
                Some(&subscription.owned),
            )?;
        }

        let epoch = draft
            .group()
            .member(member_id)
            .map_or(0, |member| member.epoch());
        let answer = JoinAnswer {
            error: ErrorCode::None,
            generation_id: epoch,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.into()),
            protocol_name: Some(first.name.clone()),
            ..JoinAnswer::error(member_id.clone(), ErrorCode::None)
        };
        if is_downgrade {
            let group = self.downgraded(now_ms, draft.group(), &[])?;
            let tombstones = draft.group().tombstones();
            let mut records = draft
                .into_plan()
                .changed
                .map(|(_, records)| records)
                .unwrap_or_default();
            records.extend(tombstones);
            return Ok((
                Joined::Classic {
                    group,
                    records,
                    must_rebalance,
                },
                answer,
            ));
        }
        draft.timers.push(TimerChange::Cancel {
            timer: MemberTimer::Join,
            member_id: member_id.clone(),
        });
        draft
            .timers
            .push(TimerChange::session(member_id, request.session_timeout_ms));
        draft.timers.push(TimerChange::Start {
            timer: MemberTimer::Sync,
            member_id: member_id.clone(),
            after_ms: request.rebalance_timeout_ms,
            task: crate::timers::TimerTask::Expire,
        });
        Ok((Joined::Consumer(draft.into_plan()), answer))
    }

    pub(crate) fn sync_consumer_group(&mut self, now_ms: i64, token: Token, request: &SyncGroup) {
        let answer = match self.check_classic_sync(request) {
            Ok((member, assignment)) => {
                let session_ms = member
                    .metadata
                    .classic
                    .as_ref()
                    .map_or(0, |classic| classic.session_timeout_ms);
                let cancel = TimerChange::Cancel {
                    timer: MemberTimer::Sync,
                    member_id: member.member_id.clone(),
                };
                let changes = vec![cancel, TimerChange::session(&member.member_id, session_ms)];
                self.change_member_timers(now_ms, &request.group_id, changes);
                SyncAnswer {
                    error: ErrorCode::None,
                    protocol_type: request.protocol_type.clone(),
                    protocol_name: request.protocol_name.clone(),
                    assignment,
                }
            }
            Err(error) => {
                if error == GroupError::RebalanceInProgress {
                    self.expect_join(now_ms, &request.group_id, &request.member_id);
                }
                SyncAnswer::error(error.code())
            }
        };
        self.respond_when_stored(token, Answer::Sync(answer));
    }

    fn check_classic_sync(
        &self,
        request: &SyncGroup,
    ) -> Result<(Arc<Member>, bytes::Bytes), GroupError> {
        let group = self
            .consumer_groups
            .get(&request.group_id)
            .ok_or(GroupError::UnknownMemberId)?;
        let member = classic_member(
            group,
            &request.member_id,
            request.group_instance_id.as_ref(),
        )?;
        let classic = member
            .metadata
            .classic
            .as_ref()
            .ok_or(GroupError::UnknownMemberId)?;
        if member.epoch() != request.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        let first = classic
            .protocols
            .first()
            .ok_or(GroupError::InconsistentGroupProtocol)?;
        let names_other_type = request
            .protocol_type
            .as_deref()
            .is_some_and(|name| name != CONSUMER_PROTOCOL_TYPE);
        let names_other = request
            .protocol_name
            .as_ref()
            .is_some_and(|name| *name != first.name);
        if names_other_type || names_other {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        // Whoever still has partitions to give up has joined already, and gives them up first.
        if group.assignment_epoch() > member.epoch()
            && member.progress.state != MemberState::Unrevoked
        {
            return Err(GroupError::RebalanceInProgress);
        }
        let version = read_subscription(&*self.topics, &first.metadata)?.version;
        let owned = member.progress.assigned.iter();
        let assignment: Assignment = owned
            .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
            .collect();
        Ok((
            Arc::clone(member),
            write_assignment(&*self.topics, &assignment, version),
        ))
    }

    pub(crate) fn heartbeat_consumer_group(
        &mut self,
        now_ms: i64,
        request: &Heartbeat,
    ) -> Result<(), GroupError> {
        let group = self
            .consumer_groups
            .get(&request.group_id)
            .ok_or(GroupError::UnknownMemberId)?;
        let member = classic_member(
            group,
            &request.member_id,
            request.group_instance_id.as_ref(),
        )?;
        let classic = member
            .metadata
            .classic
            .as_ref()
            .ok_or(GroupError::UnknownMemberId)?;
        if member.epoch() != request.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        let must_join = member.epoch() < group.assignment_epoch()
            || match member.progress.state {
                MemberState::Unrevoked => true,
                MemberState::Unreleased => !waits_for_others(group, member),
                MemberState::Stable | MemberState::Unknown(_) => false,
            };
        let session = TimerChange::session(&member.member_id, classic.session_timeout_ms);
        self.change_member_timers(now_ms, &request.group_id, vec![session]);
        if must_join {
            self.expect_join(now_ms, &request.group_id, &request.member_id);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    pub(crate) fn leave_consumer_group_as_classic(
        &mut self,
        now_ms: i64,
        token: Token,
        request: LeaveGroup,
    ) {
        let Some(group) = self.consumer_groups.get(&request.group_id) else {
            return;
        };
        let mut leaving: Vec<Arc<Member>> = Vec::new();
        let mut members = Vec::with_capacity(request.members.len());
        for named in request.members {
            let error = match leaving_member(group, &named) {
                Ok(member) => {
                    if !leaving
                        .iter()
                        .any(|other| other.member_id == member.member_id)
                    {
                        leaving.push(Arc::clone(member));
                    }
                    ErrorCode::None
                }
                Err(error) => error.code(),
            };
            let (member_id, group_instance_id) = (named.member_id, named.group_instance_id);
            members.push(LeftMember {
                member_id,
                group_instance_id,
                error,
            });
        }
        self.fence_members(now_ms, &request.group_id, &leaving);
        self.respond_when_stored(
            token,
            Answer::Leave(LeaveAnswer {
                error: ErrorCode::None,
                members,
            }),
        );
    }

    /// The member was told to join: it has its rebalance timeout to do so.
    fn expect_join(&mut self, now_ms: i64, group_id: &Str, member_id: &Str) {
        let member = self
            .consumer_groups
            .get(group_id)
            .and_then(|group| group.member(member_id));
        let Some(member) = member else { return };
        let (member_id, after_ms) = (
            member.member_id.clone(),
            member.metadata.rebalance_timeout_ms,
        );
        let change = TimerChange::StartIfIdle {
            timer: MemberTimer::Join,
            member_id,
            after_ms,
        };
        self.change_member_timers(now_ms, group_id, vec![change]);
    }

    /// Timers are named by the group's own id, not by a request's.
    fn change_member_timers(&mut self, now_ms: i64, group_id: &str, changes: Vec<TimerChange>) {
        let Some(group) = self.consumer_groups.get(group_id) else {
            return;
        };
        let group_id = group.group_id.clone();
        self.change_timers(now_ms, &group_id, changes);
    }
}

fn joined_metadata(
    before: &MemberMetadata,
    request: &JoinGroup,
    subscription: &Subscription,
) -> MemberMetadata {
    MemberMetadata {
        instance_id: request
            .group_instance_id
            .clone()
            .or_else(|| before.instance_id.clone()),
        rack_id: subscription
            .rack_id
            .clone()
            .or_else(|| before.rack_id.clone()),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topics: subscription.topics.clone(),
        regex: Str::default(),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            timeout_ms => timeout_ms,
        },
        assignor: before.assignor.clone(),
        classic: Some(ClassicTerms {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }),
    }
}

fn classic_member<'a>(
    group: &'a ConsumerGroup,
    member_id: &str,
    instance_id: Option<&Str>,
) -> Result<&'a Arc<Member>, GroupError> {
    let member = match instance_id {
        None => group.member(member_id),
        Some(instance_id) => group.static_member(instance_id),
    };
    let member = member.ok_or(GroupError::UnknownMemberId)?;
    if *member.member_id == *member_id {
        Ok(member)
    } else {
        Err(GroupError::FencedInstanceId)
    }
}

/// An administrator names a static member by its instance id alone.
fn leaving_member<'a>(
    group: &'a ConsumerGroup,
    named: &LeavingMember,
) -> Result<&'a Arc<Member>, GroupError> {
    let Some(instance_id) = &named.group_instance_id else {
        return group
            .member(&named.member_id)
            .ok_or(GroupError::UnknownMemberId);
    };
    let member = group
        .static_member(instance_id)
        .ok_or(GroupError::UnknownMemberId)?;
    if named.member_id.is_empty() || named.member_id == member.member_id {
        Ok(member)
    } else {
        Err(GroupError::FencedInstanceId)
    }
}

/// Whether a partition that the member should get is still owned by somebody else.
fn waits_for_others(group: &ConsumerGroup, member: &Member) -> bool {
    let target = group.target(&member.member_id).cloned().unwrap_or_default();
    target.iter().any(|(topic, partitions)| {
        let own = member.progress.assigned.get(topic);
        partitions.iter().any(|&partition| {
            own.is_none_or(|own| !own.contains_key(&partition))
                && group.partition_epoch(*topic, partition) != super::group::NOT_OWNED
        })
    })
}
