//! Client metrics subscriptions: what their keys take beyond their types.
//!
//! Invariant: matches Kafka's checks of KIP-714 subscriptions, save that a pattern's regular
//! expression is only compiled by whoever matches clients with it.

use crate::alter::{AlterError, Overrides};
use crate::keys;
use crate::value::{Value, split_list};

/// How often clients may be told to push.
const INTERVAL_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

/// What a client can be matched by.
const MATCH_NAMES: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_originaddress",
    "client_originport",
];

pub(crate) fn validate(after: &Overrides) -> Result<(), AlterError> {
    for (name, text) in after {
        let Some(key) = keys::client_metrics_key(name) else {
            let message = format!("Unknown client metrics configuration: {name}");
            return Err(AlterError::request(message));
        };
        let value = key
            .parse(text)
            .map_err(|bad_value| AlterError::config(bad_value.to_string()))?;
        if let Value::Integer(interval_ms) = value
            && !INTERVAL_MS.contains(&interval_ms)
        {
            return Err(AlterError::request(format!(
                "Invalid value {interval_ms} for interval.ms, \
                 interval must be between 100 and 3600000 (1 hour)"
            )));
        }
        if name == "match" {
            split_list(text)
                .iter()
                .try_for_each(|pattern| check_pattern(pattern))?;
        }
    }
    Ok(())
}

fn check_pattern(pattern: &str) -> Result<(), AlterError> {
    let fits = pattern.split_once('=').is_some_and(|(name, value)| {
        MATCH_NAMES.contains(&name.trim()) && !value.is_empty() && !value.contains('=')
    });
    if fits {
        return Ok(());
    }
    Err(AlterError::config(format!(
        "Illegal client matching pattern: {pattern}"
    )))
}

#[cfg(test)]
mod tests;
