//! Every key that exists, and how to find one by its name.
//!
//! Invariant: a name is in one table only, tables are sorted, and every broker key of Kafka 4.3 is
//! here. What a user may write beyond the tables (listener prefixes, keys of plugins, keys that
//! Kafka has dropped) is decided by [`classify`].

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::key::Key;

mod group;
mod log;
mod metrics;
mod network;
mod node;
mod remote;
mod replication;
mod resource;
mod security;
mod share;
mod transaction;

/// Declares a table: `"name": Kind = default, check, importance, update, support; "doc";`.
macro_rules! keys {
    ($(#[$attribute:meta])* $table:ident $(
        $name:literal : $kind:ident = $default:tt, $check:expr, $importance:ident, $update:ident,
        $support:ident $($hidden:ident)?; $doc:literal;
    )*) => {
        $(#[$attribute])*
        pub(super) static $table: &[$crate::key::Key] = &[$(
            $crate::key::Key {
                name: $name,
                kind: $crate::key::Kind::$kind,
                default: $crate::keys::default_of!($default),
                check: $check,
                importance: $crate::key::Importance::$importance,
                update: $crate::key::Update::$update,
                support: $crate::key::Support::$support,
                hidden: $crate::keys::is_hidden!($($hidden)?),
                doc: $doc,
            },
        )*];
    };
}

macro_rules! default_of {
    (null) => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

macro_rules! is_hidden {
    () => {
        false
    };
    (hidden) => {
        true
    };
}

use {default_of, is_hidden, keys};

/// All broker keys, table by table.
static BROKER_TABLES: &[&[Key]] = &[
    node::NODE,
    network::NETWORK,
    log::LOG,
    log::CLEANER,
    replication::REPLICATION,
    group::GROUP,
    transaction::TRANSACTION,
    share::SHARE,
    node::QUORUM,
    node::METADATA_LOG,
    remote::REMOTE,
    security::SECURITY,
    metrics::METRICS,
    metrics::QUOTA,
    metrics::DYNAMIC_QUOTA,
];

static BROKER_INDEX: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| broker_keys().map(|key| (key.name, key)).collect());

/// Every broker key, those of one area together.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER_TABLES.iter().copied().flatten()
}

/// The broker key of this exact name.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_INDEX.get(name).copied()
}

/// The rates that exist only as dynamic settings.
pub(crate) fn is_dynamic_only(name: &str) -> bool {
    find(metrics::DYNAMIC_QUOTA, name).is_some()
}

/// Every key of a topic, sorted by name.
pub fn topic_keys() -> &'static [Key] {
    resource::TOPIC
}

pub fn topic_key(name: &str) -> Option<&'static Key> {
    find(resource::TOPIC, name)
}

/// Every key of a group, sorted by name.
pub fn group_keys() -> &'static [Key] {
    resource::GROUP_RESOURCE
}

pub fn group_key(name: &str) -> Option<&'static Key> {
    find(resource::GROUP_RESOURCE, name)
}

/// Every key of a client metrics subscription, sorted by name.
pub fn client_metrics_keys() -> &'static [Key] {
    resource::CLIENT_METRICS
}

pub fn client_metrics_key(name: &str) -> Option<&'static Key> {
    find(resource::CLIENT_METRICS, name)
}

fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    table
        .binary_search_by(|key| key.name.cmp(name))
        .ok()
        .map(|at| &table[at])
}

/// What a name in a broker's configuration means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Name {
    Key(&'static Key),
    /// `listener.name.NAME.key` or `listener.name.NAME.mechanism.key`.
    OfListener(&'static Key),
    /// A key that is handed to a plugin, which alone knows it.
    OfPlugin,
    /// A key of older Kafka versions that Kafka 4 ignores; the text says what replaced it.
    Removed(&'static str),
    Unknown,
}

/// Prefixes of keys that belong to plugins.
const PLUGIN_PREFIXES: &[&str] = &["rlmm.config.", "rsm.config.", "config.providers."];

pub(crate) const LISTENER_PREFIX: &str = "listener.name.";

/// Keys that stand after a listener and a SASL mechanism.
const MECHANISM_KEYS: &[&str] = &[
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
];

/// Keys that an upgraded `server.properties` may still carry.
const REMOVED: &[(&str, &str)] = &[
    ("advertised.host.name", "use advertised.listeners"),
    ("advertised.port", "use advertised.listeners"),
    ("broker.id.generation.enable", "set node.id"),
    (
        "control.plane.listener.name",
        "use controller.listener.names",
    ),
    ("host.name", "use listeners"),
    (
        "inter.broker.protocol.version",
        "the protocol follows the cluster's metadata version",
    ),
    (
        "log.message.downconversion.enable",
        "old message formats are gone",
    ),
    ("log.message.format.version", "old message formats are gone"),
    (
        "log.message.timestamp.difference.max.ms",
        "use log.message.timestamp.before.max.ms and .after.max.ms",
    ),
    (
        "offsets.commit.required.acks",
        "offsets are committed with acks=all",
    ),
    (
        "password.encoder.cipher.algorithm",
        "there is no ZooKeeper to hide passwords in",
    ),
    (
        "password.encoder.iterations",
        "there is no ZooKeeper to hide passwords in",
    ),
    (
        "password.encoder.key.length",
        "there is no ZooKeeper to hide passwords in",
    ),
    (
        "password.encoder.keyfactory.algorithm",
        "there is no ZooKeeper to hide passwords in",
    ),
    (
        "password.encoder.old.secret",
        "there is no ZooKeeper to hide passwords in",
    ),
    (
        "password.encoder.secret",
        "there is no ZooKeeper to hide passwords in",
    ),
    ("port", "use listeners"),
    ("quota.consumer.default", "set client quotas instead"),
    ("quota.producer.default", "set client quotas instead"),
    ("reserved.broker.max.id", "set node.id"),
];

/// Everything of ZooKeeper's.
const REMOVED_PREFIX: (&str, &str) = ("zookeeper.", "metadata is kept without ZooKeeper");

/// Says what `name` means in a broker's configuration.
pub fn classify(name: &str) -> Name {
    if let Some(key) = broker_key(name) {
        return Name::Key(key);
    }
    if let Some(key) = listener_key(name) {
        return Name::OfListener(key);
    }
    if PLUGIN_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
    {
        return Name::OfPlugin;
    }
    if let Some((_, instead)) = REMOVED.iter().find(|(removed, _)| *removed == name) {
        return Name::Removed(instead);
    }
    if name.starts_with(REMOVED_PREFIX.0) {
        return Name::Removed(REMOVED_PREFIX.1);
    }
    Name::Unknown
}

/// The key behind `listener.name.NAME.key`, with or without a mechanism before the key.
fn listener_key(name: &str) -> Option<&'static Key> {
    let (_listener, base) = name.strip_prefix(LISTENER_PREFIX)?.split_once('.')?;
    broker_key(base).or_else(|| {
        let (_mechanism, key) = base.split_once('.')?;
        MECHANISM_KEYS
            .contains(&key)
            .then(|| broker_key(key))
            .flatten()
    })
}

/// The key that a misspelt `name` most likely means.
pub fn nearest_broker_key(name: &str) -> Option<&'static str> {
    nearest(name, broker_keys().map(|key| key.name))
}

/// The one of `names` that differs least from `name`, unless all differ in more than a quarter.
pub(crate) fn nearest(
    name: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // Longer than any key: not a misspelling, and not worth a quadratic comparison.
    const NAME_LEN_MAX: usize = 128;
    if name.len() > NAME_LEN_MAX {
        return None;
    }
    let lower = name.to_ascii_lowercase().replace(['_', '-'], ".");
    names
        .map(|candidate| (edit_distance(&lower, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| distance * 4 <= candidate.len().max(lower.len()))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance between two names, in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut current = Vec::with_capacity(previous.len());
        current.push(i + 1);
        for (j, to) in b.bytes().enumerate() {
            let replaced = previous[j] + usize::from(from != to);
            current.push(replaced.min(previous[j + 1] + 1).min(current[j] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests;
