//! JoinGroup: a member asks in, and waits until the join phase ends.
//!
//! Invariant: a join is answered at once or parked in exactly one member. Called by the shell's
//! JoinGroup handler.

use bytes::Bytes;
use ottla_protocol::{ErrorCode, MAX_STRING_LENGTH, Str};

use super::group::{ClassicGroup, State};
use super::member::{Member, MemberIdentity, MemberTerms};
use crate::answer::{Answer, JoinAnswer};
use crate::consumer::group::ConsumerGroup;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::in_flight::AnyGroup;
use crate::records::Record;
use crate::request::{FreshId, JoinGroup, NO_REASON, Protocol, Token};
use crate::timers::TimerTask;

/// From this version on a returning static leader may be told to skip the assignment.
pub(super) const FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT: i16 = 9;
/// What a member id has beyond the client id or group instance id: a hyphen and a UUID.
const UUID_SUFFIX_LENGTH: usize = 37;
/// Bytes that a protocol costs beyond its name and metadata, so that a million empty ones are not free.
const PROTOCOL_OVERHEAD_BYTES: usize = 32;

impl GroupCoordinator {
    pub fn handle_join(
        &mut self,
        now_ms: i64,
        token: Token,
        mut request: JoinGroup,
        fresh_id: FreshId,
    ) {
        if request.api_version == 0 {
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        let request = detached(request);
        if let Err(error) = self.check_join(&request) {
            return self.refuse_join(token, request.member_id, error);
        }
        if self
            .consumer_groups
            .get(&request.group_id)
            .is_some_and(|group| !group.is_empty())
        {
            return self.join_consumer_group(now_ms, token, request, fresh_id);
        }
        if self.groups.contains_key(&request.group_id) || !request.member_id.is_empty() {
            return self.join_group(now_ms, token, request, fresh_id);
        }
        let group_id = request.group_id.clone();
        match self.create_group(now_ms, &group_id) {
            Err(error) => self.refuse_join(token, request.member_id, error),
            Ok(before) => {
                self.join_group(now_ms, token, request, fresh_id);
                self.store_created_group(group_id, before);
            }
        }
    }

    fn check_join(&self, request: &JoinGroup) -> Result<(), GroupError> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let allowed = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !allowed.contains(&request.session_timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let prefix = request
            .group_instance_id
            .as_ref()
            .unwrap_or(&request.client_id);
        if prefix.len() + UUID_SUFFIX_LENGTH > MAX_STRING_LENGTH {
            return Err(GroupError::MemberIdTooLong);
        }
        let bytes: usize = request.protocols.iter().map(protocol_bytes).sum();
        if bytes > self.config.max_protocol_bytes {
            return Err(GroupError::ProtocolsTooLarge);
        }
        Ok(())
    }

    /// A group that holds nobody yet, in the place of a consumer group without members, if there is one.
    fn create_group(
        &mut self,
        now_ms: i64,
        group_id: &Str,
    ) -> Result<Option<ConsumerGroup>, GroupError> {
        let before = self.remove_consumer_group(group_id);
        if before.is_none() {
            self.check_room_for_group()?;
        }
        let group = ClassicGroup::new(group_id.clone(), Some(now_ms));
        self.groups.insert(group_id.clone(), group);
        Ok(before)
    }

    /// The record of a group that was just born: it is empty as far as the log is concerned.
    fn store_created_group(&mut self, group_id: Str, before: Option<ConsumerGroup>) {
        let Some(group) = self.groups.get(&group_id) else {
            return;
        };
        let mut records = before
            .as_ref()
            .map(ConsumerGroup::tombstones)
            .unwrap_or_default();
        records.push(Record::born_group(group));
        let before = before.map(|before| AnyGroup::Consumer(Box::new(before)));
        self.append_replaced_group(group_id, before, &records);
    }

    fn join_group(&mut self, now_ms: i64, token: Token, request: JoinGroup, fresh_id: FreshId) {
        let Some(group) = self.groups.get(&request.group_id) else {
            return self.refuse_join(token, request.member_id, GroupError::UnknownMemberId);
        };
        let is_unknown = request.member_id.is_empty();
        if !self.accepts(group, &request.member_id) {
            let group_id = request.group_id.clone();
            self.expel(
                &group_id,
                &request.member_id,
                ErrorCode::GroupMaxSizeReached,
            );
            return self.refuse_join(token, Str::default(), GroupError::GroupMaxSizeReached);
        }
        if !group.supports_protocols(&request.protocol_type, &request.protocols) {
            return self.refuse_join(
                token,
                request.member_id,
                GroupError::InconsistentGroupProtocol,
            );
        }
        if is_unknown {
            self.join_as_new_member(now_ms, token, request, fresh_id);
        } else if group.is_pending_member(&request.member_id) {
            if request.group_instance_id.is_some() {
                return self.refuse_join(
                    token,
                    request.member_id,
                    GroupError::PendingMemberIsStatic,
                );
            }
            let member_id = request.member_id.clone();
            self.add_member(now_ms, token, request, member_id);
        } else {
            self.rejoin(now_ms, token, request);
        }
    }

    /// Whether there is room. While preparing, those who are in count, so that the last to come back
    /// are the ones who stay outside when the limit has shrunk.
    fn accepts(&self, group: &ClassicGroup, member_id: &str) -> bool {
        match group.state() {
            State::Empty => true,
            State::PreparingRebalance => {
                group
                    .member(member_id)
                    .is_some_and(Member::is_awaiting_join)
                    || group.awaiting_join_count() < self.config.max_size
            }
            State::CompletingRebalance | State::Stable => {
                group.has_member(member_id) || group.member_count() < self.config.max_size
            }
        }
    }

    fn join_as_new_member(
        &mut self,
        now_ms: i64,
        token: Token,
        request: JoinGroup,
        fresh_id: FreshId,
    ) {
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            return;
        };
        if let Some(instance_id) = &request.group_instance_id {
            let new_id = member_id(instance_id, fresh_id);
            return match group.static_member_id(instance_id).cloned() {
                Some(old_id) => self.replace_static_member(now_ms, token, request, old_id, new_id),
                None => self.add_member(now_ms, token, request, new_id),
            };
        }
        let new_id = member_id(&request.client_id, fresh_id);
        if !request.needs_member_id() {
            return self.add_member(now_ms, token, request, new_id);
        }
        if group.pending_members().len() >= self.config.max_pending_members {
            return self.refuse_join(token, Str::default(), GroupError::GroupMaxSizeReached);
        }
        group.add_pending_member(new_id.clone());
        let session = group.session_timer(&new_id);
        self.timers.schedule(
            session,
            now_ms + i64::from(request.session_timeout_ms),
            TimerTask::Expire,
        );
        self.outbox.respond(
            token,
            Answer::Join(JoinAnswer::error(new_id, ErrorCode::MemberIdRequired)),
        );
    }

    /// A known member joins again: it may be rebalancing, retrying, or changing its mind.
    fn rejoin(&mut self, now_ms: i64, token: Token, request: JoinGroup) {
        let Some(group) = self.groups.get(&request.group_id) else {
            return;
        };
        let member_id = &request.member_id;
        if let Err(error) = group.validate_member(member_id, request.group_instance_id.as_ref()) {
            return self.refuse_join(token, request.member_id, error);
        }
        let is_unchanged = group
            .member(member_id)
            .is_some_and(|member| member.protocols == request.protocols);
        let is_leader = group.is_leader(member_id);
        match group.state() {
            // It did not get the answer of this generation: here it is again.
            State::CompletingRebalance if is_unchanged => {
                let answer = group.join_answer(member_id, is_leader);
                self.outbox.respond(token, Answer::Join(answer));
            }
            // A leader that joins wants a rebalance: what it assigns by may have changed.
            State::Stable if is_unchanged && !is_leader => {
                let answer = group.join_answer(member_id, false);
                self.outbox.respond(token, Answer::Join(answer));
            }
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update_member(now_ms, token, request);
            }
            State::Empty => self.refuse_join(token, request.member_id, GroupError::UnknownMemberId),
        }
    }

    fn update_member(&mut self, now_ms: i64, token: Token, request: JoinGroup) {
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            return;
        };
        let terms = terms(&request);
        let superseded = group.update_member(&request.member_id, terms, Some(token));
        self.refuse_superseded_join(superseded, &request.member_id);
        let reason = request.reason.as_deref().unwrap_or(NO_REASON);
        self.prepare_rebalance_or_complete_join(now_ms, &request.group_id, reason);
    }

    pub(super) fn add_member(
        &mut self,
        now_ms: i64,
        token: Token,
        request: JoinGroup,
        member_id: Str,
    ) {
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            return;
        };
        let identity = MemberIdentity {
            member_id: member_id.clone(),
            group_instance_id: request.group_instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
        };
        let mut member = Member::new(identity, terms(&request));
        member.is_new = true;
        if group.state() == State::PreparingRebalance && group.previous_state() == State::Empty {
            group.new_member_added = true;
        }
        group.add(&request.protocol_type, member, Some(token));

        // Parked in its first join it cannot heartbeat, and a client that is gone would stay forever.
        let at_ms = now_ms + i64::from(self.config.new_member_join_timeout_ms);
        self.timers
            .schedule(group.session_timer(&member_id), at_ms, TimerTask::Expire);
        let reason = request.reason.as_deref().unwrap_or(NO_REASON);
        self.prepare_rebalance_or_complete_join(now_ms, &request.group_id, reason);
    }

    /// A join that is overtaken by the same member's next one has nobody left who waits for it, but it
    /// is answered all the same.
    pub(super) fn refuse_superseded_join(&mut self, superseded: Option<Token>, member_id: &Str) {
        if let Some(token) = superseded {
            let answer = JoinAnswer::error(member_id.clone(), ErrorCode::RebalanceInProgress);
            self.outbox.respond(token, Answer::Join(answer));
        }
    }

    fn refuse_join(&mut self, token: Token, member_id: Str, error: GroupError) {
        self.outbox.respond(
            token,
            Answer::Join(JoinAnswer::error(member_id, error.code())),
        );
    }
}

pub(super) fn terms(request: &JoinGroup) -> MemberTerms {
    MemberTerms {
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: request.protocols.clone(),
    }
}

/// The same request in copies of its own: most of it is kept for as long as the member lives, and must
/// not keep the frame in memory. Of protocols with the same name the first stays.
fn detached(request: JoinGroup) -> JoinGroup {
    let mut names = std::collections::BTreeSet::new();
    let distinct = request
        .protocols
        .iter()
        .filter(|protocol| names.insert(&protocol.name));
    let protocols = distinct.map(|protocol| Protocol {
        name: protocol.name.detached(),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    JoinGroup {
        api_version: request.api_version,
        client_id: request.client_id.detached(),
        client_host: request.client_host.detached(),
        group_id: request.group_id.detached(),
        member_id: request.member_id.detached(),
        group_instance_id: request.group_instance_id.as_ref().map(Str::detached),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.detached(),
        protocols: protocols.collect(),
        reason: request.reason,
    }
}

fn protocol_bytes(protocol: &Protocol) -> usize {
    protocol.name.len() + protocol.metadata.len() + PROTOCOL_OVERHEAD_BYTES
}

/// `prefix-UUID`, the UUID of the random kind.
fn member_id(prefix: &str, fresh_id: FreshId) -> Str {
    let bits = fresh_id.0 & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    Str::from(format!(
        "{prefix}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff,
    ))
}
