//! The first records of a new cluster: which features it starts with.
//!
//! Invariant: every feature stands at the level that its metadata version defaults to, and while
//! eligible leader replicas are in force the cluster has a `min.insync.replicas` of its own.

use ottla_metadata::{
    ConfigResource, ELIGIBLE_LEADER_REPLICAS_FEATURE, FEATURES, KRAFT_VERSION_FEATURE,
    METADATA_VERSION_FEATURE, MetadataVersion,
};
use ottla_protocol::metadata_records::{
    BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord,
};

use crate::configs::config_record;
use crate::controller::{Controller, Outcome};

/// What `bootstrap.checkpoint` holds: the levels of features, `metadata.version` first.
pub fn bootstrap_records(version: MetadataVersion) -> Vec<MetadataRecord> {
    let record = |name: &'static str, feature_level: i16| {
        FeatureLevelRecord {
            name: name.into(),
            feature_level,
            ..Default::default()
        }
        .into()
    };
    let others = FEATURES
        .iter()
        .filter(|f| ![METADATA_VERSION_FEATURE, KRAFT_VERSION_FEATURE].contains(&f.name));
    let others = others
        .map(|f| (f.name, f.default_level(version)))
        .filter(|(_, level)| *level > 0);
    let first = record(METADATA_VERSION_FEATURE, version.level());
    std::iter::once(first)
        .chain(others.map(|(name, level)| record(name, level)))
        .collect()
}

impl Controller {
    /// What a controller writes when it becomes active: to an empty log, the bootstrap records.
    pub fn activate(&self, bootstrap: Vec<MetadataRecord>) -> Outcome<()> {
        if self.image.features.metadata_version.is_some() {
            return Outcome::dry(());
        }
        let level = |name: &str| {
            bootstrap.iter().find_map(|record| match record {
                MetadataRecord::FeatureLevel(r) if r.name == *name => Some(r.feature_level),
                _ => None,
            })
        };
        let in_transaction = level(METADATA_VERSION_FEATURE)
            .is_some_and(|l| l >= MetadataVersion::TRANSACTIONS.level());
        let elr = level(ELIGIBLE_LEADER_REPLICAS_FEATURE).is_some_and(|l| l > 0);
        let mut records = Vec::new();
        if in_transaction {
            records.push(
                BeginTransactionRecord {
                    name: Some("Bootstrap records".into()),
                    ..Default::default()
                }
                .into(),
            );
        }
        records.extend(bootstrap);
        if elr {
            let minimum = self.config().topic_defaults.min_insync_replicas.to_string();
            records.push(config_record(
                &ConfigResource::cluster(),
                "min.insync.replicas",
                Some(&minimum),
            ));
        }
        if in_transaction {
            records.push(EndTransactionRecord::default().into());
        }
        Outcome {
            records,
            atomic: !in_transaction,
            answer: (),
        }
    }
}
