//! `metadata.version`: which fields and versions the records of the metadata log may have.
//!
//! Invariant: a [`MetadataVersion`] is one of the levels that this program knows how to write.
//! Consulted by the controller and by snapshots for the version of each record.

use std::fmt;

pub const METADATA_VERSION_FEATURE: &str = "metadata.version";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(i16);

struct Level {
    level: i16,
    name: &'static str,
    /// Whether the records differ from those of the level before, so that a downgrade would lose some.
    changes_records: bool,
}

const fn level(level: i16, name: &'static str, changes_records: bool) -> Level {
    Level {
        level,
        name,
        changes_records,
    }
}

const LEVELS: [Level; 24] = [
    level(7, "3.3-IV3", true),
    level(8, "3.4-IV0", true),
    level(9, "3.5-IV0", false),
    level(10, "3.5-IV1", false),
    level(11, "3.5-IV2", true),
    level(12, "3.6-IV0", false),
    level(13, "3.6-IV1", true),
    level(14, "3.6-IV2", true),
    level(15, "3.7-IV0", true),
    level(16, "3.7-IV1", false),
    level(17, "3.7-IV2", true),
    level(18, "3.7-IV3", false),
    level(19, "3.7-IV4", false),
    level(20, "3.8-IV0", false),
    level(21, "3.9-IV0", false),
    level(22, "4.0-IV0", false),
    level(23, "4.0-IV1", true),
    level(24, "4.0-IV2", false),
    level(25, "4.0-IV3", false),
    level(26, "4.1-IV0", false),
    level(27, "4.1-IV1", false),
    level(28, "4.2-IV0", false),
    level(29, "4.2-IV1", false),
    level(30, "4.3-IV0", true),
];

impl MetadataVersion {
    pub const MINIMUM: MetadataVersion = MetadataVersion(LEVELS[0].level);
    /// The newest level that Kafka 4.3 declares stable, and what a new cluster gets.
    pub const LATEST_PRODUCTION: MetadataVersion = MetadataVersion(LEVELS[LEVELS.len() - 1].level);

    pub const SCRAM: MetadataVersion = MetadataVersion(11);
    pub const NO_EPOCH_BUMP_ON_SHRINK: MetadataVersion = MetadataVersion(12);
    pub const TRANSACTIONS: MetadataVersion = MetadataVersion(13);
    pub const DELEGATION_TOKENS: MetadataVersion = MetadataVersion(14);
    pub const CONTROLLER_REGISTRATION: MetadataVersion = MetadataVersion(15);
    pub const DIRECTORIES: MetadataVersion = MetadataVersion(17);
    pub const ELIGIBLE_LEADER_REPLICAS: MetadataVersion = MetadataVersion(23);
    pub const CORDONED_DIRECTORIES: MetadataVersion = MetadataVersion(30);

    pub fn from_level(level: i16) -> Option<MetadataVersion> {
        (Self::MINIMUM.0..=Self::LATEST_PRODUCTION.0)
            .contains(&level)
            .then_some(MetadataVersion(level))
    }

    pub fn level(self) -> i16 {
        self.0
    }

    /// The name that Kafka's tools print, such as `4.3-IV0`.
    pub fn name(self) -> &'static str {
        LEVELS[self.index()].name
    }

    /// Whether some level above the lower and up to the higher of the two changed the records.
    pub fn records_differ(self, other: MetadataVersion) -> bool {
        let (low, high) = (self.min(other).index(), self.max(other).index());
        LEVELS[low + 1..=high].iter().any(|l| l.changes_records)
    }

    fn index(self) -> usize {
        usize::try_from(self.0 - Self::MINIMUM.0).unwrap_or_default()
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_consecutive_so_that_the_index_is_the_distance() {
        for (i, l) in LEVELS.iter().enumerate() {
            let version = MetadataVersion::from_level(l.level).unwrap();
            assert_eq!((version.index(), version.name()), (i, l.name));
        }
        assert_eq!(MetadataVersion::from_level(6), None);
        assert_eq!(MetadataVersion::from_level(31), None);
        assert_eq!(MetadataVersion::LATEST_PRODUCTION.to_string(), "4.3-IV0");
    }

    #[test]
    fn only_levels_that_changed_records_forbid_a_downgrade() {
        let version = |level| MetadataVersion::from_level(level).unwrap();
        assert!(version(30).records_differ(version(29)));
        assert!(!version(29).records_differ(version(23)));
        assert!(version(23).records_differ(version(22)));
        assert!(!version(23).records_differ(version(23)));
    }
}
