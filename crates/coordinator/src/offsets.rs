//! Committed offsets: what is committed, and what waits for the end of a transaction.
//!
//! Invariant: `open_transactions` names exactly the producers that have a pending offset for a
//! partition; no map holds an empty map. Changed by `GroupCoordinator::apply` alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ottla_protocol::{Str, Uuid};

use crate::in_flight::{InFlight, Undo};

mod commit;
mod delete;
mod expire;
mod fetch;
mod transaction;

/// Group, topic, partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OffsetKey {
    pub group_id: Str,
    pub topic: Str,
    pub partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: Str,
    pub commit_timestamp_ms: i64,
    /// Only commits of old clients bring their own expiry.
    pub expire_timestamp_ms: Option<i64>,
    /// `Uuid::ZERO` when the commit did not know it.
    pub topic_id: Uuid,
    /// Where the record stands in the log, or in the order of records; decides between a
    /// transactional and an ordinary commit of the same partition.
    pub position: i64,
}

/// Values by group, topic and partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByGroup<V>(BTreeMap<Str, BTreeMap<Str, BTreeMap<i32, V>>>);

impl<V> Default for ByGroup<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> ByGroup<V> {
    pub fn group(&self, group_id: &str) -> Option<&BTreeMap<Str, BTreeMap<i32, V>>> {
        self.0.get(group_id)
    }

    pub fn get(&self, group_id: &str, topic: &str, partition: i32) -> Option<&V> {
        self.0.get(group_id)?.get(topic)?.get(&partition)
    }

    pub fn insert(&mut self, key: &OffsetKey, value: V) -> Option<V> {
        let topics = self.0.entry(key.group_id.clone()).or_default();
        topics
            .entry(key.topic.clone())
            .or_default()
            .insert(key.partition, value)
    }

    pub fn remove(&mut self, key: &OffsetKey) -> Option<V> {
        let topics = self.0.get_mut(&key.group_id)?;
        let partitions = topics.get_mut(&key.topic)?;
        let removed = partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        if topics.is_empty() {
            self.0.remove(&key.group_id);
        }
        removed
    }

    fn set(&mut self, key: &OffsetKey, value: Option<V>) -> Option<V> {
        match value {
            Some(value) => self.insert(key, value),
            None => self.remove(key),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = OffsetKey> {
        self.iter().map(|(key, _)| key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (OffsetKey, &V)> {
        self.0.iter().flat_map(|(group_id, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(&partition, value)| {
                    (
                        OffsetKey {
                            group_id: group_id.clone(),
                            topic: topic.clone(),
                            partition,
                        },
                        value,
                    )
                })
            })
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Debug, Default)]
pub(crate) struct OffsetStore {
    pub committed: ByGroup<CommittedOffset>,
    /// By producer id.
    pub pending: BTreeMap<i64, ByGroup<CommittedOffset>>,
    open_transactions: ByGroup<BTreeSet<i64>>,
}

impl OffsetStore {
    pub fn put(&mut self, key: OffsetKey, offset: CommittedOffset, undo: &mut Vec<Undo>) {
        let before = self.committed.insert(&key, offset);
        undo.push(Undo::Offset { key, before });
    }

    pub fn put_pending(
        &mut self,
        producer_id: i64,
        key: OffsetKey,
        offset: CommittedOffset,
        undo: &mut Vec<Undo>,
    ) {
        let before = self.set_pending(producer_id, &key, Some(offset));
        undo.push(Undo::PendingOffset {
            producer_id,
            key,
            before,
        });
    }

    /// A tombstone takes the committed offset and every pending one.
    pub fn remove(&mut self, key: &OffsetKey, undo: &mut Vec<Undo>) {
        if let Some(before) = self.committed.remove(key) {
            undo.push(Undo::Offset {
                key: key.clone(),
                before: Some(before),
            });
        }
        for producer_id in self.open_producers(key) {
            let before = self.set_pending(producer_id, key, None);
            undo.push(Undo::PendingOffset {
                producer_id,
                key: key.clone(),
                before,
            });
        }
    }

    /// The pending offsets of a producer become committed, unless a later commit overtook them, or go.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool, undo: &mut Vec<Undo>) {
        let Some(pending) = self.pending.get(&producer_id) else {
            return;
        };
        for key in pending.keys().collect::<Vec<_>>() {
            let before = self.set_pending(producer_id, &key, None);
            undo.push(Undo::PendingOffset {
                producer_id,
                key: key.clone(),
                before: before.clone(),
            });
            let Some(offset) = before.filter(|_| committed) else {
                continue;
            };
            let existing = self.committed.get(&key.group_id, &key.topic, key.partition);
            if existing.is_none_or(|existing| existing.position < offset.position) {
                self.put(key, offset, undo);
            }
        }
    }

    pub fn restore(&mut self, key: OffsetKey, before: Option<CommittedOffset>) {
        self.committed.set(&key, before);
    }

    pub fn restore_pending(
        &mut self,
        producer_id: i64,
        key: OffsetKey,
        before: Option<CommittedOffset>,
    ) {
        self.set_pending(producer_id, &key, before);
    }

    pub fn has_open_transaction(&self, group_id: &str, topic: &str, partition: i32) -> bool {
        self.open_transactions
            .get(group_id, topic, partition)
            .is_some()
    }

    pub fn group_has_open_transactions(&self, group_id: &str) -> bool {
        self.open_transactions.group(group_id).is_some()
    }

    /// Every partition of the group that has a committed or a pending offset.
    pub fn keys_of_group(&self, group_id: &Str) -> BTreeSet<OffsetKey> {
        let mut keys = BTreeSet::new();
        let mut collect = |topic: &Str, partition: i32| {
            keys.insert(OffsetKey {
                group_id: group_id.clone(),
                topic: topic.clone(),
                partition,
            });
        };
        for (topic, partitions) in self.committed.group(group_id).into_iter().flatten() {
            partitions
                .keys()
                .for_each(|&partition| collect(topic, partition));
        }
        for (topic, partitions) in self.open_transactions.group(group_id).into_iter().flatten() {
            partitions
                .keys()
                .for_each(|&partition| collect(topic, partition));
        }
        keys
    }

    fn open_producers(&self, key: &OffsetKey) -> Vec<i64> {
        let open = self
            .open_transactions
            .get(&key.group_id, &key.topic, key.partition);
        open.into_iter().flatten().copied().collect()
    }

    fn set_pending(
        &mut self,
        producer_id: i64,
        key: &OffsetKey,
        offset: Option<CommittedOffset>,
    ) -> Option<CommittedOffset> {
        let mut open = self.open_transactions.remove(key).unwrap_or_default();
        if offset.is_some() {
            open.insert(producer_id);
        } else {
            open.remove(&producer_id);
        }
        if !open.is_empty() {
            self.open_transactions.insert(key, open);
        }
        let pending = self.pending.entry(producer_id).or_default();
        let before = pending.set(key, offset);
        if pending.is_empty() {
            self.pending.remove(&producer_id);
        }
        before
    }
}

/// What differs between the offsets of a group as they are and as they are committed to the log.
///
/// The oldest step that touches a partition knows its committed value.
pub(crate) fn uncommitted_changes<'a>(
    in_flight: &'a VecDeque<InFlight>,
    group_id: &str,
) -> BTreeMap<(&'a Str, i32), Option<&'a CommittedOffset>> {
    let mut changes = BTreeMap::new();
    for undo in in_flight.iter().flat_map(|append| &append.undo) {
        if let Undo::Offset { key, before } = undo
            && &*key.group_id == group_id
        {
            changes
                .entry((&key.topic, key.partition))
                .or_insert(before.as_ref());
        }
    }
    changes
}
