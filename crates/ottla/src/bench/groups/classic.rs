//! The classic protocol: join, let the leader divide the partitions, sync.
//!
//! Called by `groups.rs`, for each member on a connection of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_net::client::ClientError;
use ottla_net::client::assignor::{
    PROTOCOL_TYPE, RANGE, Subscription, decode_assignment, encode_assignment, encode_subscription,
    range,
};
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use ottla_protocol::{ApiKey, EncodeError, ErrorCode, Str};

use super::{Group, Hall, Seat};
use crate::bench::calls::{Caller, Retries, check};

const JOIN_VERSIONS: RangeInclusive<i16> = 2..=9;
const SYNC_VERSIONS: RangeInclusive<i16> = 1..=5;
const HEARTBEAT_VERSIONS: RangeInclusive<i16> = 1..=4;
const LEAVE_VERSIONS: RangeInclusive<i16> = 3..=5;

const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Joins until a generation is complete.
pub(super) async fn join(
    caller: &mut Caller,
    hall: &Hall,
    group: &Group,
    seat: &mut Seat,
) -> Result<(), ClientError> {
    let mut retries = Retries::new();
    loop {
        match try_join(caller, hall, group, seat).await {
            Err(error) => match error.code() {
                // The coordinator has named the member and wants to hear its name.
                Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => {}
                Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                    seat.member_id = Str::default();
                }
                Some(code) if code.is_retriable() => retries.wait(error).await?,
                _ => return Err(error),
            },
            Ok(()) => return Ok(()),
        }
    }
}

async fn try_join(
    caller: &mut Caller,
    hall: &Hall,
    group: &Group,
    seat: &mut Seat,
) -> Result<(), ClientError> {
    let joined = ask_to_join(caller, hall, group, seat).await?;
    let is_leader = joined.leader == joined.member_id && !joined.skip_assignment;
    let assignments = match is_leader {
        true => divide(hall, &joined).map_err(|source| ClientError::Encode {
            api: ApiKey::SyncGroup,
            source,
        })?,
        false => Vec::new(),
    };
    let request = SyncGroupRequest {
        group_id: group.name.clone(),
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        protocol_type: Some(Str::from_static(PROTOCOL_TYPE)),
        protocol_name: joined.protocol_name,
        assignments,
        ..SyncGroupRequest::default()
    };
    let synced = caller.call(&request, &SYNC_VERSIONS).await?;
    check(|| group.subject(), synced.error_code, None)?;
    let mut assignment =
        decode_assignment(&synced.assignment).map_err(|source| ClientError::Assignment {
            group: group.name.to_string(),
            source,
        })?;
    seat.epoch = joined.generation_id;
    seat.partitions = assignment.remove(&*hall.topic).unwrap_or_default();
    Ok(())
}

async fn ask_to_join(
    caller: &mut Caller,
    hall: &Hall,
    group: &Group,
    seat: &mut Seat,
) -> Result<JoinGroupResponse, ClientError> {
    let metadata =
        encode_subscription(&[hall.topic.to_string()]).map_err(|source| ClientError::Encode {
            api: ApiKey::JoinGroup,
            source,
        })?;
    let millis = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let request = JoinGroupRequest {
        group_id: group.name.clone(),
        session_timeout_ms: millis(SESSION_TIMEOUT),
        rebalance_timeout_ms: millis(REBALANCE_TIMEOUT),
        member_id: seat.member_id.clone(),
        protocol_type: Str::from_static(PROTOCOL_TYPE),
        protocols: vec![JoinGroupRequestProtocol {
            name: Str::from_static(RANGE),
            metadata,
            ..JoinGroupRequestProtocol::default()
        }],
        ..JoinGroupRequest::default()
    };
    let joined = caller.call(&request, &JOIN_VERSIONS).await?;
    if !joined.member_id.is_empty() {
        seat.member_id = joined.member_id.clone();
    }
    check(|| group.subject(), joined.error_code, None)?;
    Ok(joined)
}

/// Divides the topic among the members, as the generation's leader.
fn divide(
    hall: &Hall,
    joined: &JoinGroupResponse,
) -> Result<Vec<SyncGroupRequestAssignment>, EncodeError> {
    let topic = hall.topic.to_string();
    let members = joined.members.iter().map(|member| Subscription {
        member: member.member_id.to_string(),
        topics: BTreeSet::from([topic.clone()]),
    });
    let members: Vec<_> = members.collect();
    let all = 0..i32::try_from(hall.partitions).unwrap_or(i32::MAX);
    range(&members, &BTreeMap::from([(topic, all.collect())]))
        .into_iter()
        .map(|(member, assignment)| {
            Ok(SyncGroupRequestAssignment {
                member_id: Str::from(member),
                assignment: encode_assignment(&assignment)?,
                ..SyncGroupRequestAssignment::default()
            })
        })
        .collect()
}

pub(super) async fn heartbeat(
    caller: &mut Caller,
    group: &Group,
    seat: &Seat,
) -> Result<(), ClientError> {
    let request = HeartbeatRequest {
        group_id: group.name.clone(),
        generation_id: seat.epoch,
        member_id: seat.member_id.clone(),
        ..HeartbeatRequest::default()
    };
    let response = caller.call(&request, &HEARTBEAT_VERSIONS).await?;
    check(|| group.subject(), response.error_code, None)
}

pub(super) async fn leave(
    caller: &mut Caller,
    group: &Group,
    seat: &Seat,
) -> Result<(), ClientError> {
    let request = LeaveGroupRequest {
        group_id: group.name.clone(),
        members: vec![MemberIdentity {
            member_id: seat.member_id.clone(),
            ..MemberIdentity::default()
        }],
        ..LeaveGroupRequest::default()
    };
    let response = caller.call(&request, &LEAVE_VERSIONS).await?;
    check(|| group.subject(), response.error_code, None)
}
