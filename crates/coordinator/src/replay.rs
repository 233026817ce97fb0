//! State from records: while loading from the log, and of each record that is appended.
//!
//! Invariant: the same records in the same order give the same state, whoever applies them. Called by
//! the broker's shell through `GroupLoader`, and by `GroupCoordinator::append`.

use ottla_protocol::{DecodeError, Str};

use crate::classic::group::ClassicGroup;
use crate::classic::member::{Member, MemberIdentity, MemberTerms};
use crate::config::GroupConfig;
use crate::consumer::group::{Change, ConsumerGroup};
use crate::coordinator::GroupCoordinator;
use crate::in_flight::{AnyGroup, Undo};
use crate::offsets::OffsetKey;
use crate::records::{GroupValue, MemberValue, Record};
use crate::request::Protocol;

/// A machine that is being built from its partition's log; it serves nobody yet.
///
/// Until it is done the shell answers COORDINATOR_LOAD_IN_PROGRESS (and heartbeats with no error).
#[derive(Debug)]
pub struct GroupLoader {
    machine: GroupCoordinator,
    /// Loading is never taken back.
    discarded: Vec<Undo>,
    unknown_records: u64,
}

/// A record of the log as the loader wants it.
#[derive(Debug, Clone, Copy)]
pub struct LoggedRecord<'a> {
    pub offset: i64,
    /// Of the batch, if it is transactional.
    pub producer_id: Option<i64>,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the group record at offset {offset} cannot be read: {source}")]
pub struct ReplayError {
    pub offset: i64,
    pub source: DecodeError,
}

impl GroupLoader {
    pub fn new(config: GroupConfig) -> Self {
        Self {
            machine: GroupCoordinator::empty(config),
            discarded: Vec::new(),
            unknown_records: 0,
        }
    }

    /// Takes the next record. After an error the record is left out, and loading may go on.
    pub fn replay(&mut self, record: LoggedRecord<'_>) -> Result<(), ReplayError> {
        self.machine.next_position = record.offset + 1;
        let decoded = Record::decode(record.key, record.value).map_err(|source| ReplayError {
            offset: record.offset,
            source,
        })?;
        match decoded {
            // Without a way back, or each record of a large group would copy the whole of it.
            Some(Record::Consumer { group_id, change }) => {
                self.machine.apply_consumer_change(&group_id, &change)
            }
            Some(decoded) => {
                self.machine.apply(
                    decoded,
                    record.producer_id,
                    record.offset,
                    &mut self.discarded,
                );
                self.discarded.clear();
            }
            None => self.unknown_records += 1,
        }
        Ok(())
    }

    /// Takes a control record that ends a producer's transaction.
    pub fn replay_end_transaction(&mut self, offset: i64, producer_id: i64, committed: bool) {
        self.machine.next_position = offset + 1;
        self.machine
            .offsets
            .end_transaction(producer_id, committed, &mut self.discarded);
        self.discarded.clear();
    }

    /// Records of kinds that this version does not know, which were passed over.
    pub fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// The whole log is read: sessions of the members that it names begin.
    pub fn finish(mut self, now_ms: i64) -> GroupCoordinator {
        self.machine.start(now_ms);
        self.machine
    }
}

impl GroupCoordinator {
    fn start(&mut self, now_ms: i64) {
        let group_ids: Vec<_> = self.groups.keys().cloned().collect();
        for group_id in group_ids {
            self.start_classic_timers(now_ms, &group_id);
            let is_too_large = self
                .groups
                .get(&group_id)
                .is_some_and(|group| group.member_count() > self.config.max_size);
            if is_too_large {
                // The limit was lowered: let them join anew, and the last stay outside.
                self.prepare_rebalance(
                    now_ms,
                    &group_id,
                    "the loaded group is larger than allowed",
                );
            }
        }
        let group_ids: Vec<_> = self.consumer_groups.keys().cloned().collect();
        for group_id in group_ids {
            self.start_consumer_timers(now_ms, &group_id);
        }
        self.schedule_expiration(now_ms);
    }

    /// Lets the state follow one record, and notes how to go back.
    pub(crate) fn apply(
        &mut self,
        record: Record,
        producer_id: Option<i64>,
        position: i64,
        undo: &mut Vec<Undo>,
    ) {
        match record {
            Record::Offset {
                key,
                value: Some(mut offset),
            } => {
                offset.position = position;
                self.ensure_group_of_offset(&key, undo);
                match producer_id {
                    Some(producer_id) => self.offsets.put_pending(producer_id, key, offset, undo),
                    None => self.offsets.put(key, offset, undo),
                }
            }
            Record::Offset { key, value: None } => self.offsets.remove(&key, undo),
            Record::Group {
                group_id,
                value: Some(value),
            } => {
                let group = restore_group(group_id.clone(), value);
                self.consumer_groups.remove(&group_id);
                let before = self.groups.insert(group_id.clone(), group);
                let before = before.map(|before| AnyGroup::Classic(Box::new(before)));
                undo.push(Undo::Group { group_id, before });
            }
            Record::Group {
                group_id,
                value: None,
            } => {
                if let Some(group) = self.remove_group(&group_id) {
                    let before = Some(AnyGroup::Classic(Box::new(group)));
                    undo.push(Undo::Group { group_id, before });
                }
            }
            Record::Consumer { group_id, change } => {
                // Only groups without members are changed in this way: copying one is cheap.
                let before = self.consumer_groups.get(&group_id).cloned();
                let before = before.map(|before| AnyGroup::Consumer(Box::new(before)));
                undo.push(Undo::Group {
                    group_id: group_id.clone(),
                    before,
                });
                self.apply_consumer_change(&group_id, &change);
            }
        }
    }

    fn apply_consumer_change(&mut self, group_id: &Str, change: &Change) {
        if *change == Change::Epoch(None) {
            self.remove_consumer_group(group_id);
        } else if let Some(group) = self.consumer_groups.get_mut(group_id) {
            group.apply(change);
        } else if !change.is_tombstone() {
            // A group that only held offsets so far leaves no record of its own.
            if self
                .groups
                .remove(group_id)
                .is_some_and(|classic| !classic.is_empty())
            {
                tracing::warn!(group = %group_id, "records of a consumer group over those of a classic one");
            }
            let mut group = ConsumerGroup::new(group_id.clone());
            group.apply(change);
            self.consumer_groups.insert(group_id.clone(), group);
        }
    }

    /// Offsets without a group belong to a client that manages its partitions itself: its group is
    /// simple, has no members and no protocol, and leaves no record of its own.
    fn ensure_group_of_offset(&mut self, key: &OffsetKey, undo: &mut Vec<Undo>) {
        let exists = self.groups.contains_key(&key.group_id)
            || self.consumer_groups.contains_key(&key.group_id);
        if !exists {
            let group = ClassicGroup::new(key.group_id.clone(), None);
            self.groups.insert(key.group_id.clone(), group);
            undo.push(Undo::Group {
                group_id: key.group_id.clone(),
                before: None,
            });
        }
    }
}

fn restore_group(group_id: Str, value: GroupValue) -> ClassicGroup {
    let mut group = ClassicGroup::new(group_id, value.state_since_ms);
    group.generation_id = value.generation_id;
    group.protocol_type =
        Some(value.protocol_type).filter(|protocol_type| !protocol_type.is_empty());
    group.leader_id = value.leader_id;
    for member in value.members {
        group.restore_member(restore_member(member, value.protocol_name.as_ref()));
    }
    group.protocol_name = value.protocol_name;
    group.subscribed_topics = group.compute_subscribed_topics();
    group
}

/// Of the protocols that the member offered, the log knows the chosen one.
fn restore_member(value: MemberValue, protocol_name: Option<&Str>) -> Member {
    let identity = MemberIdentity {
        member_id: value.member_id,
        group_instance_id: value.group_instance_id,
        client_id: value.client_id,
        client_host: value.client_host,
    };
    let protocol = Protocol {
        name: protocol_name.cloned().unwrap_or_default(),
        metadata: value.subscription,
    };
    let terms = MemberTerms {
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        session_timeout_ms: value.session_timeout_ms,
        protocols: vec![protocol],
    };
    let mut member = Member::new(identity, terms);
    member.assignment = value.assignment;
    member
}
