//! JoinGroup: a member enters a group, or comes back for the next generation.

use ottla_coordinator::{Answer, FreshId, JoinAnswer, JoinGroup, Protocol};
use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

/// First version that can leave out the protocol's name; before, an empty name says the same.
const NULLABLE_PROTOCOL_VERSION: i16 = 7;

pub async fn handle(context: &Context, request: JoinGroupRequest) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let join = JoinGroup {
        api_version: context.version,
        client_id: context.client_id.clone().unwrap_or_default().detached(),
        client_host: context.connection.client_host(),
        group_id: request.group_id.detached(),
        member_id: request.member_id.detached(),
        group_instance_id: request.group_instance_id.as_ref().map(Str::detached),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.detached(),
        protocols: request.protocols.iter().map(|protocol| Protocol {
            name: protocol.name.detached(),
            // Copied: the frame must not live as long as the member does.
            metadata: bytes::Bytes::copy_from_slice(&protocol.metadata),
        }).collect(),
        reason: request.reason.as_ref().map(Str::detached),
    };
    let fresh = FreshId(fastrand::u128(..));
    let group_id = join.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, now_ms, token| {
        machine.handle_join(now_ms, token, join, fresh);
    });
    match answer.await {
        Ok(Answer::Join(answer)) => response(context.version, answer),
        Ok(_) => failed(context.version, member_id, ErrorCode::UnknownServerError),
        Err(error) => failed(context.version, member_id, error),
    }
}

fn response(version: i16, answer: JoinAnswer) -> JoinGroupResponse {
    let members = answer.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        metadata: member.metadata,
        ..Default::default()
    });
    JoinGroupResponse {
        error_code: answer.error.code(),
        generation_id: answer.generation_id,
        protocol_type: answer.protocol_type,
        protocol_name: named(version, answer.protocol_name),
        leader: answer.leader,
        skip_assignment: answer.skip_assignment,
        member_id: answer.member_id,
        members: members.collect(),
        ..Default::default()
    }
}

fn failed(version: i16, member_id: Str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse { error_code: error.code(), member_id, protocol_name: named(version, None), ..Default::default() }
}

fn named(version: i16, protocol: Option<Str>) -> Option<Str> {
    if version < NULLABLE_PROTOCOL_VERSION { Some(protocol.unwrap_or_default()) } else { protocol }
}
