//! What DescribeConfigs and `--print-config` show of a configuration.
//!
//! Invariant: a secret's value never appears, and the source of an entry is the source of the
//! first of its synonyms.

use crate::alter::{Overrides, ResourceType};
use crate::broker::BrokerConfig;
use crate::key::{Key, Kind, Update};
use crate::keys::{self, LISTENER_PREFIX, Name};
use crate::settings::{Settings, Source};
use crate::value::Value;
use crate::{group, topic};

/// Kafka's sources of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    Topic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    ClientMetrics,
    Group,
}

impl ConfigSource {
    /// The number in a DescribeConfigs response.
    pub fn code(self) -> i8 {
        match self {
            ConfigSource::Topic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
            ConfigSource::DynamicBrokerLogger => 6,
            ConfigSource::ClientMetrics => 7,
            ConfigSource::Group => 8,
        }
    }
}

/// One key of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` for null and for secrets.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub sensitive: bool,
    pub read_only: bool,
    /// `None` if the key is not known, as with a plugin's.
    pub kind: Option<Kind>,
    pub documentation: Option<&'static str>,
    /// Everything that the value is or would be taken from, the first that counts first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl ConfigEntry {
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }

    /// The number of the type in a DescribeConfigs response.
    pub fn kind_code(&self) -> i8 {
        self.kind.map_or(0, Kind::code)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// Which keys are asked for: all, or those named.
pub type Names<'a> = Option<&'a [&'a str]>;

fn wants(names: Names<'_>, name: &str) -> bool {
    names.is_none_or(|names| names.is_empty() || names.contains(&name))
}

/// The keys of a topic with these overrides.
pub fn describe_topic(
    broker: &BrokerConfig,
    overrides: &Overrides,
    names: Names<'_>,
) -> Vec<ConfigEntry> {
    describe_resource(
        keys::topic_keys(),
        overrides,
        names,
        ConfigSource::Topic,
        |key| topic::broker_value(broker.settings(), key.name).0,
        |key| {
            let names: Vec<_> = topic::topic_synonyms(key.name)
                .iter()
                .map(|synonym| synonym.broker_key)
                .collect();
            let synonyms = broker_synonyms(broker.settings(), &names, key.is_sensitive());
            // As with a broker key, what a lesser key of the chain says is not shown.
            let first = names.first().copied().unwrap_or_default();
            synonyms
                .into_iter()
                .skip_while(|synonym| synonym.name != first)
                .collect()
        },
    )
}

/// The keys of a group with these overrides.
pub fn describe_group(
    broker: &BrokerConfig,
    overrides: &Overrides,
    names: Names<'_>,
) -> Vec<ConfigEntry> {
    describe_resource(
        keys::group_keys(),
        overrides,
        names,
        ConfigSource::Group,
        |key| group::broker_value(broker.settings(), key.name).0,
        |key| match group::group_synonym(key.name) {
            Some(name) => broker_synonyms(broker.settings(), &[name], key.is_sensitive()),
            None => vec![ConfigSynonym {
                name: key.name.to_owned(),
                value: key.default_value().render(),
                source: ConfigSource::Default,
            }],
        },
    )
}

/// The keys of a client metrics subscription with these overrides.
pub fn describe_client_metrics(overrides: &Overrides, names: Names<'_>) -> Vec<ConfigEntry> {
    describe_resource(
        keys::client_metrics_keys(),
        overrides,
        names,
        ConfigSource::ClientMetrics,
        Key::default_value,
        |_| Vec::new(),
    )
}

fn describe_resource(
    table: &'static [Key],
    overrides: &Overrides,
    names: Names<'_>,
    own_source: ConfigSource,
    broker_value: impl Fn(&'static Key) -> Value,
    broker_synonyms: impl Fn(&'static Key) -> Vec<ConfigSynonym>,
) -> Vec<ConfigEntry> {
    let mut entries = Vec::new();
    for key in table.iter().filter(|key| wants(names, key.name)) {
        let own = overrides.get(key.name);
        if key.hidden && own.is_none() {
            continue;
        }
        let value = match own {
            // What the metadata log holds was checked when it was written, by whoever wrote it.
            Some(text) => key
                .parse(text)
                .map_or_else(|_| Some(text.clone()), |v| v.render()),
            None => broker_value(key).render(),
        };
        let value = if key.is_sensitive() { None } else { value };
        let mut synonyms = broker_synonyms(key);
        if own.is_some() {
            let name = key.name.to_owned();
            let own = ConfigSynonym {
                name,
                value: value.clone(),
                source: own_source,
            };
            synonyms.insert(0, own);
        }
        entries.push(entry(key.name, Some(key), value, false, synonyms));
    }
    entries
}

/// The keys of this broker.
pub fn describe_broker(broker: &BrokerConfig, names: Names<'_>) -> Vec<ConfigEntry> {
    let settings = broker.settings();
    let of_table = keys::broker_keys()
        .filter(|key| wants(names, key.name))
        .filter(|key| {
            let only_if_set = key.hidden || keys::is_dynamic_only(key.name);
            !only_if_set || settings.is_set(key.name)
        })
        .map(|key| broker_entry(settings, key));
    let prefixed = settings
        .fixed()
        .keys()
        .chain(settings.dynamic_default().keys())
        .chain(settings.dynamic_broker().keys())
        .filter(|name| keys::broker_key(name).is_none() && wants(names, name));
    let mut entries: Vec<_> = of_table.collect();
    for name in prefixed {
        if !entries.iter().any(|entry| entry.name == *name) {
            entries.push(prefixed_entry(settings, name));
        }
    }
    entries
}

/// The dynamic defaults of the cluster, which are all that the broker called "" has.
pub fn describe_broker_defaults(broker: &BrokerConfig, names: Names<'_>) -> Vec<ConfigEntry> {
    let settings = broker.settings();
    let set = settings
        .dynamic_default()
        .iter()
        .filter(|(name, _)| wants(names, name));
    set.map(|(name, text)| {
        let key = ResourceType::Broker.key(name);
        let sensitive = key.is_none_or(Key::is_sensitive);
        let value = (!sensitive).then(|| text.clone());
        let source = ConfigSource::DynamicDefaultBroker;
        let own = ConfigSynonym {
            name: name.clone(),
            value: value.clone(),
            source,
        };
        let read_only = key.is_none_or(|key| key.update == Update::ReadOnly);
        entry(name, key, value, read_only, vec![own])
    })
    .collect()
}

fn broker_entry(settings: &Settings, key: &'static Key) -> ConfigEntry {
    let synonyms = broker_synonyms(settings, &broker_chain(key.name), key.is_sensitive());
    let value = if key.is_sensitive() {
        None
    } else {
        settings.value(key).render()
    };
    // Where a lesser key of the chain counts, the source is still that of this one.
    let own = synonyms.iter().position(|synonym| synonym.name == key.name);
    let source = own.map_or(ConfigSource::Default, |at| synonyms[at].source);
    let synonyms = own.map_or_else(Vec::new, |at| synonyms[at..].to_vec());
    let read_only = key.update == Update::ReadOnly;
    ConfigEntry {
        source,
        ..entry(key.name, Some(key), value, read_only, synonyms)
    }
}

/// An entry for a name that carries a listener's or a plugin's prefix.
fn prefixed_entry(settings: &Settings, name: &str) -> ConfigEntry {
    let key = ResourceType::Broker.key(name);
    // What is not known may be a secret.
    let sensitive = key.is_none_or(Key::is_sensitive);
    let mut synonyms = synonyms_of(settings, &[name], sensitive);
    if let Name::OfListener(base) = keys::classify(name) {
        synonyms.extend(broker_synonyms(settings, &[base.name], sensitive));
    }
    let value = settings
        .explicit(name)
        .map(|(text, _)| text.trim().to_owned());
    let value = if sensitive { None } else { value };
    // A dynamic change is made under a prefix, but Kafka shows such names as read-only.
    let read_only = true;
    debug_assert!(name.starts_with(LISTENER_PREFIX) || key.is_none());
    entry(name, key, value, read_only, synonyms)
}

fn entry(
    name: &str,
    key: Option<&'static Key>,
    value: Option<String>,
    read_only: bool,
    synonyms: Vec<ConfigSynonym>,
) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value,
        source: synonyms
            .first()
            .map_or(ConfigSource::Default, |synonym| synonym.source),
        sensitive: key.is_none_or(Key::is_sensitive),
        read_only,
        kind: key.map(|key| key.kind),
        documentation: key.map(|key| key.doc),
        synonyms,
    }
}

/// The chain of broker keys that a broker key belongs to, in the order in which they count.
fn broker_chain(name: &'static str) -> Vec<&'static str> {
    const CHAINS: &[&[&str]] = &[
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
    ];
    match CHAINS.iter().find(|chain| chain.contains(&name)) {
        Some(chain) => chain.to_vec(),
        None if name == "log.flush.interval.ms" => vec![name, "log.flush.scheduler.interval.ms"],
        None => vec![name],
    }
}

fn broker_synonyms(
    settings: &Settings,
    names: &[&'static str],
    sensitive: bool,
) -> Vec<ConfigSynonym> {
    let mut synonyms = synonyms_of(settings, names, sensitive);
    let defaults = names
        .iter()
        .filter_map(|name| keys::broker_key(name))
        .filter_map(|key| {
            let value = key.default_value().render()?;
            let value = (!sensitive).then_some(value);
            Some(ConfigSynonym {
                name: key.name.to_owned(),
                value,
                source: ConfigSource::Default,
            })
        });
    synonyms.extend(defaults);
    synonyms
}

/// Everything that was set under these names, what counts first.
fn synonyms_of(settings: &Settings, names: &[&str], sensitive: bool) -> Vec<ConfigSynonym> {
    let synonym = |name: &str, text: &str, source| {
        let value = (!sensitive).then(|| text.to_owned());
        ConfigSynonym {
            name: name.to_owned(),
            value,
            source,
        }
    };
    let mut synonyms = Vec::new();
    for (layer, source) in [
        (settings.dynamic_broker(), ConfigSource::DynamicBroker),
        (
            settings.dynamic_default(),
            ConfigSource::DynamicDefaultBroker,
        ),
    ] {
        let set = names.iter().filter_map(|name| layer.get_key_value(*name));
        synonyms.extend(set.map(|(name, text)| synonym(name, text, source)));
    }
    let fixed = names
        .iter()
        .filter_map(|name| settings.fixed().get_key_value(*name));
    let fixed = fixed.map(|(name, set)| synonym(name, &set.text, ConfigSource::StaticBroker));
    synonyms.extend(fixed);
    synonyms
}

/// A line of `--print-config`.
#[derive(Debug, Clone, PartialEq)]
pub struct PrintedKey {
    pub name: String,
    /// `[hidden]` for secrets, empty for null.
    pub value: String,
    pub source: Source,
    pub doc: &'static str,
    /// Whether the key has the effect that its documentation says.
    pub supported: bool,
}

/// Every key of the broker with its value, for a person to read.
pub fn print_config(broker: &BrokerConfig) -> Vec<PrintedKey> {
    let settings = broker.settings();
    describe_broker(broker, None)
        .into_iter()
        .map(|entry| {
            let value = match entry.value {
                None if entry.sensitive && settings.is_set(&entry.name) => {
                    crate::value::HIDDEN.to_owned()
                }
                value => value.unwrap_or_default(),
            };
            let key = ResourceType::Broker.key(&entry.name);
            PrintedKey {
                source: settings.source(&entry.name),
                value,
                doc: entry.documentation.unwrap_or("Handed to a plugin."),
                supported: key.is_some_and(|key| key.support == crate::key::Support::Supported),
                name: entry.name,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
