//! OffsetDelete, and the offsets of topics that are gone.
//!
//! Invariant: a tombstone is written only where there is something to remove. Called by the shell's
//! OffsetDelete handler and when the metadata says that topics were deleted.

use ottla_protocol::{ErrorCode, Str, Uuid};

use super::OffsetKey;
use crate::answer::{Answer, OffsetDeleteAnswer};
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::records::Record;
use crate::request::{DeletedTopic, OffsetDelete, Token};

impl GroupCoordinator {
    pub fn handle_offset_delete(&mut self, token: Token, request: OffsetDelete) {
        if let Err(error) = self.check_offset_delete(&request.group_id) {
            let answer = OffsetDeleteAnswer {
                error: error.code(),
                topics: Vec::new(),
            };
            return self.respond_when_stored(token, Answer::OffsetDelete(answer));
        }
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for (topic, partitions) in request.topics {
            let is_subscribed = self.is_group_subscribed_to(&request.group_id, &topic);
            let code = if is_subscribed {
                ErrorCode::GroupSubscribedToTopic
            } else {
                ErrorCode::None
            };
            for &partition in partitions.iter().filter(|_| !is_subscribed) {
                let key = OffsetKey {
                    group_id: request.group_id.clone(),
                    topic: topic.clone(),
                    partition,
                };
                if self.has_offset(&key) {
                    records.push(Record::Offset { key, value: None });
                }
            }
            topics.push((
                topic,
                partitions
                    .into_iter()
                    .map(|partition| (partition, code))
                    .collect(),
            ));
        }
        self.append(records, None);
        let answer = OffsetDeleteAnswer {
            error: ErrorCode::None,
            topics,
        };
        self.respond_when_stored(token, Answer::OffsetDelete(answer));
    }

    /// The topics do not exist any more: neither do offsets in them, unless they were committed to
    /// another topic of the same name.
    pub fn handle_topics_deleted(&mut self, deleted: &[DeletedTopic]) {
        let committed = self.offsets.committed.iter();
        let pending = self
            .offsets
            .pending
            .values()
            .flat_map(|pending| pending.iter());
        let is_gone = |topic: &Str, topic_id: Uuid| {
            deleted.iter().any(|gone| {
                gone.name == *topic && (topic_id == Uuid::ZERO || topic_id == gone.topic_id)
            })
        };
        let gone = committed
            .chain(pending)
            .filter(|(key, offset)| is_gone(&key.topic, offset.topic_id));
        let keys: std::collections::BTreeSet<OffsetKey> = gone.map(|(key, _)| key).collect();
        let records = keys
            .into_iter()
            .map(|key| Record::Offset { key, value: None })
            .collect();
        self.append_in_chunks(records);
    }

    fn check_offset_delete(&self, group_id: &str) -> Result<(), GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        if self.consumer_groups.contains_key(group_id) {
            return Ok(());
        }
        let group = self
            .groups
            .get(group_id)
            .ok_or(GroupError::GroupIdNotFound)?;
        // What the members of other protocols use cannot be known.
        if !group.is_empty() && !group.uses_consumer_protocol() {
            return Err(GroupError::NonEmptyGroup);
        }
        Ok(())
    }

    fn is_group_subscribed_to(&self, group_id: &str, topic: &str) -> bool {
        self.consumer_groups
            .get(group_id)
            .is_some_and(|group| group.is_subscribed_to(topic))
            || self
                .groups
                .get(group_id)
                .is_some_and(|group| group.is_subscribed_to(topic))
    }

    fn has_offset(&self, key: &OffsetKey) -> bool {
        self.offsets
            .committed
            .get(&key.group_id, &key.topic, key.partition)
            .is_some()
            || self
                .offsets
                .has_open_transaction(&key.group_id, &key.topic, key.partition)
    }
}
