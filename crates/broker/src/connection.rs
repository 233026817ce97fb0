//! What the broker knows of a connection.

use std::sync::{Mutex, OnceLock, PoisonError};

use ottla_net::ConnectionInfo;
use ottla_protocol::Str;

use crate::telemetry::{ClientAttributes, Lease};

/// What a client is that has not said it.
const UNKNOWN_SOFTWARE: &str = "unknown";

#[derive(Debug)]
pub struct Connection {
    info: ConnectionInfo,
    /// Name and version of the client's software, once it has told them.
    software: OnceLock<(Str, Str)>,
    /// The client instance whose telemetry came by this connection, which is forgotten with it.
    telemetry: Mutex<Option<Lease>>,
    /// Held by a transactional produce until it has appended: the next one must not overtake it while a
    /// coordinator is asked. Waiters get it in the order in which they came.
    pub transactional_produce: tokio::sync::Mutex<()>,
}

impl Connection {
    pub fn new(info: ConnectionInfo) -> Self {
        Self {
            info,
            software: OnceLock::new(),
            telemetry: Mutex::default(),
            transactional_produce: tokio::sync::Mutex::default(),
        }
    }

    /// Name of the listener that the client came by.
    pub fn listener(&self) -> &str {
        &self.info.listener
    }

    /// The client's address in the form that Kafka stores with group members: with a slash before it.
    pub fn client_host(&self) -> Str {
        Str::from(format!("/{}", self.info.peer.ip()))
    }

    /// The client says what it is; the first word counts.
    pub fn set_software(&self, name: &Str, version: &Str) {
        self.software
            .get_or_init(|| (name.detached(), version.detached()));
    }

    /// Runs `act` with what telemetry may match this client by, and its place for a client instance.
    pub fn with_telemetry<T>(
        &self,
        client_id: Option<&str>,
        act: impl FnOnce(&ClientAttributes<'_>, &mut Option<Lease>) -> T,
    ) -> T {
        let (name, version) = match self.software.get() {
            Some((name, version)) => (name.as_str(), version.as_str()),
            None => (UNKNOWN_SOFTWARE, UNKNOWN_SOFTWARE),
        };
        let address = self.info.peer.ip().to_string();
        let client = ClientAttributes {
            client_id,
            software_name: name,
            software_version: version,
            address: &address,
            port: self.info.peer.port(),
        };
        let mut lease = self
            .telemetry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        act(&client, &mut lease)
    }
}
