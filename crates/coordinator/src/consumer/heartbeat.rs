//! ConsumerGroupHeartbeat: join, stay, follow the assignment, leave.
//!
//! Invariant: a member is told to own a partition only by an answer whose records are committed. Called
//! by the shell's handler of the request.

use std::sync::Arc;

use ottla_protocol::{ErrorCode, Str, Uuid};

use super::draft::{Draft, Plan};
use super::group::{Change, ConsumerGroup};
use super::member::{
    JOINING_EPOCH, LEAVING_EPOCH, LEAVING_STATIC_EPOCH, Member, MemberMetadata, Owned, Progress,
};
use super::reconcile::Reported;
use super::regex::RegexChange;
use super::timers::TimerChange;
use crate::answer::{Answer, ConsumerHeartbeatAnswer};
use crate::assignor::Assignor;
use crate::coordinator::GroupCoordinator;
use crate::effect::Effect;
use crate::error::GroupError;
use crate::request::{ConsumerHeartbeat, FreshId, Token};

/// From this version on members bring an id of their own making.
const FIRST_VERSION_WITH_OWN_MEMBER_ID: i16 = 1;

/// How a member comes into a group.
pub(super) struct Arrival<'a> {
    pub member_id: &'a Str,
    pub instance_id: Option<&'a Str>,
    /// `None` for the classic protocol, which has no such check.
    pub epoch: Option<i32>,
    pub reported: Option<&'a Reported>,
    pub may_create: bool,
}

impl GroupCoordinator {
    pub fn handle_consumer_heartbeat(
        &mut self,
        now_ms: i64,
        token: Token,
        request: ConsumerHeartbeat,
        fresh_id: FreshId,
    ) {
        let request = request.detached();
        let outcome = check_heartbeat(&request).and_then(|()| match request.member_epoch {
            LEAVING_EPOCH | LEAVING_STATIC_EPOCH => self.leave_consumer_group(now_ms, &request),
            _ => self
                .plan_heartbeat(now_ms, &request, fresh_id)
                .map(|(plan, answer)| {
                    self.carry_out(now_ms, plan);
                    answer
                }),
        });
        let answer = outcome.unwrap_or_else(|error| {
            ConsumerHeartbeatAnswer::error(error.code(), Str::from(error.to_string()))
        });
        self.respond_when_stored(token, Answer::ConsumerHeartbeat(answer));
    }

    fn plan_heartbeat(
        &self,
        now_ms: i64,
        request: &ConsumerHeartbeat,
        fresh_id: FreshId,
    ) -> Result<(Plan, ConsumerHeartbeatAnswer), GroupError> {
        let is_joining = request.member_epoch == JOINING_EPOCH;
        let mut draft = self.consumer_draft(&request.group_id, is_joining)?;
        self.check_group_size(
            draft.group(),
            &request.member_id,
            request.instance_id.as_ref(),
        )?;
        let member_id = match request.member_id.is_empty() {
            true => Str::from(Uuid::from_u128(fresh_id.0).to_string()),
            false => request.member_id.clone(),
        };
        let arrival = Arrival {
            member_id: &member_id,
            instance_id: request.instance_id.as_ref(),
            epoch: Some(request.member_epoch),
            reported: request.owned.as_ref(),
            may_create: is_joining,
        };
        let before = admit(&mut draft, &arrival)?;

        let metadata = updated_metadata(&before.metadata, request);
        let change = self.update_metadata(now_ms, &mut draft, &before, metadata)?;
        self.update_epoch(now_ms, &mut draft, change.must_reassign);
        self.update_target(now_ms, &mut draft);
        self.reconcile(
            &mut draft,
            &member_id,
            change.has_subscription_changed,
            request.owned.as_ref(),
        )?;
        let settings = self.config.consumer_of(&request.group_id);
        draft.timers.push(TimerChange::session(
            &member_id,
            settings.session_timeout_ms,
        ));

        let progress = draft
            .group()
            .member(&member_id)
            .map_or_else(Progress::default, |member| member.progress.clone());
        let is_full_request = request.rebalance_timeout_ms != -1
            && (request.topics.is_some() || request.regex.is_some())
            && request.owned.is_some();
        let tells_assignment =
            is_joining || is_full_request || progress.assigned != before.progress.assigned;
        let answer = ConsumerHeartbeatAnswer {
            error: ErrorCode::None,
            error_message: None,
            member_id: Some(member_id),
            member_epoch: progress.epoch,
            heartbeat_interval_ms: settings.heartbeat_interval_ms,
            assignment: tells_assignment.then(|| without_epochs(&progress.assigned)),
        };
        Ok((draft.into_plan(), answer))
    }

    pub(super) fn check_group_size(
        &self,
        group: &ConsumerGroup,
        member_id: &str,
        instance_id: Option<&Str>,
    ) -> Result<(), GroupError> {
        // A static member that comes back takes the place that it has.
        let has_place = instance_id
            .is_some_and(|instance_id| group.static_member(instance_id).is_some())
            || group.member(member_id).is_some();
        if !has_place && group.members().len() >= self.config.consumer_max_size {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(())
    }

    /// Stores what the member says about itself, and finds out what that means for the group.
    pub(super) fn update_metadata(
        &self,
        now_ms: i64,
        draft: &mut Draft<'_>,
        before: &Member,
        metadata: MemberMetadata,
    ) -> Result<SubscriptionChange, GroupError> {
        let was_subscribed = draft.group().has_regex_subscriber(&metadata.regex);
        let has_topics_changed = metadata.topics != before.metadata.topics;
        if metadata != before.metadata || draft.group().member(&before.member_id).is_none() {
            let (member_id, value) = (before.member_id.clone(), Some(metadata.clone()));
            draft.push(Change::Member { member_id, value });
        }
        let member = Member {
            metadata,
            ..before.clone()
        };
        let regex = self.update_regex(now_ms, draft, before, &member, was_subscribed)?;
        Ok(SubscriptionChange {
            has_subscription_changed: has_topics_changed || regex != RegexChange::None,
            // An expression that is not resolved yet will raise the epoch when it is.
            must_reassign: has_topics_changed || regex == RegexChange::Resolved,
        })
    }

    /// Makes a plan real: the group becomes the draft's, its records go to the log.
    pub(super) fn carry_out(&mut self, now_ms: i64, plan: Plan) {
        let Plan {
            group_id,
            changed,
            timers,
            fresh_until,
            regex_task,
        } = plan;
        if let Some((group, records)) = changed {
            self.replace_consumer_group(group, records);
        }
        self.change_timers(now_ms, &group_id, timers);
        let Some(group) = self.consumer_groups.get_mut(&group_id) else {
            return;
        };
        if fresh_until.is_some() {
            group.fresh_until = fresh_until;
        }
        if let Some(task) = regex_task {
            group.is_resolving = true;
            self.outbox.push(Effect::ResolveRegexes(task));
        }
    }
}

pub(super) struct SubscriptionChange {
    /// What the member owns must fit its subscription at once.
    pub has_subscription_changed: bool,
    /// The group must be assigned anew.
    pub must_reassign: bool,
}

/// The member as it was, found or made. A static member that comes back under another id takes over
/// from the one before.
pub(super) fn admit(
    draft: &mut Draft<'_>,
    arrival: &Arrival<'_>,
) -> Result<Arc<Member>, GroupError> {
    let Some(instance_id) = arrival.instance_id else {
        let known = draft.group().member(arrival.member_id).cloned();
        let member = match known {
            None if arrival.may_create => Arc::new(Member::new(arrival.member_id.clone())),
            None => return Err(GroupError::UnknownMemberId),
            Some(member) => member,
        };
        check_epoch(&member, arrival)?;
        return Ok(member);
    };
    match draft.group().static_member(instance_id).cloned() {
        None if arrival.may_create => {
            let known = draft.group().member(arrival.member_id).cloned();
            Ok(known.unwrap_or_else(|| Arc::new(Member::new(arrival.member_id.clone()))))
        }
        None => Err(GroupError::UnknownMemberId),
        Some(holder) if arrival.may_create => {
            // Between two members of this protocol the first one must have left.
            let both_consumers = arrival.epoch.is_some() && !holder.uses_classic_protocol();
            if both_consumers && holder.epoch() != LEAVING_STATIC_EPOCH {
                return Err(GroupError::UnreleasedInstanceId);
            }
            Ok(replace_static_member(draft, &holder, arrival.member_id))
        }
        Some(holder) if holder.member_id != *arrival.member_id => Err(GroupError::FencedInstanceId),
        Some(holder) => {
            check_epoch(&holder, arrival)?;
            Ok(holder)
        }
    }
}

fn replace_static_member(draft: &mut Draft<'_>, old: &Member, new_id: &Str) -> Arc<Member> {
    let progress = Progress {
        epoch: JOINING_EPOCH,
        previous_epoch: JOINING_EPOCH,
        ..old.progress.clone()
    };
    let new = Member {
        member_id: new_id.clone(),
        metadata: old.metadata.clone(),
        progress,
    };
    let target = draft
        .group()
        .target(&old.member_id)
        .cloned()
        .unwrap_or_default();
    draft.remove_member(&old.member_id);
    draft.push(Change::Member {
        member_id: new_id.clone(),
        value: Some(new.metadata.clone()),
    });
    draft.push(Change::TargetMember {
        member_id: new_id.clone(),
        value: Some((*target).clone()),
    });
    draft.push(Change::Progress {
        member_id: new_id.clone(),
        value: Some(new.progress.clone()),
    });
    Arc::new(new)
}

/// The member's epoch must be the one we know. Its last one is good too, as long as it claims no more
/// than it has: the answer with the new one may be lost. Epoch 0 begins anew at any time.
fn check_epoch(member: &Member, arrival: &Arrival<'_>) -> Result<(), GroupError> {
    let Some(epoch) = arrival.epoch else {
        return Ok(());
    };
    if epoch == JOINING_EPOCH || epoch == member.epoch() {
        return Ok(());
    }
    let missed_an_answer = epoch < member.epoch()
        && epoch == member.progress.previous_epoch
        && arrival
            .reported
            .is_some_and(|reported| is_owned(reported, &member.progress.assigned));
    if missed_an_answer {
        Ok(())
    } else {
        Err(GroupError::FencedMemberEpoch)
    }
}

fn is_owned(reported: &Reported, owned: &Owned) -> bool {
    reported.iter().all(|(topic, partitions)| {
        owned.get(topic).is_some_and(|owned| {
            partitions
                .iter()
                .all(|partition| owned.contains_key(partition))
        })
    })
}

pub(super) fn without_epochs(owned: &Owned) -> Vec<(Uuid, Vec<i32>)> {
    owned
        .iter()
        .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
        .collect()
}

fn updated_metadata(before: &MemberMetadata, request: &ConsumerHeartbeat) -> MemberMetadata {
    MemberMetadata {
        instance_id: request
            .instance_id
            .clone()
            .or_else(|| before.instance_id.clone()),
        rack_id: request.rack_id.clone().or_else(|| before.rack_id.clone()),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topics: match &request.topics {
            Some(topics) => topics.iter().cloned().collect(),
            None => before.topics.clone(),
        },
        regex: request
            .regex
            .clone()
            .unwrap_or_else(|| before.regex.clone()),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            timeout_ms => timeout_ms,
        },
        assignor: request.assignor.clone().or_else(|| before.assignor.clone()),
        classic: None,
    }
}

fn check_heartbeat(request: &ConsumerHeartbeat) -> Result<(), GroupError> {
    let invalid = |reason| Err(GroupError::InvalidRequest(reason));
    let is_blank = |value: &Str| value.trim().is_empty();
    let needs_member_id = request.api_version >= FIRST_VERSION_WITH_OWN_MEMBER_ID
        || request.member_epoch > JOINING_EPOCH
        || request.member_epoch == LEAVING_EPOCH;
    if needs_member_id && is_blank(&request.member_id) {
        return invalid("the member id is empty");
    }
    if is_blank(&request.group_id) {
        return invalid("the group id is empty");
    }
    if request.instance_id.as_ref().is_some_and(is_blank) {
        return invalid("the instance id is empty");
    }
    if request.rack_id.as_ref().is_some_and(is_blank) {
        return invalid("the rack id is empty");
    }
    match request.member_epoch {
        JOINING_EPOCH => {
            if request.rebalance_timeout_ms == -1 {
                return invalid("a member that joins must name its rebalance timeout");
            }
            if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("a member that joins must own nothing, and say so");
            }
            if request.topics.is_none() && request.regex.is_none() {
                return invalid(
                    "a member that joins must subscribe to topics or to a regular expression",
                );
            }
        }
        LEAVING_STATIC_EPOCH if request.instance_id.is_none() => {
            return invalid("only a member with an instance id can leave for a while");
        }
        epoch if epoch < LEAVING_STATIC_EPOCH => return invalid("there is no such member epoch"),
        _ => {}
    }
    match &request.assignor {
        Some(assignor) if Assignor::named(assignor).is_none() => {
            Err(GroupError::UnsupportedAssignor)
        }
        _ => Ok(()),
    }
}
