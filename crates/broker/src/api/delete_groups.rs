//! DeleteGroups: forgets groups that have no members, and their offsets.

use ottla_coordinator::Answer;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_groups_response::DeletableGroupResult;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Context;

pub async fn handle(context: &Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut response = DeleteGroupsResponse::default();
    for group_id in request.groups_names {
        let groups = vec![group_id.detached()];
        let answer = context.broker.groups.call(&group_id, |machine, _now_ms, token| {
            machine.handle_delete_groups(token, groups);
        });
        let error = match answer.await {
            Ok(Answer::DeleteGroups(groups)) => groups.first().map_or(ErrorCode::None, |(_, error)| *error),
            Ok(_) => ErrorCode::UnknownServerError,
            Err(error) => error,
        };
        let result = DeletableGroupResult { group_id, error_code: error.code(), ..Default::default() };
        response.results.push(result);
    }
    response
}
