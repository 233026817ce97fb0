//! What a request would make of a consumer group: the records, and the group once they are stored.
//!
//! Invariant: the group of a draft is the group before it with all records of the draft applied. The
//! group is copied with the first record, so a request that changes nothing costs nothing.

use std::borrow::Cow;

use ottla_protocol::Str;

use super::group::{Change, ConsumerGroup};
use super::regex::RegexTask;
use super::timers::TimerChange;
use crate::records::Record;

pub(super) struct Draft<'a> {
    group: Cow<'a, ConsumerGroup>,
    records: Vec<Record>,
    /// Soft changes, carried out whatever becomes of the records.
    pub timers: Vec<TimerChange>,
    pub fresh_until: Option<(i64, i32)>,
    pub regex_task: Option<RegexTask>,
}

/// A draft that has let go of the group it was made from.
pub(super) struct Plan {
    pub group_id: Str,
    /// `None` if nothing is stored.
    pub changed: Option<(ConsumerGroup, Vec<Record>)>,
    pub timers: Vec<TimerChange>,
    pub fresh_until: Option<(i64, i32)>,
    pub regex_task: Option<RegexTask>,
}

impl<'a> Draft<'a> {
    pub fn of(group: &'a ConsumerGroup) -> Self {
        Self::over(Cow::Borrowed(group), Vec::new())
    }

    /// A group that does not exist yet; `records` make room for it.
    pub fn of_new(group: ConsumerGroup, records: Vec<Record>) -> Self {
        Self::over(Cow::Owned(group), records)
    }

    fn over(group: Cow<'a, ConsumerGroup>, records: Vec<Record>) -> Self {
        Self {
            group,
            records,
            timers: Vec::new(),
            fresh_until: None,
            regex_task: None,
        }
    }

    pub fn group(&self) -> &ConsumerGroup {
        &self.group
    }

    pub fn push(&mut self, change: Change) {
        self.group.to_mut().apply(&change);
        self.records.push(Record::Consumer {
            group_id: self.group.group_id.clone(),
            change,
        });
    }

    pub fn into_plan(self) -> Plan {
        let group_id = self.group.group_id.clone();
        let changed = (!self.records.is_empty()).then(|| (self.group.into_owned(), self.records));
        let (timers, fresh_until, regex_task) = (self.timers, self.fresh_until, self.regex_task);
        Plan {
            group_id,
            changed,
            timers,
            fresh_until,
            regex_task,
        }
    }
}
