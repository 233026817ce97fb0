//! What the shell asks: one plain struct per operation, free of wire versions and frames.
//!
//! Invariant: a request names one group (the shell splits what names several), and every topic in it
//! has its name (the shell resolves topic ids). Built by the broker's API handlers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::{Str, Uuid};

/// The caller that waits for an answer; opaque to the machine, which answers each token exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// 128 random bits from the shell, which become the unique part of a member id should one be needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshId(pub u128);

/// Stands in the log where a client gave no reason.
pub(crate) const NO_REASON: &str = "not provided";

/// From this version of JoinGroup on a dynamic member is told its id before it is let in.
const FIRST_VERSION_WITH_KNOWN_MEMBER_ID: i16 = 4;

/// A protocol that a member can speak, with its opaque metadata (for consumers: the subscription).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    pub name: Str,
    pub metadata: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroup {
    /// Version of the request: 4 and up hands out the member id first, 9 and up may skip the assignment.
    pub api_version: i16,
    pub client_id: Str,
    /// As Kafka stores it: the address with a slash before it, `/127.0.0.1`.
    pub client_host: Str,
    pub group_id: Str,
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub session_timeout_ms: i32,
    /// Ignored in version 0, where the session timeout stands for it.
    pub rebalance_timeout_ms: i32,
    pub protocol_type: Str,
    pub protocols: Vec<Protocol>,
    /// Why, in the client's words; for the log.
    pub reason: Option<Str>,
}

impl JoinGroup {
    /// Whether a dynamic member must be told its id before it is let in.
    pub(crate) fn needs_member_id(&self) -> bool {
        self.member_id.is_empty()
            && self.group_instance_id.is_none()
            && self.api_version >= FIRST_VERSION_WITH_KNOWN_MEMBER_ID
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroup {
    /// Version of the request: 5 and up must name protocol type and protocol.
    pub api_version: i16,
    pub group_id: Str,
    pub generation_id: i32,
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    /// Member id and assignment; filled by the leader only.
    pub assignments: Vec<(Str, Bytes)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub group_id: Str,
    pub generation_id: i32,
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
}

/// Versions 0 to 2 name one member; the shell makes a list of one of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroup {
    pub group_id: Str,
    pub members: Vec<LeavingMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty when an administrator removes a static member by its instance id.
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub reason: Option<Str>,
}

/// ConsumerGroupHeartbeat. Parts that are absent are as they were; all are there when the member joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    /// Version of the request: from 1 on members bring an id of their own making.
    pub api_version: i16,
    pub client_id: Str,
    /// As Kafka stores it: the address with a slash before it, `/127.0.0.1`.
    pub client_host: Str,
    pub group_id: Str,
    pub member_id: Str,
    /// 0 joins, -1 leaves, -2 leaves for a while (static members).
    pub member_epoch: i32,
    pub instance_id: Option<Str>,
    pub rack_id: Option<Str>,
    /// -1 when absent.
    pub rebalance_timeout_ms: i32,
    pub topics: Option<Vec<Str>>,
    pub regex: Option<Str>,
    pub assignor: Option<Str>,
    /// What the member owns, by topic.
    pub owned: Option<BTreeMap<Uuid, BTreeSet<i32>>>,
}

impl ConsumerHeartbeat {
    /// The same in copies of its own, which do not keep the request's frame in memory.
    pub(crate) fn detached(&self) -> Self {
        let own = |text: &Option<Str>| text.as_ref().map(Str::detached);
        Self {
            api_version: self.api_version,
            client_id: self.client_id.detached(),
            client_host: self.client_host.detached(),
            group_id: self.group_id.detached(),
            member_id: self.member_id.detached(),
            member_epoch: self.member_epoch,
            instance_id: own(&self.instance_id),
            rack_id: own(&self.rack_id),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            topics: self
                .topics
                .as_ref()
                .map(|topics| topics.iter().map(Str::detached).collect()),
            regex: own(&self.regex),
            assignor: own(&self.assignor),
            owned: self.owned.clone(),
        }
    }
}

/// OffsetCommit of topics and partitions that exist; the shell answers for the others itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Version of the request: 9 and up answers GROUP_ID_NOT_FOUND for an unknown group.
    pub api_version: i16,
    pub group_id: Str,
    /// Generation (classic) or member epoch (consumer protocol); negative outside of any membership.
    pub generation_id: i32,
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    /// Versions 2 to 4 only; `None` leaves expiry to the broker's retention.
    pub retention_ms: Option<i64>,
    pub topics: Vec<CommitTopic>,
}

/// Offsets committed as part of a producer's transaction; visible once its commit marker is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnOffsetCommit {
    pub api_version: i16,
    pub group_id: Str,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub generation_id: i32,
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub topics: Vec<CommitTopic>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTopic {
    pub name: Str,
    /// `Uuid::ZERO` when the shell does not know it.
    pub topic_id: Uuid,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPartition {
    pub partition: i32,
    pub offset: i64,
    /// -1 when unknown.
    pub leader_epoch: i32,
    pub metadata: Option<Str>,
}

/// OffsetFetch of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetch {
    pub group_id: Str,
    /// Given by members of the consumer protocol (version 9 and up).
    pub member_id: Option<Str>,
    /// -1 when absent.
    pub member_epoch: i32,
    /// `None` asks for every committed offset of the group.
    pub topics: Option<Vec<FetchTopic>>,
    /// Refuses offsets over which a transaction is still open.
    pub require_stable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopic {
    pub name: Str,
    /// `Uuid::ZERO` when the client asked by name.
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetDelete {
    pub group_id: Str,
    /// Topic and partitions.
    pub topics: Vec<(Str, Vec<i32>)>,
}

/// The end of a producer's transaction as far as this partition of `__consumer_offsets` is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransaction {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
    pub committed: bool,
}

/// Filters of ListGroups; an empty list lets everything pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListGroups {
    pub states: Vec<Str>,
    pub types: Vec<Str>,
}

/// A topic whose committed offsets have lost their meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: Str,
    pub topic_id: Uuid,
}
