//! What the machine answers: one plain struct per operation, which the shell turns into a response.
//!
//! Invariant: an answer can always be turned into its failed form (`Answer::fail`), so that a caller
//! whose records were not stored gets the error in the shape that its API wants.

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Str, Uuid};

/// Generation of an answer that carries none.
pub const NO_GENERATION: i32 = -1;
/// Committed offset of a partition that has none.
pub const NO_OFFSET: i64 = -1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Join(JoinAnswer),
    Sync(SyncAnswer),
    Heartbeat(ErrorCode),
    Leave(LeaveAnswer),
    OffsetCommit(Vec<CommitTopicAnswer>),
    TxnOffsetCommit(Vec<CommitTopicAnswer>),
    OffsetFetch(OffsetFetchAnswer),
    OffsetDelete(OffsetDeleteAnswer),
    ConsumerHeartbeat(ConsumerHeartbeatAnswer),
    /// Group and its error code.
    DeleteGroups(Vec<(Str, ErrorCode)>),
    EndTransaction(ErrorCode),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    pub error: ErrorCode,
    pub generation_id: i32,
    pub protocol_type: Option<Str>,
    /// Versions below 7 cannot say null: the shell writes an empty name there.
    pub protocol_name: Option<Str>,
    pub leader: Str,
    pub skip_assignment: bool,
    pub member_id: Str,
    /// Filled for the leader only.
    pub members: Vec<JoinedMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub metadata: Bytes,
}

impl JoinAnswer {
    pub(crate) fn error(member_id: Str, error: ErrorCode) -> Self {
        Self {
            error,
            generation_id: NO_GENERATION,
            protocol_type: None,
            protocol_name: None,
            leader: Str::default(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAnswer {
    pub error: ErrorCode,
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    pub assignment: Bytes,
}

impl SyncAnswer {
    pub(crate) fn error(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveAnswer {
    pub error: ErrorCode,
    pub members: Vec<LeftMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub error: ErrorCode,
}

impl LeaveAnswer {
    /// The one error that versions 0 to 2 can carry.
    pub fn single_error(&self) -> ErrorCode {
        match self.error {
            ErrorCode::None => self
                .members
                .first()
                .map_or(ErrorCode::None, |member| member.error),
            error => error,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTopicAnswer {
    pub name: Str,
    pub topic_id: Uuid,
    /// Partition and its error code.
    pub partitions: Vec<(i32, ErrorCode)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchAnswer {
    /// Concerns the whole group; versions below 8 repeat it in every partition.
    pub error: ErrorCode,
    pub group_id: Str,
    pub topics: Vec<FetchTopicAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopicAnswer {
    pub name: Str,
    /// As asked; `Uuid::ZERO` when all offsets were asked for.
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartitionAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPartitionAnswer {
    pub partition: i32,
    pub error: ErrorCode,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetDeleteAnswer {
    pub error: ErrorCode,
    pub topics: Vec<(Str, Vec<(i32, ErrorCode)>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: Str,
    pub protocol_type: Str,
    pub state: &'static str,
    pub group_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    pub error: ErrorCode,
    pub error_message: Option<Str>,
    pub group_id: Str,
    pub state: &'static str,
    pub protocol_type: Str,
    /// Name of the chosen protocol; empty unless the group is stable.
    pub protocol_data: Str,
    pub members: Vec<DescribedMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeatAnswer {
    pub error: ErrorCode,
    pub error_message: Option<Str>,
    pub member_id: Option<Str>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// What the member owns; `None` when it knows already.
    pub assignment: Option<Vec<(Uuid, Vec<i32>)>>,
}

impl ConsumerHeartbeatAnswer {
    pub(crate) fn error(error: ErrorCode, message: Str) -> Self {
        Self {
            error,
            error_message: Some(message),
            member_id: None,
            member_epoch: 0,
            heartbeat_interval_ms: 0,
            assignment: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub error: ErrorCode,
    pub error_message: Option<Str>,
    pub group_id: Str,
    pub state: &'static str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: Str,
    pub members: Vec<DescribedConsumerMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumerMember {
    pub member_id: Str,
    pub instance_id: Option<Str>,
    pub rack_id: Option<Str>,
    pub member_epoch: i32,
    pub client_id: Str,
    pub client_host: Str,
    pub topics: Vec<Str>,
    /// Empty without one.
    pub regex: Str,
    /// What it owns, with what it is giving up.
    pub assignment: Vec<DescribedPartitions>,
    pub target_assignment: Vec<DescribedPartitions>,
    /// Member type 0 on the wire, as against 1.
    pub uses_classic_protocol: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedPartitions {
    pub topic_id: Uuid,
    pub topic_name: Str,
    pub partitions: Vec<i32>,
}

impl Answer {
    /// The same answer after its records failed to be stored.
    pub(crate) fn fail(self, error: ErrorCode) -> Self {
        match self {
            Self::Join(answer) => Self::Join(JoinAnswer::error(answer.member_id, error)),
            Self::Sync(_) => Self::Sync(SyncAnswer::error(error)),
            Self::Heartbeat(_) => Self::Heartbeat(error),
            Self::Leave(_) => Self::Leave(LeaveAnswer {
                error,
                members: Vec::new(),
            }),
            Self::OffsetCommit(topics) => Self::OffsetCommit(fail_topics(topics, error)),
            Self::TxnOffsetCommit(topics) => Self::TxnOffsetCommit(fail_topics(topics, error)),
            Self::OffsetFetch(answer) => Self::OffsetFetch(OffsetFetchAnswer {
                error,
                group_id: answer.group_id,
                topics: Vec::new(),
            }),
            Self::OffsetDelete(_) => Self::OffsetDelete(OffsetDeleteAnswer {
                error,
                topics: Vec::new(),
            }),
            Self::DeleteGroups(groups) => Self::DeleteGroups(
                groups
                    .into_iter()
                    .map(|(group, _)| (group, error))
                    .collect(),
            ),
            Self::EndTransaction(_) => Self::EndTransaction(error),
            Self::ConsumerHeartbeat(_) => Self::ConsumerHeartbeat(ConsumerHeartbeatAnswer::error(
                error,
                error.message().into(),
            )),
        }
    }
}

fn fail_topics(mut topics: Vec<CommitTopicAnswer>, error: ErrorCode) -> Vec<CommitTopicAnswer> {
    for (_, code) in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        *code = error;
    }
    topics
}
