//! Each topic is cut into as many ranges as it has subscribers.
//!
//! Invariant: the order of the members decides alone (static ones first, by instance id), so two topics
//! with the same partitions and subscribers are cut alike.

use std::collections::BTreeMap;

use ottla_protocol::{Str, Uuid};

use super::{Assignment, GroupSpec};

/// How far a topic has been handed out.
struct Cut {
    partitions: i32,
    /// Partitions that every subscriber gets.
    quota: i32,
    /// Subscribers that get one more, the first ones.
    extra: i32,
    next: i32,
}

impl Cut {
    fn take(&mut self) -> std::ops::Range<i32> {
        let start = self.next;
        let length = self.quota + i32::from(self.extra > 0);
        self.extra = (self.extra - 1).max(0);
        self.next = (start + length).min(self.partitions);
        start..self.next
    }
}

pub(super) fn assign(spec: &GroupSpec) -> BTreeMap<Str, Assignment> {
    let mut subscribers: BTreeMap<Uuid, i32> = BTreeMap::new();
    for topic in spec.members.values().flat_map(|member| &member.topics) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let cut = |(topic, count): (&Uuid, &i32)| {
        let partitions = spec.partition_counts.get(topic).copied().unwrap_or(0);
        (
            *topic,
            Cut {
                partitions,
                quota: partitions / count,
                extra: partitions % count,
                next: 0,
            },
        )
    };
    let mut cuts: BTreeMap<Uuid, Cut> = subscribers.iter().map(cut).collect();

    let mut assignments = BTreeMap::new();
    for member_id in ordered_members(spec) {
        let mut assignment = Assignment::new();
        for topic in &spec.members[member_id].topics {
            let range = cuts.get_mut(topic).map(Cut::take).unwrap_or_default();
            if !range.is_empty() {
                assignment.insert(*topic, range.collect());
            }
        }
        assignments.insert(member_id.clone(), assignment);
    }
    assignments
}

fn ordered_members(spec: &GroupSpec) -> Vec<&Str> {
    let mut member_ids: Vec<&Str> = spec.members.keys().collect();
    member_ids.sort_by_key(|member_id| {
        let instance_id = spec.members[*member_id].instance_id.as_ref();
        (instance_id.is_none(), instance_id, *member_id)
    });
    member_ids
}
