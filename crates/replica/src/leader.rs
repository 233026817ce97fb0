//! The leader's view of its partition: how far each replica has come, who is in sync, what is committed.
//!
//! Invariants: the in-sync set holds the leader and is a subset of the replicas; within one leader
//! epoch the high watermark never moves back; a proposed set counts before it is committed when it
//! is larger, and only after it is committed when it is smaller.
//! Called by the partition's owner after each append, follower fetch, assignment and tick.

mod progress;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ottla_protocol::ErrorCode;

use crate::UNKNOWN_OFFSET;
use progress::Progress;

/// A partition's registration, as far as its leader needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `replica.lag.time.max.ms`
    pub lag_time_ms_max: i64,
    /// The topic's `min.insync.replicas`
    pub min_insync_replicas: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}

/// Refusal of an append with `acks=all`: too few replicas are in sync for it to be safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the in-sync set {isr:?} is smaller than the required {required}")]
pub struct NotEnoughReplicas {
    pub isr: Vec<i32>,
    pub required: usize,
}

impl NotEnoughReplicas {
    /// Kafka's code for the error.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::NotEnoughReplicas
    }
}

/// Whether an append that waits for all in-sync replicas may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckState {
    Pending,
    Done,
    /// Committed, but the in-sync set shrank below the minimum after the append.
    NotEnoughReplicasAfterAppend,
}

/// What a follower's fetch says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerFetch {
    pub replica: i32,
    /// The broker epoch of the request, or -1 from brokers that send none.
    pub broker_epoch: i64,
    /// It holds every record before this offset.
    pub fetch_offset: i64,
    pub log_start: i64,
    /// Our log end when the fetch was read, which is earlier than now.
    pub leader_log_end: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FollowerFetchError {
    #[error("broker {0} is not a replica of the partition")]
    NotAReplica(i32),
    /// An earlier incarnation of the broker: its log may not be what it says.
    #[error("broker {replica} fetched with epoch {epoch} after {known}")]
    StaleBrokerEpoch {
        replica: i32,
        epoch: i64,
        known: i64,
    },
}

impl FollowerFetchError {
    /// Kafka's code for the error: either way the follower has to learn anew who leads.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::NotLeaderOrFollower
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowerFetchEffect {
    /// The high watermark, if it advanced.
    pub high_watermark: Option<i64>,
    /// A change of the in-sync set to ask the controller for.
    pub proposal: Option<IsrProposal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsrMember {
    pub broker: i32,
    /// -1 where no fetch told us, which skips the controller's check.
    pub broker_epoch: i64,
}

/// The content of an AlterPartition request for this partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrProposal {
    pub isr: Vec<IsrMember>,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
}

/// The controller's answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IsrAnswer {
    Committed {
        isr: Vec<i32>,
        leader_epoch: i32,
        partition_epoch: i32,
    },
    Rejected(IsrRejection),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsrRejection {
    /// Certainly not applied (INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED): back to the committed set.
    NotApplied,
    /// Our view is old (fenced epoch, unknown topic, invalid version …): metadata will tell.
    AwaitMetadata,
    /// Anything else: ask again with the same proposal.
    Retry,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IsrEffect {
    Nothing,
    HighWatermark(i64),
    Resend(IsrProposal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Isr {
    Committed(Vec<i32>),
    Expanding {
        committed: Vec<i32>,
        proposal: IsrProposal,
    },
    Shrinking {
        committed: Vec<i32>,
        proposal: IsrProposal,
    },
}

impl Isr {
    fn committed(&self) -> &[i32] {
        match self {
            Isr::Committed(isr) => isr,
            Isr::Expanding { committed, .. } | Isr::Shrinking { committed, .. } => committed,
        }
    }

    /// Whether the replica belongs to the largest set that may be in force at the controller.
    fn may_contain(&self, broker: i32) -> bool {
        match self {
            Isr::Expanding { proposal, .. } => proposal.isr.iter().any(|m| m.broker == broker),
            _ => self.committed().contains(&broker),
        }
    }

    fn len_max(&self) -> usize {
        match self {
            Isr::Expanding { proposal, .. } => proposal.isr.len(),
            _ => self.committed().len(),
        }
    }

    fn pending(&self) -> bool {
        !matches!(self, Isr::Committed(_))
    }
}

/// One partition that this broker leads.
#[derive(Debug, Clone)]
pub struct Leader {
    local: i32,
    leader_epoch: i32,
    partition_epoch: i32,
    /// Where our log ended when the epoch began: a follower below it may still diverge.
    epoch_start: i64,
    isr: Isr,
    /// Every replica but ourselves.
    followers: BTreeMap<i32, Progress>,
    settings: Settings,
    log_end: i64,
    high_watermark: i64,
}

impl Leader {
    /// Takes the lead at the end of the local log, with the high watermark that the log remembers.
    pub fn new(
        local: i32,
        assignment: &Assignment,
        settings: Settings,
        log_end: i64,
        high_watermark: i64,
        now_ms: i64,
    ) -> Leader {
        let followers = assignment
            .replicas
            .iter()
            .filter(|&&r| r != local)
            .map(|&replica| {
                (
                    replica,
                    Progress::at_election(assignment.isr.contains(&replica), now_ms),
                )
            });
        Leader {
            local,
            leader_epoch: assignment.leader_epoch,
            partition_epoch: assignment.partition_epoch,
            epoch_start: log_end,
            isr: Isr::Committed(assignment.isr.clone()),
            followers: followers.collect(),
            settings,
            log_end,
            high_watermark: high_watermark.min(log_end),
        }
    }

    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    pub fn log_end(&self) -> i64 {
        self.log_end
    }

    pub fn isr(&self) -> &[i32] {
        self.isr.committed()
    }

    pub fn is_under_replicated(&self) -> bool {
        self.isr().len() < self.followers.len() + 1
    }

    pub fn is_under_min_isr(&self) -> bool {
        self.isr().len() < self.effective_min_isr()
    }

    /// Follows a change of `min.insync.replicas` or `replica.lag.time.max.ms`.
    pub fn on_settings(
        &mut self,
        settings: Settings,
        now_ms: i64,
        eligible: impl Fn(i32) -> Option<i64>,
    ) -> Option<i64> {
        self.settings = settings;
        self.advance_high_watermark(now_ms, &eligible)
    }

    /// Takes an assignment in which we still lead; an older one than what we know is ignored.
    ///
    /// Returns the high watermark if it advanced, which it may since the in-sync set can have shrunk.
    pub fn on_assignment(
        &mut self,
        assignment: &Assignment,
        now_ms: i64,
        eligible: impl Fn(i32) -> Option<i64>,
    ) -> Option<i64> {
        if assignment.partition_epoch < self.partition_epoch {
            return None;
        }
        self.followers
            .retain(|replica, _| assignment.replicas.contains(replica));
        for &replica in assignment.replicas.iter().filter(|&&r| r != self.local) {
            let in_sync = assignment.isr.contains(&replica);
            self.followers
                .entry(replica)
                .or_insert_with(|| Progress::at_election(in_sync, now_ms));
        }
        if assignment.leader_epoch > self.leader_epoch {
            self.leader_epoch = assignment.leader_epoch;
            self.epoch_start = self.log_end;
            for (replica, progress) in &mut self.followers {
                progress.reset_for_epoch(self.log_end, assignment.isr.contains(replica), now_ms);
            }
        }
        self.isr = Isr::Committed(assignment.isr.clone());
        self.partition_epoch = assignment.partition_epoch;
        self.advance_high_watermark(now_ms, &eligible)
    }

    /// Whether an append with these acks may be made at all.
    pub fn check_append(&self, acks: Acks) -> Result<(), NotEnoughReplicas> {
        if acks == Acks::All && self.is_under_min_isr() {
            return Err(NotEnoughReplicas {
                isr: self.isr().to_vec(),
                required: self.effective_min_isr(),
            });
        }
        Ok(())
    }

    /// Notes that the local log ends at `log_end`; returns the high watermark if it advanced.
    pub fn on_append(
        &mut self,
        log_end: i64,
        now_ms: i64,
        eligible: impl Fn(i32) -> Option<i64>,
    ) -> Option<i64> {
        debug_assert!(log_end >= self.log_end, "a leader's log does not shrink");
        self.log_end = log_end;
        self.advance_high_watermark(now_ms, &eligible)
    }

    /// Whether an append that ends before `required_offset` is acknowledged by all in-sync replicas.
    pub fn ack_state(&self, required_offset: i64) -> AckState {
        if self.high_watermark < required_offset {
            return AckState::Pending;
        }
        if self.isr.len_max() < self.effective_min_isr() {
            return AckState::NotEnoughReplicasAfterAppend;
        }
        AckState::Done
    }

    /// Notes how far a follower has come.
    ///
    /// `eligible` answers the epoch of a broker that is neither fenced nor shutting down.
    pub fn on_follower_fetch(
        &mut self,
        fetch: FollowerFetch,
        now_ms: i64,
        eligible: impl Fn(i32) -> Option<i64>,
    ) -> Result<FollowerFetchEffect, FollowerFetchError> {
        let replica = fetch.replica;
        let progress = self
            .followers
            .get_mut(&replica)
            .ok_or(FollowerFetchError::NotAReplica(replica))?;
        let moved = progress.on_fetch(&fetch, eligible(replica), now_ms)?;
        let proposal = self.propose_expansion(replica, &eligible);
        let high_watermark = if moved {
            self.advance_high_watermark(now_ms, &eligible)
        } else {
            None
        };
        Ok(FollowerFetchEffect {
            high_watermark,
            proposal,
        })
    }

    /// Proposes to drop the replicas that have not caught up for longer than the lag allows.
    pub fn handle_timeout(&mut self, now_ms: i64) -> Option<IsrProposal> {
        if self.isr.pending() {
            return None;
        }
        let (log_end, lag) = (self.log_end, self.settings.lag_time_ms_max);
        let committed = self.isr().to_vec();
        let in_sync: Vec<i32> = committed
            .iter()
            .copied()
            .filter(|&replica| {
                replica == self.local
                    || self
                        .followers
                        .get(&replica)
                        .is_some_and(|p| p.is_caught_up(log_end, now_ms, lag))
            })
            .collect();
        if in_sync.len() == committed.len() {
            return None;
        }
        let proposal = self.proposal(in_sync);
        self.isr = Isr::Shrinking {
            committed,
            proposal: proposal.clone(),
        };
        Some(proposal)
    }

    /// When the next replica can fall out of sync, so that the owner knows when to ask.
    pub fn poll_timeout(&self) -> Option<i64> {
        if self.isr.pending() {
            return None;
        }
        self.isr()
            .iter()
            .filter_map(|replica| self.followers.get(replica))
            .filter(|progress| progress.log_end() != self.log_end)
            .map(|progress| {
                progress
                    .last_caught_up_ms()
                    .saturating_add(self.settings.lag_time_ms_max)
                    .saturating_add(1)
            })
            .min()
    }

    /// Digests the controller's answer to the proposal that is in flight.
    pub fn on_isr_answer(
        &mut self,
        answer: IsrAnswer,
        now_ms: i64,
        eligible: impl Fn(i32) -> Option<i64>,
    ) -> IsrEffect {
        let (Isr::Expanding {
            committed,
            proposal,
        }
        | Isr::Shrinking {
            committed,
            proposal,
        }) = &self.isr
        else {
            // An assignment overtook the answer.
            return IsrEffect::Nothing;
        };
        match answer {
            IsrAnswer::Rejected(IsrRejection::NotApplied) => {
                self.isr = Isr::Committed(committed.clone());
                IsrEffect::Nothing
            }
            IsrAnswer::Rejected(IsrRejection::AwaitMetadata) => IsrEffect::Nothing,
            IsrAnswer::Rejected(IsrRejection::Retry) => IsrEffect::Resend(proposal.clone()),
            IsrAnswer::Committed {
                isr,
                leader_epoch,
                partition_epoch,
            } => {
                if leader_epoch != self.leader_epoch || partition_epoch < self.partition_epoch {
                    return IsrEffect::Nothing;
                }
                self.isr = Isr::Committed(isr);
                self.partition_epoch = partition_epoch;
                match self.advance_high_watermark(now_ms, &eligible) {
                    Some(high_watermark) => IsrEffect::HighWatermark(high_watermark),
                    None => IsrEffect::Nothing,
                }
            }
        }
    }

    /// The smallest log start among ourselves and the replicas that are alive: what DeleteRecords waits for.
    pub fn low_watermark(&self, local_log_start: i64, alive: impl Fn(i32) -> bool) -> i64 {
        self.followers
            .iter()
            .filter(|(replica, _)| alive(**replica))
            .map(|(_, progress)| progress.log_start())
            .fold(local_log_start, i64::min)
    }

    /// More than there are replicas can never be in sync, so the minimum never asks for more.
    fn effective_min_isr(&self) -> usize {
        self.settings
            .min_insync_replicas
            .min(self.followers.len() + 1)
    }

    fn propose_expansion(
        &mut self,
        replica: i32,
        eligible: &impl Fn(i32) -> Option<i64>,
    ) -> Option<IsrProposal> {
        if self.isr.pending() || self.isr().contains(&replica) {
            return None;
        }
        let progress = self.followers.get(&replica)?;
        let caught_up =
            progress.log_end() >= self.high_watermark && progress.log_end() >= self.epoch_start;
        if !caught_up || !progress.may_join(eligible(replica)) {
            return None;
        }
        let committed = self.isr().to_vec();
        let mut isr = committed.clone();
        isr.push(replica);
        let proposal = self.proposal(isr);
        self.isr = Isr::Expanding {
            committed,
            proposal: proposal.clone(),
        };
        Some(proposal)
    }

    fn proposal(&self, isr: Vec<i32>) -> IsrProposal {
        let members = isr.into_iter().map(|broker| IsrMember {
            broker,
            // The local epoch is the shell's to fill in: it alone knows its registration.
            broker_epoch: self
                .followers
                .get(&broker)
                .and_then(Progress::broker_epoch)
                .unwrap_or(UNKNOWN_OFFSET),
        });
        IsrProposal {
            isr: members.collect(),
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
        }
    }

    /// Advances to the end of the slowest replica that counts.
    ///
    /// A replica that is about to join counts too, or the high watermark would run away from it.
    fn advance_high_watermark(
        &mut self,
        now_ms: i64,
        eligible: &impl Fn(i32) -> Option<i64>,
    ) -> Option<i64> {
        if self.is_under_min_isr() {
            return None;
        }
        let mut slowest = self.log_end;
        for (&replica, progress) in &self.followers {
            if progress.log_end() >= slowest {
                continue;
            }
            let joining = || {
                progress.is_caught_up(self.log_end, now_ms, self.settings.lag_time_ms_max)
                    && progress.may_join(eligible(replica))
            };
            if self.isr.may_contain(replica) || joining() {
                slowest = progress.log_end();
            }
        }
        // Just after an election the ends of followers are unknown, and the minimum lies below.
        if slowest <= self.high_watermark {
            return None;
        }
        self.high_watermark = slowest;
        Some(slowest)
    }
}
