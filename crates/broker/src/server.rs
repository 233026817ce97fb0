//! Start and stop: from a configuration to a broker that answers, and back to files at rest.
//!
//! The order of a start: log directories are locked, the metadata log is replayed, the listeners are bound (so that
//! the registration can name their ports), the broker registers with the controller, its partitions' logs are
//! opened, and only then are connections served.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use ottla_config::BrokerConfig;
use ottla_controller::{
    Controller, DirectoryAssignment, Heartbeat, Registration, bootstrap_records,
};
use ottla_log::{
    Background, BackgroundTicks, CleanerThreads, DEFAULT_OPEN_FILES_MAX, DirsError, Disk,
    Environment, LogDir, LogDirs, LogManager, ManagerSettings, MoverThreads,
};
use ottla_metadata::{Endpoint, MetadataImage, MetadataVersion, supported_features};
use ottla_net::{
    BindError, ConnectionInfo, Limits, ListenerConfig, Outcome, Server, ServerHandle, Service,
};
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{Str, Uuid};

use crate::api;
use crate::broker::Broker;
use crate::broker::settings::{
    cleaner_settings, effective_config, log_config, millis, mover_settings, topic_configs,
};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::controller::{self, CommandError, ControllerHandle};
use crate::loggers::Loggers;
use crate::publisher::Publisher;
use crate::quorum::QuorumError;
use crate::quorum::local::{LocalQuorum, LocalQuorumConfig};

/// How long requests in flight may go on when the broker stops.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Threads for syncing rolled segments, reserving blocks ahead, and writeback.
const LOG_THREADS: usize = 2;

/// How often logs are tried again that a full disk did not let begin.
const WAITING_LOGS_RETRY: Duration = Duration::from_secs(5);

/// How often a broker looks whether it can go on.
const FAILURE_LOOK: Duration = Duration::from_secs(1);

/// A broker that answers.
pub struct RunningBroker {
    broker: Arc<Broker>,
    net: ServerHandle,
    controller: JoinHandle<()>,
    /// Flushing, retention and checkpoints, until it is dropped.
    log_ticks: BackgroundTicks,
    /// Compaction, until it is dropped.
    cleaner: Arc<CleanerThreads>,
    /// Moves to other log directories, until it is dropped.
    movers: Arc<MoverThreads>,
    broker_epoch: i64,
    /// Where the metadata log lies.
    metadata_dir: Arc<LogDir>,
}

/// Why a broker that was running cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatalError {
    #[error("every log directory has failed; of {}: {reason}", path.display())]
    AllDirsFailed { path: PathBuf, reason: String },
    #[error("the directory of the metadata log, {}, has failed: {reason}", path.display())]
    MetadataDirFailed { path: PathBuf, reason: String },
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the log directories cannot be used: {0}")]
    Dirs(#[from] DirsError),
    #[error("the logs cannot be used: {0}")]
    Logs(#[from] ottla_log::StartError),
    #[error("the system refuses a thread or a directory: {0}")]
    System(#[from] std::io::Error),
    #[error("the metadata log cannot be used: {0}")]
    Quorum(#[from] QuorumError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("listener {listener}: {host} has no address: {source}")]
    Resolve {
        listener: String,
        host: String,
        source: std::io::Error,
    },
    #[error("the broker cannot join the cluster: {0}")]
    Join(#[from] CommandError),
}

/// Starts a broker; it answers when this returns.
pub async fn start(config: BrokerConfig) -> Result<RunningBroker, StartError> {
    let clock = Clock;
    let config = Arc::new(config);
    let environment = Environment::new(
        Disk::new(),
        DEFAULT_OPEN_FILES_MAX,
        Background::threads(LOG_THREADS, "log-background"),
    );
    let dirs = LogDirs::open(environment, &config.log.dirs, config.node_id, None)?;
    let cluster_id = Str::from(dirs.cluster_id().to_string());
    let server = Server::bind(limits(&config), &listeners(&config).await?)?;
    let (quorum, image, logs, metadata_dir) = open_logs(&config, dirs, clock).await?;
    let broker = Broker::new(
        cluster_id.clone(),
        Arc::clone(&config),
        Arc::clone(&logs),
        clock,
    );
    let broker = Arc::new(broker);

    let mut publisher = Publisher::new(Arc::clone(&broker));
    let controller = Controller::new(
        cluster_id,
        Arc::clone(&config),
        image.clone(),
        sessions_over(&config, clock),
    );
    publisher.publish_all(image);
    let (handle, thread) = controller::start(controller, Box::new(quorum), publisher, clock)?;
    broker.set_controller(handle.clone());
    mind_waiting_logs(&broker);
    let broker_epoch = join(&handle, &config, &broker, server.addresses()).await?;
    let log_ticks = logs.run_in_background(
        move || clock.now_ms(),
        |failure| {
            tracing::error!(
                dir = %failure.path.display(),
                reason = failure.reason,
                partitions = failure.partitions.len(),
                "a log directory failed; its partitions answer with KAFKA_STORAGE_ERROR until a restart"
            );
        },
    )?;

    let net = server.start(Arc::new(BrokerService {
        broker: Arc::clone(&broker),
    }));
    let connection_limits = net.connection_limits();
    let settings = cleaner_settings(&broker.config());
    let cleaner = CleanerThreads::start(&logs, settings, move || clock.now_ms())?;
    let cleaner = Arc::new(cleaner);
    let movers = Arc::new(start_movers(&broker)?);
    let reconfigured = Arc::downgrade(&cleaner);
    let slowed = Arc::downgrade(&movers);
    broker.set_config_follower(Box::new(move |config| {
        connection_limits.update(&limits(config));
        if let Some(movers) = slowed.upgrade() {
            movers.set_rate(mover_settings(config).bytes_per_second_max);
        }
        if let Some(cleaner) = reconfigured.upgrade()
            && let Err(error) = cleaner.reconfigure(cleaner_settings(config))
        {
            tracing::error!(%error, "the cleaner has fewer threads than it should");
        }
    }));
    Ok(RunningBroker {
        broker,
        net,
        controller: thread,
        log_ticks,
        cleaner,
        movers,
        broker_epoch,
        metadata_dir,
    })
}

impl RunningBroker {
    /// Name and address of each listener, as bound.
    pub fn addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        self.net.addresses()
    }

    /// The levels of the process's log, for whoever has set it up to connect.
    pub fn loggers(&self) -> &Loggers {
        &self.broker.loggers
    }

    /// Completes when the broker cannot go on, as Kafka's halts then: no log directory is left, or not the one of the
    /// metadata log, without which nothing can be changed any more. Looks at memory alone, for a disk may never answer.
    pub async fn failed(&self) -> FatalError {
        let mut looks = tokio::time::interval(FAILURE_LOOK);
        loop {
            looks.tick().await;
            if let Some(error) = fatal_failure(&self.broker.logs, &self.metadata_dir) {
                return error;
            }
        }
    }

    /// Stops: requests in flight end, everything is written, and the next start has nothing to recover.
    pub async fn stop(self) {
        self.net.stop(STOP_GRACE).await;
        self.broker.stop_controller();
        let (broker, controller, broker_epoch) = (self.broker, self.controller, self.broker_epoch);
        let (log_ticks, cleaner, movers) = (self.log_ticks, self.cleaner, self.movers);
        let stopped = tokio::task::spawn_blocking(move || {
            if controller.join().is_err() {
                tracing::error!("the controller's thread ended by a panic");
            }
            drop(movers);
            drop(cleaner);
            drop(log_ticks);
            broker.logs.shutdown(broker_epoch);
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the logs were not closed");
        }
    }
}

fn fatal_failure(logs: &LogManager, metadata_dir: &LogDir) -> Option<FatalError> {
    let failure = |dir: &LogDir| {
        let path = dir.path().to_path_buf();
        dir.failure().map(|reason| (path, reason.to_owned()))
    };
    let failures: Option<Vec<_>> = logs
        .dirs()
        .dirs()
        .iter()
        .map(|open| failure(&open.dir))
        .collect();
    if let Some((path, reason)) = failures.and_then(|mut failures| failures.pop()) {
        return Some(FatalError::AllDirsFailed { path, reason });
    }
    failure(metadata_dir).map(|(path, reason)| FatalError::MetadataDirFailed { path, reason })
}

/// Has logs made that wait for room, until the controller stops.
fn mind_waiting_logs(broker: &Arc<Broker>) {
    let minded = Arc::downgrade(broker);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(WAITING_LOGS_RETRY);
        loop {
            ticks.tick().await;
            let Some(broker) = minded.upgrade() else {
                return;
            };
            let Ok(controller) = broker.controller() else {
                return;
            };
            if broker.has_waiting_logs.load(Ordering::Acquire) {
                controller.begin_waiting_logs();
            }
        }
    });
}

/// Starts the threads that move logs, which tell the controller where a log is about to be (KIP-858).
fn start_movers(broker: &Arc<Broker>) -> std::io::Result<MoverThreads> {
    let (clock, settings) = (broker.clock, mover_settings(&broker.config()));
    let runtime = tokio::runtime::Handle::current();
    let told = Arc::downgrade(broker);
    MoverThreads::start(
        &broker.logs,
        settings,
        move || clock.now_ms(),
        move |partition, topic_id, directory| {
            let Some(broker) = told.upgrade() else {
                return false;
            };
            let assignment = DirectoryAssignment {
                topic_id,
                partition: partition.partition,
                directory,
            };
            match runtime.block_on(broker.assign_directory(assignment)) {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%partition, ?error, "the controller was not told of a log's directory");
                    false
                }
            }
        },
    )
}

/// Hands frames of connections to the API handlers.
struct BrokerService {
    broker: Arc<Broker>,
}

impl Service for BrokerService {
    type Connection = Connection;

    fn connected(&self, info: ConnectionInfo) -> Connection {
        Connection::new(info)
    }

    fn call(
        &self,
        connection: &Arc<Connection>,
        frame: Bytes,
    ) -> impl Future<Output = Outcome> + Send {
        api::serve(Arc::clone(&self.broker), Arc::clone(connection), frame)
    }
}

/// Replays the metadata log, then loads (and recovers) the logs under the configuration that it tells.
async fn open_logs(
    config: &Arc<BrokerConfig>,
    dirs: LogDirs,
    clock: Clock,
) -> Result<(LocalQuorum, MetadataImage, Arc<LogManager>, Arc<LogDir>), StartError> {
    let config = Arc::clone(config);
    let opened = tokio::task::spawn_blocking(move || {
        let dir = metadata_dir(&config, &dirs)?;
        let now_ms = clock.now_ms();
        let (quorum, image) =
            LocalQuorum::open(dirs.environment(), &dir, quorum_config(&config), now_ms)?;
        let in_force = effective_config(&config, &image);
        let config_of = |partition: &TopicPartition| {
            log_config(
                &in_force,
                &topic_configs(&in_force, &image, &partition.topic),
            )
        };
        let (logs, summary) =
            LogManager::start(dirs, manager_settings(&in_force), &config_of, now_ms)?;
        if !logs.is_empty() {
            tracing::info!(?summary, "logs are loaded");
        }
        Ok((quorum, image, logs, dir))
    });
    opened.await.map_err(std::io::Error::other)?
}

/// The log directory that `metadata.log.dir` names, which need not be one of `log.dirs`.
fn metadata_dir(config: &BrokerConfig, dirs: &LogDirs) -> Result<Arc<LogDir>, StartError> {
    std::fs::create_dir_all(&config.metadata.dir)?;
    let path = config.metadata.dir.canonicalize()?;
    let shared = dirs.dirs().iter().find(|open| open.dir.path() == path);
    Ok(shared.map_or_else(|| LogDir::new(path), |open| Arc::clone(&open.dir)))
}

fn quorum_config(config: &BrokerConfig) -> LocalQuorumConfig {
    LocalQuorumConfig {
        node_id: config.node_id,
        log: ottla_log::LogConfig {
            segment_bytes: config.metadata.segment_bytes,
            segment_ms: millis(config.metadata.segment_ms),
            // Snapshots make room, not age or size.
            retention_ms: -1,
            retention_bytes: -1,
            ..Default::default()
        },
        snapshot_after_bytes: config.metadata.snapshot_after_bytes,
        snapshot_interval_ms: config.metadata.snapshot_interval_ms.map(millis),
    }
}

fn manager_settings(config: &BrokerConfig) -> ManagerSettings {
    ManagerSettings {
        recovery_threads_per_dir: config.log.recovery_threads_per_dir,
        recovery_point_checkpoint_ms: millis(config.log.flush_offset_checkpoint_interval_ms),
        log_start_checkpoint_ms: millis(config.log.flush_start_offset_checkpoint_interval_ms),
        high_watermark_checkpoint_ms: millis(
            config.replication.high_watermark_checkpoint_interval_ms,
        ),
        retention_check_ms: millis(config.log.retention_check_interval_ms),
        producer_expiration_check_ms: millis(
            config.transaction.producer_id_expiration_check_interval_ms,
        ),
        ..ManagerSettings::default()
    }
}

/// A moment at which every session of a broker had ended: with the directory locked, none of them lives.
fn sessions_over(config: &BrokerConfig, clock: Clock) -> i64 {
    let timeout = millis(config.quorum.broker_session_timeout_ms);
    clock.now_ms().saturating_sub(timeout)
}

/// Makes the cluster if it is new, and this broker a live member of it.
async fn join(
    controller: &ControllerHandle,
    config: &BrokerConfig,
    broker: &Broker,
    addresses: Vec<(Arc<str>, SocketAddr)>,
) -> Result<i64, StartError> {
    if broker.image().features.metadata_version.is_none() {
        let bootstrap = bootstrap_records(MetadataVersion::LATEST_PRODUCTION);
        controller
            .run(move |controller, _| Ok(controller.activate(bootstrap)))
            .await?;
    }
    let node_id = config.node_id;
    let registration = Registration {
        broker_id: node_id,
        cluster_id: broker.cluster_id.clone(),
        incarnation_id: Uuid::from_u128(fastrand::u128(..)),
        endpoints: endpoints(config, &addresses),
        features: supported_features(),
        rack: config.rack.clone().map(Str::from),
        is_migrating_zk_broker: false,
        log_dirs: broker
            .logs
            .dirs()
            .dirs()
            .iter()
            .map(|open| open.directory_id)
            .collect(),
        // After a clean stop nothing was lost, and no partition needs a new leader.
        previous_broker_epoch: broker.logs.previous_broker_epoch().unwrap_or(-1),
    };
    let again = registration.clone();
    let rejoined = controller
        .run(move |controller, context| controller.rejoin(context, &again))
        .await?;
    if let Some(broker_epoch) = rejoined {
        return Ok(broker_epoch);
    }
    let broker_epoch = controller
        .run(move |controller, context| controller.register_broker(context, &registration))
        .await?;
    let metadata_offset = broker.image().provenance.offset;
    let heartbeat = Heartbeat {
        broker_id: node_id,
        broker_epoch,
        metadata_offset,
        ..Default::default()
    };
    controller
        .run(move |controller, context| controller.heartbeat(context, &heartbeat))
        .await?;
    Ok(broker_epoch)
}

/// What clients are told of the listeners; a port of 0 stands for the one that was bound.
fn endpoints(config: &BrokerConfig, bound: &[(Arc<str>, SocketAddr)]) -> Vec<Endpoint> {
    let advertised = config.listeners.advertised.iter().map(|endpoint| {
        let port = match endpoint.port {
            0 => bound
                .iter()
                .find(|(name, _)| **name == *endpoint.name)
                .map_or(0, |(_, address)| address.port()),
            port => port,
        };
        Endpoint {
            listener: Str::from(endpoint.name.clone()),
            host: Str::from(endpoint.host.clone().unwrap_or_else(host_name)),
            port,
            security_protocol: endpoint.protocol.code(),
        }
    });
    advertised.collect()
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_string()
    } else {
        name
    }
}

async fn listeners(config: &BrokerConfig) -> Result<Vec<ListenerConfig>, StartError> {
    let mut listeners = Vec::new();
    for endpoint in &config.listeners.broker {
        // No host means every address, of both families where the system has both.
        let host = endpoint
            .host
            .clone()
            .unwrap_or_else(|| "0.0.0.0".to_string());
        let resolved = tokio::net::lookup_host((host.as_str(), endpoint.port))
            .await
            .and_then(|mut addresses| {
                addresses
                    .next()
                    .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::AddrNotAvailable))
            });
        let address = resolved.map_err(|source| StartError::Resolve {
            listener: endpoint.name.clone(),
            host,
            source,
        })?;
        listeners.push(ListenerConfig::new(endpoint.name.clone(), address));
    }
    Ok(listeners)
}

fn limits(config: &BrokerConfig) -> Limits {
    let network = &config.network;
    let defaults = Limits::default();
    Limits {
        request_bytes_max: network.request_bytes_max,
        queued_bytes_max: network
            .queued_request_bytes_max
            .map_or(defaults.queued_bytes_max, |max| max as usize),
        connections_max: network.connections_max,
        connections_per_ip_max: network.connections_per_ip_max,
        connections_per_ip_overrides: network
            .connections_per_ip_overrides
            .iter()
            .filter_map(|(host, count)| Some((host.parse().ok()?, *count)))
            .collect(),
        connection_creation_rate_max: network.connection_creation_rate_max,
        idle_max: network
            .connection_idle_ms_max
            .map_or(Duration::MAX, Duration::from_millis),
        send_buffer_bytes: network.send_buffer_bytes,
        receive_buffer_bytes: network.receive_buffer_bytes,
        listen_backlog: network.listen_backlog,
    }
}
