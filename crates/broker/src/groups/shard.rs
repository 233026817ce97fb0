//! One coordinator machine and its surroundings: who waits for it, what it appends, when it wakes.
//!
//! Invariant: effects are carried out in the order in which the machine made them, under its lock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::{Answer, AppendBatch, AppendId, Effect, GroupCoordinator, KeyValue, Token};
use ottla_protocol::ErrorCode;
use ottla_records::{BatchBuilder, EndTxnMarker, Producer, TransactionResult};
use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;
use crate::partition::Partition;
use crate::partition::append::CoordinatorAppend;
use crate::waiters::{Waiter, WaiterGuard};

pub struct Shard {
    partition: Arc<Partition>,
    clock: Clock,
    state: Mutex<State>,
    /// Tells the driver that a deadline or an append in flight is new.
    changed: Arc<Notify>,
    /// Itself, for work that comes back later.
    this: Weak<Self>,
}

struct State {
    machine: GroupCoordinator,
    callers: HashMap<Token, oneshot::Sender<Answer>>,
    next_token: u64,
    /// Appends that the high watermark has not passed, with the offset that it must reach.
    uncommitted: VecDeque<(i64, AppendId)>,
    /// What the driver waits for: the next deadline, and whether the high watermark is of interest.
    driver_knows: (Option<i64>, bool),
    /// What the appends of the call under way need.
    how: CoordinatorAppend,
}

/// The driver looks at the clock at least this often, whatever the machine's deadlines are.
const IDLE_MAX: Duration = Duration::from_secs(60);

impl Shard {
    /// Takes a loaded machine into service; a task of its own minds its deadlines until the shard is dropped.
    pub fn start(partition: Arc<Partition>, machine: GroupCoordinator, clock: Clock) -> Arc<Self> {
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
            state: Mutex::new(state),
            changed: Arc::clone(&changed),
            this: Weak::clone(this),
        });
        tokio::spawn(drive(Arc::downgrade(&shard), changed));
        shard
    }

    pub fn call(
        &self,
        how: CoordinatorAppend,
        operation: impl FnOnce(&mut GroupCoordinator, i64, Token),
    ) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().expect("group coordinator lock");
        let token = Token(state.next_token);
        state.next_token += 1;
        state.callers.insert(token, sender);
        operation(&mut state.machine, self.clock.now_ms(), token);
        state.how = how;
        self.settle(&mut state);
        state.how = CoordinatorAppend::default();
        receiver
    }

    pub fn tell(&self, operation: impl FnOnce(&mut GroupCoordinator, i64)) {
        let mut state = self.state.lock().expect("group coordinator lock");
        operation(&mut state.machine, self.clock.now_ms());
        self.settle(&mut state);
    }

    pub fn look<T>(&self, look: impl FnOnce(&GroupCoordinator) -> T) -> T {
        look(&self.state.lock().expect("group coordinator lock").machine)
    }

    /// Carries out what the machine wants, and tells the driver if there is news for it.
    fn settle(&self, state: &mut State) {
        while let Some(effect) = state.machine.next_effect() {
            match effect {
                Effect::Respond { token, answer } => {
                    if let Some(caller) = state.callers.remove(&token) {
                        // The caller's connection may be gone.
                        let _ = caller.send(answer);
                    }
                }
                Effect::ResolveRegexes(task) => {
                    let (topics, this) = (state.machine.topics(), Weak::clone(&self.this));
                    // All topics against all expressions takes a while in a large cluster.
                    tokio::task::spawn_blocking(move || {
                        let resolved = task.resolve(&*topics);
                        if let Some(shard) = this.upgrade() {
                            shard.tell(|machine, now_ms| {
                                machine.handle_regexes_resolved(now_ms, resolved)
                            });
                        }
                    });
                }
                Effect::Append { id, batch } => match self.append(batch, state.how) {
                    Ok(next_offset) => {
                        state.uncommitted.push_back((next_offset, id));
                        self.commit(state);
                    }
                    Err(error) => {
                        state.uncommitted.retain(|(_, waiting)| *waiting < id);
                        state
                            .machine
                            .handle_append_failed(self.clock.now_ms(), id, error);
                    }
                },
            }
        }
        if state.driver_knows != (state.machine.poll_timeout(), !state.uncommitted.is_empty()) {
            self.changed.notify_one();
        }
    }

    /// Tells the machine of the appends that every in-sync replica has.
    fn commit(&self, state: &mut State) {
        let high_watermark = self.partition.high_watermark();
        while let Some((next_offset, id)) = state.uncommitted.front().copied() {
            if next_offset > high_watermark {
                return;
            }
            state.uncommitted.pop_front();
            state.machine.handle_committed(self.clock.now_ms(), id);
        }
    }

    /// Does what is due; returns how long there is nothing to do, unless something changes.
    fn mind(&self, waiter: &Arc<Waiter>) -> Duration {
        let mut state = self.state.lock().expect("group coordinator lock");
        if !state.uncommitted.is_empty() {
            self.partition.acknowledgers.register(waiter);
        }
        self.commit(&mut state);
        let now_ms = self.clock.now_ms();
        if state
            .machine
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now_ms)
        {
            state.machine.handle_timeout(now_ms);
        }
        self.settle(&mut state);
        let deadline = state.machine.poll_timeout();
        state.driver_knows = (deadline, !state.uncommitted.is_empty());
        let wait_ms = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(now_ms).max(0));
        // Bounded, so that a shard that nobody holds any more is noticed.
        Duration::from_millis(wait_ms as u64).min(IDLE_MAX)
    }

    /// Appends one batch; returns the offset after it.
    fn append(&self, batch: AppendBatch, how: CoordinatorAppend) -> Result<i64, ErrorCode> {
        let now_ms = self.clock.now_ms();
        let records = match batch {
            AppendBatch::Records(records) => encode(BatchBuilder::default(), now_ms, &records)?,
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
                encode(
                    BatchBuilder::default()
                        .producer(producer)
                        .transactional(true),
                    now_ms,
                    &records,
                )?
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
                marker.to_batch(end.producer_id, end.producer_epoch, now_ms)
            }
        };
        let appended = self
            .partition
            .append_from_coordinator(&records, how, now_ms);
        appended
            .map(|appended| appended.next_offset)
            .map_err(|failure| failure.code)
    }
}

fn encode(
    mut builder: BatchBuilder,
    now_ms: i64,
    records: &[KeyValue],
) -> Result<Bytes, ErrorCode> {
    for (key, value) in records {
        builder.append(now_ms, Some(key), value.as_deref());
    }
    builder.build().map_err(|_| ErrorCode::RecordListTooLarge)
}

/// Minds the machine's deadlines and the high watermark until the shard is gone.
async fn drive(shard: Weak<Shard>, changed: Arc<Notify>) {
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
