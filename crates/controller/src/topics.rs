//! CreateTopics and DeleteTopics.
//!
//! Invariant: a topic comes with its configuration and all its partitions in one atomic batch.

use std::collections::{BTreeMap, BTreeSet};

use ottla_config::{ConfigEntry, Overrides, describe_topic, validate_new_topic};
use ottla_metadata::{ConfigResource, Topic};
use ottla_protocol::metadata_records::{MetadataRecord, RemoveTopicRecord, TopicRecord};
use ottla_protocol::{Str, Uuid};

use crate::configs::config_record;
use crate::controller::{
    Answer, Context, Controller, Outcome, RECORDS_PER_COMMAND_MAX, TopicAnswers,
};
use crate::error::{ControlError, PlacementError};
use crate::names::{CLUSTER_METADATA_TOPIC, validate_topic_name};
use crate::partitions::NewPartition;
use crate::random::random_uuid;

/// How many partitions one CreateTopics may ask for.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// "As the broker is configured", for a number of partitions or replicas.
pub const DEFAULT: i32 = -1;

/// A topic that a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    pub name: Str,
    /// -1 for the default, and where replicas are assigned by hand.
    pub partitions: i32,
    pub replication_factor: i32,
    /// Replicas by hand: each partition and its brokers.
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(Str, Option<Str>)>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn with_defaults(name: impl Into<Str>) -> NewTopic {
        NewTopic {
            name: name.into(),
            partitions: DEFAULT,
            replication_factor: DEFAULT,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTopic {
    pub id: Uuid,
    pub partitions: i32,
    pub replication_factor: i16,
    /// The effective configuration, by name; who may see it is for the shell to decide.
    pub configs: Vec<ConfigEntry>,
}

/// How a client names a topic to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRef {
    pub name: Option<Str>,
    /// Zero for none.
    pub id: Uuid,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DeletedTopic {
    /// Known where the client named it, or the id is that of a topic.
    pub name: Option<Str>,
    pub id: Uuid,
    pub result: Answer<()>,
}

impl Controller {
    /// Creates the topics that can be created. Each has its own answer, in the order of the request.
    pub fn create_topics(
        &self,
        context: &mut Context<'_>,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Outcome<TopicAnswers<CreatedTopic>>, ControlError> {
        let duplicates = duplicates(topics.iter().map(|t| &t.name));
        let unique = || topics.iter().filter(|t| !duplicates.contains(&t.name));
        self.check_partition_total(unique())?;
        let (mut records, mut answers) = (Vec::new(), Vec::new());
        for topic in unique() {
            let created = self
                .create_topic(context, topic)
                .map(|(topic_records, created)| {
                    records.extend(topic_records);
                    created
                });
            if records.len() > RECORDS_PER_COMMAND_MAX {
                return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
            }
            answers.push((topic.name.clone(), created));
        }
        answers.extend(
            duplicates
                .into_iter()
                .map(|name| (name, Err(ControlError::DuplicateTopicName))),
        );
        if validate_only {
            records.clear();
        }
        Ok(Outcome::atomic(records, answers))
    }

    fn check_partition_total<'t>(
        &self,
        topics: impl Iterator<Item = &'t NewTopic>,
    ) -> Result<(), ControlError> {
        let wanted = topics.map(|topic| match (topic.assignments.len(), topic.partitions) {
            (0, DEFAULT) => {
                usize::try_from(self.config.topics.partitions_default).unwrap_or_default()
            }
            (0, count) => usize::try_from(count).unwrap_or_default(),
            (assigned, _) => assigned,
        });
        if wanted.fold(0, usize::saturating_add) > PARTITIONS_PER_REQUEST_MAX {
            return Err(ControlError::TooManyPartitions);
        }
        Ok(())
    }

    fn create_topic(
        &self,
        context: &mut Context<'_>,
        topic: &NewTopic,
    ) -> Answer<(Vec<MetadataRecord>, CreatedTopic)> {
        self.check_new_name(&topic.name)?;
        let overrides = creation_configs(topic)?;
        validate_new_topic(&self.config, &overrides)?;
        let partitions = if topic.assignments.is_empty() {
            self.place_new_topic(context, topic)?
        } else {
            self.assign_new_topic(topic)?
        };
        let id = random_uuid(context.random);
        let created = CreatedTopic {
            id,
            partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            replication_factor: partitions
                .first()
                .map_or(0, |p| i16::try_from(p.replicas.len()).unwrap_or(i16::MAX)),
            configs: describe_topic(&self.config, &overrides, None),
        };
        let mut records = vec![
            TopicRecord {
                name: topic.name.detached(),
                topic_id: id,
                ..Default::default()
            }
            .into(),
        ];
        let resource = ConfigResource::topic(topic.name.detached());
        let configs = overrides.into_iter();
        records.extend(configs.map(|(name, value)| config_record(&resource, &name, Some(&value))));
        records.extend(
            partitions
                .into_iter()
                .zip(0..)
                .map(|(partition, index)| self.partition_record(id, index, partition)),
        );
        Ok((records, created))
    }

    fn check_new_name(&self, name: &Str) -> Result<(), ControlError> {
        if *name == CLUSTER_METADATA_TOPIC {
            return Err(ControlError::ForbiddenTopic(name.clone()));
        }
        validate_topic_name(name)?;
        if self.image.topic(name).is_some() {
            return Err(ControlError::TopicExists(name.clone()));
        }
        match self.collisions.find(name) {
            Some(existing) => Err(ControlError::TopicCollision {
                name: name.clone(),
                existing: existing.clone(),
            }),
            None => Ok(()),
        }
    }

    fn place_new_topic(
        &self,
        context: &mut Context<'_>,
        topic: &NewTopic,
    ) -> Answer<Vec<NewPartition>> {
        let or_default = |value: i32, default: i32| if value == DEFAULT { default } else { value };
        if topic.replication_factor < DEFAULT || topic.replication_factor == 0 {
            return Err(ControlError::InvalidReplicationFactor);
        }
        if topic.partitions < DEFAULT || topic.partitions == 0 {
            return Err(ControlError::InvalidPartitionCount);
        }
        let count = or_default(topic.partitions, self.config.topics.partitions_default);
        let replication_factor = or_default(
            topic.replication_factor,
            self.config.topics.replication_factor_default.into(),
        );
        let count = usize::try_from(count).map_err(|_| ControlError::InvalidPartitionCount)?;
        let cannot = |reason: PlacementError| ControlError::CannotReplicate {
            replication_factor,
            reason,
        };
        let placed = self
            .place(context, count, replication_factor)
            .map_err(cannot)?;
        placed
            .into_iter()
            .map(|replicas| {
                self.new_partition(replicas)
                    .ok_or(cannot(PlacementError::NoActiveBroker))
            })
            .collect()
    }

    fn assign_new_topic(&self, topic: &NewTopic) -> Answer<Vec<NewPartition>> {
        if topic.replication_factor != DEFAULT {
            return Err(ControlError::AssignmentWithReplicationFactor);
        }
        if topic.partitions != DEFAULT {
            return Err(ControlError::AssignmentWithPartitions);
        }
        let mut partitions = BTreeMap::new();
        let mut replication_factor = None;
        for (index, replicas) in &topic.assignments {
            if partitions.contains_key(index) {
                return Err(ControlError::DuplicateAssignment(*index));
            }
            self.check_assignment(replicas, replication_factor)?;
            replication_factor = Some(replicas.len());
            let partition = self.new_partition(replicas.clone());
            partitions.insert(
                *index,
                partition.ok_or(ControlError::AssignedBrokersInactive(*index))?,
            );
        }
        if !partitions.keys().copied().eq((0..).take(partitions.len())) {
            return Err(ControlError::PartitionsNotConsecutive);
        }
        Ok(partitions.into_values().collect())
    }

    /// Deletes topics, each named once and by name or by id.
    pub fn delete_topics(
        &self,
        topics: &[TopicRef],
    ) -> Result<Outcome<Vec<DeletedTopic>>, ControlError> {
        if !self.config.topics.deletable {
            return Err(ControlError::TopicDeletionDisabled);
        }
        let named = References::of(topics);
        let (mut records, mut answers, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for TopicRef { name, id } in topics {
            // One answer stands for all the times that a topic was named the same way.
            if !seen.insert((name, id)) {
                continue;
            }
            answers.push(match self.find_topic(name.as_ref(), *id, &named) {
                Err(error) => DeletedTopic {
                    name: name.clone(),
                    id: *id,
                    result: Err(error),
                },
                Ok(topic) => {
                    records.push(
                        RemoveTopicRecord {
                            topic_id: topic.id,
                            ..Default::default()
                        }
                        .into(),
                    );
                    DeletedTopic {
                        name: Some(topic.name.clone()),
                        id: topic.id,
                        result: Ok(()),
                    }
                }
            });
        }
        if records.len() > RECORDS_PER_COMMAND_MAX {
            return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
        }
        Ok(Outcome::atomic(records, answers))
    }

    fn find_topic(&self, name: Option<&Str>, id: Uuid, named: &References) -> Answer<&Topic> {
        match (name, id) {
            (None, Uuid::ZERO) => Err(ControlError::NoTopicNamed),
            (None, id) if named.twice_by_id.contains(&id) => Err(ControlError::DuplicateTopicId),
            (None, id) => {
                let topic = self
                    .image
                    .topic_by_id(id)
                    .ok_or(ControlError::UnknownTopicId(id))?;
                if named.by_name.contains(&topic.name) {
                    return Err(ControlError::DuplicateTopicId);
                }
                Ok(topic)
            }
            (Some(name), Uuid::ZERO) if named.twice_by_name.contains(name) => {
                Err(ControlError::DuplicateTopicName)
            }
            (Some(name), Uuid::ZERO) => {
                let topic = self.image.topic(name).ok_or(ControlError::UnknownTopic)?;
                if named.by_id.contains(&topic.id) {
                    return Err(ControlError::NameOfGivenId);
                }
                Ok(topic)
            }
            (Some(_), _) => Err(ControlError::NameAndId),
        }
    }
}

/// How the topics of a request are named, to find those that are named more than once.
struct References {
    by_name: BTreeSet<Str>,
    by_id: BTreeSet<Uuid>,
    twice_by_name: BTreeSet<Str>,
    twice_by_id: BTreeSet<Uuid>,
}

impl References {
    fn of(topics: &[TopicRef]) -> References {
        let names = || {
            topics
                .iter()
                .filter(|t| t.id.is_zero())
                .filter_map(|t| t.name.as_ref())
        };
        let ids = || topics.iter().filter(|t| t.name.is_none()).map(|t| &t.id);
        References {
            by_name: names().cloned().collect(),
            by_id: ids().copied().collect(),
            twice_by_name: duplicates(names()),
            twice_by_id: duplicates(ids()),
        }
    }
}

fn creation_configs(topic: &NewTopic) -> Result<Overrides, ControlError> {
    let nulls: Vec<&str> = topic
        .configs
        .iter()
        .filter(|(_, v)| v.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(ControlError::NullTopicConfigs(nulls.join(",")));
    }
    let given = topic
        .configs
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.as_ref()?.to_string())));
    Ok(given.collect())
}

/// What occurs more than once.
pub(crate) fn duplicates<'a, T: Ord + Clone + 'a>(
    items: impl Iterator<Item = &'a T>,
) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).cloned().collect()
}
