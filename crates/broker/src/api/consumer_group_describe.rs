//! ConsumerGroupDescribe: state and members of consumer groups (KIP-848).

use ottla_coordinator::{DescribedConsumerMember, DescribedPartitions};
use ottla_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use ottla_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
use ottla_protocol::{ErrorCode, Str};

use super::{Context, authorized_operations};

/// Member type of a member of the classic protocol.
const CLASSIC_MEMBER: i8 = 0;
/// Member type of a member of the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

pub async fn handle(context: &Context, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let mut response = ConsumerGroupDescribeResponse::default();
    for group_id in request.group_ids {
        let mut group = describe(context, group_id);
        if request.include_authorized_operations && group.error_code == ErrorCode::None.code() {
            group.authorized_operations = authorized_operations::GROUP;
        }
        response.groups.push(group);
    }
    response
}

fn describe(context: &Context, group_id: Str) -> DescribedGroup {
    if !context.broker.has_consumer_groups() {
        return failed(group_id, ErrorCode::UnsupportedVersion);
    }
    if group_id.is_empty() {
        return failed(group_id, ErrorCode::InvalidGroupId);
    }
    let described = context.broker.groups.look(&group_id, |machine| {
        machine.describe_consumer_groups(std::slice::from_ref(&group_id))
    });
    let described = match described.map(|mut groups| groups.pop()) {
        Ok(Some(described)) => described,
        Ok(None) => return failed(group_id, ErrorCode::UnknownServerError),
        Err(error) => return failed(group_id, error),
    };
    DescribedGroup {
        error_code: described.error.code(),
        error_message: described.error_message,
        group_id,
        group_state: Str::from_static(described.state),
        group_epoch: described.group_epoch,
        assignment_epoch: described.assignment_epoch,
        assignor_name: described.assignor,
        members: described.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn member(member: DescribedConsumerMember) -> Member {
    Member {
        member_id: member.member_id,
        instance_id: member.instance_id,
        rack_id: member.rack_id,
        member_epoch: member.member_epoch,
        client_id: member.client_id,
        client_host: member.client_host,
        subscribed_topic_names: member.topics,
        subscribed_topic_regex: Some(member.regex),
        assignment: assignment(member.assignment),
        target_assignment: assignment(member.target_assignment),
        member_type: if member.uses_classic_protocol { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
        ..Default::default()
    }
}

fn assignment(topics: Vec<DescribedPartitions>) -> Assignment {
    let topics = topics.into_iter().map(|topic| TopicPartitions {
        topic_id: topic.topic_id,
        topic_name: topic.topic_name,
        partitions: topic.partitions,
        ..Default::default()
    });
    Assignment { topic_partitions: topics.collect(), ..Default::default() }
}

fn failed(group_id: Str, error: ErrorCode) -> DescribedGroup {
    DescribedGroup { error_code: error.code(), group_id, ..Default::default() }
}
