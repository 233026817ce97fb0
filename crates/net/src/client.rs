//! A small Kafka client for the tools: finds brokers, keeps connections, asks again when it may help.
//!
//! Invariant: everything is bounded, by `ClientConfig` in time and by each file's constants in
//! memory; a call either succeeds or says what happened to what.
//! Used by the subcommands of the binary. `producer.rs`, `consumer.rs`, `group.rs` and `admin.rs`
//! stand on this file and name topics by name, so they stay below the versions that use ids.

mod admin;
pub mod assignor;
mod cluster;
mod connection;
mod consumer;
mod error;
mod fetched;
mod group;
mod partitioner;
mod producer;
#[cfg(test)]
mod testing;
mod transactions;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
use ottla_protocol::{ErrorCode, Request, Str};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;

pub use admin::{ConfigChange, GroupView, MemberView, NewTopic, OffsetSpec, Offsets, Resource};
pub use assignor::Assignment;
pub use cluster::{Broker, Cluster};
pub use consumer::{Consumer, ConsumerConfig, Fetched, Position};
pub use error::{ClientError, Lost};
pub use group::{GroupConfig, GroupConsumer};
pub use producer::{Acks, ProduceRecord, Produced, Producer, ProducerConfig};
pub use transactions::{OpenTransaction, TransactionFilter};

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 9092;

/// Waits between attempts.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

const METADATA_VERSIONS: RangeInclusive<i16> = 4..=12;
const FIND_COORDINATOR_VERSIONS: RangeInclusive<i16> = 1..=3;

#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Addresses of some brokers, `host:port`.
    pub bootstrap: Vec<String>,
    pub client_id: String,
    pub connect_timeout: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long one operation may take, with all its attempts.
    pub operation_timeout: Duration,
}

impl ClientConfig {
    pub fn new(bootstrap: &str) -> Result<Self, ClientError> {
        let bootstrap = bootstrap
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(with_port)
            .collect::<Result<Vec<_>, _>>()?;
        if bootstrap.is_empty() {
            return Err(ClientError::InvalidAddress(String::new()));
        }
        Ok(ClientConfig {
            bootstrap,
            client_id: "ottla".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(30),
        })
    }
}

fn with_port(address: &str) -> Result<String, ClientError> {
    let invalid = || ClientError::InvalidAddress(address.to_owned());
    // Brackets hold the colons of an IPv6 address.
    let after_host = address.rfind(']').map_or(0, |end| end + 1);
    match address[after_host..].split_once(':') {
        None => Ok(format!("{address}:{DEFAULT_PORT}")),
        Some((_, port)) => {
            port.parse::<u16>().map_err(|_| invalid())?;
            Ok(address.to_owned())
        }
    }
}

/// Keeps apart what would wait behind each other, for a broker serves a connection in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    General,
    /// Held by long polls.
    Fetch,
    /// Held by joins; heartbeats must not wait behind fetches.
    Group,
}

/// What a coordinator coordinates, as FindCoordinator numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoordinatorKind {
    Group = 0,
    Transaction = 1,
}

impl CoordinatorKind {
    fn of_what(self) -> &'static str {
        match self {
            CoordinatorKind::Group => "group",
            CoordinatorKind::Transaction => "transactional id",
        }
    }
}

/// A request that can be made from any thread.
pub(crate) trait Ask: Request<Response: Send> + Sync {}

impl<R: Request<Response: Send> + Sync> Ask for R {}

/// A client of one cluster; clones share their connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    connections: Mutex<HashMap<(i32, Purpose), Arc<connection::BrokerConnection>>>,
    bootstrap: Mutex<Option<Arc<connection::BrokerConnection>>>,
    cluster: std::sync::Mutex<Arc<Cluster>>,
}

impl Client {
    /// Connects to the first broker that answers.
    pub async fn connect(config: ClientConfig) -> Result<Client, ClientError> {
        let client = Client {
            shared: Arc::new(Shared {
                config,
                connections: Mutex::default(),
                bootstrap: Mutex::default(),
                cluster: std::sync::Mutex::default(),
            }),
        };
        client.any().await?;
        Ok(client)
    }

    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// Asks any broker, again while that may help.
    pub(crate) async fn call_any<R: Ask>(
        &self,
        request: &R,
        versions: RangeInclusive<i16>,
    ) -> Result<R::Response, ClientError> {
        self.retry(|| async {
            let connection = self.any().await?;
            connection.call(request, &versions, Duration::ZERO).await
        })
        .await
    }

    /// Asks one broker, once.
    pub(crate) async fn call_broker<R: Ask>(
        &self,
        broker: i32,
        purpose: Purpose,
        request: &R,
        versions: RangeInclusive<i16>,
        wait: Duration,
    ) -> Result<R::Response, ClientError> {
        let connection = self.broker(broker, purpose).await?;
        connection.call(request, &versions, wait).await
    }

    /// Tells one broker something that has no answer.
    pub(crate) async fn tell_broker<R: Ask>(
        &self,
        broker: i32,
        request: &R,
        versions: RangeInclusive<i16>,
    ) -> Result<(), ClientError> {
        let connection = self.broker(broker, Purpose::General).await?;
        connection.send(request, &versions).await
    }

    /// Does `operation` again while it fails with what may pass, until the operation's time is up.
    pub async fn retry<T, F>(
        &self,
        mut operation: impl FnMut() -> F + Send,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let deadline = Instant::now() + self.shared.config.operation_timeout;
        let mut backoff = BACKOFF_FIRST;
        loop {
            match operation().await {
                Err(error) if may_pass(&error) && Instant::now() + backoff < deadline => {
                    debug!(%error, "trying again");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                result => return result,
            }
        }
    }

    /// Asks about `topics`, or about all of them. Remembers the answer for `leader`.
    pub async fn cluster(&self, topics: Option<&[&str]>) -> Result<Arc<Cluster>, ClientError> {
        self.metadata(topics, false).await
    }

    pub(crate) async fn metadata(
        &self,
        topics: Option<&[&str]>,
        allow_auto_topic_creation: bool,
    ) -> Result<Arc<Cluster>, ClientError> {
        let request = MetadataRequest {
            topics: topics.map(|names| {
                let topic = |name: &&str| MetadataRequestTopic {
                    name: Some(Str::from(*name)),
                    ..MetadataRequestTopic::default()
                };
                names.iter().map(topic).collect()
            }),
            allow_auto_topic_creation,
            ..MetadataRequest::default()
        };
        let response = self.call_any(&request, METADATA_VERSIONS).await?;
        let cluster = Arc::new(Cluster::from_response(response));
        *self.known_cluster() = Arc::clone(&cluster);
        Ok(cluster)
    }

    /// The broker that coordinates a group.
    pub(crate) async fn coordinator(&self, group: &str) -> Result<i32, ClientError> {
        self.find_coordinator(CoordinatorKind::Group, group).await
    }

    pub(crate) async fn find_coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
    ) -> Result<i32, ClientError> {
        let request = FindCoordinatorRequest {
            key: Str::from(key),
            key_type: kind as i8,
            ..FindCoordinatorRequest::default()
        };
        self.retry(|| async {
            let response = self
                .any()
                .await?
                .call(&request, &FIND_COORDINATOR_VERSIONS, Duration::ZERO)
                .await?;
            check(
                || format!("coordinator of {} {key}", kind.of_what()),
                response.error_code,
                response.error_message.as_deref(),
            )?;
            if !self.known_cluster().brokers.contains_key(&response.node_id) {
                self.cluster(Some(&[])).await?;
            }
            Ok(response.node_id)
        })
        .await
    }

    fn known_cluster(&self) -> std::sync::MutexGuard<'_, Arc<Cluster>> {
        self.shared
            .cluster
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A connection to a broker of the cluster as last seen.
    async fn broker(
        &self,
        id: i32,
        purpose: Purpose,
    ) -> Result<Arc<connection::BrokerConnection>, ClientError> {
        let mut connections = self.shared.connections.lock().await;
        if let Some(connection) = connections.get(&(id, purpose))
            && connection.is_open()
        {
            return Ok(Arc::clone(connection));
        }
        let address = self
            .known_cluster()
            .brokers
            .get(&id)
            .map(Broker::address)
            .ok_or(ClientError::UnknownBroker { broker: id })?;
        let connection = connection::BrokerConnection::open(address, &self.shared.config).await?;
        let connection = Arc::new(connection);
        connections.insert((id, purpose), Arc::clone(&connection));
        Ok(connection)
    }

    /// A connection to whichever broker answers first, those of the bootstrap list and then those
    /// that were learnt.
    async fn any(&self) -> Result<Arc<connection::BrokerConnection>, ClientError> {
        let mut bootstrap = self.shared.bootstrap.lock().await;
        if let Some(connection) = &*bootstrap
            && connection.is_open()
        {
            return Ok(Arc::clone(connection));
        }
        let config = &self.shared.config;
        let known = Arc::clone(&self.known_cluster());
        let learnt = known.brokers.values().map(Broker::address);
        let mut last = None;
        for address in config.bootstrap.iter().cloned().chain(learnt) {
            match connection::BrokerConnection::open(address, config).await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    *bootstrap = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) => last = Some(error),
            }
        }
        let list = config.bootstrap.join(",");
        Err(match last {
            Some(last) => ClientError::NoBroker {
                bootstrap: list,
                last: Box::new(last),
            },
            None => ClientError::InvalidAddress(list),
        })
    }
}

/// Whether to try again. A broker that nobody listens on is reported at once, not after a minute.
fn may_pass(error: &ClientError) -> bool {
    error.is_retriable() && !matches!(error, ClientError::NoBroker { .. })
}

/// Turns an error code of an answer into an error about `subject`.
pub(crate) fn check(
    subject: impl FnOnce() -> String,
    code: i16,
    message: Option<&str>,
) -> Result<(), ClientError> {
    match code == ErrorCode::None.code() {
        true => Ok(()),
        false => Err(ClientError::refused(subject(), code, message)),
    }
}

#[cfg(test)]
mod tests;
