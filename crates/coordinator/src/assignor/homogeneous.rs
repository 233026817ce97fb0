//! The uniform assignor where all members subscribe to the same topics.
//!
//! Invariant: no two members differ by more than one partition, and a partition moves only if its
//! owner has more than its share.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{Str, Uuid};

use super::{Assignment, GroupSpec};

pub(super) fn assign(spec: &GroupSpec) -> BTreeMap<Str, Assignment> {
    let topics = spec
        .members
        .values()
        .next()
        .map(|member| &member.topics)
        .cloned()
        .unwrap_or_default();
    let mut unassigned = unassigned_partitions(spec, &topics);
    let total: usize = topics
        .iter()
        .map(|topic| partition_count(spec, topic) as usize)
        .sum();
    let members = spec.members.len();
    let share = total / members;
    // So many members get one more.
    let mut extras = total % members;

    let mut assignments = BTreeMap::new();
    let mut unfilled: Vec<(Str, usize)> = Vec::new();
    let mut seen: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    for (index, (member_id, member)) in spec.members.iter().enumerate() {
        let quota = share + usize::from(extras > 0);
        let mut kept = Assignment::new();
        let mut kept_count = 0;
        let valid = |topic: &Uuid, partition: i32| {
            topics.contains(topic) && (0..partition_count(spec, topic)).contains(&partition)
        };
        for (topic, partitions) in member.assignment.iter() {
            for &partition in partitions {
                // A log that was tampered with may give a partition to two members.
                if !valid(topic, partition) || !seen.insert((*topic, partition)) {
                    continue;
                }
                if kept_count < quota {
                    kept.entry(*topic).or_default().insert(partition);
                    kept_count += 1;
                } else {
                    unassigned.push((*topic, partition));
                }
            }
        }
        // An extra goes by preference to a member that already has one; the last ones must take them.
        let mut missing = quota - kept_count;
        let takes_extra = extras > 0 && !(missing > 0 && members - index > extras);
        if extras > 0 && !takes_extra {
            missing -= 1;
        }
        extras -= usize::from(takes_extra);
        if missing > 0 {
            unfilled.push((member_id.clone(), missing));
        }
        assignments.insert(member_id.clone(), kept);
    }

    let mut free = unassigned.into_iter();
    for (member_id, missing) in unfilled {
        let assignment: &mut Assignment = assignments.entry(member_id).or_default();
        for (topic, partition) in free.by_ref().take(missing) {
            assignment.entry(topic).or_default().insert(partition);
        }
    }
    assert!(free.next().is_none(), "the quotas add up to all partitions");
    assignments
}

fn partition_count(spec: &GroupSpec, topic: &Uuid) -> i32 {
    spec.partition_counts
        .get(topic)
        .copied()
        .unwrap_or(0)
        .max(0)
}

fn unassigned_partitions(spec: &GroupSpec, topics: &BTreeSet<Uuid>) -> Vec<(Uuid, i32)> {
    let mut assigned: BTreeSet<(Uuid, i32)> = BTreeSet::new();
    for (topic, partitions) in spec
        .members
        .values()
        .flat_map(|member| member.assignment.iter())
    {
        assigned.extend(partitions.iter().map(|&partition| (*topic, partition)));
    }
    let all = topics
        .iter()
        .flat_map(|topic| (0..partition_count(spec, topic)).map(|partition| (*topic, partition)));
    all.filter(|partition| !assigned.contains(partition))
        .collect()
}
