//! Settings of a group: their defaults on the broker, and the bounds that the broker sets.
//!
//! Invariant: the broker's own default stands where a group says nothing, and a group's session
//! timeout is longer than its heartbeat interval.

use crate::alter::{AlterError, Overrides};
use crate::broker::BrokerConfig;
use crate::keys;
use crate::settings::Settings;
use crate::value::Value;

/// A group key, the broker key with its default, and the broker keys with its bounds.
struct Rule {
    key: &'static str,
    default: Option<&'static str>,
    min: Option<&'static str>,
    max: Option<&'static str>,
}

const fn ranged(
    key: &'static str,
    default: &'static str,
    min: &'static str,
    max: &'static str,
) -> Rule {
    Rule {
        key,
        default: Some(default),
        min: Some(min),
        max: Some(max),
    }
}

const fn free(key: &'static str, default: Option<&'static str>) -> Rule {
    Rule {
        key,
        default,
        min: None,
        max: None,
    }
}

/// Sorted by key.
const RULES: &[Rule] = &[
    ranged(
        "consumer.assignment.interval.ms",
        "group.consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    ranged(
        "consumer.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    ranged(
        "consumer.session.timeout.ms",
        "group.consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    ranged(
        "share.assignment.interval.ms",
        "group.share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    free("share.auto.offset.reset", None),
    ranged(
        "share.delivery.count.limit",
        "group.share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    ranged(
        "share.heartbeat.interval.ms",
        "group.share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    free("share.isolation.level", None),
    ranged(
        "share.partition.max.record.locks",
        "group.share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    ranged(
        "share.record.lock.duration.ms",
        "group.share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    free("share.renew.acknowledge.enable", None),
    ranged(
        "share.session.timeout.ms",
        "group.share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    ranged(
        "streams.assignment.interval.ms",
        "group.streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
    ranged(
        "streams.heartbeat.interval.ms",
        "group.streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    free(
        "streams.initial.rebalance.delay.ms",
        Some("group.streams.initial.rebalance.delay.ms"),
    ),
    Rule {
        key: "streams.num.standby.replicas",
        default: Some("group.streams.num.standby.replicas"),
        min: None,
        max: Some("group.streams.max.standby.replicas"),
    },
    ranged(
        "streams.session.timeout.ms",
        "group.streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
];

/// The broker key with the default of a group key.
pub fn group_synonym(key: &str) -> Option<&'static str> {
    let at = RULES.binary_search_by(|rule| rule.key.cmp(key)).ok()?;
    RULES[at].default
}

/// The effective value of a group key, and where there is one, the broker key it came from.
pub(crate) fn broker_value(
    settings: &Settings,
    key: &'static str,
) -> (Value, Option<&'static str>) {
    let key = keys::group_key(key).unwrap_or_else(|| unreachable!("no group key {key}"));
    match group_synonym(key.name) {
        Some(name) => (settings.first_of(&[name]).1, Some(name)),
        None => (key.default_value(), None),
    }
}

/// What a group of the consumer protocol comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerGroupSettings {
    pub session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment_interval_ms: i32,
}

impl BrokerConfig {
    /// The settings of a group that sets `own`. What lies out of the broker's bounds, which may have changed since it
    /// was set, counts as the bound.
    pub fn consumer_group(&self, own: &Overrides) -> ConsumerGroupSettings {
        // Only a log written by another version can hold what this one cannot read.
        let is_readable = |name: &str, text: &str| {
            keys::group_key(name).is_some_and(|key| key.parse(text).is_ok())
        };
        let own = own.iter().filter(|(name, text)| is_readable(name, text));
        let own: Overrides = own
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect();
        let value = |key| {
            let value = effective(self.settings(), &own, key);
            let rule = RULES.iter().find(|rule| rule.key == key);
            let bound = |bound: Option<&'static str>| bound.map(|name| self.settings().long(name));
            let (min, max) = rule.map_or((None, None), |rule| (bound(rule.min), bound(rule.max)));
            let bounded = value.max(min.unwrap_or(value)).min(max.unwrap_or(i64::MAX));
            i32::try_from(bounded).unwrap_or(i32::MAX)
        };
        ConsumerGroupSettings {
            session_timeout_ms: value("consumer.session.timeout.ms"),
            heartbeat_interval_ms: value("consumer.heartbeat.interval.ms"),
            assignment_interval_ms: value("consumer.assignment.interval.ms"),
        }
    }
}

/// Says whether `after` may be the settings of a group.
pub(crate) fn validate(broker: &BrokerConfig, after: &Overrides) -> Result<(), AlterError> {
    let settings = broker.settings();
    for (name, text) in after {
        let Some(key) = keys::group_key(name) else {
            return Err(AlterError::config(format!(
                "Unknown group config name: {name}"
            )));
        };
        key.parse(text)
            .map_err(|bad_value| AlterError::config(bad_value.to_string()))?;
    }
    for rule in RULES {
        // A default out of bounds is the broker's affair, not that of this change.
        if let Some(Value::Integer(value)) = after.get(rule.key).map(|text| own(rule.key, text)) {
            check_bounds(settings, rule, value)?;
        }
    }
    for protocol in ["consumer", "share", "streams"] {
        let session = format!("{protocol}.session.timeout.ms");
        let heartbeat = format!("{protocol}.heartbeat.interval.ms");
        if effective(settings, after, &session) <= effective(settings, after, &heartbeat) {
            return Err(AlterError::config(format!(
                "{session} must be greater than {heartbeat}"
            )));
        }
    }
    Ok(())
}

fn check_bounds(settings: &Settings, rule: &Rule, value: i64) -> Result<(), AlterError> {
    let key = rule.key;
    if let Some(min) = rule.min
        && value < settings.long(min)
    {
        return Err(AlterError::config(format!(
            "{key} must be greater than or equal to {min}"
        )));
    }
    if let Some(max) = rule.max
        && value > settings.long(max)
    {
        return Err(AlterError::config(format!(
            "{key} must be less than or equal to {max}"
        )));
    }
    Ok(())
}

fn own(name: &str, text: &str) -> Value {
    let key = keys::group_key(name).unwrap_or_else(|| unreachable!("no group key {name}"));
    key.parse(text).expect("a value that was checked")
}

fn effective(settings: &Settings, after: &Overrides, name: &str) -> i64 {
    let key = keys::group_key(name).unwrap_or_else(|| unreachable!("no group key {name}"));
    let value = match after.get(name) {
        Some(text) => own(name, text),
        None => broker_value(settings, key.name).0,
    };
    match value {
        Value::Integer(value) => value,
        other => unreachable!("{name} is not a number: {other:?}"),
    }
}

#[cfg(test)]
mod tests;
