//! ListGroups: the groups that this broker coordinates.

use ottla_coordinator::ListGroups;
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

pub async fn handle(context: &Context, request: ListGroupsRequest) -> ListGroupsResponse {
    let filter = ListGroups { states: request.states_filter, types: request.types_filter };
    let mut response = ListGroupsResponse::default();
    let loading = context.broker.groups.each(|machine| {
        let groups = machine.list_groups(&filter).into_iter().map(|group| ListedGroup {
            group_id: group.group_id,
            protocol_type: group.protocol_type,
            group_state: Str::from_static(group.state),
            group_type: Str::from_static(group.group_type),
            ..Default::default()
        });
        response.groups.extend(groups);
    });
    if loading {
        // What is there is told all the same; the client knows to ask again.
        response.error_code = ErrorCode::CoordinatorLoadInProgress.code();
    }
    response
}
