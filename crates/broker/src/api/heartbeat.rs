//! Heartbeat: a member is alive, and learns whether its generation still is.

use ottla_coordinator::{Answer, Heartbeat};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::Context;

pub async fn handle(context: &Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let heartbeat = Heartbeat {
        group_id: request.group_id,
        generation_id: request.generation_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
    };
    let group_id = heartbeat.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, now_ms, token| {
        machine.handle_heartbeat(now_ms, token, &heartbeat);
    });
    let error = match answer.await {
        // The member is not made to look for another coordinator while this one is coming up.
        Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
        Ok(Answer::Heartbeat(error)) | Err(error) => error,
        Ok(_) => ErrorCode::UnknownServerError,
    };
    HeartbeatResponse { error_code: error.code(), ..Default::default() }
}
