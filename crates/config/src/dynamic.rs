//! Broker settings that change while the broker runs.
//!
//! Invariant: a dynamic setting that is in force has been accepted by its key, may change
//! dynamically, and, as a default of the cluster, is not one that only a single broker can have.

use crate::alter::{AlterError, Overrides};
use crate::broker::BrokerConfig;
use crate::error::{ConfigError, Warning};
use crate::key::{Key, Update};
use crate::keys::{self, Name};
use crate::settings::Source;

/// Keys of certificates, which change only per listener.
const PER_LISTENER: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Pools that grow and shrink by steps, so that a slip of the keyboard does not starve a broker.
const THREAD_POOLS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    NETWORK_THREADS,
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

/// A pool for each listener, which may have a size of its own.
const NETWORK_THREADS: &str = "num.network.threads";

/// Limits that let nobody in at 0, which their keys allow.
const LIMITS_ABOVE_ZERO: &[&str] = &["max.connection.creation.rate", "max.connections"];

const CLEANER_THREADS: &str = "log.cleaner.threads";

/// A retention without a limit.
const UNLIMITED: i64 = -1;

impl BrokerConfig {
    /// The configuration under the dynamic settings that the metadata log has for the cluster and
    /// for this broker. What is not allowed there is left out with a warning.
    pub fn with_dynamic(
        &self,
        cluster: &Overrides,
        broker: &Overrides,
    ) -> Result<BrokerConfig, ConfigError> {
        let mut ignored = Vec::new();
        let cluster = accepted(cluster, false, &mut ignored);
        let broker = accepted(broker, true, &mut ignored);
        let mut config = BrokerConfig::new(self.settings().with_dynamic(cluster, broker))?;
        config.add_warnings(ignored);
        Ok(config)
    }
}

fn accepted(overrides: &Overrides, per_broker: bool, ignored: &mut Vec<Warning>) -> Overrides {
    let mut accepted = Overrides::new();
    for (name, text) in overrides {
        match check(name, text, per_broker) {
            Ok(_) => {
                accepted.insert(name.clone(), text.clone());
            }
            Err(refusal) => ignored.push(Warning::IgnoredDynamic {
                key: name.clone(),
                origin: if per_broker {
                    Source::DynamicBroker
                } else {
                    Source::DynamicDefault
                },
                cause: refusal.message(name),
            }),
        }
    }
    accepted
}

enum Refusal {
    Unknown,
    ReadOnly,
    OnlyPerListener,
    OnlyPerBroker,
    BadValue(crate::value::BadValue),
}

impl Refusal {
    fn message(&self, name: &str) -> String {
        match self {
            Refusal::Unknown => match keys::nearest_broker_key(name) {
                Some(nearest) => {
                    format!("Unknown broker config name: {name}; did you mean {nearest}?")
                }
                None => format!("Unknown broker config name: {name}"),
            },
            Refusal::ReadOnly => format!("Cannot update these configs dynamically: [{name}]"),
            Refusal::OnlyPerListener => format!(
                "These security configs can be dynamically updated only per-listener \
                 using the listener prefix: [{name}]"
            ),
            Refusal::OnlyPerBroker => format!(
                "Cannot update these configs at default cluster level, \
                 broker id must be specified: [{name}]"
            ),
            Refusal::BadValue(bad_value) => bad_value.to_string(),
        }
    }
}

fn check(name: &str, text: &str, per_broker: bool) -> Result<&'static Key, Refusal> {
    let (key, of_listener) = match keys::classify(name) {
        Name::Key(key) => (key, false),
        Name::OfListener(key) => (key, true),
        Name::OfPlugin | Name::Removed(_) | Name::Unknown => return Err(Refusal::Unknown),
    };
    if !of_listener && key.update == Update::ReadOnly {
        return Err(Refusal::ReadOnly);
    }
    if PER_LISTENER.contains(&name) {
        return Err(Refusal::OnlyPerListener);
    }
    key.parse_as(name, text).map_err(Refusal::BadValue)?;
    if !per_broker && key.update != Update::ClusterWide {
        return Err(Refusal::OnlyPerBroker);
    }
    Ok(key)
}

/// Says whether `after` may be the dynamic settings of this broker, or of all if not `per_broker`.
pub(crate) fn validate(
    config: &BrokerConfig,
    per_broker: bool,
    after: &Overrides,
) -> Result<(), AlterError> {
    for (name, text) in after {
        check(name, text, per_broker)
            .map_err(|refusal| AlterError::request(refusal.message(name)))?;
    }
    let settings = config.settings();
    let (cluster, broker) = if per_broker {
        (settings.dynamic_default().clone(), after.clone())
    } else {
        (after.clone(), settings.dynamic_broker().clone())
    };
    let new = BrokerConfig::new(settings.with_dynamic(cluster, broker))
        .map_err(|error| AlterError::request(error.to_string()))?;
    check_cleaners(
        settings.long(CLEANER_THREADS),
        new.settings().long(CLEANER_THREADS),
    )
    .map_err(AlterError::request)?;
    for name in THREAD_POOLS {
        let (old, new) = (settings.long(name), new.settings().long(name));
        check_pool(name, old, new).map_err(AlterError::request)?;
    }
    for (name, text) in after {
        check_of_listener(settings.long(NETWORK_THREADS), name, text)
            .map_err(AlterError::request)?;
    }
    check_local_retention(&new).map_err(AlterError::request)
}

/// What a key allows by itself, and a running broker does not, with a listener's prefix or without.
fn check_of_listener(network_threads: i64, name: &str, text: &str) -> Result<(), String> {
    let (Name::Key(key) | Name::OfListener(key)) = keys::classify(name) else {
        return Ok(());
    };
    match text.trim().parse() {
        Ok(0) if LIMITS_ABOVE_ZERO.contains(&key.name) => Err(format!("Invalid {} 0", key.name)),
        Ok(threads) if key.name == NETWORK_THREADS => {
            check_pool(NETWORK_THREADS, network_threads, threads)
        }
        _ => Ok(()),
    }
}

/// What stays here of tiered topics is part of what is kept at all.
fn check_local_retention(new: &BrokerConfig) -> Result<(), String> {
    let topic = &new.topic_defaults;
    let pairs = [
        (
            "ms",
            topic.effective_local_retention_ms(),
            topic.retention_ms,
        ),
        (
            "bytes",
            topic.effective_local_retention_bytes(),
            topic.retention_bytes,
        ),
    ];
    for (unit, local, whole) in pairs {
        if whole == UNLIMITED || local == whole {
            continue;
        }
        let reason = if local == UNLIMITED {
            format!("must not be {UNLIMITED} as log.retention.{unit} value is set as {whole}.")
        } else if local > whole {
            format!("must not be more than log.retention.{unit} property value: {whole}")
        } else {
            continue;
        };
        let name = format!("log.local.retention.{unit}");
        return Err(format!(
            "Invalid value {local} for configuration {name}: Value {reason}"
        ));
    }
    Ok(())
}

/// As for the other pools, in words of its own.
fn check_cleaners(old: i64, new: i64) -> Result<(), String> {
    let refused = |words| {
        Err(format!(
            "Log cleaner threads cannot be {words} the current value {old}"
        ))
    };
    match new {
        ..1 => Err("Log cleaner threads should be at least 1".to_owned()),
        _ if new < old / 2 => refused("reduced to less than half"),
        _ if new > old * 2 => refused("increased to more than double"),
        _ => Ok(()),
    }
}

fn check_pool(name: &str, old: i64, new: i64) -> Result<(), String> {
    let bound = if new < old / 2 {
        "at least half"
    } else if new > old * 2 {
        "not be greater than double"
    } else {
        return Ok(());
    };
    let verb = if bound.starts_with("not") { "" } else { "be " };
    Err(format!(
        "Dynamic thread count update validation failed for {name}={new}, \
         value should {verb}{bound} the current value {old}"
    ))
}

#[cfg(test)]
mod tests;
