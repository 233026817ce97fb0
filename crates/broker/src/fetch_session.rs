//! Incremental fetch sessions (KIP-227): what a consumer subscribed to, kept between its fetches.
//!
//! A session remembers each partition's fetch position and what the client was last told of it, so that a
//! request names only what changed and an answer holds only what is news.
//!
//! Invariant: a session's epoch rises by one with each accepted fetch; a fetch with any other epoch is refused.
//! No I/O and no clock: `api/fetch.rs` passes `now_ms` and random ids in.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use ottla_protocol::{ErrorCode, Str, Uuid};

/// Session id of a request that has no session.
pub const NO_SESSION: i32 = 0;
/// Epoch with which a client closes its session, or fetches without one.
pub const FINAL_EPOCH: i32 = -1;
/// Epoch with which a client asks for a new session.
pub const INITIAL_EPOCH: i32 = 0;

/// A topic as the fetch named it: by id from version 13 on, by name before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicRef {
    Id(Uuid),
    Name(Str),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    pub topic: TopicRef,
    pub partition: i32,
}

/// Where a client wants to go on reading in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub fetch_offset: i64,
    pub max_bytes: i32,
    /// -1 where the client does not know it.
    pub current_leader_epoch: i32,
    /// -1 where the client does not know it.
    pub last_fetched_epoch: i32,
}

/// What an answer says of a partition besides its records; decides whether it is news to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub high_watermark: i64,
    pub log_start_offset: i64,
    pub has_records: bool,
    /// An error, a diverging epoch or the like: always sent.
    pub must_send: bool,
}

#[derive(Debug)]
struct Cached {
    position: Position,
    high_watermark: i64,
    log_start_offset: i64,
    /// Nothing was sent of this partition since it was added or moved.
    unsent: bool,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_topic_id: bool,
    created_ms: i64,
    last_used_ms: i64,
    /// Partitions in the order in which they are read; one that gave records goes to the end, so that
    /// a fetch bounded by bytes is fair.
    order: BTreeMap<u64, PartitionKey>,
    partitions: HashMap<PartitionKey, (u64, Cached)>,
    next_place: u64,
}

/// The sessions of a broker, bounded in number (`max.incremental.fetch.session.cache.slots`).
#[derive(Debug)]
pub struct SessionCache {
    slots_max: usize,
    eviction_ms: i64,
    sessions: HashMap<i32, Arc<Mutex<Session>>>,
}

/// How one fetch request relates to a session, and the partitions that it reads, in order.
#[derive(Debug)]
pub struct FetchContext {
    kind: Kind,
    pub partitions: Vec<(PartitionKey, Position)>,
}

#[derive(Debug)]
enum Kind {
    Sessionless,
    /// Every partition is answered; a session is made of them if there is room.
    Full {
        by_topic_id: bool,
    },
    Incremental {
        id: i32,
        session: Arc<Mutex<Session>>,
        epoch: i32,
    },
}

/// The request's part that concerns sessions.
#[derive(Debug)]
pub struct SessionRequest {
    pub id: i32,
    pub epoch: i32,
    pub by_topic_id: bool,
    pub partitions: Vec<(PartitionKey, Position)>,
    pub forgotten: Vec<PartitionKey>,
}

impl SessionCache {
    pub fn new(slots_max: usize, eviction_ms: i64) -> Self {
        Self {
            slots_max,
            eviction_ms,
            sessions: HashMap::new(),
        }
    }

    /// Begins a fetch: finds or closes the session that it names, and lists what is to be read.
    pub fn begin(
        &mut self,
        request: SessionRequest,
        now_ms: i64,
    ) -> Result<FetchContext, ErrorCode> {
        if request.epoch == FINAL_EPOCH || request.epoch == INITIAL_EPOCH {
            // Both forms are whole in themselves; a session that they name is over.
            self.sessions.remove(&request.id);
            let kind = match request.epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full {
                    by_topic_id: request.by_topic_id,
                },
            };
            return Ok(FetchContext {
                kind,
                partitions: request.partitions,
            });
        }
        let session = self
            .sessions
            .get(&request.id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let session = Arc::clone(session);
        let (epoch, partitions, empty) = {
            let mut state = session.lock().expect("fetch session lock");
            if state.epoch != request.epoch {
                return Err(ErrorCode::InvalidFetchSessionEpoch);
            }
            if state.by_topic_id != request.by_topic_id {
                return Err(ErrorCode::FetchSessionTopicIdError);
            }
            state.update(request.partitions, &request.forgotten);
            state.epoch = next_epoch(state.epoch);
            state.last_used_ms = now_ms;
            (state.epoch, state.positions(), state.partitions.is_empty())
        };
        if empty {
            // Nothing is left to read: the session ends with this answer (as in Kafka).
            self.sessions.remove(&request.id);
            return Ok(FetchContext {
                kind: Kind::Sessionless,
                partitions,
            });
        }
        Ok(FetchContext {
            kind: Kind::Incremental {
                id: request.id,
                session,
                epoch,
            },
            partitions,
        })
    }

    /// Makes a session of a full fetch's partitions and returns its id; [`NO_SESSION`] where there is no room.
    fn create(
        &mut self,
        by_topic_id: bool,
        partitions: impl Iterator<Item = (PartitionKey, Position, Told)>,
        count: usize,
        now_ms: i64,
        mut random_id: impl FnMut() -> i32,
    ) -> i32 {
        if count == 0 || !self.make_room(count, now_ms) {
            return NO_SESSION;
        }
        let mut id = random_id();
        while id <= NO_SESSION || self.sessions.contains_key(&id) {
            id = random_id();
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            by_topic_id,
            created_ms: now_ms,
            last_used_ms: now_ms,
            order: BTreeMap::new(),
            partitions: HashMap::with_capacity(count),
            next_place: 0,
        };
        for (key, position, told) in partitions {
            session.insert(
                key,
                position,
                told.high_watermark,
                told.log_start_offset,
                false,
            );
        }
        self.sessions.insert(id, Arc::new(Mutex::new(session)));
        id
    }

    /// Frees a slot if none is free: of a session long unused, else of a smaller one that had its time.
    fn make_room(&mut self, size: usize, now_ms: i64) -> bool {
        if self.sessions.len() < self.slots_max {
            return true;
        }
        let eviction_ms = self.eviction_ms;
        let victim = self
            .sessions
            .iter()
            .filter_map(|(id, session)| {
                let session = session.lock().expect("fetch session lock");
                let stale = now_ms - session.last_used_ms > eviction_ms;
                let smaller =
                    session.partitions.len() < size && now_ms - session.created_ms > eviction_ms;
                // Stale ones first, then the smallest, then the oldest.
                (stale || smaller).then_some((
                    !stale,
                    session.partitions.len(),
                    session.last_used_ms,
                    *id,
                ))
            })
            .min();
        match victim {
            Some((_, _, _, id)) => self.sessions.remove(&id).is_some(),
            None => false,
        }
    }
}

impl FetchContext {
    /// Ends a fetch: says for each partition (in the order of `told`, which is that of `partitions`) whether
    /// it goes into the answer, and which session id the answer carries.
    pub fn finish(
        &self,
        cache: &Mutex<SessionCache>,
        told: &[Told],
        now_ms: i64,
        random_id: impl FnMut() -> i32,
    ) -> Result<(i32, Vec<bool>), ErrorCode> {
        match &self.kind {
            Kind::Sessionless => Ok((NO_SESSION, vec![true; told.len()])),
            Kind::Full { by_topic_id } => {
                let partitions = self
                    .partitions
                    .iter()
                    .zip(told)
                    .map(|((k, p), t)| (k.clone(), p.clone(), *t));
                let mut cache = cache.lock().expect("fetch session cache lock");
                let id = cache.create(*by_topic_id, partitions, told.len(), now_ms, random_id);
                Ok((id, vec![true; told.len()]))
            }
            Kind::Incremental { id, session, epoch } => {
                let mut session = session.lock().expect("fetch session lock");
                if session.epoch != *epoch {
                    return Err(ErrorCode::InvalidFetchSessionEpoch);
                }
                let keys = self.partitions.iter().map(|(key, _)| key);
                Ok((
                    *id,
                    keys.zip(told)
                        .map(|(key, told)| session.note(key, *told))
                        .collect(),
                ))
            }
        }
    }
}

impl Cached {
    fn is_news(&self, told: Told) -> bool {
        told.has_records
            || told.must_send
            || self.unsent
            || told.high_watermark != self.high_watermark
            || told.log_start_offset != self.log_start_offset
    }
}

impl Session {
    fn insert(
        &mut self,
        key: PartitionKey,
        position: Position,
        high_watermark: i64,
        log_start: i64,
        unsent: bool,
    ) {
        let cached = Cached {
            position,
            high_watermark,
            log_start_offset: log_start,
            unsent,
        };
        if let Some((_, known)) = self.partitions.get_mut(&key) {
            *known = cached;
            return;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, key.clone());
        self.partitions.insert(key, (place, cached));
    }

    fn update(&mut self, changed: Vec<(PartitionKey, Position)>, forgotten: &[PartitionKey]) {
        for (key, position) in changed {
            match self.partitions.get_mut(&key) {
                Some((_, cached)) => cached.position = position,
                None => self.insert(key, position, -1, -1, true),
            }
        }
        for key in forgotten {
            if let Some((place, _)) = self.partitions.remove(key) {
                self.order.remove(&place);
            }
        }
    }

    fn positions(&self) -> Vec<(PartitionKey, Position)> {
        self.order
            .values()
            .map(|key| (key.clone(), self.partitions[key].1.position.clone()))
            .collect()
    }

    /// Notes what the answer would say of a partition; returns whether it is said.
    fn note(&mut self, key: &PartitionKey, told: Told) -> bool {
        let next_place = self.next_place;
        let Some((place, cached)) = self.partitions.get_mut(key) else {
            return false;
        };
        if !cached.is_news(told) {
            return false;
        }
        cached.high_watermark = told.high_watermark;
        cached.log_start_offset = told.log_start_offset;
        // An error is repeated until the client acts on it.
        cached.unsent = told.must_send;
        if told.has_records {
            self.order.remove(place);
            *place = next_place;
            self.order.insert(next_place, key.clone());
            self.next_place += 1;
        }
        true
    }
}

fn next_epoch(epoch: i32) -> i32 {
    // Epochs wrap round to 1: 0 and -1 have meanings of their own.
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests;
