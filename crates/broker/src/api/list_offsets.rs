//! ListOffsets: the offset that belongs to a timestamp, or to one of the named positions.

use std::collections::HashSet;

use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::blocking;
use crate::partition::offsets::{FoundOffset, OffsetQuery};
use crate::partition::read::Isolation;

/// First version whose answer says in which epoch the record was written.
const LEADER_EPOCH_VERSION: i16 = 4;

pub async fn handle(context: &Context, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = Isolation::from_level(request.isolation_level);
    let repeated = repeated_partitions(&request.topics);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = if repeated.contains(&(topic.name.clone(), asked.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                look_up(context, &topic.name, asked, isolation).await
            };
            partitions.push(answer(context.version, asked.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions, ..Default::default() });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

async fn look_up(
    context: &Context,
    topic: &Str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<FoundOffset>, ErrorCode> {
    let query = OffsetQuery::from_timestamp(asked.timestamp, context.version).ok_or(ErrorCode::UnsupportedVersion)?;
    let replica = context.broker.topics.partition(topic, asked.partition_index);
    let replica = replica.ok_or_else(|| context.broker.why_missing(topic, asked.partition_index))?;
    replica.check_epoch(asked.current_leader_epoch)?;
    if query.is_in_memory() {
        return replica.find_offset(query, isolation);
    }
    // A search reads index and log files, which may be cold.
    blocking::READS.run(move || replica.find_offset(query, isolation)).await
}

/// A partition that is asked for twice gets an error instead of two answers.
fn repeated_partitions(topics: &[ListOffsetsTopic]) -> HashSet<(Str, i32)> {
    let mut seen = HashSet::new();
    let all = topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| (topic.name.clone(), p.partition_index)));
    all.filter(|partition| !seen.insert(partition.clone())).collect()
}

fn answer(
    version: i16,
    partition_index: i32,
    found: Result<Option<FoundOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let mut answer = ListOffsetsPartitionResponse { partition_index, ..Default::default() };
    match found {
        Ok(Some(found)) => {
            answer.offset = found.offset;
            answer.timestamp = found.timestamp;
            if version >= LEADER_EPOCH_VERSION {
                answer.leader_epoch = found.leader_epoch;
            }
        }
        // The defaults, -1 throughout, say that there is no such offset.
        Ok(None) => {}
        Err(error) => answer.error_code = error.code(),
    }
    answer
}
