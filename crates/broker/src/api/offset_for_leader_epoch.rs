//! OffsetForLeaderEpoch: where the log of an epoch ends, so that a consumer or follower finds where it diverged.

use ottla_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use ottla_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

pub async fn handle(context: &Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| answer(context, &topic.topic, asked)).collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions, ..Default::default() }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn answer(context: &Context, topic: &Str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let mut answer = EpochEndOffset { partition: asked.partition, ..Default::default() };
    match epoch_end(context, topic, asked) {
        Ok((leader_epoch, end_offset)) => {
            answer.leader_epoch = leader_epoch;
            answer.end_offset = end_offset;
        }
        Err(error) => answer.error_code = error.code(),
    }
    answer
}

fn epoch_end(context: &Context, topic: &Str, asked: &OffsetForLeaderPartition) -> Result<(i32, i64), ErrorCode> {
    let replica = context.broker.topics.partition(topic, asked.partition);
    let replica = replica.ok_or_else(|| context.broker.why_missing(topic, asked.partition))?;
    replica.check_epoch(asked.current_leader_epoch)?;
    Ok(replica.epoch_end(asked.leader_epoch).unwrap_or((-1, -1)))
}
