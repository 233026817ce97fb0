//! One coordinator machine and its surroundings: who waits for it, what it appends, which markers it has written,
//! when it wakes.
//!
//! Invariant: effects are carried out in the order in which the machine made them, under its lock; markers are handed
//! to tasks, whose reports come back as calls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ottla_coordinator::transaction::{Answer, Effect, Marker, ProducerIds, TransactionCoordinator};
use ottla_coordinator::{AppendId, KeyValue, Token};
use ottla_protocol::ErrorCode;
use ottla_records::BatchBuilder;
use tokio::sync::{Notify, oneshot};

use super::markers;
use crate::broker::Broker;
use crate::partition::Partition;
use crate::partition::append::CoordinatorAppend;
use crate::waiters::{Waiter, WaiterGuard};

/// The driver looks at the clock at least this often, whatever the machine's deadlines are.
const IDLE_MAX: Duration = Duration::from_secs(60);

pub struct Shard {
    broker: Weak<Broker>,
    partition: Arc<Partition>,
    state: Mutex<State>,
    /// Tells the driver that a deadline or an append in flight is new.
    changed: Arc<Notify>,
    /// Itself, for markers, whose outcome comes back later.
    this: Weak<Self>,
}

struct State {
    machine: TransactionCoordinator,
    callers: HashMap<Token, oneshot::Sender<Answer>>,
    next_token: u64,
    /// Appends that the high watermark has not passed, with the offset that it must reach.
    uncommitted: VecDeque<(i64, AppendId)>,
    /// What the driver waits for: the next deadline, and whether the high watermark is of interest.
    driver_knows: (Option<i64>, bool),
}

/// Producer ids that are at hand without waiting.
pub struct Ids {
    broker: Option<Arc<Broker>>,
}

impl ProducerIds for Ids {
    fn next_producer_id(&mut self) -> Result<i64, ErrorCode> {
        let broker = self.broker.as_ref().ok_or(ErrorCode::NotCoordinator)?;
        broker.producer_ids.take(broker)
    }
}

impl Shard {
    /// Takes a loaded machine into service; a task of its own minds its deadlines until the shard is dropped.
    pub fn start(
        broker: Weak<Broker>,
        partition: Arc<Partition>,
        machine: TransactionCoordinator,
    ) -> Arc<Self> {
        let state = State {
            machine,
            callers: HashMap::new(),
            next_token: 0,
            uncommitted: VecDeque::new(),
            driver_knows: (None, false),
        };
        let changed = Arc::new(Notify::new());
        let shard = Arc::new_cyclic(|this| Self {
            broker,
            partition,
            state: Mutex::new(state),
            changed: Arc::clone(&changed),
            this: Weak::clone(this),
        });
        tokio::spawn(drive(Arc::downgrade(&shard), changed));
        shard
    }

    pub fn call(
        &self,
        operation: impl FnOnce(&mut TransactionCoordinator, i64, Token, &mut Ids),
    ) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().expect("transaction coordinator lock");
        let token = Token(state.next_token);
        state.next_token += 1;
        state.callers.insert(token, sender);
        operation(&mut state.machine, self.now_ms(), token, &mut self.ids());
        self.settle(&mut state);
        receiver
    }

    pub fn tell(&self, operation: impl FnOnce(&mut TransactionCoordinator, i64, &mut Ids)) {
        let mut state = self.state.lock().expect("transaction coordinator lock");
        operation(&mut state.machine, self.now_ms(), &mut self.ids());
        self.settle(&mut state);
    }

    pub fn look<T>(&self, look: impl FnOnce(&TransactionCoordinator) -> T) -> T {
        look(
            &self
                .state
                .lock()
                .expect("transaction coordinator lock")
                .machine,
        )
    }

    fn now_ms(&self) -> i64 {
        crate::clock::Clock.now_ms()
    }

    fn ids(&self) -> Ids {
        Ids {
            broker: self.broker.upgrade(),
        }
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
                Effect::WriteMarkers(marker) => self.write_markers(marker),
                Effect::Append { id, records } => match self.append(&records) {
                    Ok(next_offset) => {
                        state.uncommitted.push_back((next_offset, id));
                        self.commit(state);
                    }
                    Err(error) => {
                        state.uncommitted.retain(|(_, waiting)| *waiting < id);
                        state.machine.handle_append_failed(self.now_ms(), id, error);
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
            state.machine.handle_committed(self.now_ms(), id);
        }
    }

    fn append(&self, records: &[KeyValue]) -> Result<i64, ErrorCode> {
        let now_ms = self.now_ms();
        let mut builder = BatchBuilder::default();
        for (key, value) in records {
            builder.append(now_ms, Some(key), value.as_deref());
        }
        let batch = builder.build().map_err(|_| ErrorCode::RecordListTooLarge)?;
        let appended =
            self.partition
                .append_from_coordinator(&batch, CoordinatorAppend::default(), now_ms);
        appended
            .map(|appended| appended.next_offset)
            .map_err(|failure| failure.code)
    }

    fn write_markers(&self, marker: Marker) {
        let (broker, this) = (self.broker.clone(), self.this.clone());
        tokio::spawn(async move {
            let partitions = marker.partitions.iter();
            let writes = partitions.map(|(topic, partition)| {
                let (broker, this, marker) = (&broker, &this, &marker);
                async move {
                    let Some(broker) = broker.upgrade() else {
                        return;
                    };
                    let outcome = markers::send(&broker, marker, topic, partition).await;
                    let Some(shard) = this.upgrade() else { return };
                    shard.tell(|machine, now_ms, _ids| {
                        let (id, transactional_id) = (marker.id, &marker.transactional_id);
                        machine.handle_marker_outcome(
                            now_ms,
                            id,
                            transactional_id,
                            (topic, partition),
                            outcome,
                        );
                    });
                }
            });
            futures_util::future::join_all(writes).await;
        });
    }

    /// Does what is due; returns how long there is nothing to do, unless something changes.
    fn mind(&self, waiter: &Arc<Waiter>) -> Duration {
        let mut state = self.state.lock().expect("transaction coordinator lock");
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
            state.machine.handle_timeout(now_ms, &mut self.ids());
        }
        self.settle(&mut state);
        let deadline = state.machine.poll_timeout();
        state.driver_knows = (deadline, !state.uncommitted.is_empty());
        let wait_ms = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(now_ms).max(0));
        // Bounded, so that a shard that nobody holds any more is noticed.
        Duration::from_millis(wait_ms as u64).min(IDLE_MAX)
    }
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
