//! The protocol of KIP-848: heartbeats say what a member has, their answers what it shall have.
//!
//! Called by `groups.rs`, for each member on a connection of its own.

use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_net::client::ClientError;
use ottla_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ottla_protocol::{Str, Uuid};

use super::{Group, Hall, Seat};
use crate::bench::calls::{Attempt, Caller, Retries, check};

const VERSIONS: RangeInclusive<i16> = 0..=1;
/// From this version on, the member draws its own id.
const OWN_ID_VERSION: i16 = 1;
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
/// The epochs that say "I join" and "I leave".
const JOINING: i32 = 0;
const LEAVING: i32 = -1;

/// Joins, and takes what is assigned at once. Answers when the next heartbeat is due.
pub(super) async fn join(
    caller: &mut Caller,
    hall: &Hall,
    group: &Group,
    seat: &mut Seat,
) -> Result<Duration, ClientError> {
    seat.epoch = JOINING;
    seat.partitions.clear();
    if seat.member_id.is_empty()
        && caller.version::<ConsumerGroupHeartbeatRequest>(&VERSIONS)? >= OWN_ID_VERSION
    {
        seat.member_id = Str::from(Uuid::from_u128(fastrand::u128(..)).to_string());
    }
    let request = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec![hall.topic.clone()]),
        rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
        topic_partitions: Some(Vec::new()),
        ..about(group, seat)
    };
    let mut retries = Retries::new();
    loop {
        let answered = ask(caller, group, &request).await;
        match Attempt::of(answered)? {
            Attempt::Done(response) => return take(caller, group, seat, response).await,
            Attempt::Later(reason) => retries.wait(reason).await?,
        }
    }
}

/// One heartbeat, and as many more as it takes to confirm what was assigned.
pub(super) async fn heartbeat(
    caller: &mut Caller,
    group: &Group,
    seat: &mut Seat,
) -> Result<Duration, ClientError> {
    let response = ask(caller, group, &about(group, seat)).await?;
    take(caller, group, seat, response).await
}

/// Takes what is assigned and says so, until nothing changes.
async fn take(
    caller: &mut Caller,
    group: &Group,
    seat: &mut Seat,
    mut response: ConsumerGroupHeartbeatResponse,
) -> Result<Duration, ClientError> {
    loop {
        if let Some(id) = response.member_id.take().filter(|id| !id.is_empty()) {
            seat.member_id = id;
        }
        seat.epoch = response.member_epoch;
        let wait = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0);
        let wait = Duration::from_millis(wait);
        let Some(assignment) = response.assignment.take() else {
            return Ok(wait);
        };
        let topics = assignment.topic_partitions;
        let mut partitions: Vec<i32> = topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().copied())
            .collect();
        partitions.sort_unstable();
        if partitions == seat.partitions {
            return Ok(wait);
        }
        seat.partitions = partitions;
        let owned = topics.into_iter().map(|topic| TopicPartitions {
            topic_id: topic.topic_id,
            partitions: topic.partitions,
            ..TopicPartitions::default()
        });
        let request = ConsumerGroupHeartbeatRequest {
            topic_partitions: Some(owned.collect()),
            ..about(group, seat)
        };
        response = ask(caller, group, &request).await?;
    }
}

pub(super) async fn leave(
    caller: &mut Caller,
    group: &Group,
    seat: &Seat,
) -> Result<(), ClientError> {
    let request = ConsumerGroupHeartbeatRequest {
        member_epoch: LEAVING,
        ..about(group, seat)
    };
    ask(caller, group, &request).await.map(drop)
}

/// Who speaks; the rest is as it was.
fn about(group: &Group, seat: &Seat) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.name.clone(),
        member_id: seat.member_id.clone(),
        member_epoch: seat.epoch,
        rebalance_timeout_ms: -1,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

async fn ask(
    caller: &mut Caller,
    group: &Group,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerGroupHeartbeatResponse, ClientError> {
    let response = caller.call(request, &VERSIONS).await?;
    check(
        || group.subject(),
        response.error_code,
        response.error_message.as_deref(),
    )?;
    Ok(response)
}
