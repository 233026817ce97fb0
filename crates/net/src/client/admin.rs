//! Questions and orders to the cluster: topics, configurations, groups, offsets.
//!
//! Invariant: an answer that reports an error for what was asked becomes an error that names it;
//! what is returned has none left. Used by the tools.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    ConsumerGroupDescribeRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeLogDirsRequest, IncrementalAlterConfigsRequest, ListGroupsRequest, ListOffsetsRequest,
    OffsetCommitRequest, OffsetFetchRequest, consumer_group_describe_response,
};
use ottla_protocol::{ApiKey, ErrorCode, Str};

use super::assignor::{Assignment, decode_assignment};
use super::error::ClientError;
use super::{Ask, Client, Purpose, check};

const CREATE_TOPICS_VERSIONS: RangeInclusive<i16> = 2..=7;
const DELETE_TOPICS_VERSIONS: RangeInclusive<i16> = 1..=5;
const CREATE_PARTITIONS_VERSIONS: RangeInclusive<i16> = 0..=3;
const DESCRIBE_CONFIGS_VERSIONS: RangeInclusive<i16> = 1..=4;
const ALTER_CONFIGS_VERSIONS: RangeInclusive<i16> = 0..=1;
const LIST_OFFSETS_VERSIONS: RangeInclusive<i16> = 1..=7;
const LIST_GROUPS_VERSIONS: RangeInclusive<i16> = 0..=5;
const DESCRIBE_GROUPS_VERSIONS: RangeInclusive<i16> = 0..=5;
const CONSUMER_GROUP_DESCRIBE_VERSIONS: RangeInclusive<i16> = 0..=1;
const DELETE_GROUPS_VERSIONS: RangeInclusive<i16> = 0..=2;
const OFFSET_FETCH_VERSIONS: RangeInclusive<i16> = 2..=7;
const OFFSET_COMMIT_VERSIONS: RangeInclusive<i16> = 2..=9;
const LOG_DIRS_VERSIONS: RangeInclusive<i16> = 1..=4;

/// What a coordinator tells of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    pub state: String,
    pub assignor: String,
    pub members: Vec<MemberView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub id: String,
    pub instance: Option<String>,
    pub client: String,
    pub host: String,
    /// Empty where the group's protocol is not one of consumers.
    pub assignment: Assignment,
}

impl GroupView {
    fn classic(group: DescribedGroup) -> Self {
        let members = group.members.into_iter().map(|member| MemberView {
            id: member.member_id.to_string(),
            instance: member.group_instance_id.map(|id| id.to_string()),
            client: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment: decode_assignment(&member.member_assignment).unwrap_or_default(),
        });
        Self {
            state: group.group_state.to_string(),
            assignor: group.protocol_data.to_string(),
            members: members.collect(),
        }
    }

    fn of_consumers(group: consumer_group_describe_response::DescribedGroup) -> Self {
        let members = group.members.into_iter().map(|member| {
            let topics = member.assignment.topic_partitions.into_iter();
            MemberView {
                id: member.member_id.to_string(),
                instance: member.instance_id.map(|id| id.to_string()),
                client: member.client_id.to_string(),
                host: member.client_host.to_string(),
                assignment: topics
                    .map(|topic| (topic.topic_name.to_string(), topic.partitions))
                    .collect(),
            }
        });
        Self {
            state: group.group_state.to_string(),
            assignor: group.assignor_name.to_string(),
            members: members.collect(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct NewTopic {
    pub name: String,
    /// `None` leaves it to the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// `None` leaves it to the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    pub configs: Vec<(String, String)>,
}

/// What a configuration belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    /// One broker, or the defaults of all brokers.
    Broker(Option<i32>),
    Group(String),
}

impl Resource {
    fn code(&self) -> i8 {
        match self {
            Resource::Topic(_) => 2,
            Resource::Broker(_) => 4,
            Resource::Group(_) => 32,
        }
    }

    fn name(&self) -> String {
        match self {
            Resource::Topic(name) | Resource::Group(name) => name.clone(),
            Resource::Broker(Some(id)) => id.to_string(),
            Resource::Broker(None) => String::new(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Resource::Topic(name) => format!("topic {name}"),
            Resource::Group(name) => format!("group {name}"),
            Resource::Broker(Some(id)) => format!("broker {id}"),
            Resource::Broker(None) => "defaults of the brokers".to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    Set(String, String),
    /// Back to the default.
    Delete(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes from a list.
    Subtract(String, String),
}

/// Which offset of a partition to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    Earliest,
    Latest,
    /// That of the record with the highest timestamp.
    MaxTimestamp,
    Timestamp(i64),
}

impl OffsetSpec {
    fn code(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(at) => at,
        }
    }
}

/// Offset by topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

impl Client {
    /// Creates a topic; returns its partitions and replication factor where the broker tells them.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<(i32, i16), ClientError> {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: Str::from(name),
                value: Some(Str::from(value)),
                ..CreatableTopicConfig::default()
            });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: Str::from(&topic.name),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication_factor.unwrap_or(-1),
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: self.timeout_ms(),
            validate_only,
            ..CreateTopicsRequest::default()
        };
        let response = self.call_any(&request, CREATE_TOPICS_VERSIONS).await?;
        let subject = || format!("topic {}", topic.name);
        let result = only(response.topics, ApiKey::CreateTopics, subject)?;
        check(subject, result.error_code, result.error_message.as_deref())?;
        Ok((result.num_partitions, result.replication_factor))
    }

    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest {
            topic_names: vec![Str::from(name)],
            topics: Vec::<DeleteTopicState>::new(),
            timeout_ms: self.timeout_ms(),
            ..DeleteTopicsRequest::default()
        };
        let response = self.call_any(&request, DELETE_TOPICS_VERSIONS).await?;
        let subject = || format!("topic {name}");
        let result = only(response.responses, ApiKey::DeleteTopics, subject)?;
        check(subject, result.error_code, result.error_message.as_deref())
    }

    /// Raises the number of a topic's partitions to `count`.
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<(), ClientError> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: Str::from(name),
                count,
                assignments: None,
                ..CreatePartitionsTopic::default()
            }],
            timeout_ms: self.timeout_ms(),
            ..CreatePartitionsRequest::default()
        };
        let response = self.call_any(&request, CREATE_PARTITIONS_VERSIONS).await?;
        let subject = || format!("topic {name}");
        let result = only(response.results, ApiKey::CreatePartitions, subject)?;
        check(subject, result.error_code, result.error_message.as_deref())
    }

    pub async fn describe_configs(
        &self,
        resource: &Resource,
        with_documentation: bool,
    ) -> Result<Vec<DescribeConfigsResourceResult>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.code(),
                resource_name: Str::from(resource.name()),
                configuration_keys: None,
                ..DescribeConfigsResource::default()
            }],
            include_synonyms: true,
            include_documentation: with_documentation,
            ..DescribeConfigsRequest::default()
        };
        let response = match resource {
            // Only the broker itself knows its static configuration.
            Resource::Broker(Some(id)) => {
                self.cluster(Some(&[])).await?;
                let zero = Duration::ZERO;
                self.call_broker(
                    *id,
                    Purpose::General,
                    &request,
                    DESCRIBE_CONFIGS_VERSIONS,
                    zero,
                )
                .await?
            }
            _ => self.call_any(&request, DESCRIBE_CONFIGS_VERSIONS).await?,
        };
        let subject = || resource.describe();
        let result = only(response.results, ApiKey::DescribeConfigs, subject)?;
        check(subject, result.error_code, result.error_message.as_deref())?;
        Ok(result.configs)
    }

    pub async fn alter_configs(
        &self,
        resource: &Resource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let configs = changes.iter().map(|change| {
            let (operation, name, value) = match change {
                ConfigChange::Set(name, value) => (0, name, Some(value)),
                ConfigChange::Delete(name) => (1, name, None),
                ConfigChange::Append(name, value) => (2, name, Some(value)),
                ConfigChange::Subtract(name, value) => (3, name, Some(value)),
            };
            AlterableConfig {
                name: Str::from(name),
                config_operation: operation,
                value: value.map(Str::from),
                ..AlterableConfig::default()
            }
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.code(),
                resource_name: Str::from(resource.name()),
                configs: configs.collect(),
                ..AlterConfigsResource::default()
            }],
            validate_only,
            ..IncrementalAlterConfigsRequest::default()
        };
        let response = self.call_any(&request, ALTER_CONFIGS_VERSIONS).await?;
        let subject = || resource.describe();
        let result = only(response.responses, ApiKey::IncrementalAlterConfigs, subject)?;
        check(subject, result.error_code, result.error_message.as_deref())
    }

    /// Offsets of partitions; -1 for one that has no record that fits.
    pub async fn list_offsets(
        &self,
        wanted: &[(String, i32, OffsetSpec)],
    ) -> Result<Offsets, ClientError> {
        if wanted.is_empty() {
            return Ok(Offsets::new());
        }
        let topics: std::collections::BTreeSet<&str> =
            wanted.iter().map(|(topic, ..)| topic.as_str()).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        self.retry(|| async {
            let cluster = self.cluster(Some(&topics)).await?;
            let mut by_leader: BTreeMap<i32, Vec<&(String, i32, OffsetSpec)>> = BTreeMap::new();
            for entry in wanted {
                let leader = cluster.leader(&entry.0, entry.1)?;
                by_leader.entry(leader).or_default().push(entry);
            }
            let mut offsets = Offsets::new();
            for (leader, entries) in by_leader {
                self.list_offsets_of(leader, &entries, &mut offsets).await?;
            }
            Ok(offsets)
        })
        .await
    }

    async fn list_offsets_of(
        &self,
        leader: i32,
        wanted: &[&(String, i32, OffsetSpec)],
        offsets: &mut Offsets,
    ) -> Result<(), ClientError> {
        const CONSUMER: i32 = -1;
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for (topic, partition, spec) in wanted {
            let partition = ListOffsetsPartition {
                partition_index: *partition,
                timestamp: spec.code(),
                ..ListOffsetsPartition::default()
            };
            match topics.last_mut() {
                Some(last) if last.name == topic.as_str() => last.partitions.push(partition),
                _ => topics.push(ListOffsetsTopic {
                    name: Str::from(topic),
                    partitions: vec![partition],
                    ..ListOffsetsTopic::default()
                }),
            }
        }
        let request = ListOffsetsRequest {
            replica_id: CONSUMER,
            topics,
            ..ListOffsetsRequest::default()
        };
        let zero = Duration::ZERO;
        let response = self
            .call_broker(
                leader,
                Purpose::General,
                &request,
                LIST_OFFSETS_VERSIONS,
                zero,
            )
            .await?;
        for topic in response.topics {
            for partition in topic.partitions {
                let key = (topic.name.to_string(), partition.partition_index);
                check(
                    || format!("{}-{}", key.0, key.1),
                    partition.error_code,
                    None,
                )?;
                offsets.insert(key, partition.offset);
            }
        }
        Ok(())
    }

    /// The groups of every broker.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        let cluster = self.cluster(Some(&[])).await?;
        let request = ListGroupsRequest::default();
        let mut groups = Vec::new();
        for broker in cluster.brokers.keys() {
            let response = self
                .retry(|| async {
                    let zero = Duration::ZERO;
                    let response = self
                        .call_broker(
                            *broker,
                            Purpose::General,
                            &request,
                            LIST_GROUPS_VERSIONS,
                            zero,
                        )
                        .await?;
                    check(
                        || format!("groups of broker {broker}"),
                        response.error_code,
                        None,
                    )?;
                    Ok(response)
                })
                .await?;
            groups.extend(response.groups);
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    /// One group, of the consumer protocol (KIP-848) or of the classic one.
    pub async fn describe_group(&self, group: &str) -> Result<GroupView, ClientError> {
        match self.describe_consumer_group(group).await {
            // Of the classic protocol, or of a broker that knows no other.
            Err(ClientError::UnsupportedApi { .. }) => self.describe_classic_group(group).await,
            Err(error) if error.is_unknown() => self.describe_classic_group(group).await,
            described => described,
        }
    }

    async fn describe_consumer_group(&self, group: &str) -> Result<GroupView, ClientError> {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![Str::from(group)],
            ..ConsumerGroupDescribeRequest::default()
        };
        self.retry(|| async {
            let response = self
                .call_coordinator(group, &request, CONSUMER_GROUP_DESCRIBE_VERSIONS)
                .await?;
            let subject = || format!("group {group}");
            let described = only(response.groups, ApiKey::ConsumerGroupDescribe, subject)?;
            check(
                subject,
                described.error_code,
                described.error_message.as_deref(),
            )?;
            Ok(GroupView::of_consumers(described))
        })
        .await
    }

    async fn describe_classic_group(&self, group: &str) -> Result<GroupView, ClientError> {
        let request = DescribeGroupsRequest {
            groups: vec![Str::from(group)],
            ..DescribeGroupsRequest::default()
        };
        self.retry(|| async {
            let response = self
                .call_coordinator(group, &request, DESCRIBE_GROUPS_VERSIONS)
                .await?;
            let subject = || format!("group {group}");
            let described = only(response.groups, ApiKey::DescribeGroups, subject)?;
            check(
                subject,
                described.error_code,
                described.error_message.as_deref(),
            )?;
            Ok(GroupView::classic(described))
        })
        .await
    }

    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest {
            groups_names: vec![Str::from(group)],
            ..DeleteGroupsRequest::default()
        };
        self.retry(|| async {
            let response = self
                .call_coordinator(group, &request, DELETE_GROUPS_VERSIONS)
                .await?;
            let subject = || format!("group {group}");
            let result = only(response.results, ApiKey::DeleteGroups, subject)?;
            check(subject, result.error_code, None)
        })
        .await
    }

    /// Every offset that a group has committed.
    pub async fn committed_offsets(&self, group: &str) -> Result<Offsets, ClientError> {
        let request = OffsetFetchRequest {
            group_id: Str::from(group),
            topics: None,
            ..OffsetFetchRequest::default()
        };
        self.retry(|| async {
            let response = self
                .call_coordinator(group, &request, OFFSET_FETCH_VERSIONS)
                .await?;
            check(
                || format!("offsets of group {group}"),
                response.error_code,
                None,
            )?;
            let mut offsets = Offsets::new();
            for topic in response.topics {
                for partition in topic.partitions {
                    let key = (topic.name.to_string(), partition.partition_index);
                    let subject = || format!("offset of group {group} for {}-{}", key.0, key.1);
                    check(subject, partition.error_code, None)?;
                    if partition.committed_offset >= 0 {
                        offsets.insert(key, partition.committed_offset);
                    }
                }
            }
            Ok(offsets)
        })
        .await
    }

    /// Commits offsets for a group without members.
    pub async fn reset_offsets(&self, group: &str, offsets: &Offsets) -> Result<(), ClientError> {
        self.commit_as(group, "", -1, offsets).await
    }

    /// Commits offsets as a member of a generation.
    pub(crate) async fn commit_as(
        &self,
        group: &str,
        member: &str,
        generation: i32,
        offsets: &Offsets,
    ) -> Result<(), ClientError> {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for ((topic, partition), offset) in offsets {
            let partition = OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_metadata: Some(Str::default()),
                ..OffsetCommitRequestPartition::default()
            };
            match topics.last_mut() {
                Some(last) if last.name == topic.as_str() => last.partitions.push(partition),
                _ => topics.push(OffsetCommitRequestTopic {
                    name: Str::from(topic),
                    partitions: vec![partition],
                    ..OffsetCommitRequestTopic::default()
                }),
            }
        }
        let request = OffsetCommitRequest {
            group_id: Str::from(group),
            generation_id_or_member_epoch: generation,
            member_id: Str::from(member),
            topics,
            ..OffsetCommitRequest::default()
        };
        self.retry(|| async {
            let response = self
                .call_coordinator(group, &request, OFFSET_COMMIT_VERSIONS)
                .await?;
            for topic in &response.topics {
                for partition in &topic.partitions {
                    let place = format!("{}-{}", topic.name, partition.partition_index);
                    let subject = || format!("offset of group {group} for {place}");
                    check(subject, partition.error_code, None)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Sizes of replicas in bytes by topic and partition, from every broker.
    pub async fn log_dirs(&self) -> Result<HashMap<i32, Vec<DescribeLogDirsResult>>, ClientError> {
        let cluster = self.cluster(Some(&[])).await?;
        let request = DescribeLogDirsRequest {
            topics: None,
            ..DescribeLogDirsRequest::default()
        };
        let mut results = HashMap::new();
        for broker in cluster.brokers.keys() {
            let zero = Duration::ZERO;
            let response = self
                .call_broker(*broker, Purpose::General, &request, LOG_DIRS_VERSIONS, zero)
                .await?;
            let subject = || format!("log directories of broker {broker}");
            check(subject, response.error_code, None)?;
            results.insert(*broker, response.results);
        }
        Ok(results)
    }

    /// Asks the coordinator of a group, once.
    pub(crate) async fn call_coordinator<R: Ask>(
        &self,
        group: &str,
        request: &R,
        versions: RangeInclusive<i16>,
    ) -> Result<R::Response, ClientError> {
        let coordinator = self.coordinator(group).await?;
        self.call_broker(
            coordinator,
            Purpose::General,
            request,
            versions,
            Duration::ZERO,
        )
        .await
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// The one result of a question about one thing.
pub(super) fn only<T>(
    results: Vec<T>,
    api: ApiKey,
    subject: impl FnOnce() -> String,
) -> Result<T, ClientError> {
    results
        .into_iter()
        .next()
        .ok_or_else(|| ClientError::Missing {
            api,
            subject: subject(),
        })
}

impl ClientError {
    /// Whether it says that what was named does not exist.
    pub fn is_unknown(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::GroupIdNotFound
            )
        )
    }
}
