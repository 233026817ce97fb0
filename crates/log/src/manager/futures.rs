//! What a start makes of copies that a move left (`-future`).
//!
//! ```text
//! live elsewhere                     the move begins again
//! live in the same directory         the copy goes
//! none live, a `-delete` of the      the copy is the log: the stop came between the two renames of a move
//!   same unique part
//! none live                          left alone: the log may lie where nobody looks just now
//! ```
//!
//! Invariant: a copy is taken for the log only where the move's own rename says that it is complete. Nothing is removed
//! that could be the last copy of a record.
//! Called by the loader, which has listed all directories.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

/// A copy that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Future {
    /// Which of the log directories it is in.
    pub open: usize,
    pub partition: TopicPartition,
    pub topic_id: Option<Uuid>,
    pub unique: String,
    pub path: PathBuf,
}

/// A log in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    pub open: usize,
    pub topic_id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Promote,
    BeginAgain,
    Remove,
    LeaveAlone,
}

/// Says for each of the futures what becomes of it. `retired` are the unique parts of `-delete` directories.
pub(super) fn judge(
    live: &HashMap<TopicPartition, Live>,
    retired: &HashSet<String>,
    futures: &[Future],
) -> Vec<Verdict> {
    let mut taken = HashSet::new();
    let verdicts = futures
        .iter()
        .map(|future| match live.get(&future.partition) {
            Some(live) => {
                let is_same_topic = match (live.topic_id, future.topic_id) {
                    (Some(live), Some(future)) => live == future,
                    _ => true,
                };
                let begins = live.open != future.open && is_same_topic;
                match begins && taken.insert(&future.partition) {
                    true => Verdict::BeginAgain,
                    false => Verdict::Remove,
                }
            }
            None if retired.contains(&future.unique) && taken.insert(&future.partition) => {
                Verdict::Promote
            }
            None => Verdict::LeaveAlone,
        });
    verdicts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn future(partition: i32, open: usize, topic_id: Option<Uuid>, unique: &str) -> Future {
        Future {
            open,
            partition: TopicPartition::new("t", partition),
            topic_id,
            unique: unique.to_owned(),
            path: PathBuf::new(),
        }
    }

    fn check(live: &[(i32, usize, Option<Uuid>)], retired: &[&str], futures: &[Future]) -> String {
        let live = live.iter().map(|&(partition, open, topic_id)| {
            (TopicPartition::new("t", partition), Live { open, topic_id })
        });
        let retired = retired.iter().map(|unique| unique.to_string());
        format!("{:?}", judge(&live.collect(), &retired.collect(), futures))
    }

    #[test]
    fn with_a_live_log_the_move_begins_again() {
        let live = [(0, 0, Some(TOPIC))];
        assert_eq!(
            check(&live, &[], &[future(0, 1, Some(TOPIC), "a")]),
            "[BeginAgain]"
        );
        // Before its first files were written.
        assert_eq!(
            check(&live, &[], &[future(0, 1, None, "a")]),
            "[BeginAgain]"
        );
        // Even if the rename was seen, and undone.
        assert_eq!(
            check(&live, &["a"], &[future(0, 1, Some(TOPIC), "a")]),
            "[BeginAgain]"
        );
    }

    #[test]
    fn a_copy_beside_its_log_or_of_another_topic_or_a_second_one_goes() {
        let live = [(0, 0, Some(TOPIC))];
        assert_eq!(
            check(&live, &[], &[future(0, 0, Some(TOPIC), "a")]),
            "[Remove]"
        );
        assert_eq!(
            check(&live, &[], &[future(0, 1, Some(OTHER), "a")]),
            "[Remove]"
        );
        let two = [
            future(0, 1, Some(TOPIC), "a"),
            future(0, 2, Some(TOPIC), "b"),
        ];
        assert_eq!(check(&live, &[], &two), "[BeginAgain, Remove]");
    }

    #[test]
    fn only_what_the_move_made_complete_is_promoted() {
        assert_eq!(
            check(&[], &["a"], &[future(0, 1, Some(TOPIC), "a")]),
            "[Promote]"
        );
        assert_eq!(
            check(&[], &["b"], &[future(0, 1, Some(TOPIC), "a")]),
            "[LeaveAlone]"
        );
        assert_eq!(
            check(&[(1, 0, None)], &[], &[future(0, 1, None, "a")]),
            "[LeaveAlone]"
        );
        let two = [future(0, 1, None, "a"), future(0, 2, None, "b")];
        assert_eq!(check(&[], &["a", "b"], &two), "[Promote, LeaveAlone]");
    }
}
