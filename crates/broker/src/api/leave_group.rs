//! LeaveGroup: members go, by themselves or removed by an administrator.

use ottla_coordinator::{Answer, LeaveGroup, LeavingMember};
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

/// First version that names several members.
const BATCH_VERSION: i16 = 3;

pub async fn handle(context: &Context, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let members = if context.version >= BATCH_VERSION {
        let members = request.members.iter().map(|member| LeavingMember {
            member_id: member.member_id.detached(),
            group_instance_id: member.group_instance_id.as_ref().map(Str::detached),
            reason: member.reason.as_ref().map(Str::detached),
        });
        members.collect()
    } else {
        vec![LeavingMember { member_id: request.member_id.detached(), group_instance_id: None, reason: None }]
    };
    let leave = LeaveGroup { group_id: request.group_id.detached(), members };
    let group_id = leave.group_id.clone();
    let answer = context.broker.groups.call(&group_id, |machine, now_ms, token| {
        machine.handle_leave(now_ms, token, leave);
    });
    match answer.await {
        Ok(Answer::Leave(answer)) if context.version < BATCH_VERSION => failed(answer.single_error()),
        Ok(Answer::Leave(answer)) => {
            let members = answer.members.into_iter().map(|member| MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: member.error.code(),
                ..Default::default()
            });
            LeaveGroupResponse { members: members.collect(), ..failed(answer.error) }
        }
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}

fn failed(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..Default::default() }
}
