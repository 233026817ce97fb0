//! ConsumerGroupDescribe.
//!
//! Invariant: it shows what is committed to the log. Called by the shell's handler of the request.

use ottla_protocol::{ErrorCode, Str};

use super::group::ConsumerGroup;
use super::heartbeat::without_epochs;
use super::member::Member;
use crate::answer::{DescribedConsumerGroup, DescribedConsumerMember, DescribedPartitions};
use crate::assignor::DEFAULT_ASSIGNOR;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;

impl GroupCoordinator {
    pub fn describe_consumer_groups(&self, group_ids: &[Str]) -> Vec<DescribedConsumerGroup> {
        let describe = |group_id: &Str| match self.committed_consumer_group(group_id) {
            Some(group) => self.describe_consumer_group(group),
            None => self.describe_missing_consumer_group(group_id),
        };
        group_ids.iter().map(describe).collect()
    }

    fn describe_consumer_group(&self, group: &ConsumerGroup) -> DescribedConsumerGroup {
        DescribedConsumerGroup {
            error: ErrorCode::None,
            error_message: None,
            group_id: group.group_id.clone(),
            state: group.state().name(),
            group_epoch: group.epoch(),
            assignment_epoch: group.assignment_epoch(),
            assignor: group
                .preferred_assignor()
                .cloned()
                .unwrap_or_else(|| DEFAULT_ASSIGNOR.name().into()),
            members: group
                .members()
                .map(|member| self.describe_consumer_member(group, member))
                .collect(),
        }
    }

    fn describe_consumer_member(
        &self,
        group: &ConsumerGroup,
        member: &Member,
    ) -> DescribedConsumerMember {
        let mut assigned = member.progress.assigned.clone();
        for (topic, partitions) in &member.progress.pending_revocation {
            assigned.entry(*topic).or_default().extend(partitions);
        }
        let target = group.target(&member.member_id).cloned().unwrap_or_default();
        let target = target
            .iter()
            .map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()));
        DescribedConsumerMember {
            member_id: member.member_id.clone(),
            instance_id: member.metadata.instance_id.clone(),
            rack_id: member.metadata.rack_id.clone(),
            member_epoch: member.epoch(),
            client_id: member.metadata.client_id.clone(),
            client_host: member.metadata.client_host.clone(),
            topics: member.metadata.topics.iter().cloned().collect(),
            regex: member.metadata.regex.clone(),
            assignment: self.named(without_epochs(&assigned)),
            target_assignment: self.named(target.collect()),
            uses_classic_protocol: member.uses_classic_protocol(),
        }
    }

    /// Topics that are gone are left out.
    fn named(&self, partitions: Vec<(ottla_protocol::Uuid, Vec<i32>)>) -> Vec<DescribedPartitions> {
        let named = partitions.into_iter().filter_map(|(topic_id, partitions)| {
            let topic_name = self.topics.by_id(topic_id)?.name;
            Some(DescribedPartitions {
                topic_id,
                topic_name,
                partitions,
            })
        });
        named.collect()
    }

    fn describe_missing_consumer_group(&self, group_id: &Str) -> DescribedConsumerGroup {
        let why = if self.groups.contains_key(group_id) {
            "is not a consumer group."
        } else {
            "not found."
        };
        DescribedConsumerGroup {
            error: GroupError::GroupIdNotFound.code(),
            error_message: Some(Str::from(format!("Group {group_id} {why}"))),
            group_id: group_id.clone(),
            state: "",
            group_epoch: 0,
            assignment_epoch: 0,
            assignor: Str::default(),
            members: Vec::new(),
        }
    }
}
