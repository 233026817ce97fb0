//! SyncGroup: the leader hands in the assignment of a generation, and each member takes its part.

use ottla_coordinator::{Answer, SyncGroup};
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

pub async fn handle(context: &Context, request: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = request.assignments.iter().map(|assignment| {
        (assignment.member_id.detached(), bytes::Bytes::copy_from_slice(&assignment.assignment))
    });
    let sync = SyncGroup {
        api_version: context.version,
        group_id: request.group_id.detached(),
        generation_id: request.generation_id,
        member_id: request.member_id.detached(),
        group_instance_id: request.group_instance_id.as_ref().map(Str::detached),
        protocol_type: request.protocol_type.as_ref().map(Str::detached),
        protocol_name: request.protocol_name.as_ref().map(Str::detached),
        assignments: assignments.collect(),
    };
    let group_id = sync.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, now_ms, token| machine.handle_sync(now_ms, token, sync));
    match answer.await {
        Ok(Answer::Sync(answer)) => SyncGroupResponse {
            error_code: answer.error.code(),
            protocol_type: answer.protocol_type,
            protocol_name: answer.protocol_name,
            assignment: answer.assignment,
            ..Default::default()
        },
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}

fn failed(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..Default::default() }
}
