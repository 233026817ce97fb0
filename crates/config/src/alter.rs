//! Changing the configuration of a resource: what an operation makes of the present settings, and
//! whether the outcome is allowed.
//!
//! Invariant: pure. The caller (the broker's AlterConfigs handlers and the controller) turns the
//! outcome into metadata records; nothing here keeps state.

use std::collections::BTreeMap;

use crate::broker::BrokerConfig;
use crate::key::{Key, Kind};
use crate::{client_metrics, dynamic, group, keys, topic};

/// The settings of a resource, as the metadata log keeps them.
pub type Overrides = BTreeMap<String, String>;

/// What has a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl ResourceType {
    pub fn from_code(code: i8) -> Option<Self> {
        [
            Self::Topic,
            Self::Broker,
            Self::BrokerLogger,
            Self::ClientMetrics,
            Self::Group,
        ]
        .into_iter()
        .find(|resource| resource.code() == code)
    }

    pub fn code(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    /// The key of this name; broker keys may carry a listener prefix.
    pub fn key(self, name: &str) -> Option<&'static Key> {
        match self {
            ResourceType::Topic => keys::topic_key(name),
            ResourceType::Group => keys::group_key(name),
            ResourceType::ClientMetrics => keys::client_metrics_key(name),
            ResourceType::Broker => match keys::classify(name) {
                keys::Name::Key(key) | keys::Name::OfListener(key) => Some(key),
                _ => None,
            },
            ResourceType::BrokerLogger => None,
        }
    }
}

/// Why a change is refused, in the terms of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AlterError {
    pub code: AlterErrorCode,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlterErrorCode {
    InvalidConfig,
    InvalidRequest,
}

impl AlterErrorCode {
    /// Kafka's error code.
    pub fn code(self) -> i16 {
        match self {
            AlterErrorCode::InvalidConfig => 40,
            AlterErrorCode::InvalidRequest => 42,
        }
    }
}

impl AlterError {
    pub(crate) fn config(message: String) -> Self {
        Self {
            code: AlterErrorCode::InvalidConfig,
            message,
        }
    }

    pub(crate) fn request(message: String) -> Self {
        Self {
            code: AlterErrorCode::InvalidRequest,
            message,
        }
    }
}

/// An operation of IncrementalAlterConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlterOp {
    Set,
    Delete,
    Append,
    Subtract,
}

impl AlterOp {
    pub fn from_code(code: i8) -> Result<Self, AlterError> {
        match code {
            0 => Ok(AlterOp::Set),
            1 => Ok(AlterOp::Delete),
            2 => Ok(AlterOp::Append),
            3 => Ok(AlterOp::Subtract),
            code => Err(AlterError::request(format!(
                "Unknown operations type {code}"
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            AlterOp::Set => "SET",
            AlterOp::Delete => "DELETE",
            AlterOp::Append => "APPEND",
            AlterOp::Subtract => "SUBTRACT",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alteration<'a> {
    pub name: &'a str,
    pub op: AlterOp,
    pub value: Option<&'a str>,
}

/// The longest value that the metadata log takes: a string's length there has 16 bits.
const VALUE_LEN_MAX: usize = i16::MAX as usize;

/// What is left of `before` after `alterations`. [`validate`] then says whether it is allowed.
pub fn incremental(
    resource: ResourceType,
    before: &Overrides,
    alterations: &[Alteration<'_>],
) -> Result<Overrides, AlterError> {
    check_keys_once(alterations.iter().map(|alteration| alteration.name))?;
    check_not_null(
        alterations
            .iter()
            .filter(|alteration| alteration.op != AlterOp::Delete)
            .map(|alteration| (alteration.name, alteration.value)),
    )?;
    let mut after = before.clone();
    for Alteration { name, op, value } in alterations {
        let value = value.unwrap_or_default();
        match op {
            AlterOp::Set => {
                after.insert((*name).to_owned(), value.to_owned());
            }
            AlterOp::Delete => {
                after.remove(*name);
            }
            AlterOp::Append | AlterOp::Subtract => {
                let key = list_key(resource, name, *op)?;
                let present = before.get(*name).map(String::as_str).or(key.default);
                let present = present.unwrap_or_default();
                after.insert((*name).to_owned(), change_list(present, value, *op));
            }
        }
        check_length(after.get(*name))?;
    }
    Ok(after)
}

/// What AlterConfigs, which replaces all settings, makes of a resource.
pub fn legacy<'a>(
    configs: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
) -> Result<Overrides, AlterError> {
    check_keys_once(configs.clone().map(|(name, _)| name))?;
    check_not_null(configs.clone())?;
    let after: Overrides = configs
        .map(|(name, value)| (name.to_owned(), value.unwrap_or_default().to_owned()))
        .collect();
    after
        .values()
        .try_for_each(|value| check_length(Some(value)))?;
    Ok(after)
}

/// The records that lead from `before` to `after`: a value to set, or `None` to delete.
pub fn changes(before: &Overrides, after: &Overrides) -> Vec<(String, Option<String>)> {
    let set = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value))
        .map(|(name, value)| (name.clone(), Some(value.clone())));
    let deleted = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .map(|name| (name.clone(), None));
    set.chain(deleted).collect()
}

/// Says whether `after` may be the settings of the resource called `name`, which had `before`.
pub fn validate(
    broker: &BrokerConfig,
    resource: ResourceType,
    name: &str,
    before: &Overrides,
    after: &Overrides,
) -> Result<(), AlterError> {
    match resource {
        ResourceType::Topic => {
            if name.is_empty() {
                return Err(AlterError::request(
                    "Default topic resources are not allowed.".into(),
                ));
            }
            let tiering = broker
                .settings()
                .boolean("remote.log.storage.system.enable");
            topic::validate_topic(&broker.topic_defaults, after, before, tiering).map(|_| ())
        }
        ResourceType::Broker => {
            check_broker_name(broker, name)?;
            dynamic::validate(broker, !name.is_empty(), after)
        }
        ResourceType::Group => {
            if name.is_empty() {
                return Err(AlterError::request(
                    "Default group resources are not allowed.".into(),
                ));
            }
            group::validate(broker, after)
        }
        ResourceType::ClientMetrics => {
            if name.is_empty() {
                return Err(AlterError::request(
                    "Subscription name can't be empty".into(),
                ));
            }
            client_metrics::validate(after)
        }
        ResourceType::BrokerLogger => Err(AlterError::request(
            "Log levels are not kept with the configuration".into(),
        )),
    }
}

/// Checks the settings of a topic that is about to be created.
pub fn validate_new_topic(broker: &BrokerConfig, configs: &Overrides) -> Result<(), AlterError> {
    let tiering = broker
        .settings()
        .boolean("remote.log.storage.system.enable");
    topic::validate_topic(&broker.topic_defaults, configs, &Overrides::new(), tiering).map(|_| ())
}

fn check_broker_name(broker: &BrokerConfig, name: &str) -> Result<(), AlterError> {
    if name.is_empty() {
        return Ok(());
    }
    match name.parse::<i32>() {
        Err(_) => Err(AlterError::request(format!(
            "Node id must be an integer, but it is: {name}"
        ))),
        Ok(id) if id != broker.node_id => Err(AlterError::request(format!(
            "Unexpected broker id, expected {}, but received {name}",
            broker.node_id
        ))),
        Ok(_) => Ok(()),
    }
}

fn check_keys_once<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), AlterError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(AlterError::request(
                "Error due to duplicate config keys".to_owned(),
            ));
        }
    }
    Ok(())
}

fn check_not_null<'a>(
    configs: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<(), AlterError> {
    let nulls: Vec<_> = configs
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name)
        .collect();
    if nulls.is_empty() {
        return Ok(());
    }
    Err(AlterError::request(format!(
        "Null value not supported for : {}",
        nulls.join(", ")
    )))
}

fn check_length(value: Option<&String>) -> Result<(), AlterError> {
    if value.is_some_and(|value| value.len() > VALUE_LEN_MAX) {
        return Err(AlterError::config(format!(
            "The configuration value cannot be added because it exceeds the maximum value size \
             of {VALUE_LEN_MAX} bytes."
        )));
    }
    Ok(())
}

fn list_key(resource: ResourceType, name: &str, op: AlterOp) -> Result<&'static Key, AlterError> {
    match resource.key(name) {
        // Kafka knows no types of the keys of subscriptions.
        Some(key) if key.kind == Kind::List && resource != ResourceType::ClientMetrics => Ok(key),
        // A broker looks at its own changes before the controller does, in other words.
        Some(_) if resource == ResourceType::Broker => Err(AlterError::config(format!(
            "Config value {} is not allowed for config key: {name}",
            op.name().to_lowercase()
        ))),
        _ => Err(AlterError::config(format!(
            "Can't {} to key {name} because its type is not LIST.",
            op.name()
        ))),
    }
}

fn change_list(present: &str, value: &str, op: AlterOp) -> String {
    let mut entries: Vec<&str> = present
        .split(',')
        .filter(|entry| !entry.is_empty())
        .collect();
    for entry in value.split(',').filter(|entry| !entry.is_empty()) {
        let at = entries.iter().position(|known| *known == entry);
        match (op, at) {
            (AlterOp::Subtract, Some(at)) => {
                entries.remove(at);
            }
            (AlterOp::Append, None) => entries.push(entry),
            _ => {}
        }
    }
    entries.join(",")
}

#[cfg(test)]
mod tests;
