//! What the broker knows of a connection.

use ottla_net::ConnectionInfo;
use ottla_protocol::Str;

#[derive(Debug)]
pub struct Connection {
    info: ConnectionInfo,
    /// Held by a transactional produce until it has appended: the next one must not overtake it while a
    /// coordinator is asked. Waiters get it in the order in which they came.
    pub transactional_produce: tokio::sync::Mutex<()>,
}

impl Connection {
    pub fn new(info: ConnectionInfo) -> Self {
        Self {
            info,
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
}
