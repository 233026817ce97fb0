//! Reads partitions from wherever one wants to begin, and follows them.
//!
//! Invariant: at most one fetch per leader is under way, and nothing further is fetched while
//! records wait to be taken, so memory holds what a few answers do.
//! Used by `ottla consume`, directly and through `group.rs`.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use ottla_protocol::{ErrorCode, Str};
use ottla_records::Record;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::error::ClientError;
use super::fetched::decode;
use super::{Client, OffsetSpec, Purpose};

/// The last that names topics by name.
const FETCH_VERSIONS: RangeInclusive<i16> = 4..=12;

/// Wait before a partition that failed is asked for again.
const FAILURE_BACKOFF: Duration = Duration::from_millis(100);

/// Where to begin in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Earliest,
    Latest,
    Offset(i64),
    /// The first record that is not older, milliseconds since 1970; the end if there is none.
    Timestamp(i64),
    /// So many offsets before the end, or the beginning if there are fewer.
    Last(i64),
}

#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// How long a broker may hold a fetch for which it has nothing.
    pub max_wait: Duration,
    /// The most that one answer should carry.
    pub answer_bytes_max: i32,
    /// The most that one partition should have of it.
    pub partition_bytes_max: i32,
    /// Leaves out records of transactions that are not committed.
    pub read_committed: bool,
    /// Where to go on if the wanted offset does not exist; `None` makes that an error.
    pub out_of_range: Option<Position>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        ConsumerConfig {
            max_wait: Duration::from_millis(500),
            answer_bytes_max: 16 * 1024 * 1024,
            partition_bytes_max: 1024 * 1024,
            read_committed: true,
            out_of_range: None,
        }
    }
}

/// Records of one partition.
#[derive(Debug)]
pub struct Fetched {
    pub topic: String,
    pub partition: i32,
    pub records: Vec<Record>,
    /// Where the next fetch goes on; beyond the last record if control records follow it.
    pub next_offset: i64,
    pub high_watermark: i64,
}

type Key = (String, i32);

pub struct Consumer {
    client: Client,
    config: ConsumerConfig,
    partitions: BTreeMap<Key, Partition>,
    ready: VecDeque<Fetched>,
    fetches: JoinSet<(i32, Result<FetchResponse, ClientError>)>,
    busy_leaders: HashSet<i32>,
    /// Counts answers, so that partitions take turns at the front of a fetch.
    turn: u64,
}

struct Partition {
    /// The next offset to fetch.
    position: i64,
    /// Everything before this has been given to the caller.
    delivered: i64,
    last_turn: u64,
    failing_since: Option<Instant>,
    not_before: Option<Instant>,
}

impl Consumer {
    pub fn new(client: Client, config: ConsumerConfig) -> Self {
        Consumer {
            client,
            config,
            partitions: BTreeMap::new(),
            ready: VecDeque::new(),
            fetches: JoinSet::new(),
            busy_leaders: HashSet::new(),
            turn: 0,
        }
    }

    /// Reads these partitions and no others from here on.
    pub async fn assign(
        &mut self,
        partitions: Vec<(String, i32, Position)>,
    ) -> Result<(), ClientError> {
        let resolved = resolve(&self.client, partitions).await?;
        self.stop_fetching();
        self.partitions = resolved
            .into_iter()
            .map(|(key, position)| (key, Partition::at(position)))
            .collect();
        Ok(())
    }

    /// The partitions that are read, and up to where their records have been taken.
    pub fn delivered(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.partitions
            .iter()
            .map(|((topic, partition), state)| (topic.as_str(), *partition, state.delivered))
    }

    /// Notes that only what lies before `offset` has been taken of a partition that is read.
    pub fn set_delivered(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(&(topic.to_owned(), partition)) {
            partition.delivered = offset;
        }
    }

    /// The next records of some partition, or `None` if none came within `timeout`.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Option<Fetched>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(fetched) = self.ready.pop_front() {
                let key = (fetched.topic.clone(), fetched.partition);
                if let Some(partition) = self.partitions.get_mut(&key) {
                    partition.delivered = fetched.next_offset;
                }
                return Ok(Some(fetched));
            }
            self.start_fetches().await?;
            let wake = self.next_retry().map_or(deadline, |at| at.min(deadline));
            match tokio::time::timeout_at(wake, self.fetches.join_next()).await {
                Ok(Some(joined)) => {
                    let (leader, answer) =
                        joined.map_err(|_| ClientError::TaskFailed("a fetch"))?;
                    self.busy_leaders.remove(&leader);
                    self.take_answer(leader, answer).await?;
                }
                // Nothing can be fetched: every partition waits to be tried again.
                Ok(None) => tokio::time::sleep_until(wake).await,
                Err(_) => {}
            }
            if self.ready.is_empty() && Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    fn stop_fetching(&mut self) {
        self.fetches.abort_all();
        self.fetches = JoinSet::new();
        self.busy_leaders.clear();
        self.ready.clear();
    }

    fn next_retry(&self) -> Option<Instant> {
        self.partitions
            .values()
            .filter_map(|partition| partition.not_before)
            .min()
    }

    /// Asks each leader that is not being asked, and learns leaders that are not known.
    async fn start_fetches(&mut self) -> Result<(), ClientError> {
        if self.start_known().is_empty() {
            return Ok(());
        }
        self.refresh().await?;
        for (key, error) in self.start_known() {
            self.fail(&key, error)?;
        }
        Ok(())
    }

    /// Asks each known leader that is not being asked; returns the partitions that have none.
    fn start_known(&mut self) -> Vec<(Key, ClientError)> {
        let now = Instant::now();
        let mut by_leader: BTreeMap<i32, Vec<(&Key, &Partition)>> = BTreeMap::new();
        let mut leaderless = Vec::new();
        let known = Arc::clone(&self.client.known_cluster());
        for (key, partition) in &mut self.partitions {
            if partition.not_before.is_some_and(|at| at > now) {
                continue;
            }
            partition.not_before = None;
            match known.leader(&key.0, key.1) {
                Ok(leader) if self.busy_leaders.contains(&leader) => {}
                Ok(leader) => by_leader.entry(leader).or_default().push((key, partition)),
                Err(error) => leaderless.push((key.clone(), error)),
            }
        }
        for (leader, mut partitions) in by_leader {
            partitions.sort_by_key(|(_, partition)| partition.last_turn);
            let request = self.config.request(&partitions);
            let client = self.client.clone();
            let wait = self.config.max_wait;
            self.busy_leaders.insert(leader);
            self.fetches.spawn(async move {
                let answer = client
                    .call_broker(leader, Purpose::Fetch, &request, FETCH_VERSIONS, wait)
                    .await;
                (leader, answer)
            });
        }
        leaderless
    }

    async fn take_answer(
        &mut self,
        leader: i32,
        answer: Result<FetchResponse, ClientError>,
    ) -> Result<(), ClientError> {
        let response = match answer {
            Ok(response) => response,
            Err(error) if error.is_retriable() => {
                debug!(leader, %error, "a fetch failed");
                let known = Arc::clone(&self.client.known_cluster());
                let led: Vec<Key> = self
                    .partitions
                    .keys()
                    .filter(|key| known.leader(&key.0, key.1).is_ok_and(|id| id == leader))
                    .cloned()
                    .collect();
                let description = error.to_string();
                for key in led {
                    let error = ClientError::refused(
                        subject(&key),
                        ErrorCode::NetworkException.code(),
                        Some(&description),
                    );
                    self.fail(&key, error)?;
                }
                return self.refresh().await;
            }
            Err(error) => return Err(error),
        };
        super::check(
            || format!("fetch from broker {leader}"),
            response.error_code,
            None,
        )?;
        self.turn += 1;
        let mut has_moved = false;
        for topic in response.responses {
            for data in topic.partitions {
                let key = (topic.topic.to_string(), data.partition_index);
                has_moved |= self.take_partition(key, data).await?;
            }
        }
        if has_moved {
            self.refresh().await?;
        }
        Ok(())
    }

    /// Takes a partition's part of an answer; true if its leader is to be looked up again.
    async fn take_partition(&mut self, key: Key, data: PartitionData) -> Result<bool, ClientError> {
        let turn = self.turn;
        let Some(partition) = self.partitions.get_mut(&key) else {
            return Ok(false);
        };
        match ErrorCode::from_code(data.error_code) {
            ErrorCode::None => {}
            ErrorCode::OffsetOutOfRange => {
                let Some(position) = self.config.out_of_range else {
                    return Err(ClientError::Refused {
                        subject: format!("{} at offset {}", subject(&key), partition.position),
                        code: ErrorCode::OffsetOutOfRange,
                        message: None,
                    });
                };
                warn!(
                    partition = %subject(&key), offset = partition.position,
                    "the offset does not exist, going on elsewhere"
                );
                let wanted = vec![(key.0, key.1, position)];
                for (key, position) in resolve(&self.client, wanted).await? {
                    self.partitions.insert(key, Partition::at(position));
                }
                return Ok(false);
            }
            code => {
                let error = ClientError::refused(subject(&key), code.code(), None);
                if !error.is_retriable() {
                    return Err(error);
                }
                self.fail(&key, error)?;
                return Ok(true);
            }
        }
        partition.failing_since = None;
        let Some(bytes) = data.records.as_ref().and_then(|records| records.bytes()) else {
            return Ok(false);
        };
        if bytes.is_empty() {
            return Ok(false);
        }
        let aborted = data.aborted_transactions.as_deref().unwrap_or_default();
        let decoded = decode(bytes, partition.position, aborted).map_err(|undecodable| {
            ClientError::Records {
                subject: subject(&key),
                offset: undecodable.offset,
                source: undecodable.source,
            }
        })?;
        partition.last_turn = turn;
        partition.position = decoded.next_offset;
        self.ready.push_back(Fetched {
            topic: key.0,
            partition: key.1,
            records: decoded.records,
            next_offset: decoded.next_offset,
            high_watermark: data.high_watermark,
        });
        Ok(false)
    }

    /// Notes that a partition cannot be read at the moment; an error once that lasts too long.
    fn fail(&mut self, key: &Key, error: ClientError) -> Result<(), ClientError> {
        let patience = self.client.config().operation_timeout;
        let Some(partition) = self.partitions.get_mut(key) else {
            return Ok(());
        };
        let now = Instant::now();
        let since = *partition.failing_since.get_or_insert(now);
        if now - since > patience {
            return Err(error);
        }
        partition.not_before = Some(now + FAILURE_BACKOFF);
        Ok(())
    }

    /// Learns who leads now. A cluster that does not answer is tried again with the partitions.
    async fn refresh(&self) -> Result<(), ClientError> {
        let topics: std::collections::BTreeSet<&str> =
            self.partitions.keys().map(|key| key.0.as_str()).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        match self.client.cluster(Some(&topics)).await {
            Err(error) if !error.is_retriable() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Partition {
    fn at(position: i64) -> Self {
        Partition {
            position,
            delivered: position,
            last_turn: 0,
            failing_since: None,
            not_before: None,
        }
    }
}

impl ConsumerConfig {
    /// A fetch without a session: the partitions that a tool reads are few.
    fn request(&self, partitions: &[(&Key, &Partition)]) -> FetchRequest {
        const NO_SESSION_EPOCH: i32 = -1;
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (key, partition) in partitions {
            let wanted = FetchPartition {
                partition: key.1,
                fetch_offset: partition.position,
                partition_max_bytes: self.partition_bytes_max,
                ..FetchPartition::default()
            };
            match topics.last_mut() {
                Some(topic) if topic.topic == key.0.as_str() => topic.partitions.push(wanted),
                _ => topics.push(FetchTopic {
                    topic: Str::from(key.0.as_str()),
                    partitions: vec![wanted],
                    ..FetchTopic::default()
                }),
            }
        }
        FetchRequest {
            max_wait_ms: i32::try_from(self.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: self.answer_bytes_max,
            isolation_level: i8::from(self.read_committed),
            session_epoch: NO_SESSION_EPOCH,
            topics,
            ..FetchRequest::default()
        }
    }
}

fn subject(key: &Key) -> String {
    format!("{}-{}", key.0, key.1)
}

/// Offsets of the wanted positions.
async fn resolve(
    client: &Client,
    wanted: Vec<(String, i32, Position)>,
) -> Result<Vec<(Key, i64)>, ClientError> {
    let ask = |topic: &str, partition: i32, spec: OffsetSpec| (topic.to_owned(), partition, spec);
    let mut first = Vec::new();
    let mut ends = Vec::new();
    for (topic, partition, position) in &wanted {
        match position {
            Position::Earliest => first.push(ask(topic, *partition, OffsetSpec::Earliest)),
            Position::Latest => ends.push(ask(topic, *partition, OffsetSpec::Latest)),
            Position::Offset(_) => {}
            Position::Timestamp(at) => {
                first.push(ask(topic, *partition, OffsetSpec::Timestamp(*at)));
                ends.push(ask(topic, *partition, OffsetSpec::Latest));
            }
            Position::Last(_) => {
                first.push(ask(topic, *partition, OffsetSpec::Earliest));
                ends.push(ask(topic, *partition, OffsetSpec::Latest));
            }
        }
    }
    let first = client.list_offsets(&first).await?;
    let ends = client.list_offsets(&ends).await?;
    let resolved = wanted.into_iter().map(|(topic, partition, position)| {
        let key = (topic, partition);
        let first = first.get(&key).copied().unwrap_or(-1);
        let end = ends.get(&key).copied().unwrap_or(-1);
        let offset = match position {
            Position::Earliest => first,
            Position::Latest => end,
            Position::Offset(offset) => offset,
            Position::Timestamp(_) if first < 0 => end,
            Position::Timestamp(_) => first,
            Position::Last(count) => end.saturating_sub(count).max(first),
        };
        (key, offset)
    });
    Ok(resolved.collect())
}

#[cfg(test)]
mod tests;
