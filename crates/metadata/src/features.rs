//! Finalized features of the cluster, and the levels that this program supports of each.
//!
//! Invariant: a feature at level 0 is absent; `metadata.version` has no level 0.
//! Read by ApiVersions, by the controller, and by whoever asks whether a protocol is switched on.

use std::collections::BTreeMap;

use imbl::OrdMap;
use ottla_protocol::Str;

use crate::broker::LevelRange;
use crate::version::{METADATA_VERSION_FEATURE, MetadataVersion};

/// Level 1 is the group protocol of KIP-848.
pub const GROUP_VERSION_FEATURE: &str = "group.version";
pub const KRAFT_VERSION_FEATURE: &str = "kraft.version";
pub const ELIGIBLE_LEADER_REPLICAS_FEATURE: &str = "eligible.leader.replicas.version";

/// A feature, the levels of it that we support, and what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub level_min: i16,
    pub level_max: i16,
    /// The newest level that a new cluster of a metadata version starts with, newest first.
    defaults: &'static [(i16, i16)],
    /// The metadata version without which levels above 0 cannot be set.
    requires_metadata_level: i16,
}

/// Features that a new cluster finalizes, as in Kafka, and whose protocols are not served yet.
const NOT_SERVED: [&str; 2] = ["share.version", "streams.version"];

/// Every feature, in the order of their names.
pub const FEATURES: [Feature; 7] = [
    feature(ELIGIBLE_LEADER_REPLICAS_FEATURE, 0, 1, &[(26, 1)], 23),
    feature(GROUP_VERSION_FEATURE, 0, 1, &[(22, 1)], 7),
    feature(KRAFT_VERSION_FEATURE, 0, 1, &[(21, 1)], 7),
    feature(METADATA_VERSION_FEATURE, 7, 30, &[], 7),
    feature("share.version", 0, 1, &[(28, 1)], 7),
    feature("streams.version", 0, 1, &[(29, 1)], 7),
    feature("transaction.version", 0, 2, &[(24, 2)], 7),
];

const fn feature(
    name: &'static str,
    level_min: i16,
    level_max: i16,
    defaults: &'static [(i16, i16)],
    requires_metadata_level: i16,
) -> Feature {
    Feature {
        name,
        level_min,
        level_max,
        defaults,
        requires_metadata_level,
    }
}

impl Feature {
    pub fn find(name: &str) -> Option<&'static Feature> {
        FEATURES.iter().find(|f| f.name == name)
    }

    /// The level that a new cluster of this metadata version starts with.
    pub fn default_level(&self, version: MetadataVersion) -> i16 {
        if self.name == METADATA_VERSION_FEATURE {
            return version.level();
        }
        self.defaults
            .iter()
            .find(|(since, _)| version.level() >= *since)
            .map_or(0, |(_, level)| *level)
    }

    /// Whether clients are told of the feature.
    pub fn is_served(&self) -> bool {
        !NOT_SERVED.contains(&self.name)
    }

    pub fn requires_metadata_level(&self) -> i16 {
        self.requires_metadata_level
    }
}

/// What a broker or controller of this program says that it supports when it registers.
pub fn supported_features() -> BTreeMap<Str, LevelRange> {
    let range = |f: &Feature| {
        (
            Str::from_static(f.name),
            LevelRange {
                min: f.level_min,
                max: f.level_max,
            },
        )
    };
    FEATURES.iter().map(range).collect()
}

/// The levels in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    pub metadata_version: Option<MetadataVersion>,
    /// Lives in control records of the log, not in metadata records.
    pub kraft_version: i16,
    /// Everything else that is above level 0.
    pub others: OrdMap<Str, i16>,
}

impl Features {
    /// The finalized level of a feature; 0 when it is off.
    pub fn level(&self, name: &str) -> i16 {
        match name {
            METADATA_VERSION_FEATURE => self.metadata_version.map_or(0, MetadataVersion::level),
            KRAFT_VERSION_FEATURE => self.kraft_version,
            _ => self.others.get(name).copied().unwrap_or_default(),
        }
    }

    pub fn eligible_leader_replicas(&self) -> bool {
        self.level(ELIGIBLE_LEADER_REPLICAS_FEATURE) >= 1
    }

    /// All features above level 0, as ApiVersions lists them.
    pub fn finalized(&self) -> Vec<(Str, i16)> {
        let fixed = [METADATA_VERSION_FEATURE, KRAFT_VERSION_FEATURE]
            .map(|name| (Str::from_static(name), self.level(name)));
        let others = self
            .others
            .iter()
            .map(|(name, level)| (name.clone(), *level));
        fixed
            .into_iter()
            .filter(|(_, level)| *level > 0)
            .chain(others)
            .collect()
    }
}
