//! OffsetFetch of one group.
//!
//! Invariant: an ordinary fetch sees committed offsets only; a stable one sees the newest, refuses
//! those under an open transaction, and is answered when what it saw is committed. Called by the
//! shell's OffsetFetch handler.

use std::collections::BTreeMap;

use ottla_protocol::{ErrorCode, Str, Uuid};

use super::{CommittedOffset, OffsetStore, uncommitted_changes};
use crate::answer::{Answer, FetchPartitionAnswer, FetchTopicAnswer, NO_OFFSET, OffsetFetchAnswer};
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::request::{FetchTopic, OffsetFetch, Token};

/// Leader epoch of a partition without one.
const NO_LEADER_EPOCH: i32 = -1;

impl GroupCoordinator {
    pub fn handle_offset_fetch(&mut self, token: Token, request: OffsetFetch) {
        if let Err(error) = self.check_fetch(&request) {
            let answer = OffsetFetchAnswer {
                error: error.code(),
                group_id: request.group_id,
                topics: Vec::new(),
            };
            return self.outbox.respond(token, Answer::OffsetFetch(answer));
        }
        let view = View::of(self, &request.group_id, request.require_stable);
        let topics = match request.topics {
            Some(topics) => topics
                .into_iter()
                .map(|topic| view.fetch_topic(topic))
                .collect(),
            None => view.fetch_all(),
        };
        let answer = OffsetFetchAnswer {
            error: ErrorCode::None,
            group_id: request.group_id,
            topics,
        };
        if request.require_stable {
            self.respond_when_stored(token, Answer::OffsetFetch(answer));
        } else {
            self.outbox.respond(token, Answer::OffsetFetch(answer));
        }
    }

    /// Members of a consumer group name their epoch, lest they fetch for an assignment that they lost.
    fn check_fetch(&self, request: &OffsetFetch) -> Result<(), GroupError> {
        let group = match request.require_stable {
            true => self.consumer_groups.get(&request.group_id),
            false => self.committed_consumer_group(&request.group_id),
        };
        group.map_or(Ok(()), |group| {
            group.check_fetch(request.member_id.as_ref(), request.member_epoch)
        })
    }
}

/// The offsets of one group as a fetch may see them.
struct View<'a> {
    offsets: &'a OffsetStore,
    group_id: &'a Str,
    require_stable: bool,
    /// What an ordinary fetch must not see yet, and what it sees instead.
    hidden: BTreeMap<(&'a Str, i32), Option<&'a CommittedOffset>>,
}

impl<'a> View<'a> {
    fn of(machine: &'a GroupCoordinator, group_id: &'a Str, require_stable: bool) -> Self {
        let hidden = match require_stable {
            true => BTreeMap::new(),
            false => uncommitted_changes(&machine.in_flight, group_id),
        };
        Self {
            offsets: &machine.offsets,
            group_id,
            require_stable,
            hidden,
        }
    }

    fn fetch_topic(&self, topic: FetchTopic) -> FetchTopicAnswer {
        let fetch = |&partition: &i32| {
            let offset = match self.hidden.get(&(&topic.name, partition)) {
                Some(before) => *before,
                None => self
                    .offsets
                    .committed
                    .get(self.group_id, &topic.name, partition),
            };
            // Another topic of that name: its offsets mean nothing here.
            let offset = offset.filter(|offset| {
                topic.topic_id == Uuid::ZERO
                    || offset.topic_id == Uuid::ZERO
                    || offset.topic_id == topic.topic_id
            });
            self.partition_answer(&topic.name, partition, offset)
        };
        let partitions = topic.partitions.iter().map(fetch).collect();
        FetchTopicAnswer {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions,
        }
    }

    fn fetch_all(&self) -> Vec<FetchTopicAnswer> {
        let mut offsets: BTreeMap<(&Str, i32), &CommittedOffset> = BTreeMap::new();
        for (topic, partitions) in self
            .offsets
            .committed
            .group(self.group_id)
            .into_iter()
            .flatten()
        {
            offsets.extend(
                partitions
                    .iter()
                    .map(|(&partition, offset)| ((topic, partition), offset)),
            );
        }
        for (&key, before) in &self.hidden {
            match before {
                Some(before) => offsets.insert(key, before),
                None => offsets.remove(&key),
            };
        }
        let mut topics: Vec<FetchTopicAnswer> = Vec::new();
        for ((topic, partition), offset) in offsets {
            let answer = self.partition_answer(topic, partition, Some(offset));
            match topics.last_mut().filter(|last| last.name == *topic) {
                Some(last) => last.partitions.push(answer),
                None => topics.push(FetchTopicAnswer {
                    name: topic.clone(),
                    topic_id: Uuid::ZERO,
                    partitions: vec![answer],
                }),
            }
        }
        topics
    }

    fn partition_answer(
        &self,
        topic: &str,
        partition: i32,
        offset: Option<&CommittedOffset>,
    ) -> FetchPartitionAnswer {
        let is_unstable = self.require_stable
            && self
                .offsets
                .has_open_transaction(self.group_id, topic, partition);
        let error = if is_unstable {
            ErrorCode::UnstableOffsetCommit
        } else {
            ErrorCode::None
        };
        match offset.filter(|_| !is_unstable) {
            Some(offset) => FetchPartitionAnswer {
                partition,
                error,
                offset: offset.offset,
                leader_epoch: offset.leader_epoch.unwrap_or(NO_LEADER_EPOCH),
                metadata: offset.metadata.clone(),
            },
            None => FetchPartitionAnswer {
                partition,
                error,
                offset: NO_OFFSET,
                leader_epoch: NO_LEADER_EPOCH,
                metadata: Str::default(),
            },
        }
    }
}
