//! One coordinator machine and its surroundings: who waits for it, what it appends, when it wakes.
//!
//! Invariant: what the machine wants is done in the order in which it wanted it, under its lock, so that records lie
//! in the log in the order in which the machine decided. It hears of an append once every in-sync replica has it,
//! and, where `flush.messages` asks for that, the disk. Called by `homes.rs`, and by work that comes back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::{AppendBatch, AppendId, KeyValue, Token};
use ottla_protocol::ErrorCode;
use ottla_records::{BatchBuilder, EndTxnMarker, Producer, TransactionResult};
use tokio::sync::{Notify, oneshot};

use super::machine::{Machine, Step};
use crate::clock::Clock;
use crate::partition::Partition;
use crate::partition::append::{Appended, CoordinatorAppend};
use crate::waiters::{Waiter, WaiterGuard};

/// The driver looks at the clock at least this often, whatever the machine's deadlines are.
const IDLE_MAX: Duration = Duration::from_secs(60);

pub struct Shard<M: Machine> {
    partition: Arc<Partition>,
    clock: Clock,
    outside: M::Outside,
    state: Mutex<State<M>>,
    /// Tells the driver that a deadline or an append in flight is new.
    changed: Arc<Notify>,
    /// Itself, for work that comes back later.
    this: Weak<Self>,
}

struct State<M: Machine> {
    machine: M,
    /// Dropped with the shard: those who wait then look for the new coordinator.
    callers: HashMap<Token, oneshot::Sender<M::Answer>>,
    next_token: u64,
    uncommitted: VecDeque<Uncommitted>,
    /// What the driver waits for: the next deadline, and whether the high watermark is of interest.
    driver_knows: (Option<i64>, bool),
    /// What the appends of the call under way need.
    how: CoordinatorAppend,
}

/// An append that the machine has not heard of again.
struct Uncommitted {
    id: AppendId,
    /// What the high watermark must reach.
    next_offset: i64,
    needs_disk: bool,
}

impl<M: Machine> Shard<M> {
    /// Takes a loaded machine into service; a task of its own minds its deadlines until the shard is dropped.
    pub fn start(
        partition: Arc<Partition>,
        machine: M,
        clock: Clock,
        outside: M::Outside,
    ) -> Arc<Self> {
        let state = State {
            machine,
            callers: HashMap::new(),
            next_token: 0,
            uncommitted: VecDeque::new(),
            driver_knows: (None, false),
            how: CoordinatorAppend::default(),
        };
        let changed = Arc::new(Notify::new());
        let shard = Arc::new_cyclic(|this| Self {
            partition,
            clock,
            outside,
            state: Mutex::new(state),
            changed: Arc::clone(&changed),
            this: Weak::clone(this),
        });
        tokio::spawn(drive(Arc::downgrade(&shard), changed));
        shard
    }

    /// Lets the machine take a request; the answer comes when the machine gives it.
    pub fn call(
        &self,
        how: CoordinatorAppend,
        operation: impl FnOnce(&mut M, i64, Token),
    ) -> oneshot::Receiver<M::Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().expect("coordinator lock");
        let token = Token(state.next_token);
        state.next_token += 1;
        state.callers.insert(token, sender);
        operation(&mut state.machine, self.now_ms(), token);
        state.how = how;
        self.settle(&mut state);
        state.how = CoordinatorAppend::default();
        receiver
    }

    pub fn tell(&self, operation: impl FnOnce(&mut M, i64)) {
        let mut state = self.state.lock().expect("coordinator lock");
        operation(&mut state.machine, self.now_ms());
        self.settle(&mut state);
    }

    pub fn look<T>(&self, look: impl FnOnce(&M) -> T) -> T {
        look(&self.state.lock().expect("coordinator lock").machine)
    }

    pub fn outside(&self) -> &M::Outside {
        &self.outside
    }

    /// A way back for work that outlasts the call.
    pub fn downgrade(&self) -> Weak<Self> {
        Weak::clone(&self.this)
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Does what the machine wants, and tells the driver if there is news for it.
    fn settle(&self, state: &mut State<M>) {
        while let Some(step) = state.machine.next_step() {
            match step {
                Step::Respond { token, answer } => {
                    if let Some(caller) = state.callers.remove(&token) {
                        // The caller's connection may be gone.
                        let _ = caller.send(answer);
                    }
                }
                Step::Work(work) => state.machine.work(work, self),
                Step::Append { id, batch } => match self.append(batch, state.how) {
                    Ok(appended) => {
                        let needs_disk = appended.flush_due;
                        if needs_disk {
                            self.flush(appended.next_offset);
                        }
                        state.uncommitted.push_back(Uncommitted {
                            id,
                            next_offset: appended.next_offset,
                            needs_disk,
                        });
                        self.commit(state);
                    }
                    Err(error) => {
                        state.uncommitted.retain(|waiting| waiting.id < id);
                        state.machine.handle_append_failed(self.now_ms(), id, error);
                    }
                },
            }
        }
        if state.driver_knows != (state.machine.poll_timeout(), !state.uncommitted.is_empty()) {
            self.changed.notify_one();
        }
    }

    /// Tells the machine of the appends that have what it waits for.
    fn commit(&self, state: &mut State<M>) {
        let high_watermark = self.partition.high_watermark();
        while let Some(first) = state.uncommitted.front() {
            let is_on_disk =
                !first.needs_disk || self.partition.log.recovery_point() >= first.next_offset;
            if first.next_offset > high_watermark || !is_on_disk {
                return;
            }
            let id = first.id;
            state.uncommitted.pop_front();
            state.machine.handle_committed(self.now_ms(), id);
        }
    }

    /// Has the log flushed, and looks again at what waits for that.
    fn flush(&self, next_offset: i64) {
        let (partition, this) = (Arc::clone(&self.partition), self.downgrade());
        tokio::spawn(async move {
            let is_flushed = partition.flushed(next_offset).await;
            let Some(shard) = this.upgrade() else { return };
            if is_flushed {
                shard.changed.notify_one();
            } else {
                shard.fail_unflushed();
            }
        });
    }

    /// The disk does not take what must be on it.
    fn fail_unflushed(&self) {
        let mut state = self.state.lock().expect("coordinator lock");
        let first = state
            .uncommitted
            .iter()
            .position(|waiting| waiting.needs_disk);
        if let Some(first) = first {
            let id = state.uncommitted[first].id;
            state.uncommitted.truncate(first);
            let error = ErrorCode::KafkaStorageError;
            state.machine.handle_append_failed(self.now_ms(), id, error);
        }
        self.settle(&mut state);
    }

    /// Does what is due; returns how long there is nothing to do, unless something changes.
    fn mind(&self, waiter: &Arc<Waiter>) -> Duration {
        let mut state = self.state.lock().expect("coordinator lock");
        if !state.uncommitted.is_empty() {
            self.partition.acknowledgers.register(waiter);
        }
        self.commit(&mut state);
        let now_ms = self.now_ms();
        if state
            .machine
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now_ms)
        {
            state.machine.handle_timeout(now_ms, &self.outside);
        }
        self.settle(&mut state);
        let deadline = state.machine.poll_timeout();
        state.driver_knows = (deadline, !state.uncommitted.is_empty());
        let wait_ms = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(now_ms).max(0));
        // Bounded, so that a shard that nobody holds any more is noticed.
        Duration::from_millis(wait_ms as u64).min(IDLE_MAX)
    }

    fn append(&self, batch: AppendBatch, how: CoordinatorAppend) -> Result<Appended, ErrorCode> {
        let now_ms = self.now_ms();
        let records = encode(batch, now_ms)?;
        let appended = self
            .partition
            .append_from_coordinator(&records, how, now_ms);
        appended.map_err(|failure| failure.code)
    }
}

pub(super) fn encode(batch: AppendBatch, now_ms: i64) -> Result<Bytes, ErrorCode> {
    match batch {
        AppendBatch::Records(records) => build(BatchBuilder::default(), now_ms, &records),
        AppendBatch::Transactional {
            producer_id,
            producer_epoch,
            records,
        } => {
            let producer = Producer {
                id: producer_id,
                epoch: producer_epoch,
                base_sequence: 0,
            };
            let builder = BatchBuilder::default()
                .producer(producer)
                .transactional(true);
            build(builder, now_ms, &records)
        }
        AppendBatch::EndTransaction(end) => {
            let result = if end.committed {
                TransactionResult::Commit
            } else {
                TransactionResult::Abort
            };
            let marker = EndTxnMarker {
                result,
                coordinator_epoch: end.coordinator_epoch,
            };
            Ok(marker.to_batch(end.producer_id, end.producer_epoch, now_ms))
        }
    }
}

fn build(mut builder: BatchBuilder, now_ms: i64, records: &[KeyValue]) -> Result<Bytes, ErrorCode> {
    for (key, value) in records {
        builder.append(now_ms, Some(key), value.as_deref());
    }
    builder.build().map_err(|_| ErrorCode::RecordListTooLarge)
}

/// Minds the machine's deadlines and the high watermark until the shard is gone.
async fn drive<M: Machine>(shard: Weak<Shard<M>>, changed: Arc<Notify>) {
    let waiter = Waiter::new();
    let _guard = WaiterGuard(Arc::clone(&waiter));
    loop {
        let wait = {
            let Some(shard) = shard.upgrade() else { return };
            shard.mind(&waiter)
        };
        tokio::select! {
            () = changed.notified() => {}
            () = waiter.woken() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests;
