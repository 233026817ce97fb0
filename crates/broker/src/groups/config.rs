//! From the configuration of the broker and of groups to what a group coordinator is configured with.

use std::sync::Arc;

use ottla_config::BrokerConfig;
use ottla_coordinator::{ConsumerSettings, GroupConfig, MigrationPolicy};
use ottla_metadata::{MetadataImage, ResourceType};
use ottla_protocol::Str;

use crate::broker::settings::{self, millis};

/// What the broker's configuration, and the groups' own in the metadata, ask of a coordinator.
pub fn group_config(config: &BrokerConfig, image: &MetadataImage) -> GroupConfig {
    let group = &config.group;
    let groups = image.configs().map(|(resource, _)| resource);
    let groups = groups.filter(|resource| resource.kind == ResourceType::GROUP);
    let own: Vec<(Str, ConsumerSettings)> = groups
        .map(|resource| {
            let overrides = settings::overrides(image, resource);
            let own = consumer_settings(&config.consumer_group(&overrides));
            (resource.name.clone(), own)
        })
        .collect();
    GroupConfig {
        min_session_timeout_ms: group.session_timeout_ms_min,
        max_session_timeout_ms: group.session_timeout_ms_max,
        initial_rebalance_delay_ms: i32::try_from(group.initial_rebalance_delay_ms)
            .unwrap_or(i32::MAX),
        max_size: group.members_max,
        offset_metadata_max_bytes: group.offset_metadata_bytes_max,
        offsets_retention_ms: millis(group.offsets_retention_ms),
        offsets_retention_check_interval_ms: millis(group.offsets_retention_check_interval_ms),
        consumer: ConsumerSettings {
            session_timeout_ms: group.consumer.session_timeout_ms,
            heartbeat_interval_ms: group.consumer.heartbeat_interval_ms,
            assignment_interval_ms: group.consumer.assignment_interval_ms,
        },
        consumer_own: Arc::new(own.into_iter().collect()),
        consumer_max_size: group.consumer.members_max,
        consumer_regex_refresh_interval_ms: group.consumer.regex_refresh_interval_ms,
        consumer_migration: match (group.consumer.upgrade, group.consumer.downgrade) {
            (true, true) => MigrationPolicy::Bidirectional,
            (true, false) => MigrationPolicy::Upgrade,
            (false, true) => MigrationPolicy::Downgrade,
            (false, false) => MigrationPolicy::Disabled,
        },
        ..GroupConfig::default()
    }
}

fn consumer_settings(own: &ottla_config::ConsumerGroupSettings) -> ConsumerSettings {
    ConsumerSettings {
        session_timeout_ms: own.session_timeout_ms,
        heartbeat_interval_ms: own.heartbeat_interval_ms,
        assignment_interval_ms: own.assignment_interval_ms,
    }
}
