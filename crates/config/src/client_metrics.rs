//! Client metrics subscriptions (KIP-714): what their keys take beyond their types, and what they come to.
//!
//! Invariant: what validation lets pass can be read back as a [`ClientMetricsConfig`]. Patterns are regular
//! expressions without back-references and look-around, so that matching takes linear time.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use crate::alter::{AlterError, Overrides};
use crate::keys;
use crate::value::Value;

/// How often clients may be told to push.
const INTERVAL_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;
/// Memory that one compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// What a client can be matched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientAttribute {
    ClientId,
    InstanceId,
    SoftwareName,
    SoftwareVersion,
    SourceAddress,
    SourcePort,
}

impl ClientAttribute {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "client_id" => Self::ClientId,
            "client_instance_id" => Self::InstanceId,
            "client_software_name" => Self::SoftwareName,
            "client_software_version" => Self::SoftwareVersion,
            "client_source_address" => Self::SourceAddress,
            "client_source_port" => Self::SourcePort,
            _ => return None,
        })
    }
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct ClientMetricsConfig {
    /// Prefixes of the metrics that are asked for.
    pub metrics: Vec<String>,
    pub interval_ms: i32,
    patterns: BTreeMap<ClientAttribute, Regex>,
}

impl ClientMetricsConfig {
    /// The subscription that sets what is in `configs`, and no more.
    pub fn new(configs: &Overrides) -> Result<Self, AlterError> {
        let mut values = BTreeMap::new();
        for (name, text) in configs {
            let Some(key) = keys::client_metrics_key(name) else {
                let message = format!("Unknown client metrics configuration: {name}");
                return Err(AlterError::request(message));
            };
            let value = key
                .parse(text)
                .map_err(|bad_value| AlterError::config(bad_value.to_string()))?;
            values.insert(key.name, value);
        }
        let mut value = |name: &'static str| {
            let key = keys::client_metrics_key(name)
                .unwrap_or_else(|| unreachable!("no client metrics key {name}"));
            values.remove(name).unwrap_or_else(|| key.default_value())
        };
        let interval_ms = match value("interval.ms") {
            Value::Integer(interval_ms) if INTERVAL_MS.contains(&interval_ms) => interval_ms,
            Value::Integer(interval_ms) => {
                return Err(AlterError::request(format!(
                    "Invalid value {interval_ms} for interval.ms, \
                     interval must be between 100 and 3600000 (1 hour)"
                )));
            }
            other => unreachable!("interval.ms is not a number: {other:?}"),
        };
        let mut list = |name| match value(name) {
            Value::List(entries) => entries,
            other => unreachable!("{name} is not a list: {other:?}"),
        };
        let patterns = list("match")
            .iter()
            .map(|text| pattern(text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            metrics: list("metrics"),
            interval_ms: interval_ms as i32,
            patterns,
        })
    }

    /// Whether the subscription is for a client with these attributes; one that is not known matches nothing.
    pub fn matches<'a>(&self, attribute: impl Fn(ClientAttribute) -> Option<&'a str>) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.all(|(name, pattern)| attribute(*name).is_some_and(|text| pattern.is_match(text)))
    }
}

pub(crate) fn validate(after: &Overrides) -> Result<(), AlterError> {
    ClientMetricsConfig::new(after).map(|_| ())
}

/// Reads `name=regular expression`.
fn pattern(text: &str) -> Result<(ClientAttribute, Regex), AlterError> {
    let illegal = || AlterError::config(format!("Illegal client matching pattern: {text}"));
    let (name, value) = text.split_once('=').ok_or_else(illegal)?;
    // Signs of equality at the end count as nothing, as in Kafka.
    let value = value.trim_end_matches('=');
    if value.is_empty() || value.contains('=') {
        return Err(illegal());
    }
    let attribute = ClientAttribute::from_name(name.trim()).ok_or_else(illegal)?;
    // The whole value has to match.
    let compiled = RegexBuilder::new(&format!("^(?:{})$", value.trim()))
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| illegal())?;
    Ok((attribute, compiled))
}

#[cfg(test)]
mod tests;
