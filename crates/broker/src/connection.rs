//! What the broker knows of a connection.

use ottla_net::ConnectionInfo;
use ottla_protocol::Str;

#[derive(Debug)]
pub struct Connection {
    info: ConnectionInfo,
}

impl Connection {
    pub fn new(info: ConnectionInfo) -> Self {
        Self { info }
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
