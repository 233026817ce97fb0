//! Fetch: reads each partition of the session and answers when there is enough, or the client's time is up.
//!
//! Step 3 of the fetch path; `partition/read.rs` is next. Records are not touched here: they leave as file
//! ranges, which `net/send.rs` moves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_log::ReadRange;
use ottla_net::{Outcome, Part};
use ottla_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use ottla_protocol::{ApiKey, ErrorCode, Records, Str};
use tokio::time::{Instant, timeout_at};

use super::{Context, reply, reply_with_files};
use crate::fetch_session::{FetchContext, PartitionKey, Position, SessionRequest, Told, TopicRef};
use crate::partition::Partition;
use crate::partition::read::{Isolation, PartitionRead, Read};
use crate::topics::{Maps, Topic};
use crate::waiters::{Waiter, WaiterGuard};

/// First version whose topics are named by id.
const TOPIC_ID_VERSION: i16 = 13;

/// A partition of the session as it stands: found, or the error that the client is told.
type Target = Result<Arc<Partition>, ErrorCode>;

/// What one pass over the partitions found, in the session's order.
struct Pass {
    reads: Vec<Result<Read, ErrorCode>>,
    bytes: usize,
    /// Something must be said at once: an error, or a log that diverged.
    urgent: bool,
}

/// How much a fetch wants, may have, and may see.
struct Bounds {
    bytes_min: usize,
    bytes_max: usize,
    isolation: Isolation,
}

pub async fn handle(context: &Context, request: FetchRequest) -> Outcome {
    let broker = &context.broker;
    let bounds = Bounds::of(&request, broker.config().fetch.response_bytes_max);
    let deadline = Instant::now() + Duration::from_millis(request.max_wait_ms.max(0) as u64);
    let session = {
        let request = session_request(context.version, request);
        let mut sessions = broker
            .fetch_sessions
            .lock()
            .expect("fetch session cache lock");
        sessions.begin(request, broker.now_ms())
    };
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            let response = FetchResponse {
                error_code: error.code(),
                ..Default::default()
            };
            return reply(context, ApiKey::Fetch, &response);
        }
    };
    let mut pass = bounds.read(&session, &find_all(context, &session)).await;
    if !bounds.satisfied_by(&pass) {
        pass = wait(context, &bounds, &session, deadline).await;
    }
    answer(context, &session, pass)
}

/// Waits for the partitions of the fetch to move until there is enough, or `deadline` has come.
async fn wait(
    context: &Context,
    bounds: &Bounds,
    session: &FetchContext,
    deadline: Instant,
) -> Pass {
    let waiter = Waiter::new();
    let _guard = WaiterGuard(Arc::clone(&waiter));
    loop {
        // Found anew each time: what woke the waiter may be that a partition is gone.
        let targets = find_all(context, session);
        for replica in targets.iter().flatten() {
            replica.readers.register(&waiter);
        }
        // Only now: a partition that moves after this look finds the waiter, one that moved before is seen.
        let pass = bounds.read(session, &targets).await;
        if bounds.satisfied_by(&pass) || timeout_at(deadline, waiter.woken()).await.is_err() {
            return pass;
        }
    }
}

impl Bounds {
    fn of(request: &FetchRequest, broker_bytes_max: usize) -> Self {
        let bytes_max = (request.max_bytes.max(0) as usize).min(broker_bytes_max);
        Self {
            bytes_min: (request.min_bytes.max(0) as usize).min(bytes_max),
            bytes_max,
            isolation: Isolation::from_level(request.isolation_level),
        }
    }

    async fn read(&self, session: &FetchContext, targets: &[Target]) -> Pass {
        let mut pass = Pass {
            reads: Vec::with_capacity(targets.len()),
            bytes: 0,
            urgent: false,
        };
        for ((_, position), target) in session.partitions.iter().zip(targets) {
            let request = self.of_partition(position, pass.bytes);
            let read = match target {
                Ok(replica) => replica.read(&request).await,
                Err(error) => Err(*error),
            };
            match &read {
                Ok(read) => {
                    pass.bytes += read.bytes();
                    pass.urgent |= read.diverging.is_some();
                }
                Err(_) => pass.urgent = true,
            }
            pass.reads.push(read);
        }
        pass
    }

    /// What to read of a partition after those before it gave so many bytes.
    fn of_partition(&self, position: &Position, bytes_before: usize) -> PartitionRead {
        PartitionRead {
            fetch_offset: position.fetch_offset,
            current_leader_epoch: position.current_leader_epoch,
            last_fetched_epoch: position.last_fetched_epoch,
            bytes_max: (position.max_bytes.max(0) as usize)
                .min(self.bytes_max.saturating_sub(bytes_before)),
            // The first records of an answer are sent however large they are (KIP-74).
            at_least_one_batch: bytes_before == 0,
            isolation: self.isolation,
        }
    }

    fn satisfied_by(&self, pass: &Pass) -> bool {
        pass.urgent || pass.bytes >= self.bytes_min || pass.reads.is_empty()
    }
}

fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let by_topic_id = version >= TOPIC_ID_VERSION;
    let topic_ref = |id, name: &Str| {
        if by_topic_id {
            TopicRef::Id(id)
        } else {
            TopicRef::Name(name.clone())
        }
    };
    let partitions = request.topics.iter().flat_map(|topic| {
        let named = topic_ref(topic.topic_id, &topic.topic);
        topic.partitions.iter().map(move |partition| {
            let position = Position {
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            (
                PartitionKey {
                    topic: named.clone(),
                    partition: partition.partition,
                },
                position,
            )
        })
    });
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let named = topic_ref(topic.topic_id, &topic.topic);
        topic.partitions.iter().map(move |index| PartitionKey {
            topic: named.clone(),
            partition: *index,
        })
    });
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        by_topic_id,
        partitions: partitions.collect(),
        forgotten: forgotten.collect(),
    }
}

fn find_all(context: &Context, session: &FetchContext) -> Vec<Target> {
    let topics = context.broker.topics.view();
    let mut targets = Vec::with_capacity(session.partitions.len());
    // Partitions of a topic mostly follow each other.
    for of_topic in session
        .partitions
        .chunk_by(|(a, _), (b, _)| a.topic == b.topic)
    {
        let topic = of_topic.first().map(|(key, _)| find(&topics, &key.topic));
        targets.extend(
            of_topic
                .iter()
                .zip(topic.into_iter().cycle())
                .map(|((key, _), topic)| {
                    let topic = topic?;
                    topic
                        .partition(key.partition)
                        .ok_or_else(|| context.broker.why_missing(&topic.name, key.partition))
                }),
        );
    }
    targets
}

fn find<'a>(topics: &'a Maps, topic: &TopicRef) -> Result<&'a Arc<Topic>, ErrorCode> {
    match topic {
        TopicRef::Id(id) => topics.by_id(id).ok_or(ErrorCode::UnknownTopicId),
        TopicRef::Name(name) => topics
            .by_name(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Puts what is news to the client into the answer; records go in by reference.
fn answer(context: &Context, session: &FetchContext, pass: Pass) -> Outcome {
    let told: Vec<Told> = pass.reads.iter().map(told).collect();
    let (now_ms, random_id) = (context.broker.now_ms(), || fastrand::i32(1..));
    let (session_id, sent) =
        match session.finish(&context.broker.fetch_sessions, &told, now_ms, random_id) {
            Ok(finished) => finished,
            Err(error) => {
                let response = FetchResponse {
                    error_code: error.code(),
                    ..Default::default()
                };
                return reply(context, ApiKey::Fetch, &response);
            }
        };
    let mut response = FetchResponse {
        session_id,
        ..Default::default()
    };
    let mut files = Vec::new();
    for (((key, _), read), sent) in session.partitions.iter().zip(pass.reads).zip(sent) {
        if !sent {
            continue;
        }
        let data = partition_data(key.partition, read, &mut files);
        let topic = topic_entry(&mut response.responses, &key.topic);
        topic.partitions.push(data);
    }
    reply_with_files(context, ApiKey::Fetch, &response, files)
}

fn told(read: &Result<Read, ErrorCode>) -> Told {
    match read {
        Ok(read) => Told {
            high_watermark: read.high_watermark,
            log_start_offset: read.log_start_offset,
            has_records: read.bytes() > 0,
            must_send: read.diverging.is_some(),
        },
        Err(_) => Told {
            high_watermark: -1,
            log_start_offset: -1,
            has_records: false,
            must_send: true,
        },
    }
}

/// The entry of a topic at the end of the answer; partitions of other topics may lie between two of one topic.
fn topic_entry<'a>(
    topics: &'a mut Vec<FetchableTopicResponse>,
    topic: &TopicRef,
) -> &'a mut FetchableTopicResponse {
    let is_last = topics.last().is_some_and(|last| match topic {
        TopicRef::Id(id) => last.topic_id == *id,
        TopicRef::Name(name) => last.topic == *name,
    });
    if !is_last {
        let mut entry = FetchableTopicResponse::default();
        match topic {
            TopicRef::Id(id) => entry.topic_id = *id,
            TopicRef::Name(name) => entry.topic = name.clone(),
        }
        topics.push(entry);
    }
    topics
        .last_mut()
        .expect("an entry was pushed if there was none")
}

fn partition_data(
    partition_index: i32,
    read: Result<Read, ErrorCode>,
    files: &mut Vec<Part>,
) -> PartitionData {
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            return PartitionData {
                partition_index,
                error_code: error.code(),
                high_watermark: -1,
                aborted_transactions: None,
                records: Some(Records::Bytes(Bytes::new())),
                ..Default::default()
            };
        }
    };
    let aborted = read.aborted.map(|transactions| {
        let entries =
            transactions
                .into_iter()
                .map(|(producer_id, first_offset)| AbortedTransaction {
                    producer_id,
                    first_offset,
                    ..Default::default()
                });
        entries.collect()
    });
    let records = match read.records {
        Some(ReadRange {
            file: Some(file),
            position,
            len,
            ..
        }) => {
            let token = files.len() as u32;
            files.push(Part::file(file, position, len as u64));
            Records::External { token, len }
        }
        _ => Records::Bytes(Bytes::new()),
    };
    PartitionData {
        partition_index,
        high_watermark: read.high_watermark,
        last_stable_offset: read.last_stable_offset,
        log_start_offset: read.log_start_offset,
        diverging_epoch: read.diverging.map_or_else(
            EpochEndOffset::default,
            |(epoch, end_offset)| EpochEndOffset {
                epoch,
                end_offset,
                ..Default::default()
            },
        ),
        aborted_transactions: aborted,
        records: Some(records),
        ..Default::default()
    }
}
