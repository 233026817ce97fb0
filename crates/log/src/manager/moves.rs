//! Which logs are on their way to another log directory, and one such move from its beginning to its end.
//!
//! ```text
//! alter_log_dir ──▶ waits ──▶ a mover copies ──▶ the metadata is told ──▶ the log is switched over
//!     │ to where it is, or elsewhere, or the topic is deleted: the move is cancelled, and its copy goes
//! ```
//!
//! Invariant: a partition has one move at most that counts; one that was cancelled changes nothing any more, which is
//! looked at under the lock `changing` before the switch. What a directory's checkpoints say of a log that is about to
//! arrive is written before it arrives.
//! Called by the broker's AlterReplicaLogDirs, and by the movers' threads (`movers.rs`).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::describe::LogDescription;
use super::{LogManager, random_u128};
use crate::cleaner::{Pace, Stopped};
use crate::environment::LogDir;
use crate::log::Log;
use crate::names::FILE_NAME_LEN_MAX;
use crate::relocation::{CopyProgress, MoveError, Relocation, future_dir_name};

/// Partitions without a log for which a directory is remembered.
const PREFERENCES_MAX: usize = 100_000;

/// Why a replica is not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterDirError {
    #[error("{} is not one of this broker's log directories", .0.display())]
    UnknownDirectory(PathBuf),
    #[error("log directory {} is offline", .0.display())]
    DirectoryOffline(PathBuf),
    #[error("the log of {0} may lie in a log directory that is offline")]
    MayBeOffline(TopicPartition),
    #[error("the name of {0} is too long for a copy of its log")]
    NameTooLong(TopicPartition),
    /// A log that begins later goes to the directory.
    #[error("there is no log of {0} here")]
    NoLog(TopicPartition),
}

/// One log that moves, or waits to.
#[derive(Debug)]
pub(super) struct Move {
    log: Arc<Log>,
    target: Arc<LogDir>,
    directory_id: Uuid,
    is_cancelled: AtomicBool,
    is_taken: AtomicBool,
    progress: Arc<CopyProgress>,
}

impl Move {
    fn new(log: Arc<Log>, target: Arc<LogDir>, directory_id: Uuid) -> Move {
        Move {
            log,
            target,
            directory_id,
            is_cancelled: AtomicBool::new(false),
            is_taken: AtomicBool::new(false),
            progress: Arc::default(),
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }
}

/// What the manager knows of moves.
#[derive(Debug, Default)]
pub(super) struct Moves {
    state: Mutex<State>,
    /// A move came, was cancelled, or the movers' settings changed.
    pub(super) changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    moves: BTreeMap<TopicPartition, Arc<Move>>,
    /// Logs that are about to arrive, and how much of each is durable where it arrives.
    arriving: Vec<(Arc<Move>, i64)>,
    /// Where logs are to begin that are not there yet.
    preferred: HashMap<TopicPartition, Uuid>,
    /// The movers stop.
    pub(super) is_stopped: bool,
}

impl State {
    /// A move that nobody carries out yet, which from then on is taken.
    pub fn take_waiting(&self) -> Option<Arc<Move>> {
        let mut moves = self.moves.values();
        let waiting = moves.find(|one| !one.is_taken.swap(true, Ordering::AcqRel))?;
        Some(Arc::clone(waiting))
    }
}

impl Moves {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("moves poisoned")
    }

    pub fn cancel(&self, partition: &TopicPartition) {
        if let Some(one) = self.state().moves.remove(partition) {
            one.is_cancelled.store(true, Ordering::Release);
            self.changed.notify_all();
        }
    }

    fn add(&self, partition: &TopicPartition, one: Move) {
        self.state().moves.insert(partition.clone(), Arc::new(one));
        self.changed.notify_all();
    }

    fn target(&self, partition: &TopicPartition) -> Option<Arc<LogDir>> {
        let state = self.state();
        Some(Arc::clone(&state.moves.get(partition)?.target))
    }

    /// Forgets a move that has come to its end, however it did.
    fn remove(&self, one: &Arc<Move>) {
        let mut state = self.state();
        state.arriving.retain(|(other, _)| !Arc::ptr_eq(other, one));
        let partition = one.log.partition();
        if state
            .moves
            .get(partition)
            .is_some_and(|other| Arc::ptr_eq(other, one))
        {
            state.moves.remove(partition);
        }
    }

    fn announce(&self, one: &Arc<Move>, durable_end: i64) {
        let mut state = self.state();
        state.arriving.retain(|(other, _)| !Arc::ptr_eq(other, one));
        state.arriving.push((Arc::clone(one), durable_end));
    }

    /// The logs that are about to arrive in `dir`, and how much of each is durable there.
    pub fn arriving_in(&self, dir: &Arc<LogDir>) -> Vec<(Arc<Log>, i64)> {
        let state = self.state();
        let here = state
            .arriving
            .iter()
            .filter(|(one, _)| Arc::ptr_eq(&one.target, dir));
        here.map(|(one, durable_end)| (Arc::clone(&one.log), *durable_end))
            .collect()
    }

    /// The copies that move into `dir`.
    pub fn describe(&self, dir: &Arc<LogDir>) -> Vec<LogDescription> {
        let state = self.state();
        let here = state
            .moves
            .values()
            .filter(|one| Arc::ptr_eq(&one.target, dir));
        here.map(|one| LogDescription {
            partition: one.log.partition().clone(),
            size: one.progress.bytes(),
            offset_lag: (one.log.log_end_offset() - one.progress.end_offset()).max(0),
            is_future: true,
        })
        .collect()
    }

    pub fn preference(&self, partition: &TopicPartition) -> Option<Uuid> {
        self.state().preferred.get(partition).copied()
    }

    pub fn forget_preference(&self, partition: &TopicPartition) {
        self.state().preferred.remove(partition);
    }

    fn prefer(&self, partition: &TopicPartition, directory_id: Uuid) {
        let preferred = &mut self.state().preferred;
        if preferred.len() < PREFERENCES_MAX || preferred.contains_key(partition) {
            preferred.insert(partition.clone(), directory_id);
        } else {
            tracing::warn!(%partition, "too many directories were chosen for partitions that are not there");
        }
    }
}

/// What carries out moves, as its caller sees them.
pub(super) struct Carrier<'a> {
    /// Waits for the throttle, and says when to stop.
    pub pace: &'a dyn Pace,
    /// Tells the metadata where the replica of a topic is; false if that cannot be.
    pub assign: &'a dyn Fn(&TopicPartition, Uuid, Uuid) -> bool,
    pub now_ms: &'a dyn Fn() -> i64,
}

impl LogManager {
    /// Has the partition's log move to the log directory at `path`, in the background. A move that is under way to
    /// another is given up; where the log is already there, that is all.
    pub fn alter_log_dir(
        &self,
        partition: &TopicPartition,
        path: &Path,
    ) -> Result<(), AlterDirError> {
        let name = future_dir_name(&partition.topic, partition.partition, 0);
        if name.len() > FILE_NAME_LEN_MAX {
            return Err(AlterDirError::NameTooLong(partition.clone()));
        }
        let offline = || AlterDirError::DirectoryOffline(path.to_path_buf());
        let Some(open) = self.dirs.dirs().iter().find(|o| o.dir.path() == path) else {
            return Err(match self.dirs.offline.iter().any(|dir| dir == path) {
                true => offline(),
                false => AlterDirError::UnknownDirectory(path.to_path_buf()),
            });
        };
        if open.dir.has_failed() {
            return Err(offline());
        }
        let _changing = self.changing.lock().expect("log changes poisoned");
        let Some(log) = self.get(partition) else {
            self.moves.prefer(partition, open.directory_id);
            return Err(AlterDirError::NoLog(partition.clone()));
        };
        match self.moves.target(partition) {
            Some(target) if Arc::ptr_eq(&target, &open.dir) => return Ok(()),
            Some(_) => self.moves.cancel(partition),
            None => {}
        }
        if Arc::ptr_eq(&log.log_dir(), &open.dir) {
            return Ok(());
        }
        // A copy may lie there already.
        if self.has_offline_dir() {
            return Err(AlterDirError::MayBeOffline(partition.clone()));
        }
        tracing::info!(%partition, from = %log.log_dir().path().display(), to = %path.display(), "moving a log");
        let target = Arc::clone(&open.dir);
        self.moves
            .add(partition, Move::new(log, target, open.directory_id));
        Ok(())
    }

    /// Takes up the moves that a stop interrupted.
    pub(super) fn begin_moves_again(&self, unfinished: Vec<(TopicPartition, usize)>) {
        for (partition, at) in unfinished {
            let open = &self.dirs.dirs()[at];
            if let Some(log) = self.get(&partition) {
                tracing::info!(%partition, to = %open.dir.path().display(), "moving a log, from the beginning");
                let target = Arc::clone(&open.dir);
                self.moves
                    .add(&partition, Move::new(log, target, open.directory_id));
            }
        }
    }

    /// Carries out a move; it is over when this returns, unless the movers stop.
    pub(super) fn carry_out(&self, one: &Arc<Move>, carrier: &Carrier<'_>) {
        let partition = one.log.partition();
        let home = self.directory_id(&one.log);
        let mut relocation = None;
        let mut is_assigned = false;
        let result = Relocation::begin(&one.log, &one.target, random_u128(), &one.progress)
            .and_then(|begun| {
                let relocation = relocation.insert(begun);
                self.copy_and_switch(one, relocation, carrier, &mut is_assigned)
            });
        let leaves_copy = match &result {
            Ok(()) => {
                tracing::info!(%partition, to = %one.target.path().display(), "a log has moved");
                return;
            }
            Err(MoveError::Stopped) if !one.is_cancelled() => return,
            Err(MoveError::Stopped | MoveError::Gone) => {
                tracing::info!(%partition, "a move is given up");
                false
            }
            // If nothing can be read any more where the log was, the copy may be what is left.
            Err(error @ MoveError::Source(_)) => {
                tracing::error!(%partition, %error, "a log cannot be moved");
                true
            }
            Err(error) => {
                tracing::error!(%partition, %error, "a log cannot be moved");
                false
            }
        };
        if let Some(relocation) = relocation
            && !leaves_copy
        {
            relocation.discard(random_u128(), (carrier.now_ms)());
        }
        // The metadata was told of a place that the log has not come to.
        if let (true, Some(home), Some(topic_id)) = (is_assigned, home, one.log.topic_id()) {
            (carrier.assign)(partition, topic_id, home);
        }
        self.moves.remove(one);
        // The files there may have a line of the log that does not come.
        one.target.stale.note_gone();
    }

    fn copy_and_switch(
        &self,
        one: &Arc<Move>,
        relocation: &mut Relocation,
        carrier: &Carrier<'_>,
        is_assigned: &mut bool,
    ) -> Result<(), MoveError> {
        loop {
            relocation.settle(carrier.pace)?;
            if let Some(topic_id) = one.log.topic_id().filter(|_| !*is_assigned) {
                *is_assigned = (carrier.assign)(one.log.partition(), topic_id, one.directory_id);
                // Without the controller's word the log stays. A stop may be why there is no controller.
                carrier.pace.spend(0)?;
                if !*is_assigned {
                    return Err(MoveError::Refused);
                }
            }
            self.moves.announce(one, relocation.recovery_point());
            one.target.stale.note_all_files();
            self.checkpoint_dir(&one.target)
                .map_err(MoveError::Target)?;
            relocation.catch_up(carrier.pace)?;
            if self.switch(one, relocation, (carrier.now_ms)())? {
                return Ok(());
            }
        }
    }

    /// Puts the copy in the place of the log, if it has caught up.
    fn switch(
        &self,
        one: &Arc<Move>,
        relocation: &mut Relocation,
        now_ms: i64,
    ) -> Result<bool, MoveError> {
        let _changing = self.changing.lock().expect("log changes poisoned");
        if one.is_cancelled() {
            return Err(MoveError::Stopped);
        }
        let source = one.log.log_dir();
        let Some(finished) = relocation.finish(now_ms)? else {
            return Ok(false);
        };
        source.log_count.fetch_sub(1, Ordering::Relaxed);
        one.target.log_count.fetch_add(1, Ordering::Relaxed);
        self.moves.remove(one);
        source.stale.note_gone();
        one.target.stale.note_all_files();
        if finished.is_durable {
            let due_ms = now_ms.saturating_add(one.log.config().file_delete_delay_ms);
            let deletes = &self.dirs.environment.deletes;
            deletes.add_dir(finished.retired, due_ms);
        }
        Ok(true)
    }
}

/// A move is slowed down and stopped like all that its pace is for, and stops when it is cancelled.
pub(super) struct MovePace<'a, F: Fn(u64) -> Result<(), Stopped>> {
    pub one: &'a Move,
    pub spend: F,
}

impl<F: Fn(u64) -> Result<(), Stopped>> Pace for MovePace<'_, F> {
    fn spend(&self, bytes: u64) -> Result<(), Stopped> {
        if self.one.is_cancelled() {
            return Err(Stopped);
        }
        (self.spend)(bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests;
