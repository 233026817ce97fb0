//! Topics and the registration of their partitions: replicas, leader, epochs, in-sync set.
//!
//! Invariants: there is one directory per replica; the partition epoch counts every change and the
//! leader epoch every election, re-elections of the same leader included.
//! Built by replay only; read by everything that serves partitions.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_protocol::metadata_records::{PartitionChangeRecord, PartitionRecord};
use ottla_protocol::{Str, Uuid};

use crate::error::ReplayError;
use crate::version::MetadataVersion;

/// "Nobody" where a record carries the id of a leader.
pub const NO_LEADER: i32 = -1;
/// "As before" where a change record carries the id of a leader.
pub const NO_LEADER_CHANGE: i32 = -2;

/// Ids that stand for the state of a replica's directory rather than for a directory.
pub mod directory {
    use ottla_protocol::Uuid;

    /// The replica was created before directories had ids.
    pub const MIGRATING: Uuid = Uuid::from_u128(0);
    /// The broker has yet to choose among its directories.
    pub const UNASSIGNED: Uuid = Uuid::from_u128(1);
    /// The directory is offline, and which one it was is not known.
    pub const LOST: Uuid = Uuid::from_u128(2);

    /// Ids below this number are Kafka's, and no directory may carry one.
    const RESERVED_MAX: u128 = 100;

    pub fn is_reserved(id: Uuid) -> bool {
        id.as_u128() < RESERVED_MAX
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: Str,
    pub id: Uuid,
    pub partitions: OrdMap<i32, Arc<Partition>>,
}

impl Topic {
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(&index)
    }

    /// The number of replicas of the first partition, which is what Kafka reports for the topic.
    pub fn replication_factor(&self) -> usize {
        self.partitions
            .get_min()
            .map_or(0, |(_, p)| p.replicas.len())
    }
}

/// Whether a leader that was elected uncleanly has dealt with what that may have lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered,
    Recovering,
}

impl LeaderRecoveryState {
    pub fn from_code(code: i8) -> Option<LeaderRecoveryState> {
        match code {
            0 => Some(LeaderRecoveryState::Recovered),
            1 => Some(LeaderRecoveryState::Recovering),
            _ => None,
        }
    }

    pub fn code(self) -> i8 {
        match self {
            LeaderRecoveryState::Recovered => 0,
            LeaderRecoveryState::Recovering => 1,
        }
    }
}

/// "As before" where a change record carries a recovery state.
const NO_RECOVERY_STATE_CHANGE: i8 = -1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// In the order of preference: the first is the preferred leader.
    pub replicas: Vec<i32>,
    /// The directory of each replica, in the same order.
    pub directories: Vec<Uuid>,
    pub isr: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    /// Replicas outside of the in-sync set that still hold everything committed (KIP-966).
    pub eligible_leader_replicas: Vec<i32>,
    /// The last leader, while there is none.
    pub last_known_elr: Vec<i32>,
    pub leader: Option<i32>,
    pub leader_recovery_state: LeaderRecoveryState,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
}

impl Partition {
    pub fn preferred_leader(&self) -> Option<i32> {
        self.replicas.first().copied()
    }

    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }

    /// Where a broker keeps its replica, if it has one.
    pub fn directory_of(&self, broker: i32) -> Option<Uuid> {
        let at = self.replicas.iter().position(|r| *r == broker)?;
        self.directories.get(at).copied()
    }

    pub(crate) fn from_record(record: &PartitionRecord) -> Result<Partition, ReplayError> {
        let state = recovery_state(record.leader_recovery_state)?;
        Ok(Partition {
            directories: directories_or_migrating(&record.directories, &record.replicas)?,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            eligible_leader_replicas: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            leader: leader_from(record.leader),
            leader_recovery_state: state,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
        })
    }

    /// The partition after a change. Naming a leader, even the same one, begins a leader epoch.
    pub fn merged(&self, change: &PartitionChangeRecord) -> Result<Partition, ReplayError> {
        let or_current =
            |list: &Option<Vec<i32>>, current: &Vec<i32>| list.as_ref().unwrap_or(current).clone();
        let replicas = or_current(&change.replicas, &self.replicas);
        let directories = change.directories.as_ref().unwrap_or(&self.directories);
        let elected = change.leader != NO_LEADER_CHANGE;
        let state = match change.leader_recovery_state {
            NO_RECOVERY_STATE_CHANGE => self.leader_recovery_state,
            code => recovery_state(code)?,
        };
        Ok(Partition {
            directories: directories_or_migrating(directories, &replicas)?,
            replicas,
            isr: or_current(&change.isr, &self.isr),
            removing_replicas: or_current(&change.removing_replicas, &self.removing_replicas),
            adding_replicas: or_current(&change.adding_replicas, &self.adding_replicas),
            eligible_leader_replicas: or_current(
                &change.eligible_leader_replicas,
                &self.eligible_leader_replicas,
            ),
            last_known_elr: or_current(&change.last_known_elr, &self.last_known_elr),
            leader: if elected {
                leader_from(change.leader)
            } else {
                self.leader
            },
            leader_recovery_state: state,
            leader_epoch: self.leader_epoch.saturating_add(i32::from(elected)),
            partition_epoch: self.partition_epoch.saturating_add(1),
        })
    }

    /// The record that creates this partition as it stands.
    pub fn to_record(
        &self,
        topic_id: Uuid,
        partition_id: i32,
        version: MetadataVersion,
    ) -> PartitionRecord {
        let non_empty = |list: &Vec<i32>| {
            (version >= MetadataVersion::ELIGIBLE_LEADER_REPLICAS && !list.is_empty())
                .then(|| list.clone())
        };
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader.unwrap_or(NO_LEADER),
            leader_recovery_state: self.leader_recovery_state.code(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: if version >= MetadataVersion::DIRECTORIES {
                self.directories.clone()
            } else {
                Vec::new()
            },
            eligible_leader_replicas: non_empty(&self.eligible_leader_replicas),
            last_known_elr: non_empty(&self.last_known_elr),
            ..Default::default()
        }
    }

    pub(crate) fn without_elr(&self) -> Partition {
        Partition {
            eligible_leader_replicas: Vec::new(),
            last_known_elr: Vec::new(),
            partition_epoch: self.partition_epoch.saturating_add(1),
            ..self.clone()
        }
    }
}

fn leader_from(id: i32) -> Option<i32> {
    (id >= 0).then_some(id)
}

fn recovery_state(code: i8) -> Result<LeaderRecoveryState, ReplayError> {
    LeaderRecoveryState::from_code(code).ok_or(ReplayError::UnknownRecoveryState(code))
}

/// Records from before directories had ids carry none, which means that all are migrating.
fn directories_or_migrating(
    directories: &[Uuid],
    replicas: &[i32],
) -> Result<Vec<Uuid>, ReplayError> {
    if directories.iter().all(|d| *d == directory::MIGRATING) {
        return Ok(vec![directory::MIGRATING; replicas.len()]);
    }
    if directories.len() != replicas.len() {
        return Err(ReplayError::DirectoriesDoNotMatchReplicas {
            directories: directories.len(),
            replicas: replicas.len(),
        });
    }
    Ok(directories.to_vec())
}
