//! The uniform assignor where members subscribe to different topics.
//!
//! Invariant: balance goes before stickiness: partitions stay where they are unless moving one evens
//! out its topic's subscribers. Topics with the most partitions per subscriber go first, because they
//! leave the least choice.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ottla_protocol::{Str, Uuid};

use super::{Assignment, GroupSpec};

/// Rounds over all topics; each about halves what imbalance overlapping subscriptions leave.
const MAX_ROUNDS: usize = 16;

pub(super) fn assign(spec: &GroupSpec) -> BTreeMap<Str, Assignment> {
    let mut balance = Balance::new(spec);
    balance.hand_out_free_partitions();
    balance.even_out();
    balance.into_assignments()
}

struct Topic {
    id: Uuid,
    /// Indices of the members that subscribe, ascending.
    subscribers: Vec<usize>,
    /// Index of each partition's owner.
    owners: Vec<Option<usize>>,
}

struct Balance {
    member_ids: Vec<Str>,
    /// Partitions that each member owns.
    loads: Vec<usize>,
    /// In the order in which they are dealt with.
    topics: Vec<Topic>,
}

impl Balance {
    fn new(spec: &GroupSpec) -> Self {
        let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
        for (index, member) in spec.members.values().enumerate() {
            for id in &member.topics {
                let partitions =
                    spec.partition_counts.get(id).copied().unwrap_or(0).max(0) as usize;
                let topic = topics.entry(*id).or_insert_with(|| Topic {
                    id: *id,
                    subscribers: Vec::new(),
                    owners: vec![None; partitions],
                });
                topic.subscribers.push(index);
            }
        }
        let mut loads = vec![0; spec.members.len()];
        for (index, member) in spec.members.values().enumerate() {
            for (id, partitions) in member
                .assignment
                .iter()
                .filter(|(id, _)| member.topics.contains(id))
            {
                let Some(topic) = topics.get_mut(id) else {
                    continue;
                };
                for &partition in partitions {
                    let owner = usize::try_from(partition)
                        .ok()
                        .and_then(|partition| topic.owners.get_mut(partition));
                    if let Some(owner @ None) = owner {
                        *owner = Some(index);
                        loads[index] += 1;
                    }
                }
            }
        }
        let mut topics: Vec<Topic> = topics.into_values().collect();
        topics.sort_by(by_partitions_per_subscriber);
        Self {
            member_ids: spec.members.keys().cloned().collect(),
            loads,
            topics,
        }
    }

    /// Each free partition goes to the subscriber with the least.
    fn hand_out_free_partitions(&mut self) {
        for topic in &mut self.topics {
            let mut by_load: std::collections::BTreeSet<(usize, usize)> = topic
                .subscribers
                .iter()
                .map(|&member| (self.loads[member], member))
                .collect();
            for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
                let Some((load, member)) = by_load.pop_first() else {
                    break;
                };
                *owner = Some(member);
                self.loads[member] = load + 1;
                by_load.insert((load + 1, member));
            }
        }
    }

    /// Moves partitions from the most to the least loaded subscribers of each topic until a whole round
    /// moves nothing.
    fn even_out(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mut has_moved = false;
            for topic in &mut self.topics {
                has_moved |= even_out_topic(topic, &mut self.loads);
            }
            if !has_moved {
                return;
            }
        }
    }

    fn into_assignments(self) -> BTreeMap<Str, Assignment> {
        let mut assignments: BTreeMap<Str, Assignment> = self
            .member_ids
            .iter()
            .map(|member_id| (member_id.clone(), Assignment::new()))
            .collect();
        for topic in self.topics {
            for (partition, owner) in (0..).zip(topic.owners) {
                let Some(owner) = owner else { continue };
                let assignment = assignments
                    .entry(self.member_ids[owner].clone())
                    .or_default();
                assignment.entry(topic.id).or_default().insert(partition);
            }
        }
        assignments
    }
}

fn even_out_topic(topic: &mut Topic, loads: &mut [usize]) -> bool {
    // What each subscriber has to give, the largest partition on top.
    let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (partition, owner) in topic.owners.iter().enumerate() {
        if let Some(owner) = owner {
            owned.entry(*owner).or_default().push(partition);
        }
    }
    let mut by_load: std::collections::BTreeSet<(usize, usize)> = topic
        .subscribers
        .iter()
        .map(|&member| (loads[member], member))
        .collect();
    // Those who have something of this topic to give.
    let mut givers: std::collections::BTreeSet<(usize, usize)> = owned
        .keys()
        .map(|&member| (loads[member], member))
        .collect();
    let mut has_moved = false;
    while let (Some(&(most, giver)), Some(&(least, taker))) = (givers.last(), by_load.first()) {
        if most <= least + 1 {
            break;
        }
        let Some(partition) = owned.get_mut(&giver).and_then(Vec::pop) else {
            givers.remove(&(most, giver));
            continue;
        };
        topic.owners[partition] = Some(taker);
        loads[giver] -= 1;
        loads[taker] += 1;
        has_moved = true;
        by_load.remove(&(most, giver));
        by_load.remove(&(least, taker));
        by_load.insert((most - 1, giver));
        by_load.insert((least + 1, taker));
        givers.remove(&(most, giver));
        givers.insert((most - 1, giver));
        // What was just taken stays: the taker is among the least loaded.
        if givers.remove(&(least, taker)) {
            givers.insert((least + 1, taker));
        }
    }
    has_moved
}

fn by_partitions_per_subscriber(a: &Topic, b: &Topic) -> Ordering {
    // a.partitions / a.subscribers against b's, without rounding.
    let left = a.owners.len() as u128 * b.subscribers.len() as u128;
    let right = b.owners.len() as u128 * a.subscribers.len() as u128;
    right
        .cmp(&left)
        .then_with(|| a.subscribers.len().cmp(&b.subscribers.len()))
        .then_with(|| a.id.cmp(&b.id))
}
