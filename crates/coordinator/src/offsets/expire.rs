//! Offsets that have outlived their retention, and groups that have nothing left.
//!
//! Invariant: an offset that a member subscribes to, or that a transaction is open over, stays. Called
//! by the expiration timer.

use ottla_protocol::Str;

use super::{CommittedOffset, OffsetKey};
use crate::classic::group::{ClassicGroup, State};
use crate::config::MAX_RECORDS_PER_CLEANUP_APPEND;
use crate::coordinator::GroupCoordinator;
use crate::records::Record;
use crate::timers::{TimerKey, TimerTask};

/// From when on an offset's retention counts.
#[derive(Debug, Clone, Copy)]
enum RetentionStart {
    Commit,
    /// When the last member left; of its commit where that is unknown.
    Emptied(Option<i64>),
}

impl RetentionStart {
    /// `None` while the group's offsets do not expire at all.
    fn of(group: &ClassicGroup) -> Option<Self> {
        if group.protocol_type.is_none() {
            return Some(Self::Commit);
        }
        if group.is_empty() {
            return Some(Self::Emptied(group.state_since_ms));
        }
        // Topics that a stable group of consumers is not subscribed to any more.
        let knows_topics = group.uses_consumer_protocol() && group.subscribed_topics.is_some();
        (knows_topics && group.state() == State::Stable).then_some(Self::Commit)
    }

    fn is_expired(self, offset: &CommittedOffset, now_ms: i64, retention_ms: i64) -> bool {
        if let Some(expire_timestamp_ms) = offset.expire_timestamp_ms {
            return now_ms >= expire_timestamp_ms;
        }
        let start_ms = match self {
            Self::Commit | Self::Emptied(None) => offset.commit_timestamp_ms,
            Self::Emptied(Some(since_ms)) => since_ms,
        };
        now_ms.saturating_sub(start_ms) >= retention_ms
    }
}

impl GroupCoordinator {
    pub(crate) fn schedule_expiration(&mut self, now_ms: i64) {
        let at_ms = now_ms.saturating_add(self.config.offsets_retention_check_interval_ms.max(1));
        self.timers
            .schedule(TimerKey::Expiration, at_ms, TimerTask::Expire);
    }

    pub(crate) fn expire_groups_and_offsets(&mut self, now_ms: i64) {
        let mut records = Vec::new();
        for group in self.groups.values() {
            let (group_id, start) = (&group.group_id, RetentionStart::of(group));
            let is_subscribed = |topic: &str| group.is_subscribed_to(topic);
            let is_bare =
                self.expire_offsets(now_ms, group_id, start, &is_subscribed, &mut records);
            if is_bare && group.is_empty() {
                records.push(Record::Group {
                    group_id: group_id.clone(),
                    value: None,
                });
            }
        }
        for group in self.consumer_groups.values() {
            let (group_id, start) = (&group.group_id, Some(RetentionStart::Commit));
            let is_subscribed = |topic: &str| group.is_subscribed_to(topic);
            let is_bare =
                self.expire_offsets(now_ms, group_id, start, &is_subscribed, &mut records);
            if is_bare && group.is_empty() {
                records.extend(group.tombstones());
            }
        }
        self.append_in_chunks(records);
        self.schedule_expiration(now_ms);
    }

    /// Appends tombstones that do not depend on each other.
    pub(crate) fn append_in_chunks(&mut self, mut records: Vec<Record>) {
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(MAX_RECORDS_PER_CLEANUP_APPEND));
            self.append(records, None);
            records = rest;
        }
    }

    /// Returns whether the group has no offset left once `records` are stored.
    fn expire_offsets(
        &self,
        now_ms: i64,
        group_id: &Str,
        start: Option<RetentionStart>,
        is_subscribed: &dyn Fn(&str) -> bool,
        records: &mut Vec<Record>,
    ) -> bool {
        let has_transactions = self.offsets.group_has_open_transactions(group_id);
        let Some(topics) = self.offsets.committed.group(group_id) else {
            return !has_transactions;
        };
        let Some(start) = start else { return false };
        let retention_ms = self.config.offsets_retention_ms;
        let mut is_bare = true;
        for (topic, partitions) in topics {
            let is_used = is_subscribed(topic);
            for (&partition, offset) in partitions {
                let goes = !is_used
                    && start.is_expired(offset, now_ms, retention_ms)
                    && !self
                        .offsets
                        .has_open_transaction(group_id, topic, partition);
                is_bare &= goes;
                if goes {
                    let key = OffsetKey {
                        group_id: group_id.clone(),
                        topic: topic.clone(),
                        partition,
                    };
                    records.push(Record::Offset { key, value: None });
                }
            }
        }
        is_bare && !has_transactions
    }
}
