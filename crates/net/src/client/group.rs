//! A member of a consumer group by the classic protocol, eager, with the range assignor.
//!
//! | state       | on                                   | becomes                      |
//! |-------------|--------------------------------------|------------------------------|
//! | outside     | join and sync answered               | member of a generation       |
//! | member      | rebalance announced                  | outside, keeps its member id |
//! | member      | unknown member, fenced generation    | outside, forgets it          |
//! | member      | `close`                              | outside, told the group      |
//!
//! Invariant: only what `poll` has handed out before the last `poll` is committed, and only as a
//! member of the generation that it was read in. Heartbeats run beside the caller's work.
//! Used by `ottla consume --group`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use ottla_protocol::{ApiKey, ErrorCode, Str};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info};

use super::assignor::{
    Assignment, PROTOCOL_TYPE, RANGE, Subscription, decode_assignment, decode_subscription,
    encode_assignment, encode_subscription, range,
};
use super::consumer::{Consumer, ConsumerConfig, Fetched, Position};
use super::error::ClientError;
use super::{Client, Purpose, check};

const JOIN_VERSIONS: RangeInclusive<i16> = 2..=9;
const SYNC_VERSIONS: RangeInclusive<i16> = 1..=5;
const HEARTBEAT_VERSIONS: RangeInclusive<i16> = 1..=4;
const LEAVE_VERSIONS: RangeInclusive<i16> = 3..=5;

#[derive(Debug, Clone)]
pub struct GroupConfig {
    pub group: String,
    pub topics: Vec<String>,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
    /// Where to begin in partitions for which the group has no offset.
    pub initial: Position,
}

impl GroupConfig {
    pub fn new(group: impl Into<String>, topics: Vec<String>) -> Self {
        GroupConfig {
            group: group.into(),
            topics,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
            initial: Position::Latest,
        }
    }
}

pub struct GroupConsumer {
    client: Client,
    config: GroupConfig,
    consumer: Consumer,
    /// Empty until the coordinator has given one.
    member_id: String,
    membership: Option<Membership>,
}

/// A place in a generation.
struct Membership {
    generation: i32,
    health: watch::Receiver<Health>,
    heartbeat: JoinHandle<()>,
    /// What was committed last, so that nothing is committed twice.
    committed: BTreeMap<(String, i32), i64>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// What heartbeats say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// The group rebalances; join again with the same member id.
    Rebalancing,
    /// The group has gone on without this member.
    Lost,
    /// Another instance has this member's identity.
    Fatal(ErrorCode),
}

impl Health {
    fn of(code: ErrorCode) -> Health {
        match code {
            ErrorCode::None => Health::Good,
            ErrorCode::RebalanceInProgress => Health::Rebalancing,
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => Health::Lost,
            // The next heartbeat may find the coordinator.
            code if code.is_retriable() => Health::Good,
            code => Health::Fatal(code),
        }
    }
}

impl GroupConsumer {
    pub fn new(client: Client, config: GroupConfig, mut consumer: ConsumerConfig) -> Self {
        // A group goes on where retention has left something.
        consumer.out_of_range.get_or_insert(config.initial);
        GroupConsumer {
            consumer: Consumer::new(client.clone(), consumer),
            client,
            config,
            member_id: String::new(),
            membership: None,
        }
    }

    /// The next records, or `None` if none came within `timeout`. Joins the group as often as that
    /// is needed, which may take longer.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Option<Fetched>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            let health = match &mut self.membership {
                None => {
                    self.join().await?;
                    continue;
                }
                Some(membership) => {
                    let changed = membership.health.wait_for(|health| *health != Health::Good);
                    tokio::select! {
                        biased;
                        // An error means that the heartbeats ended, which they do not by themselves.
                        health = changed => health.map_or(Health::Lost, |health| *health),
                        fetched = self.consumer.poll(deadline - Instant::now()) => return fetched,
                    }
                }
            };
            match health {
                Health::Good => {}
                Health::Rebalancing => {
                    self.commit().await?;
                    self.membership = None;
                }
                Health::Lost => self.forget_membership(),
                Health::Fatal(code) => {
                    self.forget_membership();
                    return Err(self.refused(code));
                }
            }
        }
    }

    /// Commits what was handed out. A group that has moved on is joined again by the next poll.
    pub async fn commit(&mut self) -> Result<(), ClientError> {
        let Some(membership) = &mut self.membership else {
            return Ok(());
        };
        let delivered = self.consumer.delivered();
        let changed: BTreeMap<(String, i32), i64> = delivered
            .map(|(topic, partition, offset)| ((topic.to_owned(), partition), offset))
            .filter(|(key, offset)| membership.committed.get(key) != Some(offset))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let committed = self
            .client
            .commit_as(
                &self.config.group,
                &self.member_id,
                membership.generation,
                &changed,
            )
            .await;
        match committed {
            Ok(()) => {
                membership.committed.extend(changed);
                Ok(())
            }
            Err(error) => match error.code().map(Health::of) {
                // Whoever has the partitions next reads again what was not committed.
                Some(Health::Rebalancing | Health::Lost) => {
                    debug!(%error, "offsets were not committed");
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Notes that only what lies before `offset` is to be committed.
    pub fn set_delivered(&mut self, topic: &str, partition: i32, offset: i64) {
        self.consumer.set_delivered(topic, partition, offset);
    }

    /// Partitions that this member has.
    pub fn assigned(&self) -> Vec<(String, i32)> {
        self.consumer
            .delivered()
            .map(|(topic, partition, _)| (topic.to_owned(), partition))
            .collect()
    }

    /// Commits, and leaves the group so that it need not wait for the session to expire.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.commit().await?;
        self.membership = None;
        if self.member_id.is_empty() {
            return Ok(());
        }
        let request = LeaveGroupRequest {
            group_id: Str::from(&self.config.group),
            members: vec![MemberIdentity {
                member_id: Str::from(&self.member_id),
                ..MemberIdentity::default()
            }],
            ..LeaveGroupRequest::default()
        };
        let response = self
            .client
            .call_coordinator(&self.config.group, &request, LEAVE_VERSIONS)
            .await?;
        check(|| self.subject(), response.error_code, None)
    }

    fn forget_membership(&mut self) {
        self.membership = None;
        self.member_id.clear();
    }

    fn subject(&self) -> String {
        format!("group {}", self.config.group)
    }

    fn refused(&self, code: ErrorCode) -> ClientError {
        ClientError::refused(self.subject(), code.code(), None)
    }

    /// Joins until a generation is complete.
    async fn join(&mut self) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.config.rebalance_timeout * 2;
        loop {
            match self.try_join().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() < deadline => match error.code() {
                    // The coordinator has named the member and wants to hear its name.
                    Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => {}
                    Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                        self.member_id.clear();
                    }
                    _ if error.is_retriable() => {
                        debug!(%error, "joining again");
                        tokio::time::sleep(super::BACKOFF_FIRST).await;
                    }
                    _ => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_join(&mut self) -> Result<(), ClientError> {
        let coordinator = self.client.coordinator(&self.config.group).await?;
        let joined = self.send_join(coordinator).await?;
        let assignments = match joined.leader == joined.member_id && !joined.skip_assignment {
            true => self.assign(&joined).await?,
            false => Vec::new(),
        };
        let request = SyncGroupRequest {
            group_id: Str::from(&self.config.group),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some(Str::from_static(PROTOCOL_TYPE)),
            protocol_name: joined.protocol_name.clone(),
            assignments,
            ..SyncGroupRequest::default()
        };
        let wait = self.config.rebalance_timeout;
        let synced = self
            .client
            .call_broker(coordinator, Purpose::Group, &request, SYNC_VERSIONS, wait)
            .await?;
        check(|| self.subject(), synced.error_code, None)?;
        let assignment =
            decode_assignment(&synced.assignment).map_err(|source| ClientError::Assignment {
                group: self.config.group.clone(),
                source,
            })?;
        info!(
            group = self.config.group,
            generation = joined.generation_id,
            ?assignment,
            "joined the group"
        );
        self.begin(coordinator, joined.generation_id, assignment)
            .await
    }

    async fn send_join(&mut self, coordinator: i32) -> Result<JoinGroupResponse, ClientError> {
        let subscription =
            encode_subscription(&self.config.topics).map_err(|source| ClientError::Encode {
                api: ApiKey::JoinGroup,
                source,
            })?;
        let millis = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let request = JoinGroupRequest {
            group_id: Str::from(&self.config.group),
            session_timeout_ms: millis(self.config.session_timeout),
            rebalance_timeout_ms: millis(self.config.rebalance_timeout),
            member_id: Str::from(&self.member_id),
            protocol_type: Str::from_static(PROTOCOL_TYPE),
            protocols: vec![JoinGroupRequestProtocol {
                name: Str::from_static(RANGE),
                metadata: subscription,
                ..JoinGroupRequestProtocol::default()
            }],
            ..JoinGroupRequest::default()
        };
        let wait = self.config.rebalance_timeout;
        let joined = self
            .client
            .call_broker(coordinator, Purpose::Group, &request, JOIN_VERSIONS, wait)
            .await?;
        if !joined.member_id.is_empty() {
            self.member_id = joined.member_id.to_string();
        }
        check(|| self.subject(), joined.error_code, None)?;
        Ok(joined)
    }

    /// Divides the partitions, as the generation's leader.
    async fn assign(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut subscriptions = Vec::new();
        for member in &joined.members {
            let topics = decode_subscription(&member.metadata).map_err(|source| {
                ClientError::Assignment {
                    group: self.config.group.clone(),
                    source,
                }
            })?;
            subscriptions.push(Subscription {
                member: member.member_id.to_string(),
                topics,
            });
        }
        let topics: std::collections::BTreeSet<&str> = subscriptions
            .iter()
            .flat_map(|subscription| subscription.topics.iter().map(String::as_str))
            .collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let cluster = self.client.cluster(Some(&topics)).await?;
        let mut partitions = BTreeMap::new();
        for topic in &topics {
            // A topic that does not exist has no partitions to give.
            if let Ok(numbers) = cluster.partitions(topic) {
                partitions.insert((*topic).to_owned(), numbers);
            }
        }
        range(&subscriptions, &partitions)
            .into_iter()
            .map(|(member, assignment)| {
                Ok(SyncGroupRequestAssignment {
                    member_id: Str::from(member),
                    assignment: encode_assignment(&assignment).map_err(|source| {
                        ClientError::Encode {
                            api: ApiKey::SyncGroup,
                            source,
                        }
                    })?,
                    ..SyncGroupRequestAssignment::default()
                })
            })
            .collect()
    }

    /// Begins to read what was assigned, and to send heartbeats.
    async fn begin(
        &mut self,
        coordinator: i32,
        generation: i32,
        assignment: Assignment,
    ) -> Result<(), ClientError> {
        let (sender, health) = watch::channel(Health::Good);
        let heartbeat = tokio::spawn(send_heartbeats(
            self.client.clone(),
            coordinator,
            HeartbeatRequest {
                group_id: Str::from(&self.config.group),
                generation_id: generation,
                member_id: Str::from(&self.member_id),
                ..HeartbeatRequest::default()
            },
            self.config.heartbeat_interval,
            sender,
        ));
        let mut membership = Membership {
            generation,
            health,
            heartbeat,
            committed: BTreeMap::new(),
        };
        let topics: Vec<&str> = assignment.keys().map(String::as_str).collect();
        self.client.cluster(Some(&topics)).await?;
        let committed = self.client.committed_offsets(&self.config.group).await?;
        let partitions = assignment.iter().flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(|partition| (topic.clone(), *partition))
        });
        let positions = partitions.map(|key| {
            let position = match committed.get(&key) {
                Some(offset) => Position::Offset(*offset),
                None => self.config.initial,
            };
            (key.0, key.1, position)
        });
        self.consumer.assign(positions.collect()).await?;
        membership.committed = committed;
        self.membership = Some(membership);
        Ok(())
    }
}

async fn send_heartbeats(
    client: Client,
    mut coordinator: i32,
    request: HeartbeatRequest,
    interval: Duration,
    health: watch::Sender<Health>,
) {
    loop {
        tokio::time::sleep(interval).await;
        let zero = Duration::ZERO;
        let answer = client
            .call_broker(
                coordinator,
                Purpose::General,
                &request,
                HEARTBEAT_VERSIONS,
                zero,
            )
            .await;
        let code = match answer {
            Ok(response) => ErrorCode::from_code(response.error_code),
            Err(error) => {
                debug!(%error, "a heartbeat failed");
                ErrorCode::CoordinatorNotAvailable
            }
        };
        match Health::of(code) {
            Health::Good if code.is_error() => {
                // The coordinator has moved or is coming up.
                if let Ok(found) = client.coordinator(&request.group_id).await {
                    coordinator = found;
                }
            }
            Health::Good => {}
            other => {
                // The member is gone if nobody listens.
                let _gone = health.send(other);
                return;
            }
        }
    }
}
