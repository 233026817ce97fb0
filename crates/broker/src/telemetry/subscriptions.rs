//! The subscriptions in force, and which of them a client matches.

use std::collections::{BTreeMap, BTreeSet};

use ottla_config::{ClientAttribute, ClientMetricsConfig, Overrides};
use ottla_protocol::{Str, Uuid};

use super::Granted;

/// How often a client pushes that no subscription matches, were it to push.
const PUSH_INTERVAL_MS_DEFAULT: i32 = 300_000;
/// The entry that stands for all metrics.
const ALL_METRICS: &str = "*";

/// What is known of a client and can be matched.
#[derive(Debug, Clone, Copy)]
pub struct ClientAttributes<'a> {
    pub client_id: Option<&'a str>,
    pub software_name: &'a str,
    pub software_version: &'a str,
    pub address: &'a str,
    pub port: u16,
}

#[derive(Debug, Default)]
pub struct Subscriptions {
    by_name: BTreeMap<Str, ClientMetricsConfig>,
    /// Rises with each change.
    version: u64,
}

impl Subscriptions {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn set(&mut self, name: &Str, configs: &Overrides) {
        if configs.is_empty() {
            if self.by_name.remove(name).is_some() {
                self.version += 1;
            }
            return;
        }
        match ClientMetricsConfig::new(configs) {
            Ok(config) => {
                self.by_name.insert(name.detached(), config);
                self.version += 1;
            }
            // Only a log written by another version can hold what this one refuses.
            Err(error) => {
                tracing::error!(subscription = %name, %error, "a subscription of client metrics cannot be read");
            }
        }
    }

    /// What an instance is to push: all that is asked of it, as often as the most impatient subscription wants.
    pub fn granted(&self, instance_id: Uuid, client: &ClientAttributes<'_>) -> Granted {
        let mut metrics: BTreeSet<&str> = BTreeSet::new();
        let mut push_interval_ms = PUSH_INTERVAL_MS_DEFAULT;
        let instance_name = instance_id.to_string();
        let port = client.port.to_string();
        let attribute = |attribute| match attribute {
            ClientAttribute::ClientId => client.client_id,
            ClientAttribute::InstanceId => Some(instance_name.as_str()),
            ClientAttribute::SoftwareName => Some(client.software_name),
            ClientAttribute::SoftwareVersion => Some(client.software_version),
            ClientAttribute::SourceAddress => Some(client.address),
            ClientAttribute::SourcePort => Some(port.as_str()),
        };
        for subscription in self.by_name.values() {
            if subscription.matches(attribute) {
                metrics.extend(subscription.metrics.iter().map(String::as_str));
                push_interval_ms = push_interval_ms.min(subscription.interval_ms);
            }
        }
        if metrics.contains(ALL_METRICS) {
            metrics = BTreeSet::from([ALL_METRICS]);
        }
        Granted {
            subscription_id: subscription_id(&metrics, push_interval_ms, instance_id),
            push_interval_ms,
            metrics: metrics.into_iter().map(Str::from).collect(),
        }
    }
}

/// A number that changes with what is asked of an instance, so that a push for an older subscription is noticed.
fn subscription_id(metrics: &BTreeSet<&str>, push_interval_ms: i32, instance_id: Uuid) -> i32 {
    let names: Vec<&str> = metrics.iter().copied().collect();
    let text = format!("[{}]{push_interval_ms}", names.join(", "));
    let bits = instance_id.as_u128();
    let folded = [0, 32, 64, 96]
        .iter()
        .fold(0, |folded, shift| folded ^ (bits >> shift) as u32);
    (ottla_records::crc32c(text.as_bytes()) ^ folded) as i32
}
