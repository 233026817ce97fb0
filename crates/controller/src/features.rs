//! UpdateFeatures: raising and lowering the levels of features.
//!
//! Invariant: a level is in force only if every registered node supports it, and `metadata.version`
//! never goes below a change of the records.

use ottla_metadata::{
    ConfigResource, ELIGIBLE_LEADER_REPLICAS_FEATURE, Feature, KRAFT_VERSION_FEATURE, LevelRange,
    METADATA_VERSION_FEATURE, MetadataVersion, ResourceType,
};
use ottla_protocol::Str;
use ottla_protocol::metadata_records::{FeatureLevelRecord, MetadataRecord};

use crate::configs::{MIN_ISR, config_record};
use crate::controller::{Controller, Outcome};
use crate::error::{ControlError, FeatureFault};

/// What a client says of the direction, so that a downgrade is never a slip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    pub fn from_code(code: i8) -> Option<UpgradeType> {
        match code {
            1 => Some(UpgradeType::Upgrade),
            2 => Some(UpgradeType::SafeDowngrade),
            3 => Some(UpgradeType::UnsafeDowngrade),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureUpdate {
    pub feature: Str,
    pub level: i16,
    /// Nothing where the client names a type that we do not know.
    pub upgrade_type: Option<UpgradeType>,
}

impl Controller {
    /// Changes all the features or none; the first fault is the answer.
    pub fn update_features(
        &self,
        updates: &[FeatureUpdate],
        validate_only: bool,
    ) -> Result<Outcome<()>, ControlError> {
        let metadata_level = updates
            .iter()
            .find(|u| u.feature == METADATA_VERSION_FEATURE)
            .map_or(self.metadata_version().level(), |u| u.level);
        let mut records = Vec::new();
        for update in updates {
            self.check_update(update, metadata_level)?;
            let is_no_record = update.feature == KRAFT_VERSION_FEATURE;
            let record = FeatureLevelRecord {
                name: update.feature.detached(),
                feature_level: update.level,
                ..Default::default()
            };
            records.extend((!is_no_record).then(|| MetadataRecord::from(record)));
        }
        if validate_only {
            return Ok(Outcome::dry(()));
        }
        if updates
            .iter()
            .any(|u| u.feature == ELIGIBLE_LEADER_REPLICAS_FEATURE && u.level > 0)
        {
            let mut safety = self.elr_safety_records();
            safety.append(&mut records);
            records = safety;
        }
        Ok(Outcome::atomic(records, ()))
    }

    fn check_update(
        &self,
        update: &FeatureUpdate,
        metadata_level: i16,
    ) -> Result<(), ControlError> {
        let fault = |reason| ControlError::FeatureUpdate {
            feature: update.feature.clone(),
            level: update.level,
            reason,
        };
        let upgrade_type = update
            .upgrade_type
            .ok_or_else(|| fault(FeatureFault::UnknownUpgradeType))?;
        if update.level < 0 {
            return Err(fault(FeatureFault::Negative));
        }
        let feature = Feature::find(&update.feature).filter(|feature| feature.is_served());
        let feature = feature.ok_or_else(|| {
            fault(FeatureFault::NotSupported(format!(
                "Local controller {}",
                self.config().node_id
            )))
        })?;
        self.check_support(feature, update.level).map_err(fault)?;
        let current = self.image.features.level(feature.name);
        match upgrade_type {
            UpgradeType::Upgrade if update.level < current => {
                return Err(fault(FeatureFault::DowngradeNotAsked));
            }
            UpgradeType::SafeDowngrade | UpgradeType::UnsafeDowngrade if update.level > current => {
                return Err(fault(FeatureFault::DowngradeToNewer));
            }
            _ => {}
        }
        match feature.name {
            METADATA_VERSION_FEATURE => self.check_metadata_version(update.level, upgrade_type),
            // Its level is part of the quorum's own state, which only the quorum can change.
            KRAFT_VERSION_FEATURE if update.level != current => Err(fault(FeatureFault::OfQuorum)),
            _ if update.level > 0 && metadata_level < feature.requires_metadata_level() => {
                Err(fault(FeatureFault::DependsOnMetadata {
                    feature: update.feature.clone(),
                    level: update.level,
                    metadata_level: feature.requires_metadata_level(),
                }))
            }
            _ => Ok(()),
        }
    }

    /// Whether this program and every registered node can work at the level.
    fn check_support(&self, feature: &Feature, level: i16) -> Result<(), FeatureFault> {
        let check = |node: String, range: Option<LevelRange>| match range {
            Some(range) if range.contains(level) => Ok(()),
            None if level == 0 => Ok(()),
            Some(LevelRange { min, max }) if max > 0 => {
                Err(FeatureFault::OutOfRange { node, min, max })
            }
            _ => Err(FeatureFault::NotSupported(node)),
        };
        let local = LevelRange {
            min: feature.level_min,
            max: feature.level_max,
        };
        let node_id = self.config().node_id;
        check(format!("Local controller {node_id}"), Some(local))?;
        for broker in self.image.brokers.values() {
            check(
                format!("Broker {}", broker.id),
                broker.features.get(feature.name).copied(),
            )?;
        }
        for controller in self.image.controllers.values().filter(|c| c.id != node_id) {
            check(
                format!("Controller {}", controller.id),
                controller.features.get(feature.name).copied(),
            )?;
        }
        Ok(())
    }

    fn check_metadata_version(
        &self,
        level: i16,
        upgrade_type: UpgradeType,
    ) -> Result<(), ControlError> {
        let current = self.metadata_version();
        let next =
            MetadataVersion::from_level(level).ok_or(ControlError::MetadataLevel { level })?;
        if next < current && current.records_differ(next) {
            let forced = upgrade_type == UpgradeType::UnsafeDowngrade;
            return Err(ControlError::MetadataDowngrade {
                from: current.level(),
                to: level,
                forced,
            });
        }
        Ok(())
    }

    /// Eligible leader replicas need one minimum for the whole cluster, and none per broker.
    fn elr_safety_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let cluster = ConfigResource::cluster();
        if !self.image.config(&cluster).contains_key(MIN_ISR) {
            let minimum = self.config().topic_defaults.min_insync_replicas.to_string();
            records.push(config_record(&cluster, MIN_ISR, Some(&minimum)));
        }
        let brokers = self
            .image
            .configs()
            .filter(|(r, _)| r.kind == ResourceType::BROKER && !r.is_cluster());
        let with_minimum = brokers.filter(|(_, map)| map.contains_key(MIN_ISR));
        records.extend(with_minimum.map(|(resource, _)| config_record(resource, MIN_ISR, None)));
        records
    }
}
