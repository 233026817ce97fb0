//! DescribeGroups: state and members of classic groups.

use ottla_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::{Context, authorized_operations};

pub async fn handle(context: &Context, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut response = DescribeGroupsResponse::default();
    for group_id in request.groups {
        let mut group = describe(context, group_id);
        if request.include_authorized_operations {
            group.authorized_operations = authorized_operations::GROUP;
        }
        response.groups.push(group);
    }
    response
}

fn describe(context: &Context, group_id: Str) -> DescribedGroup {
    let described = context.broker.groups.look(&group_id, |machine| {
        machine.describe_groups(context.version, std::slice::from_ref(&group_id))
    });
    let described = match described.map(|mut groups| groups.pop()) {
        Ok(Some(described)) => described,
        Ok(None) => return failed(group_id, ErrorCode::UnknownServerError),
        Err(error) => return failed(group_id, error),
    };
    let members = described.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
        ..Default::default()
    });
    DescribedGroup {
        error_code: described.error.code(),
        error_message: described.error_message,
        group_id,
        group_state: Str::from_static(described.state),
        protocol_type: described.protocol_type,
        protocol_data: described.protocol_data,
        members: members.collect(),
        ..Default::default()
    }
}

fn failed(group_id: Str, error: ErrorCode) -> DescribedGroup {
    DescribedGroup { error_code: error.code(), group_id, ..Default::default() }
}
