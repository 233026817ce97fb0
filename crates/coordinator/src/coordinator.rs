//! The machine of one `__consumer_offsets` partition: its groups, their offsets, what is on its way to
//! the log, and who waits for that.
//!
//! Invariant: effects come out in order, every token is answered exactly once, and an answer that
//! depends on a record leaves after that record is committed. Owned by the broker's shell of the
//! partition; made by `GroupLoader` from the partition's log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ottla_protocol::{ErrorCode, Str};

use crate::answer::Answer;
use crate::classic::group::ClassicGroup;
use crate::config::GroupConfig;
use crate::consumer::group::ConsumerGroup;
use crate::effect::{AppendBatch, AppendId, Effect};
use crate::error::{GroupError, append_error};
use crate::in_flight::{
    AnyGroup, CommittedGroups, Completion, InFlight, Undo, committed_consumer_group,
};
use crate::offsets::OffsetStore;
use crate::records::Record;
use crate::request::{EndTransaction, Token};
use crate::timers::{TimerKey, TimerTask, Timers};
use crate::topics::{NoTopics, TopicCatalog, TopicsChange};

#[derive(Debug)]
pub struct GroupCoordinator {
    pub(crate) config: GroupConfig,
    /// Classic groups; an id is in one of the two maps at most.
    pub(crate) groups: BTreeMap<Str, ClassicGroup>,
    pub(crate) consumer_groups: BTreeMap<Str, ConsumerGroup>,
    pub(crate) topics: Arc<dyn TopicCatalog>,
    /// Version of the catalog that last brought a new topic.
    pub(crate) version_of_new_topics: i64,
    pub(crate) offsets: OffsetStore,
    pub(crate) timers: Timers,
    pub(crate) outbox: Outbox,
    pub(crate) in_flight: VecDeque<InFlight>,
    next_append_id: u64,
    /// Position of the next record in the partition's log, or at least in the order of its records.
    pub(crate) next_position: i64,
}

/// Effects on their way out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    effects: VecDeque<Effect>,
}

impl Outbox {
    pub fn respond(&mut self, token: Token, answer: Answer) {
        self.push(Effect::Respond { token, answer });
    }

    pub fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }
}

impl GroupCoordinator {
    pub(crate) fn empty(config: GroupConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            consumer_groups: BTreeMap::new(),
            topics: Arc::new(NoTopics),
            version_of_new_topics: 0,
            offsets: OffsetStore::default(),
            timers: Timers::default(),
            outbox: Outbox::default(),
            in_flight: VecDeque::new(),
            next_append_id: 0,
            next_position: 0,
        }
    }

    /// What to do next; the shell takes effects until there are none.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.outbox.effects.pop_front()
    }

    /// When `handle_timeout` is wanted.
    pub fn poll_timeout(&self) -> Option<i64> {
        self.timers.next_deadline_ms()
    }

    /// Does what is due at `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: i64) {
        while let Some((key, task)) = self.timers.pop_due(now_ms) {
            match (key, task) {
                (
                    TimerKey::Session {
                        group_id,
                        member_id,
                    },
                    _,
                ) => {
                    self.expire_session(now_ms, &group_id, &member_id);
                }
                (
                    TimerKey::Join { group_id },
                    TimerTask::ExtendInitialJoin {
                        delay_ms,
                        remaining_ms,
                    },
                ) => {
                    self.extend_initial_join(now_ms, &group_id, delay_ms, remaining_ms);
                }
                (TimerKey::Join { group_id }, _) => self.complete_join(now_ms, &group_id),
                (TimerKey::Sync { group_id }, TimerTask::ExpireSync { generation_id }) => {
                    self.expire_pending_sync(now_ms, &group_id, generation_id);
                }
                (TimerKey::Sync { .. }, _) => {}
                (
                    TimerKey::ConsumerMember {
                        timer,
                        group_id,
                        member_id,
                    },
                    task,
                ) => {
                    self.expire_consumer_member(now_ms, timer, &group_id, &member_id, task);
                }
                (TimerKey::Expiration, _) => self.expire_groups_and_offsets(now_ms),
            }
        }
    }

    /// Replaces the limits; they rule what happens from here on.
    pub fn set_config(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// The topics as they are from here on. Groups that subscribe to a changed one look at it with
    /// their next heartbeat.
    pub fn handle_metadata(&mut self, topics: Arc<dyn TopicCatalog>, change: &TopicsChange) {
        if change.has_new_topics {
            self.version_of_new_topics = topics.version();
        }
        for group in self.consumer_groups.values_mut() {
            if change
                .changed
                .iter()
                .any(|topic| group.is_subscribed_to(topic))
            {
                group.fresh_until = None;
            }
        }
        self.topics = topics;
    }

    /// The topics as they were last shown to the machine.
    pub fn topics(&self) -> Arc<dyn TopicCatalog> {
        Arc::clone(&self.topics)
    }

    /// Every append up to and including `id` is committed.
    pub fn handle_committed(&mut self, now_ms: i64, id: AppendId) {
        while self.in_flight.front().is_some_and(|append| append.id <= id) {
            let Some(append) = self.in_flight.pop_front() else {
                return;
            };
            self.complete(now_ms, append.completion);
            for (token, answer) in append.waiting {
                self.outbox.respond(token, answer);
            }
        }
    }

    /// The append `id` is not in the log, and neither is any that was asked for after it: the shell
    /// drops those, and the machine takes them all back.
    pub fn handle_append_failed(&mut self, now_ms: i64, id: AppendId, error: ErrorCode) {
        let error = append_error(error);
        let first = self.in_flight.partition_point(|append| append.id < id);
        let mut failed = self.in_flight.split_off(first);
        self.outbox
            .effects
            .retain(|effect| !matches!(effect, Effect::Append { id: other, .. } if *other >= id));
        for append in failed.iter_mut().rev() {
            for undo in std::mem::take(&mut append.undo).into_iter().rev() {
                self.undo(now_ms, undo, error);
            }
        }
        for append in failed {
            self.complete_failed(now_ms, append.completion, error);
            for (token, answer) in append.waiting {
                self.outbox.respond(token, answer.fail(error));
            }
        }
    }

    /// The partition has moved away: everybody who waits is sent to look for the new coordinator.
    /// Returns the last answers; appends that were not carried out yet are void.
    pub fn unload(mut self) -> Vec<Effect> {
        let error = ErrorCode::NotCoordinator;
        let group_ids: Vec<Str> = self.groups.keys().cloned().collect();
        for group_id in group_ids {
            self.dissolve(&group_id, error);
        }
        for append in std::mem::take(&mut self.in_flight) {
            for (token, answer) in append.waiting {
                self.outbox.respond(token, answer.fail(error));
            }
        }
        let effects = self.outbox.effects.into_iter();
        effects
            .filter(|effect| matches!(effect, Effect::Respond { .. }))
            .collect()
    }

    /// Answers once everything that is on its way to the log is there: what the answer says may rest
    /// on it.
    pub(crate) fn respond_when_stored(&mut self, token: Token, answer: Answer) {
        match self.in_flight.back_mut() {
            Some(append) => append.waiting.push((token, answer)),
            None => self.outbox.respond(token, answer),
        }
    }

    /// Stores records and lets the state follow them at once; it is taken back if the append fails.
    pub(crate) fn append(&mut self, records: Vec<Record>, producer: Option<(i64, i16)>) {
        if records.is_empty() {
            return;
        }
        let key_values = records.iter().map(Record::encode).collect();
        let mut undo = Vec::new();
        for record in records {
            let position = self.take_position();
            self.apply(record, producer.map(|(id, _)| id), position, &mut undo);
        }
        let batch = match producer {
            None => AppendBatch::Records(key_values),
            Some((producer_id, producer_epoch)) => AppendBatch::Transactional {
                producer_id,
                producer_epoch,
                records: key_values,
            },
        };
        self.push_append(batch, undo, Completion::Nothing);
    }

    /// Stores a record that says what the state already is, or will be on completion.
    pub(crate) fn append_noted(&mut self, record: &Record, completion: Completion) {
        self.take_position();
        self.push_append(
            AppendBatch::Records(vec![record.encode()]),
            Vec::new(),
            completion,
        );
    }

    /// Stores the records of a group that took its place in memory already.
    pub(crate) fn append_replaced_group(
        &mut self,
        group_id: Str,
        before: Option<AnyGroup>,
        records: &[Record],
    ) {
        for _ in records {
            self.take_position();
        }
        let undo = vec![Undo::Group { group_id, before }];
        let records = records.iter().map(Record::encode).collect();
        self.push_append(AppendBatch::Records(records), undo, Completion::Nothing);
    }

    /// Stores what makes `group` what it is, and puts it in its place. Classic members that wait there
    /// are sent to join anew.
    pub(crate) fn replace_consumer_group(&mut self, group: ConsumerGroup, records: Vec<Record>) {
        let group_id = group.group_id.clone();
        let before = match self.remove_group(&group_id) {
            Some(mut classic) => {
                for member_id in classic.member_ids() {
                    self.fail_parked_requests(
                        &mut classic,
                        &member_id,
                        ErrorCode::RebalanceInProgress,
                    );
                }
                self.consumer_groups.insert(group_id.clone(), group);
                Some(AnyGroup::Classic(Box::new(classic)))
            }
            None => {
                let before = self.consumer_groups.insert(group_id.clone(), group);
                before.map(|before| AnyGroup::Consumer(Box::new(before)))
            }
        };
        self.append_replaced_group(group_id, before, &records);
    }

    /// Stores what makes a classic group out of a consumer group, and puts it in its place.
    pub(crate) fn replace_by_classic_group(&mut self, group: ClassicGroup, records: Vec<Record>) {
        let group_id = group.group_id.clone();
        let before = self.remove_consumer_group(&group_id);
        self.groups.insert(group_id.clone(), group);
        let before = before.map(|before| AnyGroup::Consumer(Box::new(before)));
        self.append_replaced_group(group_id, before, &records);
    }

    pub(crate) fn append_end_transaction(&mut self, end: EndTransaction) {
        let mut undo = Vec::new();
        self.take_position();
        self.offsets
            .end_transaction(end.producer_id, end.committed, &mut undo);
        self.push_append(AppendBatch::EndTransaction(end), undo, Completion::Nothing);
    }

    fn push_append(&mut self, batch: AppendBatch, undo: Vec<Undo>, completion: Completion) {
        let id = AppendId(self.next_append_id);
        self.next_append_id += 1;
        self.in_flight.push_back(InFlight {
            id,
            undo,
            completion,
            waiting: Vec::new(),
        });
        self.outbox.effects.push_back(Effect::Append { id, batch });
    }

    fn take_position(&mut self) -> i64 {
        let position = self.next_position;
        self.next_position += 1;
        position
    }

    fn complete(&mut self, now_ms: i64, completion: Completion) {
        match completion {
            Completion::Nothing => {}
            Completion::AssignmentStored(stored) => {
                self.propagate_stored_assignment(now_ms, stored)
            }
            Completion::StaticMemberReplaced(replaced) => self.finish_static_replacement(replaced),
        }
    }

    fn complete_failed(&mut self, now_ms: i64, completion: Completion, error: ErrorCode) {
        match completion {
            Completion::Nothing => {}
            Completion::AssignmentStored(stored) => {
                self.fail_stored_assignment(now_ms, &stored, error)
            }
            Completion::StaticMemberReplaced(replaced) => {
                self.revert_static_replacement(now_ms, replaced, error)
            }
        }
    }

    fn undo(&mut self, now_ms: i64, undo: Undo, error: ErrorCode) {
        match undo {
            Undo::Offset { key, before } => self.offsets.restore(key, before),
            Undo::PendingOffset {
                producer_id,
                key,
                before,
            } => {
                self.offsets.restore_pending(producer_id, key, before);
            }
            Undo::Group { group_id, before } => {
                self.dissolve(&group_id, error);
                self.remove_consumer_group(&group_id);
                match before {
                    Some(AnyGroup::Classic(mut group)) => {
                        group.storing_generation = None;
                        self.groups.insert(group_id.clone(), *group);
                        self.start_classic_timers(now_ms, &group_id);
                    }
                    Some(AnyGroup::Consumer(mut group)) => {
                        group.fresh_until = None;
                        group.is_resolving = false;
                        self.consumer_groups.insert(group_id.clone(), *group);
                        self.start_consumer_timers(now_ms, &group_id);
                    }
                    None => {}
                }
            }
        }
    }

    /// Forgets a group and its timers. Whoever waits in it is the caller's business.
    pub(crate) fn remove_group(&mut self, group_id: &str) -> Option<ClassicGroup> {
        let mut group = self.groups.remove(group_id)?;
        let group_id = &group.group_id;
        self.timers.cancel(&TimerKey::Join {
            group_id: group_id.clone(),
        });
        self.timers.cancel(&TimerKey::Sync {
            group_id: group_id.clone(),
        });
        for member_id in group
            .members()
            .map(|member| &member.member_id)
            .chain(group.pending_members())
        {
            self.timers.cancel(&TimerKey::Session {
                group_id: group_id.clone(),
                member_id: member_id.clone(),
            });
        }
        group.forget_pending_members();
        Some(group)
    }

    /// Forgets a consumer group and its members' timers.
    pub(crate) fn remove_consumer_group(&mut self, group_id: &str) -> Option<ConsumerGroup> {
        let group = self.consumer_groups.remove(group_id)?;
        for member in group.members() {
            self.cancel_member_timers(&group.group_id, &member.member_id);
        }
        Some(group)
    }

    /// Whether one more group may be made.
    pub(crate) fn check_room_for_group(&self) -> Result<(), GroupError> {
        let count = self.groups.len() + self.consumer_groups.len();
        if count < self.config.max_groups {
            Ok(())
        } else {
            Err(GroupError::TooManyGroups)
        }
    }

    pub(crate) fn committed_groups(&self) -> CommittedGroups<'_> {
        CommittedGroups::of(&self.groups, &self.consumer_groups, &self.in_flight)
    }

    pub(crate) fn committed_consumer_group(&self, group_id: &str) -> Option<&ConsumerGroup> {
        committed_consumer_group(&self.consumer_groups, &self.in_flight, group_id)
    }

    /// Forgets a group and tells everybody who waits in it why.
    fn dissolve(&mut self, group_id: &str, error: ErrorCode) {
        let Some(mut group) = self.remove_group(group_id) else {
            return;
        };
        for member_id in group.member_ids() {
            self.fail_parked_requests(&mut group, &member_id, error);
        }
    }
}
