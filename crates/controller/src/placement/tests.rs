use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Brokers as `ID` or `ID@RACK`, with a `-` in front of those that are fenced.
fn brokers(text: &str) -> Vec<UsableBroker> {
    let parse = |word: &str| {
        let (fenced, word) = word.strip_prefix('-').map_or((false, word), |w| (true, w));
        let (id, rack) = word
            .split_once('@')
            .map_or((word, None), |(id, rack)| (id, Some(rack.into())));
        UsableBroker {
            id: id.parse().unwrap(),
            rack,
            fenced,
        }
    };
    text.split(' ')
        .filter(|w| !w.is_empty())
        .map(parse)
        .collect()
}

fn zeros() -> impl FnMut() -> u64 {
    || 0
}

#[test]
fn replicas_are_dealt_over_racks_in_stripes() {
    let cluster = brokers("1@a 2@a 3@b 4@b 5@c 6@c");
    let placed = place(&cluster, 4, 3, &mut zeros()).unwrap();
    assert_eq!(placed, [[1, 3, 5], [4, 6, 2], [5, 1, 3], [2, 4, 6]]);
}

#[test]
fn the_fenced_never_lead_and_come_last() {
    let cluster = brokers("1 2 -3");
    let placed = place(&cluster, 2, 3, &mut zeros()).unwrap();
    assert_eq!(placed, [[1, 2, 3], [2, 1, 3]]);
    let placed = place(&brokers("-1@a 2@b"), 2, 2, &mut zeros()).unwrap();
    assert_eq!(placed, [[2, 1], [2, 1]]);
}

#[test]
fn what_cannot_be_placed_is_refused() {
    let refuse = |text, factor| place(&brokers(text), 1, factor, &mut zeros()).unwrap_err();
    assert_eq!(refuse("1", 0), PlacementError::NotPositive(0));
    assert_eq!(refuse("", 1), PlacementError::NoUsableBroker);
    assert_eq!(refuse("-1 -2", 1), PlacementError::NoUsableBroker);
    assert_eq!(
        refuse("1 2", 3),
        PlacementError::TooFewBrokers {
            replication_factor: 3,
            brokers: 2
        }
    );
}

proptest! {
    #[test]
    fn placements_are_valid_and_fair(
        racks in prop::collection::vec((0u8..3, prop::bool::weighted(0.3)), 1..12),
        partitions in 1usize..40,
        factor in 1i32..6,
        seed in any::<u64>(),
    ) {
        let cluster: Vec<UsableBroker> = racks.iter().zip(1..).map(|((rack, fenced), id)| {
            UsableBroker { id, rack: Some(format!("{rack}").into()), fenced: *fenced }
        }).collect();
        let mut state = seed | 1;
        let mut random = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
        let Ok(placed) = place(&cluster, partitions, factor, &mut random) else {
            prop_assert!(usize::try_from(factor).unwrap() > cluster.len() || cluster.iter().all(|b| b.fenced));
            return Ok(());
        };
        prop_assert_eq!(placed.len(), partitions);
        let broker = |id: i32| &cluster[usize::try_from(id - 1).unwrap()];
        let mut leads: BTreeMap<i32, usize> = BTreeMap::new();
        for replicas in &placed {
            let distinct: BTreeSet<i32> = replicas.iter().copied().collect();
            prop_assert_eq!(distinct.len(), usize::try_from(factor).unwrap());
            prop_assert!(!broker(replicas[0]).fenced);
            *leads.entry(replicas[0]).or_default() += 1;
        }
        // With one rack and nobody fenced, nobody leads two more than another.
        if cluster.iter().all(|b| !b.fenced && b.rack == cluster[0].rack) && partitions % cluster.len() == 0 {
            prop_assert!(leads.values().all(|n| *n == partitions / cluster.len()));
        }
    }
}
