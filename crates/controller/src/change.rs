//! One change of a partition: targets in, the record that gets there out, election included.
//!
//! Invariants: a leader is in the in-sync set, or the change makes the set the leader alone; the
//! eligible leader replicas and the in-sync set do not overlap; what does not change is not written.
//! Used by everything in the controller that touches an existing partition.

#[cfg(test)]
mod tests;

use ottla_metadata::{
    LeaderRecoveryState, MetadataVersion, NO_LEADER, NO_LEADER_CHANGE, Partition,
};
use ottla_protocol::Uuid;
use ottla_protocol::metadata_records::PartitionChangeRecord;

/// "As before" where a change record carries a recovery state.
const NO_RECOVERY_STATE_CHANGE: i8 = -1;

/// How far an election may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    /// Move the lead to the first replica if it is in sync.
    Preferred,
    /// Keep the leader while it is fit, else take any replica in sync.
    Online,
    /// As before, and rather lose records than have no leader.
    Unclean,
}

struct Elected {
    leader: Option<i32>,
    unclean: bool,
}

/// A change under construction. The targets begin as the partition stands.
pub(crate) struct PartitionChange<'a> {
    partition: &'a Partition,
    topic_id: Uuid,
    partition_id: i32,
    metadata_version: MetadataVersion,
    /// Whether eligible leader replicas (KIP-966) are in force.
    elr_enabled: bool,
    /// The topic's minimum, never above its replication factor.
    min_isr: usize,
    is_acceptable_leader: &'a dyn Fn(i32) -> bool,
    default_directory: &'a dyn Fn(i32) -> Uuid,
    pub election: Election,
    pub isr: Vec<i32>,
    pub replicas: Vec<i32>,
    pub removing: Vec<i32>,
    pub adding: Vec<i32>,
    pub recovery_state: LeaderRecoveryState,
    /// A broker that went down without a clean shutdown, and may have lost what it had not synced.
    pub unclean_shutdown: Option<i32>,
    /// A broker's replica moves to this directory.
    pub directory: Option<(i32, Uuid)>,
    elr: Vec<i32>,
}

/// What all changes of a moment share.
#[derive(Clone, Copy)]
pub(crate) struct ChangeContext<'a> {
    pub metadata_version: MetadataVersion,
    pub elr_enabled: bool,
    pub min_isr: usize,
    pub is_acceptable_leader: &'a dyn Fn(i32) -> bool,
    pub default_directory: &'a dyn Fn(i32) -> Uuid,
}

impl<'a> PartitionChange<'a> {
    pub(crate) fn new(
        topic_id: Uuid,
        partition_id: i32,
        partition: &'a Partition,
        context: ChangeContext<'a>,
    ) -> Self {
        PartitionChange {
            partition,
            topic_id,
            partition_id,
            metadata_version: context.metadata_version,
            elr_enabled: context.elr_enabled,
            min_isr: context.min_isr,
            is_acceptable_leader: context.is_acceptable_leader,
            default_directory: context.default_directory,
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            recovery_state: partition.leader_recovery_state,
            unclean_shutdown: None,
            directory: None,
            elr: partition.eligible_leader_replicas.clone(),
        }
    }

    /// The record of the change, or nothing if nothing changes.
    pub(crate) fn build(mut self) -> Option<PartitionChangeRecord> {
        let mut record = PartitionChangeRecord {
            topic_id: self.topic_id,
            partition_id: self.partition_id,
            leader: NO_LEADER_CHANGE,
            leader_recovery_state: NO_RECOVERY_STATE_CHANGE,
            ..Default::default()
        };
        let blank = record.clone();
        self.complete_reassignment();
        self.populate_elr();
        self.elect(&mut record);
        self.bump_epoch_if_replicas_leave(&mut record);
        self.write_elr(&mut record);
        if record.isr.is_none()
            && (!self.isr.is_empty() || self.elr_enabled)
            && self.isr != self.partition.isr
        {
            record.isr = Some(self.isr.clone());
        }
        self.bump_epoch_on_shrink(&mut record);
        self.write_last_known_leader(&mut record);
        self.write_assignment(&mut record);
        if self.recovery_state != self.partition.leader_recovery_state {
            record.leader_recovery_state = self.recovery_state.code();
        }
        (record != blank).then_some(record)
    }

    /// Ends a reassignment when the replicas that stay are as well in sync as they need to be.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let staying = |list: &[i32]| -> Vec<i32> {
            list.iter()
                .copied()
                .filter(|r| !self.removing.contains(r))
                .collect()
        };
        let (isr, replicas) = (staying(&self.isr), staying(&self.replicas));
        if !self.removing.is_empty() && (isr.is_empty() || replicas.is_empty()) {
            return;
        }
        let all_in_sync = |list: &[i32]| list.iter().all(|r| isr.contains(r));
        if !all_in_sync(&self.adding) {
            return;
        }
        // When the replication factor shrinks, leaving early would shrink the in-sync set for nothing.
        if self.adding.len() < self.removing.len() && !all_in_sync(&replicas) {
            return;
        }
        self.isr = isr;
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
    }

    /// While fewer than the minimum are in sync, those that fell out still hold all that is committed.
    fn populate_elr(&mut self) {
        if !self.elr_enabled {
            return;
        }
        if self.isr.len() >= self.min_isr {
            self.elr.clear();
            return;
        }
        let mut candidates: Vec<i32> = self
            .elr
            .iter()
            .chain(&self.partition.isr)
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|r| !self.isr.contains(r) && self.unclean_shutdown != Some(*r));
        self.elr = candidates;
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let elected = self.choose_leader();
        if elected.leader == self.partition.leader {
            return;
        }
        record.leader = elected.leader.unwrap_or(NO_LEADER);
        if let Some(leader) = elected.leader.filter(|l| self.elr.contains(l)) {
            self.isr = vec![leader];
            self.elr.retain(|r| *r != leader);
        }
        if let (true, Some(leader)) = (elected.unclean, elected.leader) {
            // What the others hold is no longer what counts.
            record.isr = Some(vec![leader]);
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                record.leader_recovery_state = LeaderRecoveryState::Recovering.code();
            }
        }
    }

    fn choose_leader(&self) -> Elected {
        let clean = |leader| Elected {
            leader: Some(leader),
            unclean: false,
        };
        let unclean = |leader| Elected {
            leader: Some(leader),
            unclean: true,
        };
        let first = self
            .replicas
            .first()
            .filter(|_| self.election == Election::Preferred);
        if let Some(preferred) = first.filter(|r| self.is_valid_leader(**r)) {
            return clean(*preferred);
        }
        // A leader that is fit stays.
        if let Some(current) = self.partition.leader.filter(|r| self.is_valid_leader(*r)) {
            return clean(current);
        }
        if let Some(online) = self.replicas.iter().find(|r| self.is_valid_leader(**r)) {
            return clean(*online);
        }
        if let Some(last) = self.last_known_leader() {
            return unclean(last);
        }
        if self.election == Election::Unclean
            && let Some(any) = self
                .replicas
                .iter()
                .find(|r| (self.is_acceptable_leader)(**r))
        {
            return unclean(*any);
        }
        Elected {
            leader: None,
            unclean: false,
        }
    }

    fn is_valid_leader(&self, replica: i32) -> bool {
        let holds_everything =
            self.isr.contains(&replica) || (self.isr.is_empty() && self.elr.contains(&replica));
        holds_everything && (self.is_acceptable_leader)(replica)
    }

    /// With no one left who surely holds everything, the last leader is the best guess.
    fn last_known_leader(&self) -> Option<i32> {
        if !self.elr_enabled || !self.elr.is_empty() || !self.isr.is_empty() {
            return None;
        }
        match self.partition.last_known_elr[..] {
            [last] if (self.is_acceptable_leader)(last) => Some(last),
            _ => None,
        }
    }

    /// A replica that leaves must be fenced by a newer leader epoch.
    fn bump_epoch_if_replicas_leave(&self, record: &mut PartitionChangeRecord) {
        let left = self
            .partition
            .replicas
            .iter()
            .any(|r| !self.replicas.contains(r));
        if record.leader == NO_LEADER_CHANGE && left {
            record.leader = self.partition.leader.unwrap_or(NO_LEADER);
        }
    }

    /// Brokers of old metadata versions mishandle a shrink within a leader epoch.
    fn bump_epoch_on_shrink(&self, record: &mut PartitionChangeRecord) {
        if self.metadata_version >= MetadataVersion::NO_EPOCH_BUMP_ON_SHRINK
            || record.leader != NO_LEADER_CHANGE
        {
            return;
        }
        let shrinks = record
            .isr
            .as_ref()
            .is_some_and(|isr| self.partition.isr.iter().any(|r| !isr.contains(r)));
        if shrinks {
            record.leader = self.partition.leader.unwrap_or(NO_LEADER);
        }
    }

    fn write_elr(&mut self, record: &mut PartitionChangeRecord) {
        // An unclean election has set the in-sync set, and makes everybody else's log worthless.
        if record.isr.is_some() || !self.elr_enabled {
            self.elr.clear();
        }
        if self.elr != self.partition.eligible_leader_replicas {
            record.eligible_leader_replicas = Some(self.elr.clone());
        }
    }

    fn write_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.elr_enabled {
            return;
        }
        let known = &self.partition.last_known_elr;
        match (record.leader, self.partition.leader) {
            (NO_LEADER, Some(leader)) if known.is_empty() => {
                record.last_known_elr = Some(vec![leader])
            }
            (0.., _) if !known.is_empty() => record.last_known_elr = Some(Vec::new()),
            _ => {}
        }
    }

    fn write_assignment(&self, record: &mut PartitionChangeRecord) {
        if !self.replicas.is_empty() {
            let directories: Vec<Uuid> = self
                .replicas
                .iter()
                .map(|r| self.directory_of(*r))
                .collect();
            if self.metadata_version >= MetadataVersion::DIRECTORIES
                && directories != self.partition.directories
            {
                record.directories = Some(directories);
            }
            if self.replicas != self.partition.replicas {
                record.replicas = Some(self.replicas.clone());
            }
        }
        if self.removing != self.partition.removing_replicas {
            record.removing_replicas = Some(self.removing.clone());
        }
        if self.adding != self.partition.adding_replicas {
            record.adding_replicas = Some(self.adding.clone());
        }
    }

    fn directory_of(&self, replica: i32) -> Uuid {
        match self.directory {
            Some((broker, directory)) if broker == replica => directory,
            _ => self
                .partition
                .directory_of(replica)
                .unwrap_or_else(|| (self.default_directory)(replica)),
        }
    }
}
