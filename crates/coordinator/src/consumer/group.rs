//! A consumer group: what its records say, and what follows from that.
//!
//! Invariant: every count and index agrees with the members, targets and regular expressions; `apply`
//! is the only way to change what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::{Str, Uuid};

use super::member::{LEAVING_EPOCH, Member, MemberMetadata, Owned, Progress};
use crate::assignor::Assignment;
use crate::classic::group::CONSUMER_PROTOCOL_TYPE;
use crate::request::Protocol;

/// Epoch of a group that has no record yet.
const INITIAL_EPOCH: i32 = 1;
/// Assignment epoch of a group that has no target yet.
const NO_ASSIGNMENT_EPOCH: i32 = -1;
/// Epoch of a partition that nobody owns.
pub(crate) const NOT_OWNED: i32 = -1;

/// One stored change of a consumer group; no value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Member {
        member_id: Str,
        value: Option<MemberMetadata>,
    },
    Epoch(Option<GroupEpoch>),
    /// Topic metadata, which versions before 4.1 stored instead of a hash.
    TopicMetadata {
        is_present: bool,
    },
    TargetMember {
        member_id: Str,
        value: Option<Assignment>,
    },
    TargetEpoch(Option<TargetEpoch>),
    Progress {
        member_id: Str,
        value: Option<Progress>,
    },
    Regex {
        regex: Str,
        value: Option<ResolvedRegex>,
    },
}

impl Change {
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Member { value, .. } => value.is_none(),
            Self::Epoch(value) => value.is_none(),
            Self::TopicMetadata { is_present } => !is_present,
            Self::TargetMember { value, .. } => value.is_none(),
            Self::TargetEpoch(value) => value.is_none(),
            Self::Progress { value, .. } => value.is_none(),
            Self::Regex { value, .. } => value.is_none(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupEpoch {
    pub epoch: i32,
    pub metadata_hash: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetEpoch {
    pub epoch: i32,
    /// 0 when unknown.
    pub computed_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedRegex {
    pub topics: BTreeSet<Str>,
    /// Version of the catalog that it was held against.
    pub version: i64,
    pub resolved_at_ms: i64,
}

/// How many name a topic, and how many regular expressions match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Subscriptions {
    pub by_name: usize,
    pub by_regex: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Assigning,
    Reconciling,
    Stable,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroup {
    pub group_id: Str,
    epoch: GroupEpoch,
    target_epoch: TargetEpoch,
    members: BTreeMap<Str, Arc<Member>>,
    targets: BTreeMap<Str, Arc<Assignment>>,
    regexes: BTreeMap<Str, Arc<ResolvedRegex>>,
    has_topic_metadata: bool,

    static_members: BTreeMap<Str, Str>,
    topics: BTreeMap<Str, Subscriptions>,
    regex_subscribers: BTreeMap<Str, usize>,
    assignors: BTreeMap<Str, usize>,
    classic_members: usize,
    classic_protocols: BTreeMap<Str, usize>,
    /// Epoch of the member that owns the partition.
    partition_epochs: BTreeMap<(Uuid, i32), i32>,

    /// Soft: until when the hash of the topics' metadata is taken to be current, and at which epoch
    /// that was decided. The epoch tells when the decision was not stored after all.
    pub fresh_until: Option<(i64, i32)>,
    /// Soft: regular expressions are being resolved.
    pub is_resolving: bool,
}

impl ConsumerGroup {
    pub fn new(group_id: Str) -> Self {
        Self {
            group_id,
            epoch: GroupEpoch {
                epoch: INITIAL_EPOCH,
                metadata_hash: 0,
            },
            target_epoch: TargetEpoch {
                epoch: NO_ASSIGNMENT_EPOCH,
                computed_at_ms: 0,
            },
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            regexes: BTreeMap::new(),
            has_topic_metadata: false,
            static_members: BTreeMap::new(),
            topics: BTreeMap::new(),
            regex_subscribers: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            classic_protocols: BTreeMap::new(),
            partition_epochs: BTreeMap::new(),
            fresh_until: None,
            is_resolving: false,
        }
    }

    /// Follows one record. A tombstone of the group itself leaves an empty one: its holder drops it.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Member {
                member_id,
                value: Some(metadata),
            } => {
                self.update_member(member_id, |member| member.metadata = metadata.clone());
            }
            Change::Member {
                member_id,
                value: None,
            } => self.set_member(member_id, None),
            Change::Progress {
                member_id,
                value: Some(progress),
            } => {
                self.update_member(member_id, |member| member.progress = progress.clone());
            }
            Change::Progress {
                member_id,
                value: None,
            } => {
                if self.members.contains_key(member_id) {
                    let epoch = LEAVING_EPOCH;
                    let left = Progress {
                        epoch,
                        previous_epoch: epoch,
                        ..Progress::default()
                    };
                    self.update_member(member_id, |member| member.progress = left);
                }
            }
            Change::Epoch(Some(epoch)) => self.epoch = *epoch,
            Change::Epoch(None) => {
                self.epoch = GroupEpoch {
                    epoch: INITIAL_EPOCH,
                    metadata_hash: 0,
                }
            }
            Change::TopicMetadata { is_present } => self.has_topic_metadata = *is_present,
            Change::TargetMember {
                member_id,
                value: Some(target),
            } => {
                self.targets
                    .insert(member_id.clone(), Arc::new(target.clone()));
            }
            Change::TargetMember {
                member_id,
                value: None,
            } => {
                self.targets.remove(member_id);
            }
            Change::TargetEpoch(Some(epoch)) => self.target_epoch = *epoch,
            Change::TargetEpoch(None) => {
                self.target_epoch = TargetEpoch {
                    epoch: NO_ASSIGNMENT_EPOCH,
                    computed_at_ms: 0,
                };
            }
            Change::Regex { regex, value } => self.set_regex(regex, value.clone()),
        }
    }

    pub fn epoch(&self) -> i32 {
        self.epoch.epoch
    }

    pub fn metadata_hash(&self) -> i64 {
        self.epoch.metadata_hash
    }

    pub fn assignment_epoch(&self) -> i32 {
        self.target_epoch.epoch
    }

    pub fn assignment_computed_at_ms(&self) -> i64 {
        self.target_epoch.computed_at_ms
    }

    pub fn has_topic_metadata(&self) -> bool {
        self.has_topic_metadata
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch() > self.assignment_epoch() {
            State::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(self.assignment_epoch()))
        {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    pub fn members(&self) -> impl ExactSizeIterator<Item = &Arc<Member>> {
        self.members.values()
    }

    pub fn member(&self, member_id: &str) -> Option<&Arc<Member>> {
        self.members.get(member_id)
    }

    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    pub fn target(&self, member_id: &str) -> Option<&Arc<Assignment>> {
        self.targets.get(member_id)
    }

    pub fn topics(&self) -> &BTreeMap<Str, Subscriptions> {
        &self.topics
    }

    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    pub fn regexes(&self) -> &BTreeMap<Str, Arc<ResolvedRegex>> {
        &self.regexes
    }

    pub fn regex_subscribers(&self) -> &BTreeMap<Str, usize> {
        &self.regex_subscribers
    }

    pub fn has_regex_subscriber(&self, regex: &str) -> bool {
        self.regex_subscribers.contains_key(regex)
    }

    /// The assignor that most members ask for; of equal counts the smaller name wins.
    pub fn preferred_assignor(&self) -> Option<&Str> {
        let most = self.assignors.values().max()?;
        self.assignors
            .iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name)
    }

    pub fn partition_epoch(&self, topic: Uuid, partition: i32) -> i32 {
        self.partition_epochs
            .get(&(topic, partition))
            .copied()
            .unwrap_or(NOT_OWNED)
    }

    /// Whether all members subscribe to the same topics.
    pub fn is_homogeneous(&self) -> bool {
        let members = self.members.len();
        match self.regex_subscribers.values().next() {
            None => self
                .topics
                .values()
                .all(|subscriptions| subscriptions.by_name == members),
            Some(&subscribers) => {
                subscribers == members
                    && self
                        .topics
                        .values()
                        .all(|topic| topic.by_regex == 1 && topic.by_name == 0)
            }
        }
    }

    /// Topics that a member subscribes to, by name or by its resolved regular expression.
    pub fn subscribed_topics(&self, member: &Member) -> BTreeSet<Str> {
        let mut topics = member.metadata.topics.clone();
        if let Some(resolved) = self.regexes.get(&member.metadata.regex) {
            topics.extend(resolved.topics.iter().cloned());
        }
        topics
    }

    /// Whether a classic member with these protocols can take part beside the classic ones that do.
    pub fn supports_classic_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        let everyone = self.classic_members;
        let supporters = |name: &Str| self.classic_protocols.get(name).copied().unwrap_or(0);
        protocol_type == CONSUMER_PROTOCOL_TYPE
            && protocols
                .iter()
                .any(|protocol| self.is_empty() || supporters(&protocol.name) == everyone)
    }

    /// Whether only classic members remain once these are gone.
    pub fn all_use_classic_protocol_except(&self, leaving: &[Arc<Member>]) -> bool {
        let classic_leaving = leaving
            .iter()
            .filter(|member| member.uses_classic_protocol())
            .count();
        self.classic_members - classic_leaving == self.members.len() - leaving.len()
    }

    /// Whether the hash of the topics' metadata has to be computed anew.
    pub fn is_stale(&self, now_ms: i64) -> bool {
        self.fresh_until
            .is_none_or(|(until_ms, epoch)| now_ms >= until_ms || self.epoch() < epoch)
    }

    fn update_member(&mut self, member_id: &Str, update: impl FnOnce(&mut Member)) {
        let before = self.members.get(member_id);
        let mut member = before.map_or_else(
            || Member::new(member_id.clone()),
            |member| (**member).clone(),
        );
        update(&mut member);
        self.set_member(member_id, Some(Arc::new(member)));
    }

    fn set_member(&mut self, member_id: &Str, member: Option<Arc<Member>>) {
        if let Some(before) = self.members.remove(member_id) {
            self.forget(&before);
        }
        if let Some(member) = member {
            self.remember(&member);
            self.members.insert(member_id.clone(), member);
        }
    }

    fn remember(&mut self, member: &Member) {
        let metadata = &member.metadata;
        for topic in &metadata.topics {
            self.topics.entry(topic.clone()).or_default().by_name += 1;
        }
        if !metadata.regex.is_empty() {
            *self
                .regex_subscribers
                .entry(metadata.regex.clone())
                .or_default() += 1;
        }
        if let Some(assignor) = &metadata.assignor {
            *self.assignors.entry(assignor.clone()).or_default() += 1;
        }
        if let Some(instance_id) = &metadata.instance_id {
            self.static_members
                .insert(instance_id.clone(), member.member_id.clone());
        }
        if let Some(classic) = &metadata.classic {
            self.classic_members += 1;
            for protocol in &classic.protocols {
                *self
                    .classic_protocols
                    .entry(protocol.name.clone())
                    .or_default() += 1;
            }
        }
        for partition in partitions_of(&member.progress) {
            let owner_epoch = self
                .partition_epochs
                .entry(partition)
                .or_insert(member.epoch());
            *owner_epoch = member.epoch().max(*owner_epoch);
        }
    }

    fn forget(&mut self, member: &Member) {
        let metadata = &member.metadata;
        for topic in &metadata.topics {
            self.count_topic(topic, |subscriptions| {
                subscriptions.by_name = subscriptions.by_name.saturating_sub(1)
            });
        }
        decrement(&mut self.regex_subscribers, &metadata.regex);
        if let Some(assignor) = &metadata.assignor {
            decrement(&mut self.assignors, assignor);
        }
        if let Some(instance_id) = &metadata.instance_id
            && self.static_members.get(instance_id) == Some(&member.member_id)
        {
            self.static_members.remove(instance_id);
        }
        if let Some(classic) = &metadata.classic {
            self.classic_members -= 1;
            for protocol in &classic.protocols {
                decrement(&mut self.classic_protocols, &protocol.name);
            }
        }
        for partition in partitions_of(&member.progress) {
            // Another member may own it by now, at another epoch.
            if self.partition_epochs.get(&partition) == Some(&member.epoch()) {
                self.partition_epochs.remove(&partition);
            }
        }
    }

    fn set_regex(&mut self, regex: &Str, resolved: Option<ResolvedRegex>) {
        if let Some(before) = self.regexes.remove(regex) {
            for topic in &before.topics {
                self.count_topic(topic, |topic| {
                    topic.by_regex = topic.by_regex.saturating_sub(1)
                });
            }
        }
        if let Some(resolved) = resolved {
            for topic in &resolved.topics {
                self.topics.entry(topic.clone()).or_default().by_regex += 1;
            }
            self.regexes.insert(regex.clone(), Arc::new(resolved));
        }
    }

    fn count_topic(&mut self, topic: &Str, change: impl FnOnce(&mut Subscriptions)) {
        if let Some(subscriptions) = self.topics.get_mut(topic) {
            change(subscriptions);
            if *subscriptions == Subscriptions::default() {
                self.topics.remove(topic);
            }
        }
    }
}

fn partitions_of(progress: &Progress) -> impl Iterator<Item = (Uuid, i32)> {
    let flat = |owned: &Owned| -> Vec<(Uuid, i32)> {
        owned
            .iter()
            .flat_map(|(topic, partitions)| partitions.keys().map(|&partition| (*topic, partition)))
            .collect()
    };
    flat(&progress.assigned)
        .into_iter()
        .chain(flat(&progress.pending_revocation))
}

fn decrement(counts: &mut BTreeMap<Str, usize>, key: &Str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
