//! Places the replicas of new partitions on brokers, spread over racks.
//!
//! Replicas are dealt like cards: each next replica comes from the next rack, each next partition
//! begins one rack further, and within a rack each next replica is the next broker. Brokers that are
//! fenced get a replica only when their rack has no other left, and never the first one, which leads.
//!
//! Invariant: the replicas of a partition are different brokers, the first of them is not fenced,
//! and the same random numbers yield the same placement.
//! Called for CreateTopics and CreatePartitions.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ottla_protocol::Str;

use crate::error::PlacementError;
use crate::random::Random;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableBroker {
    pub id: i32,
    pub rack: Option<Str>,
    pub fenced: bool,
}

/// Chooses the replicas of `partitions` new partitions.
pub fn place(
    brokers: &[UsableBroker],
    partitions: usize,
    replication_factor: i32,
    random: &mut dyn Random,
) -> Result<Vec<Vec<i32>>, PlacementError> {
    let wanted = usize::try_from(replication_factor).ok().filter(|n| *n > 0);
    let wanted = wanted.ok_or(PlacementError::NotPositive(replication_factor))?;
    if brokers.iter().all(|b| b.fenced) {
        return Err(PlacementError::NoUsableBroker);
    }
    if wanted > brokers.len() {
        return Err(PlacementError::TooFewBrokers {
            replication_factor,
            brokers: brokers.len(),
        });
    }
    let mut dealer = Dealer::new(brokers, random);
    Ok((0..partitions)
        .map(|_| dealer.deal(wanted, random))
        .collect())
}

/// Brokers of one rack in one state, dealt in rounds: each round starts one broker further.
#[derive(Debug, Default)]
struct Pile {
    brokers: Vec<i32>,
    start: usize,
    taken: usize,
    round: usize,
}

impl Pile {
    fn next(&mut self, round: usize) -> Option<i32> {
        if self.round != round {
            self.round = round;
            self.taken = 0;
            self.start = (self.start + 1) % self.brokers.len().max(1);
        }
        if self.taken == self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.start + self.taken) % self.brokers.len()];
        self.taken += 1;
        Some(broker)
    }
}

#[derive(Debug, Default)]
struct Rack {
    unfenced: Pile,
    fenced: Pile,
}

impl Rack {
    fn next(&mut self, round: usize) -> Option<i32> {
        self.unfenced
            .next(round)
            .or_else(|| self.fenced.next(round))
    }
}

struct Dealer {
    racks: Vec<Rack>,
    unfenced_brokers: usize,
    round: usize,
    /// The rack that the next partition begins with.
    first_rack: usize,
}

impl Dealer {
    fn new(brokers: &[UsableBroker], random: &mut dyn Random) -> Dealer {
        let mut racks: BTreeMap<Option<&Str>, Rack> = BTreeMap::new();
        for broker in brokers {
            let rack = racks.entry(broker.rack.as_ref()).or_default();
            let pile = if broker.fenced {
                &mut rack.fenced
            } else {
                &mut rack.unfenced
            };
            pile.brokers.push(broker.id);
        }
        let mut racks: Vec<Rack> = racks.into_values().collect();
        for pile in racks
            .iter_mut()
            .flat_map(|r| [&mut r.fenced, &mut r.unfenced])
        {
            pile.brokers.sort_unstable();
            pile.start = if pile.brokers.is_empty() {
                0
            } else {
                random.below(pile.brokers.len())
            };
        }
        let first_rack = random.below(racks.len());
        Dealer {
            racks,
            unfenced_brokers: brokers.iter().filter(|b| !b.fenced).count(),
            round: 0,
            first_rack,
        }
    }

    /// Deals one partition. There are at least as many brokers as replicas, and one is not fenced.
    fn deal(&mut self, replication_factor: usize, random: &mut dyn Random) -> Vec<i32> {
        // After as many partitions as brokers the pattern would repeat.
        if self.round == self.unfenced_brokers && self.unfenced_brokers > 1 {
            self.shuffle(random);
            self.round = 0;
        }
        let count = self.racks.len();
        let round = self.round;
        self.first_rack %= count;
        let mut replicas = Vec::with_capacity(replication_factor);
        let mut leading_rack = None;
        for rack in (0..count).map(|i| (self.first_rack + i) % count) {
            if let Some(broker) = self.racks[rack].unfenced.next(round) {
                replicas.push(broker);
                leading_rack = Some(rack);
                break;
            }
        }
        let mut rack = self.first_rack;
        while replicas.len() < replication_factor {
            // The rack of the leader has had its turn in the first lap.
            if leading_rack == Some(rack) {
                leading_rack = None;
            } else {
                replicas.extend(self.racks[rack].next(round));
            }
            rack = (rack + 1) % count;
        }
        self.round += 1;
        self.first_rack += 1;
        replicas
    }

    fn shuffle(&mut self, random: &mut dyn Random) {
        random.shuffle(&mut self.racks);
        for rack in &mut self.racks {
            random.shuffle(&mut rack.fenced.brokers);
            random.shuffle(&mut rack.unfenced.brokers);
        }
    }
}
