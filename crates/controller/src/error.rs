//! Why the controller refuses a command, with the words that Kafka's clients and tools show.
//!
//! Invariant: whoever asked is at fault, or the cluster is in a state that forbids it; the state of
//! the controller is never damaged by a refusal. [`ControlError::code`] is the one map to Kafka's codes.

use ottla_metadata::MetadataVersion;
use ottla_protocol::{ErrorCode, Str, Uuid};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ControlError {
    // Topics.
    #[error("Duplicate topic name.")]
    DuplicateTopicName,
    #[error("Duplicate topic id.")]
    DuplicateTopicId,
    #[error("Creation of internal topic {0} is prohibited.")]
    ForbiddenTopic(Str),
    #[error("Topic name is invalid: {0}")]
    InvalidTopicName(String),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    TopicCollision { name: Str, existing: Str },
    #[error("Topic '{0}' already exists.")]
    TopicExists(Str),
    #[error("{}", ErrorCode::UnknownTopicOrPartition.message())]
    UnknownTopic,
    #[error("{}", ErrorCode::UnknownTopicId.message())]
    UnknownTopicId(Uuid),
    #[error("Neither topic name nor id were specified.")]
    NoTopicNamed,
    #[error("You may not specify both topic name and topic id.")]
    NameAndId,
    #[error("The provided topic name maps to an ID that was already supplied.")]
    NameOfGivenId,
    #[error("Topic deletion is disabled.")]
    TopicDeletionDisabled,
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    #[error(
        "Unable to perform excessively large batch operation: it would write more than {0} records."
    )]
    TooManyRecords(usize),

    // Partitions and replicas.
    #[error(
        "A manual partition assignment was specified, but replication factor was not set to -1."
    )]
    AssignmentWithReplicationFactor,
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentWithPartitions,
    #[error("Found multiple manual partition assignments for partition {0}")]
    DuplicateAssignment(i32),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    PartitionsNotConsecutive,
    #[error(
        "All brokers specified in the manual partition assignment for partition {0} are fenced or in controlled shutdown."
    )]
    AssignedBrokersInactive(i32),
    #[error("The manual partition assignment includes an empty replica list.")]
    EmptyReplicaList,
    #[error(
        "The manual partition assignment includes broker {0}, but no such broker is registered."
    )]
    AssignedBrokerUnknown(i32),
    #[error(
        "The manual partition assignment includes broker {0}, but all its log directories are cordoned."
    )]
    AssignedBrokerCordoned(i32),
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    AssignedBrokerTwice(i32),
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this is not consistent with previous partitions, which have {expected} replica(s)."
    )]
    InconsistentReplicationFactor { found: usize, expected: usize },
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    InvalidReplicationFactor,
    #[error("Number of partitions was set to an invalid non-positive value.")]
    InvalidPartitionCount,
    #[error("Unable to replicate the partition {replication_factor} time(s): {reason}")]
    CannotReplicate {
        replication_factor: i32,
        reason: PlacementError,
    },
    #[error("{0}")]
    Placement(PlacementError),
    #[error("Topic already has {0} partition(s).")]
    PartitionCountUnchanged(usize),
    #[error(
        "The topic {topic} currently has {current} partition(s); {requested} would not be an increase."
    )]
    PartitionCountDecreased {
        topic: Str,
        current: usize,
        requested: i32,
    },
    #[error(
        "Attempted to add {additional} additional partition(s), but only {assignments} assignment(s) were specified."
    )]
    AssignmentCount {
        additional: usize,
        assignments: usize,
    },

    // Elections and reassignments.
    #[error("No such topic as {0}")]
    ElectionTopic(Str),
    #[error("No such partition as {topic}-{partition}")]
    ElectionPartition { topic: Str, partition: i32 },
    #[error("{}", ErrorCode::ElectionNotNeeded.message())]
    ElectionNotNeeded,
    #[error("{}", ErrorCode::PreferredLeaderNotAvailable.message())]
    PreferredLeaderNotAvailable,
    #[error("{}", ErrorCode::EligibleLeadersNotAvailable.message())]
    EligibleLeadersNotAvailable,
    #[error("Unable to find a topic named {0}.")]
    ReassignedTopic(Str),
    #[error("Unable to find partition {topic}:{partition}.")]
    ReassignedPartition { topic: Str, partition: i32 },
    #[error("{}", ErrorCode::NoReassignmentInProgress.message())]
    NoReassignmentInProgress,
    #[error(
        "Unable to revert partition assignment for {topic}:{partition} because it would require an unclean leader election."
    )]
    UncleanRevert { topic: Str, partition: i32 },
    #[error("The replication factor is changed from {from} to {to}")]
    ReplicationFactorChange { from: usize, to: usize },
    /// An answer to AlterPartition, where only the code travels.
    #[error("the in-sync set of the partition cannot change so: {0}")]
    AlterPartition(ErrorCode),

    // Brokers.
    #[error("Expected cluster ID {expected}, but got cluster ID {found}")]
    ClusterId { expected: Str, found: Str },
    #[error(
        "Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session."
    )]
    DuplicateBroker,
    #[error("Controller does not support registering ZK brokers.")]
    ZkBroker,
    #[error("The current MetadataVersion is too old to support controller registrations.")]
    NoControllerRegistration,
    #[error("Broker listeners must be named.")]
    UnnamedListener,
    #[error("No directories specified in request")]
    NoDirectories,
    #[error("Reserved directory ID in request")]
    ReservedDirectory,
    #[error("Duplicate directory ID in request")]
    DuplicateDirectory,
    #[error("Broker {broker} is already registered with directory {directory}")]
    DirectoryTaken { broker: i32, directory: Uuid },
    #[error("Request features do not contain 'metadata.version'")]
    NoMetadataVersion,
    #[error(
        "Unable to register because the broker does not support finalized version {level} of {feature}. The broker wants a version between {min} and {max}, inclusive."
    )]
    BrokerFeature {
        feature: Str,
        level: i16,
        min: i16,
        max: i16,
    },
    #[error("No broker registration found for broker id {0}")]
    BrokerNotFound(i32),
    #[error("Expected broker epoch {expected}, but got broker epoch {found}")]
    StaleBrokerEpoch { expected: i64, found: i64 },
    #[error("Broker ID {0} is not currently registered")]
    BrokerNotRegistered(i32),
    #[error(
        "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit"
    )]
    ProducerIdsExhausted,

    // Configuration.
    #[error("Duplicate resource.")]
    DuplicateResource,
    #[error("Null value not supported for topic configs: {0}")]
    NullTopicConfigs(String),
    #[error("Unknown resource type {0}.")]
    UnknownResourceType(i8),
    #[error("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")]
    BrokerMinIsr,
    #[error("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")]
    ClusterMinIsr,
    #[error(
        "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= 4.3-IV0"
    )]
    CordonedLogDirs,
    /// A value, a key or a name that the rules of configuration refuse, in their words.
    #[error(transparent)]
    Config(#[from] ottla_config::AlterError),
    #[error("The topic '{0}' does not exist.")]
    ConfigTopicUnknown(Str),

    // Features.
    #[error("Invalid update version {level} for feature {feature}. {reason}")]
    FeatureUpdate {
        feature: Str,
        level: i16,
        reason: FeatureFault,
    },
    #[error("Invalid metadata.version {level}. Valid versions are from {min} to {max}.", min = MetadataVersion::MINIMUM.level(), max = MetadataVersion::LATEST_PRODUCTION.level())]
    MetadataLevel { level: i16 },
    #[error("Unsupported metadata.version downgrade from {from} to {to}. {}", downgrade_reason(*forced))]
    MetadataDowngrade { from: i16, to: i16, forced: bool },

    // Client quotas.
    #[error("Duplicate quota key {0} not updating quota for this entity")]
    DuplicateQuotaKey(Str),
    #[error("Ignoring duplicate entity")]
    DuplicateQuotaEntity,
    #[error("Invalid empty client quota entity")]
    EmptyQuotaEntity,
    #[error("Invalid client quota entity, duplicate entity entry {0}")]
    DuplicateQuotaEntityType(Str),
    #[error("Unhandled client quota entity type: {0}")]
    UnknownQuotaEntityType(Str),
    #[error("Empty {0} not supported")]
    EmptyQuotaEntityName(Str),
    #[error(
        "Invalid quota entity combination, IP entity should not be combined with User or ClientId"
    )]
    MixedQuotaEntity,
    #[error("{0} is not a valid IP or resolvable host.")]
    InvalidIp(Str),
    #[error("Invalid configuration key {0}")]
    UnknownQuotaKey(Str),
    #[error("Quota {0} must be greater than 0")]
    QuotaNotPositive(Str),
    #[error("Proposed value for {key} is too large for a {kind}.")]
    QuotaTooLarge { key: Str, kind: &'static str },
    #[error("{0} cannot be a fractional value.")]
    QuotaFraction(Str),
    #[error("Invalid empty entity type.")]
    EmptyEntityType,
    #[error("Entity type {0} cannot appear more than once in the filter.")]
    DuplicateFilter(Str),
    #[error("Unsupported entity type {0}")]
    UnsupportedEntityType(Str),
    #[error(
        "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component."
    )]
    MixedFilter,
}

/// Why replicas cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("Invalid replication factor {0}: the replication factor must be positive.")]
    NotPositive(i32),
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    NoUsableBroker,
    #[error(
        "The target replication factor of {replication_factor} cannot be reached because only {brokers} broker(s) are registered or some brokers have all their log directories cordoned."
    )]
    TooFewBrokers {
        replication_factor: i32,
        brokers: usize,
    },
    #[error("All brokers are currently fenced or in controlled shutdown.")]
    NoActiveBroker,
}

/// Why a feature's level cannot change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureFault {
    #[error("The controller does not support the given upgrade type.")]
    UnknownUpgradeType,
    #[error("A feature version cannot be less than 0.")]
    Negative,
    #[error("{node} only supports versions {min}-{max}")]
    OutOfRange { node: String, min: i16, max: i16 },
    #[error("{0} does not support this feature.")]
    NotSupported(String),
    #[error(
        "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
    )]
    DowngradeNotAsked,
    #[error("Can't downgrade to a newer version.")]
    DowngradeToNewer,
    /// Its level is in the quorum's own records.
    #[error("Only the quorum itself can change the version of this feature.")]
    OfQuorum,
    #[error(
        "{feature} could not be set to {level} because it depends on metadata.version level {metadata_level}"
    )]
    DependsOnMetadata {
        feature: Str,
        level: i16,
        metadata_level: i16,
    },
}

fn downgrade_reason(forced: bool) -> &'static str {
    if forced {
        "Unsafe metadata downgrade is not supported in this version."
    } else {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    }
}

impl ControlError {
    /// Kafka's code for the error.
    pub fn code(&self) -> ErrorCode {
        use ControlError::*;
        match self {
            InvalidTopicName(_) | TopicCollision { .. } => ErrorCode::InvalidTopicException,
            TopicExists(_) => ErrorCode::TopicAlreadyExists,
            UnknownTopic
            | ElectionTopic(_)
            | ElectionPartition { .. }
            | ReassignedTopic(_)
            | ReassignedPartition { .. }
            | ConfigTopicUnknown(_) => ErrorCode::UnknownTopicOrPartition,
            UnknownTopicId(_) => ErrorCode::UnknownTopicId,
            TopicDeletionDisabled => ErrorCode::TopicDeletionDisabled,
            TooManyPartitions | TooManyRecords(_) => ErrorCode::PolicyViolation,
            DuplicateAssignment(_)
            | PartitionsNotConsecutive
            | AssignedBrokersInactive(_)
            | EmptyReplicaList
            | AssignedBrokerUnknown(_)
            | AssignedBrokerCordoned(_)
            | AssignedBrokerTwice(_)
            | InconsistentReplicationFactor { .. }
            | AssignmentCount { .. }
            | UncleanRevert { .. } => ErrorCode::InvalidReplicaAssignment,
            InvalidReplicationFactor
            | CannotReplicate { .. }
            | Placement(_)
            | ReplicationFactorChange { .. } => ErrorCode::InvalidReplicationFactor,
            InvalidPartitionCount | PartitionCountUnchanged(_) | PartitionCountDecreased { .. } => {
                ErrorCode::InvalidPartitions
            }
            ElectionNotNeeded => ErrorCode::ElectionNotNeeded,
            PreferredLeaderNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
            EligibleLeadersNotAvailable => ErrorCode::EligibleLeadersNotAvailable,
            NoReassignmentInProgress => ErrorCode::NoReassignmentInProgress,
            AlterPartition(code) => *code,
            ClusterId { .. } => ErrorCode::InconsistentClusterId,
            DuplicateBroker => ErrorCode::DuplicateBrokerRegistration,
            ZkBroker | BrokerNotRegistered(_) => ErrorCode::BrokerIdNotRegistered,
            UnnamedListener
            | NoDirectories
            | ReservedDirectory
            | DuplicateDirectory
            | DirectoryTaken { .. }
            | NoMetadataVersion => ErrorCode::InvalidRegistration,
            BrokerFeature { .. }
            | NoControllerRegistration
            | UnknownResourceType(_)
            | UnsupportedEntityType(_) => ErrorCode::UnsupportedVersion,
            BrokerNotFound(_) | StaleBrokerEpoch { .. } => ErrorCode::StaleBrokerEpoch,
            ProducerIdsExhausted => ErrorCode::UnknownServerError,
            NullTopicConfigs(_) | BrokerMinIsr | ClusterMinIsr | CordonedLogDirs => {
                ErrorCode::InvalidConfig
            }
            Config(error) => ErrorCode::from_code(error.code.code()),
            FeatureUpdate { .. } | MetadataLevel { .. } | MetadataDowngrade { .. } => {
                ErrorCode::InvalidUpdateVersion
            }
            _ => ErrorCode::InvalidRequest,
        }
    }
}
