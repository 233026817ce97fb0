//! The errors that travel in responses, by Kafka's codes.
//!
//! "Retriable" means that a client may send the same request again and hope; Kafka's clients do so.

#[cfg(test)]
mod tests;

use std::fmt;

macro_rules! error_codes {
    ($($code:literal => $name:ident, $kind:ident, $message:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = $message]
                $name = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, in order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The error of a code; one that is not known counts as `UnknownServerError`.
            pub fn from_code(code: i16) -> ErrorCode {
                match code {
                    $($code => ErrorCode::$name,)*
                    _ => ErrorCode::UnknownServerError,
                }
            }

            pub fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => $message,)*
                }
            }

            pub fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => stringify!($name),)*
                }
            }

            /// Whether sending the same request again can succeed.
            pub fn is_retriable(self) -> bool {
                match self {
                    $(ErrorCode::$name => error_codes!(@ $kind),)*
                }
            }
        }
    };
    (@ retriable) => { true };
    (@ final) => { false };
}

impl ErrorCode {
    pub const fn code(self) -> i16 {
        self as i16
    }

    pub fn is_error(self) -> bool {
        self != ErrorCode::None
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ErrorCode {}

error_codes! {
    -1 => UnknownServerError, final, "The server failed in a way that it did not expect.";
    0 => None, final, "No error.";
    1 => OffsetOutOfRange, final, "The partition has no such offset.";
    2 => CorruptMessage, retriable, "The records are damaged, too large, or lack a key that the topic needs.";
    3 => UnknownTopicOrPartition, retriable, "This server has no such topic or partition.";
    4 => InvalidFetchSize, final, "The size to fetch is not valid.";
    5 => LeaderNotAvailable, retriable, "The partition has no leader, for one is being elected.";
    6 => NotLeaderOrFollower, retriable, "This broker is not the leader, or no replica, of the partition.";
    7 => RequestTimedOut, retriable, "The request took longer than it allowed.";
    8 => BrokerNotAvailable, final, "The broker cannot be reached.";
    9 => ReplicaNotAvailable, retriable, "The replica of the partition cannot be used.";
    10 => MessageTooLarge, final, "A record batch is larger than the topic allows.";
    11 => StaleControllerEpoch, final, "Another controller has taken over.";
    12 => OffsetMetadataTooLarge, final, "The metadata of a committed offset is too long.";
    13 => NetworkException, retriable, "The connection closed before the answer came.";
    14 => CoordinatorLoadInProgress, retriable, "The coordinator is still reading its log.";
    15 => CoordinatorNotAvailable, retriable, "There is no coordinator.";
    16 => NotCoordinator, retriable, "This broker is not the coordinator of that id.";
    17 => InvalidTopicException, final, "The topic's name is not valid, or the topic may not be used this way.";
    18 => RecordListTooLarge, final, "A record batch is larger than a segment may be.";
    19 => NotEnoughReplicas, retriable, "Fewer replicas are in sync than the topic demands, and nothing was written.";
    20 => NotEnoughReplicasAfterAppend, retriable, "The records were written, but fewer replicas are in sync than the topic demands.";
    21 => InvalidRequiredAcks, final, "acks must be 0, 1 or -1.";
    22 => IllegalGeneration, final, "The group has another generation.";
    23 => InconsistentGroupProtocol, final, "The member shares no protocol with the group, or names none.";
    24 => InvalidGroupId, final, "The group's id is not valid.";
    25 => UnknownMemberId, final, "The group has no such member.";
    26 => InvalidSessionTimeout, final, "The session timeout lies outside of what the broker allows (group.min.session.timeout.ms, group.max.session.timeout.ms).";
    27 => RebalanceInProgress, final, "The group is rebalancing, and the member must join again.";
    28 => InvalidCommitOffsetSize, final, "The committed offset would make too large a record.";
    29 => TopicAuthorizationFailed, final, "Not authorized for the topic.";
    30 => GroupAuthorizationFailed, final, "Not authorized for the group.";
    31 => ClusterAuthorizationFailed, final, "Not authorized for the cluster.";
    32 => InvalidTimestamp, final, "A record's timestamp lies outside of what the topic accepts.";
    33 => UnsupportedSaslMechanism, final, "The server does not offer this SASL mechanism.";
    34 => IllegalSaslState, final, "The request does not fit the state of the authentication.";
    35 => UnsupportedVersion, final, "This version of the API is not supported.";
    36 => TopicAlreadyExists, final, "A topic of this name exists.";
    37 => InvalidPartitions, final, "The number of partitions is not valid.";
    38 => InvalidReplicationFactor, final, "The replication factor is below one or above the number of usable brokers.";
    39 => InvalidReplicaAssignment, final, "The assignment of replicas is not valid.";
    40 => InvalidConfig, final, "The configuration is not valid.";
    41 => NotController, retriable, "This node is not the active controller.";
    42 => InvalidRequest, final, "The request contradicts itself or the protocol.";
    43 => UnsupportedForMessageFormat, final, "The format of the stored records cannot serve the request.";
    44 => PolicyViolation, final, "A policy of the cluster forbids the request.";
    45 => OutOfOrderSequenceNumber, final, "The producer's sequence number does not follow the last one.";
    46 => DuplicateSequenceNumber, final, "The producer's sequence number was written before.";
    47 => InvalidProducerEpoch, final, "The producer's epoch is older than the last one seen.";
    48 => InvalidTxnState, final, "The transaction's state does not allow the operation.";
    49 => InvalidProducerIdMapping, final, "The producer id does not belong to the transactional id.";
    50 => InvalidTransactionTimeout, final, "The transaction's timeout is longer than the broker allows (transaction.max.timeout.ms).";
    51 => ConcurrentTransactions, retriable, "Another operation on the same transaction has not finished.";
    52 => TransactionCoordinatorFenced, final, "A newer coordinator has taken over the producer's transactions.";
    53 => TransactionalIdAuthorizationFailed, final, "Not authorized for the transactional id.";
    54 => SecurityDisabled, final, "The server has no authorizer.";
    55 => OperationNotAttempted, final, "Not tried, because another part of the request failed.";
    56 => KafkaStorageError, retriable, "The broker cannot use the log directory of the partition.";
    57 => LogDirNotFound, final, "The broker has no such log directory.";
    58 => SaslAuthenticationFailed, final, "Authentication failed.";
    59 => UnknownProducerId, final, "The partition remembers nothing of the producer.";
    60 => ReassignmentInProgress, final, "The partition is being reassigned.";
    61 => DelegationTokenAuthDisabled, final, "Delegation tokens are not enabled.";
    62 => DelegationTokenNotFound, final, "There is no such delegation token.";
    63 => DelegationTokenOwnerMismatch, final, "Only the token's owner or a renewer may do this.";
    64 => DelegationTokenRequestNotAllowed, final, "Delegation tokens cannot be requested over this kind of connection.";
    65 => DelegationTokenAuthorizationFailed, final, "Not authorized for the delegation token.";
    66 => DelegationTokenExpired, final, "The delegation token has expired.";
    67 => InvalidPrincipalType, final, "This type of principal is not supported.";
    68 => NonEmptyGroup, final, "The group has members.";
    69 => GroupIdNotFound, final, "There is no such group.";
    70 => FetchSessionIdNotFound, retriable, "There is no such fetch session.";
    71 => InvalidFetchSessionEpoch, retriable, "The fetch session expects another epoch.";
    72 => ListenerNotFound, retriable, "The leader has no listener like the one that was asked.";
    73 => TopicDeletionDisabled, final, "Topics may not be deleted (delete.topic.enable).";
    74 => FencedLeaderEpoch, retriable, "The leader epoch is older than the partition's.";
    75 => UnknownLeaderEpoch, retriable, "The leader epoch is newer than this broker knows.";
    76 => UnsupportedCompressionType, final, "The client does not know the compression of the records.";
    77 => StaleBrokerEpoch, final, "The broker has registered again since.";
    78 => OffsetNotAvailable, retriable, "The new leader does not know yet how far records are committed.";
    79 => MemberIdRequired, final, "Join again with the member id that comes with this answer.";
    80 => PreferredLeaderNotAvailable, retriable, "The preferred leader cannot lead.";
    81 => GroupMaxSizeReached, final, "The group has as many members as it may.";
    82 => FencedInstanceId, final, "Another member uses the same group.instance.id.";
    83 => EligibleLeadersNotAvailable, retriable, "No replica may become leader.";
    84 => ElectionNotNeeded, retriable, "The partition has its leader already.";
    85 => NoReassignmentInProgress, final, "The partition is not being reassigned.";
    86 => GroupSubscribedToTopic, final, "The group is subscribed to the topic, whose offsets are therefore kept.";
    87 => InvalidRecord, final, "A record breaks a rule of the topic.";
    88 => UnstableOffsetCommit, retriable, "Offsets of an open transaction are pending.";
    89 => ThrottlingQuotaExceeded, retriable, "A quota is used up.";
    90 => ProducerFenced, final, "A newer producer uses the same transactional id.";
    91 => ResourceNotFound, final, "There is no such resource.";
    92 => DuplicateResource, final, "The request names a resource twice.";
    93 => UnacceptableCredential, final, "The credential does not meet the rules.";
    94 => InconsistentVoterSet, final, "The sender or the receiver is not among the voters.";
    95 => InvalidUpdateVersion, final, "The version to update to is not valid.";
    96 => FeatureUpdateFailed, final, "The features could not be updated.";
    97 => PrincipalDeserializationFailure, final, "The forwarded principal could not be read.";
    98 => SnapshotNotFound, final, "There is no such snapshot.";
    99 => PositionOutOfRange, final, "The snapshot has no such position.";
    100 => UnknownTopicId, retriable, "This server has no topic of this id.";
    101 => DuplicateBrokerRegistration, final, "Another broker uses this id.";
    102 => BrokerIdNotRegistered, final, "No broker of this id is registered.";
    103 => InconsistentTopicId, retriable, "The log belongs to another topic id.";
    104 => InconsistentClusterId, final, "The server belongs to another cluster.";
    105 => TransactionalIdNotFound, final, "There is no such transactional id.";
    106 => FetchSessionTopicIdError, retriable, "The fetch session mixes topic names and topic ids.";
    107 => IneligibleReplica, final, "A replica may not join those in sync.";
    108 => NewLeaderElected, final, "The partition was changed and has another leader.";
    109 => OffsetMovedToTieredStorage, final, "The offset lies in tiered storage.";
    110 => FencedMemberEpoch, final, "The member's epoch is fenced, and it must give up its partitions and join again.";
    111 => UnreleasedInstanceId, final, "The instance id is used by a member that has not left.";
    112 => UnsupportedAssignor, final, "The group does not support the assignor.";
    113 => StaleMemberEpoch, final, "The member's epoch is old, and it must retry after its next heartbeat.";
    114 => MismatchedEndpointType, final, "The request went to the wrong kind of listener.";
    115 => UnsupportedEndpointType, final, "This kind of endpoint is not supported.";
    116 => UnknownControllerId, final, "There is no controller of this id.";
    117 => UnknownSubscriptionId, final, "The telemetry subscription is not valid any more.";
    118 => TelemetryTooLarge, final, "The telemetry is larger than the broker accepts.";
    119 => InvalidRegistration, final, "The controller does not accept the registration.";
    120 => TransactionAbortable, final, "The transaction failed and must be aborted.";
    121 => InvalidRecordState, final, "The record cannot be acknowledged in its state.";
    122 => ShareSessionNotFound, retriable, "There is no such share session.";
    123 => InvalidShareSessionEpoch, retriable, "The share session expects another epoch.";
    124 => FencedStateEpoch, final, "The share-group state has another epoch.";
    125 => InvalidVoterKey, final, "The voter's key is not that of the receiver.";
    126 => DuplicateVoter, final, "The voter is among the voters already.";
    127 => VoterNotFound, final, "The voter is not among the voters.";
    128 => InvalidRegularExpression, final, "The regular expression is not valid.";
    129 => RebootstrapRequired, final, "The client's metadata is too old, and it must start from its bootstrap servers.";
    130 => StreamsInvalidTopology, final, "The topology is not valid.";
    131 => StreamsInvalidTopologyEpoch, final, "The topology's epoch is not valid.";
    132 => StreamsTopologyFenced, final, "The topology's epoch is older than the group's.";
    133 => ShareSessionLimitReached, retriable, "The broker has as many share sessions as it may.";
}
