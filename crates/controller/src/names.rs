//! Names of topics: which are allowed, which belong to the broker, and which collide.
//!
//! Metrics write both '.' and '_' as '_', so that two topics that differ in these alone would share
//! their metrics; Kafka refuses the second.

use std::collections::{BTreeMap, BTreeSet};

use ottla_metadata::{MetadataDelta, MetadataImage};
use ottla_protocol::Str;

use crate::error::ControlError;

pub const CONSUMER_OFFSETS_TOPIC: &str = "__consumer_offsets";
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";
pub const SHARE_GROUP_STATE_TOPIC: &str = "__share_group_state";
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// So long that the name, a dash and a partition number still make a file name of 255 bytes.
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;

/// Whether clients should keep their hands off the topic.
pub fn is_internal_topic(name: &str) -> bool {
    [
        CONSUMER_OFFSETS_TOPIC,
        TRANSACTION_STATE_TOPIC,
        SHARE_GROUP_STATE_TOPIC,
    ]
    .contains(&name)
}

pub fn validate_topic_name(name: &str) -> Result<(), ControlError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fault = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > TOPIC_NAME_LENGTH_MAX {
        format!(
            "the length of '{name}' is longer than the max allowed length {TOPIC_NAME_LENGTH_MAX}"
        )
    } else if !name.chars().all(legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(ControlError::InvalidTopicName(fault))
}

/// The topics with a '.' or '_' in their names, by the name that their metrics would have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collisions {
    by_metric_name: BTreeMap<String, BTreeSet<Str>>,
}

impl Collisions {
    pub(crate) fn of(image: &MetadataImage) -> Collisions {
        let mut collisions = Collisions::default();
        image.topics().for_each(|t| collisions.add(&t.name));
        collisions
    }

    /// A topic that the name would collide with. A topic of the same name counts, as in Kafka.
    pub(crate) fn find(&self, name: &str) -> Option<&Str> {
        self.by_metric_name.get(&metric_name(name)?)?.first()
    }

    pub(crate) fn on_delta(&mut self, delta: &MetadataDelta) {
        for topic in delta.deleted_topics.values() {
            self.remove(&topic.name);
        }
        for topic in delta.topics.values().filter(|t| t.created) {
            self.add(&topic.name);
        }
    }

    fn add(&mut self, name: &Str) {
        if let Some(key) = metric_name(name) {
            self.by_metric_name
                .entry(key)
                .or_default()
                .insert(name.clone());
        }
    }

    fn remove(&mut self, name: &Str) {
        let Some(key) = metric_name(name) else { return };
        if let Some(names) = self.by_metric_name.get_mut(&key) {
            names.remove(name);
            if names.is_empty() {
                self.by_metric_name.remove(&key);
            }
        }
    }
}

fn metric_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
