//! A classic group: its members, its generation, its state.
//!
//! Invariant: the counts of supported protocols and of parked joins agree with the members.
//!
//! | from \ to           | Empty | PreparingRebalance | CompletingRebalance | Stable |
//! |---------------------|-------|--------------------|---------------------|--------|
//! | Empty               |       | first join         |                     |        |
//! | PreparingRebalance  | nobody joined |            | all joined, or time is up |  |
//! | CompletingRebalance |       | join, leave, expiry |                    | leader's assignment stored |
//! | Stable              |       | join, leave, expiry |                    |        |

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::Str;

use super::member::{Member, MemberTerms};
use super::subscription;
use crate::answer::{JoinAnswer, JoinedMember};
use crate::error::GroupError;
use crate::request::{Protocol, Token};
use crate::timers::TimerKey;

/// Protocol type of consumers, whose metadata names the topics they subscribe to.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub group_id: Str,
    state: State,
    previous_state: State,
    /// When the group came into its state; unknown for groups stored by old versions.
    pub state_since_ms: Option<i64>,
    pub generation_id: i32,
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    pub leader_id: Option<Str>,
    members: BTreeMap<Str, Member>,
    /// Instance id to member id.
    static_members: BTreeMap<Str, Str>,
    /// Ids handed out whose owner has not joined yet.
    pending_members: BTreeSet<Str>,
    /// Members of this generation whose sync is still due.
    pub pending_sync: BTreeSet<Str>,
    awaiting_join_count: usize,
    supported_protocols: BTreeMap<Str, usize>,
    /// Union of the members' subscriptions; `None` when they are no consumers or cannot be read.
    pub subscribed_topics: Option<BTreeSet<Str>>,
    /// Someone joined during the initial delay, which may therefore be extended.
    pub new_member_added: bool,
    /// The generation whose assignment is being stored.
    pub storing_generation: Option<i32>,
}

impl ClassicGroup {
    pub fn new(group_id: Str, state_since_ms: Option<i64>) -> Self {
        Self {
            group_id,
            state: State::Empty,
            previous_state: State::Empty,
            state_since_ms,
            generation_id: 0,
            protocol_type: None,
            protocol_name: None,
            leader_id: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            awaiting_join_count: 0,
            supported_protocols: BTreeMap::new(),
            subscribed_topics: None,
            new_member_added: false,
            storing_generation: None,
        }
    }

    /// Puts back a member that the log knows; the group is stable then.
    pub fn restore_member(&mut self, member: Member) {
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members
                .insert(instance_id.clone(), member.member_id.clone());
        }
        self.count_protocols(&member.protocols, true);
        self.members.insert(member.member_id.clone(), member);
        self.state = State::Stable;
    }

    /// Keys of this group's timers are made of its own strings, never of a request's, which would keep
    /// the request's frame in memory.
    pub fn session_timer(&self, member_id: &Str) -> TimerKey {
        let member_id = self
            .members
            .get(member_id)
            .map_or(member_id, |member| &member.member_id);
        TimerKey::Session {
            group_id: self.group_id.clone(),
            member_id: member_id.clone(),
        }
    }

    pub fn join_timer(&self) -> TimerKey {
        TimerKey::Join {
            group_id: self.group_id.clone(),
        }
    }

    pub fn sync_timer(&self) -> TimerKey {
        TimerKey::Sync {
            group_id: self.group_id.clone(),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn previous_state(&self) -> State {
        self.previous_state
    }

    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    pub fn can_rebalance(&self) -> bool {
        self.state != State::PreparingRebalance
    }

    pub fn transition_to(&mut self, state: State, now_ms: i64) {
        let legal = matches!(
            (self.state, state),
            (
                State::PreparingRebalance,
                State::Empty | State::CompletingRebalance
            ) | (State::CompletingRebalance, State::Stable)
                | (
                    State::Empty | State::CompletingRebalance | State::Stable,
                    State::PreparingRebalance
                )
        );
        assert!(
            legal,
            "group {} cannot go from {:?} to {state:?}",
            self.group_id, self.state
        );
        self.previous_state = self.state;
        self.state = state;
        self.state_since_ms = Some(now_ms);
    }

    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// When the topics are not known, a group of consumers must be taken to subscribe to anything.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub fn member(&self, member_id: &str) -> Option<&Member> {
        self.members.get(member_id)
    }

    pub fn member_mut(&mut self, member_id: &str) -> Option<&mut Member> {
        self.members.get_mut(member_id)
    }

    pub fn member_ids(&self) -> Vec<Str> {
        self.members.keys().cloned().collect()
    }

    pub fn has_member(&self, member_id: &str) -> bool {
        self.members.contains_key(member_id)
    }

    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    pub fn awaiting_join_count(&self) -> usize {
        self.awaiting_join_count
    }

    pub fn static_member_id(&self, instance_id: &str) -> Option<&Str> {
        self.static_members.get(instance_id)
    }

    pub fn is_leader(&self, member_id: &str) -> bool {
        self.leader_id.as_deref() == Some(member_id)
    }

    pub fn is_pending_member(&self, member_id: &str) -> bool {
        self.pending_members.contains(member_id)
    }

    pub fn pending_members(&self) -> impl ExactSizeIterator<Item = &Str> {
        self.pending_members.iter()
    }

    pub fn forget_pending_members(&mut self) {
        self.pending_members.clear();
    }

    pub fn add_pending_member(&mut self, member_id: Str) {
        self.pending_members.insert(member_id);
    }

    pub fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join_count && self.pending_members.is_empty()
    }

    /// The longest time that any member asks for.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
            .max(0)
    }

    pub fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let everyone = self.members.len();
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|offered| self.supporters(&offered.name) == everyone)
    }

    /// Adds a member that is parked in its join, if it comes with a token.
    pub fn add(&mut self, protocol_type: &Str, mut member: Member, token: Option<Token>) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members
                .insert(instance_id.clone(), member.member_id.clone());
        }
        if self.leader_id.is_none() {
            self.leader_id = Some(member.member_id.clone());
        }
        self.pending_members.remove(&member.member_id);
        self.count_protocols(&member.protocols, true);
        member.replace_awaiting_join(token);
        self.awaiting_join_count += usize::from(token.is_some());
        self.members.insert(member.member_id.clone(), member);
    }

    /// Removes a member, or an id that was only handed out. The caller has answered what it waits for.
    pub fn remove(&mut self, member_id: &str) -> Option<Member> {
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        let removed = self.members.remove(member_id);
        if let Some(member) = &removed {
            self.count_protocols(&member.protocols.clone(), false);
            self.awaiting_join_count -= usize::from(member.is_awaiting_join());
            if let Some(instance_id) = &member.group_instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(member_id) {
            self.leader_id = self.members.keys().next().cloned();
        }
        removed
    }

    /// Renames a static member; nothing else about it changes. It must not wait for anything.
    pub fn rename_static_member(&mut self, instance_id: &Str, old_id: &str, new_id: &Str) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        self.awaiting_join_count -= usize::from(member.replace_awaiting_join(None).is_some());
        member.replace_awaiting_sync(None);
        member.member_id = new_id.clone();
        member.is_new = false;
        if self.is_leader(old_id) {
            self.leader_id = Some(new_id.clone());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        self.static_members
            .insert(instance_id.clone(), new_id.clone());
        self.members.insert(new_id.clone(), member);
    }

    /// Takes over what a member's new join says. Returns the join that it waited for until then.
    pub fn update_member(
        &mut self,
        member_id: &str,
        terms: MemberTerms,
        token: Option<Token>,
    ) -> Option<Token> {
        let before = self.members.get(member_id)?.protocols.clone();
        self.count_protocols(&before, false);
        self.count_protocols(&terms.protocols, true);
        let member = self.members.get_mut(member_id)?;
        member.protocols = terms.protocols;
        member.rebalance_timeout_ms = terms.rebalance_timeout_ms;
        member.session_timeout_ms = terms.session_timeout_ms;
        let superseded = member.replace_awaiting_join(token);
        self.awaiting_join_count += usize::from(token.is_some());
        self.awaiting_join_count -= usize::from(superseded.is_some());
        superseded
    }

    /// Releases the member's parked join.
    pub fn take_awaiting_join(&mut self, member_id: &str) -> Option<Token> {
        let token = self
            .members
            .get_mut(member_id)?
            .replace_awaiting_join(None)?;
        self.awaiting_join_count -= 1;
        Some(token)
    }

    /// Releases the member's parked sync.
    pub fn take_awaiting_sync(&mut self, member_id: &str) -> Option<Token> {
        self.members.get_mut(member_id)?.replace_awaiting_sync(None)
    }

    /// Sees to it that the leader is one of those who joined. False if nobody did.
    pub fn elect_joined_leader(&mut self) -> bool {
        let Some(leader_id) = &self.leader_id else {
            return false;
        };
        if self
            .members
            .get(leader_id)
            .is_some_and(Member::is_awaiting_join)
        {
            return true;
        }
        let Some(joined) = self
            .members
            .values()
            .find(|member| member.is_awaiting_join())
        else {
            return false;
        };
        self.leader_id = Some(joined.member_id.clone());
        true
    }

    /// The protocol that most members prefer among those that all of them support.
    ///
    /// Each member votes for the first such protocol of its list; of equal counts the smaller name wins.
    pub fn select_protocol(&self) -> Option<Str> {
        let everyone = self.members.len();
        let mut votes: BTreeMap<&Str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member
                .protocols
                .iter()
                .find(|offered| self.supporters(&offered.name) == everyone)?;
            *votes.entry(&choice.name).or_default() += 1;
        }
        let most = votes.values().max()?;
        votes
            .iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| (*name).clone())
    }

    /// Begins the generation of those who joined.
    pub fn init_next_generation(&mut self, now_ms: i64) {
        // Wraps rather than panics after two thousand million rebalances.
        self.generation_id = self.generation_id.wrapping_add(1).max(0);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let next = if self.members.is_empty() {
            State::Empty
        } else {
            State::CompletingRebalance
        };
        self.transition_to(next, now_ms);
        self.pending_sync.clear();
    }

    pub fn compute_subscribed_topics(&self) -> Option<BTreeSet<Str>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            subscription::collect_topics(&member.metadata(protocol), &mut topics)?;
        }
        Some(topics)
    }

    /// Whether `member_id`, with its instance id if it is static, is who it says.
    pub fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&Str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(holder) if &**holder != member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        }
    }

    /// What a member of the current generation learns from its join; the leader also learns who is in.
    pub fn join_answer(&self, member_id: &Str, with_members: bool) -> JoinAnswer {
        JoinAnswer {
            error: ottla_protocol::ErrorCode::None,
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader_id.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.clone(),
            members: if with_members {
                self.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    pub fn assignments(&self) -> BTreeMap<Str, Bytes> {
        self.members
            .iter()
            .map(|(id, member)| (id.clone(), member.assignment.clone()))
            .collect()
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let joined = self.members.values().map(|member| JoinedMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        joined.collect()
    }

    fn supporters(&self, protocol: &str) -> usize {
        self.supported_protocols.get(protocol).copied().unwrap_or(0)
    }

    fn count_protocols(&mut self, protocols: &[Protocol], joining: bool) {
        for protocol in protocols {
            let count = self
                .supported_protocols
                .entry(protocol.name.clone())
                .or_default();
            *count = if joining {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        }
        self.supported_protocols.retain(|_, count| *count > 0);
    }
}
