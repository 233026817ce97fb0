//! IncrementalAlterConfigs and AlterConfigs, for every resource whose configuration lives in the log.
//!
//! Invariant: a resource changes as a whole or not at all, and only to what the rules allow.

use ottla_config::{
    AlterError, AlterOp, Alteration, Overrides, changes, incremental, legacy, validate,
};
use ottla_metadata::{ConfigResource, MetadataVersion, ResourceType};
use ottla_protocol::Str;
use ottla_protocol::metadata_records::{ClearElrRecord, ConfigRecord, MetadataRecord};

use crate::controller::{Answer, Controller, Outcome, RECORDS_PER_COMMAND_MAX, overrides};
use crate::error::ControlError;
use crate::names::validate_topic_name;
use crate::topics::duplicates;

pub(crate) const MIN_ISR: &str = "min.insync.replicas";
const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

/// What IncrementalAlterConfigs asks of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigAlteration {
    pub resource: ConfigResource,
    pub ops: Vec<ConfigOp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOp {
    pub key: Str,
    /// By Kafka's number: 0 sets, 1 deletes, 2 appends to a list, 3 takes from it.
    pub operation: i8,
    pub value: Option<Str>,
}

/// What AlterConfigs asks of one resource: everything that it does not name is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReplacement {
    pub resource: ConfigResource,
    pub values: Vec<(Str, Option<Str>)>,
}

type ConfigAnswers = Vec<(ConfigResource, Answer<()>)>;

impl Controller {
    pub fn incremental_alter_configs(
        &self,
        alterations: &[ConfigAlteration],
        validate_only: bool,
    ) -> Result<Outcome<ConfigAnswers>, ControlError> {
        let resources = alterations.iter().map(|a| (&a.resource, a));
        self.alter_each(resources, validate_only, |alteration, kind, before| {
            let ops = alteration.ops.iter().map(|op| {
                Ok(Alteration {
                    name: &op.key,
                    op: AlterOp::from_code(op.operation)?,
                    value: op.value.as_deref(),
                })
            });
            let ops = ops.collect::<Result<Vec<_>, AlterError>>()?;
            incremental(kind, before, &ops)
        })
    }

    pub fn alter_configs(
        &self,
        replacements: &[ConfigReplacement],
        validate_only: bool,
    ) -> Result<Outcome<ConfigAnswers>, ControlError> {
        let resources = replacements.iter().map(|r| (&r.resource, r));
        self.alter_each(resources, validate_only, |replacement, _, _| {
            legacy(
                replacement
                    .values
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_deref())),
            )
        })
    }

    fn alter_each<'a, T: 'a>(
        &self,
        resources: impl Iterator<Item = (&'a ConfigResource, &'a T)> + Clone,
        validate_only: bool,
        alter: impl Fn(&T, ottla_config::ResourceType, &Overrides) -> Result<Overrides, AlterError>,
    ) -> Result<Outcome<ConfigAnswers>, ControlError> {
        let duplicates = duplicates(resources.clone().map(|(resource, _)| resource));
        let (mut records, mut answers) = (Vec::new(), Vec::new());
        for (resource, asked) in resources.filter(|(r, _)| !duplicates.contains(*r)) {
            let answer = self.alter_one(resource, |kind, before| alter(asked, kind, before));
            answers.push((
                resource.clone(),
                answer.map(|altered| records.extend(altered)),
            ));
            if records.len() > RECORDS_PER_COMMAND_MAX {
                return Err(ControlError::TooManyRecords(RECORDS_PER_COMMAND_MAX));
            }
        }
        answers.extend(
            duplicates
                .into_iter()
                .map(|r| (r, Err(ControlError::DuplicateResource))),
        );
        if validate_only {
            records.clear();
        }
        self.clear_elr_where_min_isr_changes(&mut records);
        Ok(Outcome::atomic(records, answers))
    }

    fn alter_one(
        &self,
        resource: &ConfigResource,
        alter: impl Fn(ottla_config::ResourceType, &Overrides) -> Result<Overrides, AlterError>,
    ) -> Answer<Vec<MetadataRecord>> {
        let kind = ottla_config::ResourceType::from_code(resource.kind.0);
        let kind = kind.ok_or(ControlError::UnknownResourceType(resource.kind.0))?;
        let before = overrides(&self.image.config(resource));
        let after = alter(kind, &before)?;
        let changed = changes(&before, &after);
        self.check_resource_name(resource)?;
        validate(&self.config, kind, &resource.name, &before, &after)?;
        self.check_safe_keys(resource, &changed)?;
        if resource.kind == ResourceType::TOPIC && self.image.topic(&resource.name).is_none() {
            return Err(ControlError::ConfigTopicUnknown(resource.name.clone()));
        }
        let resource = ConfigResource::new(resource.kind, resource.name.detached());
        Ok(changed
            .iter()
            .map(|(name, value)| config_record(&resource, name, value.as_deref()))
            .collect())
    }

    fn check_resource_name(&self, resource: &ConfigResource) -> Result<(), ControlError> {
        match resource.kind {
            ResourceType::TOPIC if !resource.name.is_empty() => validate_topic_name(&resource.name),
            _ => Ok(()),
        }
    }

    /// While eligible leader replicas are in force, the minimum must not differ between brokers.
    fn check_safe_keys(
        &self,
        resource: &ConfigResource,
        changed: &[(String, Option<String>)],
    ) -> Result<(), ControlError> {
        if resource.kind != ResourceType::BROKER {
            return Ok(());
        }
        let elr = self.image.features.eligible_leader_replicas();
        for (name, value) in changed {
            match name.as_str() {
                MIN_ISR if elr && !resource.is_cluster() => return Err(ControlError::BrokerMinIsr),
                MIN_ISR if elr && value.is_none() => return Err(ControlError::ClusterMinIsr),
                CORDONED_LOG_DIRS
                    if self.metadata_version() < MetadataVersion::CORDONED_DIRECTORIES =>
                {
                    return Err(ControlError::CordonedLogDirs);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Eligibility was judged by the old minimum, and says nothing under the new one.
    fn clear_elr_where_min_isr_changes(&self, records: &mut Vec<MetadataRecord>) {
        if !self.image.features.eligible_leader_replicas() {
            return;
        }
        let clear = records.iter().filter_map(|record| match record {
            MetadataRecord::Config(r) if r.name == MIN_ISR => {
                let is_topic = r.resource_type == ResourceType::TOPIC.0;
                let topic_name = if is_topic {
                    r.resource_name.clone()
                } else {
                    Str::default()
                };
                Some(
                    ClearElrRecord {
                        topic_name,
                        ..Default::default()
                    }
                    .into(),
                )
            }
            _ => None,
        });
        let clear: Vec<MetadataRecord> = clear.collect();
        records.extend(clear);
    }
}

pub(crate) fn config_record(
    resource: &ConfigResource,
    name: &str,
    value: Option<&str>,
) -> MetadataRecord {
    ConfigRecord {
        resource_type: resource.kind.0,
        resource_name: resource.name.clone(),
        name: name.into(),
        value: value.map(Str::from),
        ..Default::default()
    }
    .into()
}
