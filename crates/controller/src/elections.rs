//! Who leads: when brokers leave or come back, when a client asks, and when leads are out of balance.
//!
//! Invariant: no election picks a broker that is fenced, shutting down, or whose directory is offline.

use ottla_metadata::{Partition, Topic};
use ottla_protocol::Str;
use ottla_protocol::metadata_records::MetadataRecord;

use crate::change::Election;
use crate::controller::{Answer, Controller, Outcome, RECORDS_PER_COMMAND_MAX};
use crate::error::ControlError;

/// How many leads one round of balancing moves.
pub const ELECTIONS_PER_ROUND_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionKind {
    /// Back to the first replica.
    Preferred,
    /// Any replica that is there, though records may be lost.
    Unclean,
}

/// What came of an election, for one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct ElectionAnswer {
    pub topic: Str,
    pub partition: i32,
    pub result: Answer<()>,
}

/// Whom an event takes out of in-sync sets, and whom it lets in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leaving {
    removed: Option<i32>,
    /// Counts as active, although the image still has it fenced.
    joining: Option<i32>,
    unclean: Option<i32>,
}

impl Leaving {
    pub(crate) fn fenced(broker: i32) -> Leaving {
        Leaving {
            removed: Some(broker),
            ..Leaving::default()
        }
    }

    pub(crate) fn uncleanly(broker: i32) -> Leaving {
        Leaving {
            unclean: Some(broker),
            ..Leaving::default()
        }
    }

    pub(crate) fn nobody_but_joins(broker: i32) -> Leaving {
        Leaving {
            joining: Some(broker),
            ..Leaving::default()
        }
    }

    fn is_gone(&self, broker: i32) -> bool {
        self.removed == Some(broker) || self.unclean == Some(broker)
    }
}

impl Controller {
    /// Elects leaders and shrinks in-sync sets of the partitions that an event touches.
    pub(crate) fn leader_and_isr_updates(
        &self,
        leaving: Leaving,
        touched: impl Fn(&Partition) -> bool,
    ) -> Vec<MetadataRecord> {
        let topics = self.image.topics();
        topics
            .flat_map(|topic| self.topic_updates(topic, leaving, |_, partition| touched(partition)))
            .collect()
    }

    /// The same within one topic.
    pub(crate) fn topic_updates(
        &self,
        topic: &Topic,
        leaving: Leaving,
        touched: impl Fn(i32, &Partition) -> bool,
    ) -> Vec<MetadataRecord> {
        let active =
            |b: i32| !leaving.is_gone(b) && (leaving.joining == Some(b) || self.is_active(b));
        let mut records = Vec::new();
        // Read once, and only for topics that need it.
        let mut configs = None;
        for (index, partition) in topic
            .partitions
            .iter()
            .filter(|(index, p)| touched(**index, p))
        {
            let configs = configs.get_or_insert_with(|| self.topic_configs(&topic.name));
            let unclean_allowed = configs.unclean_leader_election_enable;
            records.extend(self.change_partition(
                topic,
                configs,
                *index,
                partition,
                &active,
                |change| {
                    if unclean_allowed {
                        change.election = Election::Unclean;
                    }
                    change.unclean_shutdown = leaving.unclean;
                    change.isr.retain(|r| !leaving.is_gone(*r));
                },
            ));
        }
        records
    }

    /// Elects leaders where a client asks for it; without a list, everywhere that one is needed.
    pub fn elect_leaders(
        &self,
        kind: ElectionKind,
        partitions: Option<&[(Str, Vec<i32>)]>,
    ) -> Result<Outcome<Vec<ElectionAnswer>>, ControlError> {
        let mut records = Vec::new();
        let mut answers = Vec::new();
        let mut elect = |topic: &Str, partition: i32, all: bool| {
            let result = self
                .elect_leader(topic, partition, kind)
                .map(|record| records.push(record));
            // Of all partitions, those that have the right leader are not worth a word.
            if !(all && result == Err(ControlError::ElectionNotNeeded)) {
                answers.push(ElectionAnswer {
                    topic: topic.clone(),
                    partition,
                    result,
                });
            }
            if records.len() > RECORDS_PER_COMMAND_MAX {
                return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
            }
            Ok(())
        };
        match partitions {
            Some(topics) => {
                for (topic, partitions) in topics {
                    partitions
                        .iter()
                        .try_for_each(|p| elect(topic, *p, false))?;
                }
            }
            None => {
                for topic in self.image.topics() {
                    topic
                        .partitions
                        .keys()
                        .try_for_each(|p| elect(&topic.name, *p, true))?;
                }
            }
        }
        Ok(Outcome::stepwise(records, answers))
    }

    fn elect_leader(&self, name: &Str, index: i32, kind: ElectionKind) -> Answer<MetadataRecord> {
        let topic = self
            .image
            .topic(name)
            .ok_or_else(|| ControlError::ElectionTopic(name.clone()))?;
        let partition = topic
            .partition(index)
            .ok_or_else(|| ControlError::ElectionPartition {
                topic: name.clone(),
                partition: index,
            })?;
        let needed = match kind {
            ElectionKind::Preferred => partition.leader != partition.preferred_leader(),
            ElectionKind::Unclean => partition.leader.is_none(),
        };
        if !needed {
            return Err(ControlError::ElectionNotNeeded);
        }
        self.election_record(topic, index, partition, kind)
            .ok_or(match kind {
                ElectionKind::Preferred => ControlError::PreferredLeaderNotAvailable,
                ElectionKind::Unclean => ControlError::EligibleLeadersNotAvailable,
            })
    }

    fn election_record(
        &self,
        topic: &Topic,
        index: i32,
        partition: &Partition,
        kind: ElectionKind,
    ) -> Option<MetadataRecord> {
        let configs = self.topic_configs(&topic.name);
        self.change_partition(
            topic,
            &configs,
            index,
            partition,
            &|b| self.is_active(b),
            |change| {
                change.election = match kind {
                    ElectionKind::Preferred => Election::Preferred,
                    ElectionKind::Unclean => Election::Unclean,
                };
            },
        )
    }

    /// Moves leads back to the preferred replicas; answers whether more is left for another round.
    pub fn balance_leaders(&self) -> Outcome<bool> {
        self.round(
            ElectionKind::Preferred,
            |p| p.leader != p.preferred_leader(),
            |_| true,
        )
    }

    /// Elects leaders uncleanly where there is none and the topic allows it.
    pub fn elect_unclean_leaders(&self) -> Outcome<bool> {
        self.round(
            ElectionKind::Unclean,
            |p| p.leader.is_none(),
            |topic| self.topic_configs(topic).unclean_leader_election_enable,
        )
    }

    fn round(
        &self,
        kind: ElectionKind,
        wanted: impl Fn(&Partition) -> bool,
        allowed: impl Fn(&str) -> bool,
    ) -> Outcome<bool> {
        let mut records = Vec::new();
        for topic in self.image.topics() {
            let mut candidates = topic
                .partitions
                .iter()
                .filter(|(_, p)| wanted(p))
                .peekable();
            if candidates.peek().is_none() || !allowed(&topic.name) {
                continue;
            }
            for (index, partition) in candidates {
                if records.len() >= ELECTIONS_PER_ROUND_MAX {
                    return Outcome::stepwise(records, true);
                }
                records.extend(self.election_record(topic, *index, partition, kind));
            }
        }
        Outcome::stepwise(records, false)
    }
}
