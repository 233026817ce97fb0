//! What can be wrong with a configuration, and what is worth a warning.
//!
//! Invariant: every message names the key, where its value came from, and what would be right.

use std::path::PathBuf;

use crate::key::Key;
use crate::listeners::SecurityProtocol;
use crate::settings::Source;
use crate::value::BadValue;

/// Everything that is wrong with a configuration, so that one start shows all of it.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

impl ConfigError {
    fn lines(&self) -> String {
        self.problems
            .iter()
            .map(Problem::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{}{}: not a line of a properties file: {cause}", path.display(), at_line(*line))]
    Malformed {
        path: PathBuf,
        line: Option<usize>,
        cause: String,
    },
    #[error("--override {text}: expected key=value")]
    MalformedOverride { text: String },
    #[error("{origin}: unknown key '{key}'{}", did_you_mean(*nearest))]
    UnknownKey {
        key: String,
        origin: Source,
        nearest: Option<&'static str>,
    },
    #[error("{origin}: {cause} (allowed: {allowed})")]
    BadValue {
        origin: Source,
        cause: Box<BadValue>,
        allowed: String,
    },
    #[error("{origin}: '{key}' can only be set while the broker runs, with AlterConfigs")]
    DynamicOnly { key: &'static str, origin: Source },
    #[error("{origin}: {key}: {cause}")]
    Listeners {
        key: &'static str,
        origin: Source,
        cause: ListenerFault,
    },
    #[error("{0}")]
    Conflict(Conflict),
}

impl Problem {
    pub(crate) fn bad_value(origin: Source, key: &Key, cause: BadValue) -> Self {
        Problem::BadValue {
            origin,
            cause: Box::new(cause),
            allowed: key.allowed(),
        }
    }
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}

/// What is wrong with a list of listeners or the like.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ListenerFault {
    #[error("'{entry}' is not of the form NAME://host:port")]
    NotAnEndpoint { entry: String },
    #[error("'{entry}' is not of the form NAME:PROTOCOL")]
    NotAMapping { entry: String },
    #[error("'{protocol}' is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")]
    UnknownProtocol { protocol: String },
    #[error("listener {name} has no entry in listener.security.protocol.map")]
    NoProtocol { name: String },
    #[error("listener {name} speaks {}, which Ottla does not yet support; use PLAINTEXT", protocol.name())]
    UnsupportedProtocol {
        name: String,
        protocol: SecurityProtocol,
    },
    #[error("each listener must have a different name, but {name} is there twice")]
    DuplicateName { name: String },
    #[error(
        "each listener must have a different port, but {port} is there twice \
         (allowed only for one IPv4 and one IPv6 address)"
    )]
    DuplicatePort { port: u16 },
    #[error(
        "0.0.0.0 stands for every address and cannot be advertised; name one that clients can reach"
    )]
    NotRoutable,
    #[error("there must be a listener for clients besides those in controller.listener.names")]
    NoneForClients,
    #[error("{name} is not among listeners ({known})")]
    NotAListener { name: String, known: String },
    #[error("{name} is not among the advertised listeners for clients ({known})")]
    NotAdvertised { name: String, known: String },
    #[error("{name} is a controller listener, which a process that is only a broker does not have")]
    ControllerOnBroker { name: String },
    #[error(
        "{name} is not a controller listener, and a process that is only a controller has no others"
    )]
    ClientsOnController { name: String },
    #[error("must name a listener of the controllers when process.roles is broker alone")]
    NoControllerListener,
    #[error("must name at least one of listeners when process.roles is controller alone")]
    NoOwnControllerListener,
    #[error("{name} is not to be among controller.listener.names")]
    InterBrokerIsController { name: String },
    #[error("'{entry}' is not of the form address:count")]
    NotAnOverride { entry: String },
}

/// Values that are fine alone but not together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Conflict {
    #[error("node.id is {node_id} but broker.id is {broker_id}; they must be the same")]
    NodeId { node_id: i32, broker_id: i32 },
    #[error("{key} must be at least {min}, but is {value}")]
    TooSmall {
        key: &'static str,
        min: i64,
        value: i64,
    },
    #[error("log.retention.ms must be -1 (no limit) or at least 1, but is {0}")]
    RetentionMs(i64),
    #[error("{smaller} ({smaller_value}) must not be greater than {greater} ({greater_value})")]
    Order {
        smaller: &'static str,
        smaller_value: i64,
        greater: &'static str,
        greater_value: i64,
    },
    #[error("only one of inter.broker.listener.name and security.inter.broker.protocol may be set")]
    InterBrokerTwice,
    #[error("max.connections.per.ip may be 0 only if max.connections.per.ip.overrides is set")]
    NoConnections,
    #[error(
        "process.roles is {roles}, so controller.quorum.bootstrap.servers or \
         controller.quorum.voters must say where the controllers are"
    )]
    NoQuorum { roles: String },
    #[error("node.id {node_id} is a controller and must be among controller.quorum.voters")]
    NotAVoter { node_id: i32 },
    #[error("node.id {node_id} is only a broker and must not be among controller.quorum.voters")]
    BrokerIsVoter { node_id: i32 },
    #[error("controller.quorum.auto.join.enable is for controllers, but process.roles is broker")]
    AutoJoinOnBroker,
    #[error("group.coordinator.rebalance.protocols must include classic")]
    NoClassicProtocol,
    #[error("cordoned.log.dirs names {dir}, which is not among log.dirs")]
    CordonedDirUnknown { dir: String },
    #[error("cordoned.log.dirs is * and must then name nothing else")]
    CordonedDirsMixed,
}

/// Something that the user should know, but that does not stop the broker.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Warning {
    #[error("{origin}: '{key}' is known but has no effect yet")]
    NotSupported { key: String, origin: Source },
    #[error("{origin}: '{key}' is not a key of Kafka 4 any more and is ignored: {instead}")]
    Removed {
        key: String,
        origin: Source,
        instead: &'static str,
    },
    #[error("{origin}: '{key}' was set before, in line {first}; this one counts")]
    SetTwice {
        key: String,
        origin: Source,
        first: usize,
    },
    #[error("{origin}: '{key}' is ignored: {cause}")]
    IgnoredDynamic {
        key: String,
        origin: Source,
        cause: String,
    },
    #[error(
        "broker.heartbeat.interval.ms ({heartbeat_ms}) should be at most half of \
         broker.session.timeout.ms ({session_ms}), or one lost heartbeat fences the broker"
    )]
    SlowHeartbeat { heartbeat_ms: i32, session_ms: i32 },
}
