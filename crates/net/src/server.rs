//! Listeners: binds them, accepts connections within the limits, stops gracefully.
//!
//! Invariant: connections are accepted only after `start`, so that a broker can know its ports
//! before it is ready; once stopped, none of its connections is left.
//! Called by the broker's shell.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::admission::{Admission, Slot};
use crate::budget::Budget;
use crate::cold::ColdReads;
use crate::connection::{self, Closed};
use crate::limits::{ACCEPT_BACKOFF_FIRST, ACCEPT_BACKOFF_MAX, Limits};
use crate::metrics::NetMetrics;
use crate::send::FileWay;
use crate::service::{ConnectionInfo, Service};
use crate::stop::{StopSignal, Stopping};

/// Where to listen.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// As in `listeners=NAME://host:port`.
    pub name: String,
    pub address: SocketAddr,
    /// `listener.name.NAME.max.connections`
    pub connections_max: usize,
}

impl ListenerConfig {
    pub fn new(name: impl Into<String>, address: SocketAddr) -> Self {
        ListenerConfig {
            name: name.into(),
            address,
            connections_max: i32::MAX as usize,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("listener {listener} cannot listen on {address}: {source}")]
pub struct BindError {
    pub listener: String,
    pub address: SocketAddr,
    pub source: io::Error,
}

/// Listeners that are bound and not served yet; clients that connect wait in the backlog.
pub struct Server {
    listeners: Vec<(Arc<str>, TcpListener, SocketAddr)>,
    shared: Arc<Shared>,
}

/// What all connections of a server have in common.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
    pub(crate) metrics: Arc<NetMetrics>,
    pub(crate) cold_reads: ColdReads,
    pub(crate) file_way: FileWay,
    pub(crate) stopping: Arc<StopSignal>,
    admission: Arc<Admission>,
    next_id: AtomicU64,
}

impl Server {
    /// Binds every listener, within a tokio runtime. Port 0 takes a free one.
    pub fn bind(limits: Limits, listeners: &[ListenerConfig]) -> Result<Server, BindError> {
        Server::bind_with(limits, listeners, FileWay::default())
    }

    /// As `bind`, with a choice of how files are sent.
    pub fn bind_with(
        limits: Limits,
        listeners: &[ListenerConfig],
        file_way: FileWay,
    ) -> Result<Server, BindError> {
        let bound = listeners
            .iter()
            .map(|config| {
                let (listener, address) =
                    listen(config.address, &limits).map_err(|source| BindError {
                        listener: config.name.clone(),
                        address: config.address,
                        source,
                    })?;
                Ok((Arc::from(config.name.as_str()), listener, address))
            })
            .collect::<Result<_, BindError>>()?;
        let admission = Admission::new(&limits, listeners.iter().map(|l| l.connections_max));
        Ok(Server {
            listeners: bound,
            shared: Arc::new(Shared {
                budget: Budget::new(limits.queued_bytes_max.max(limits.request_bytes_max)),
                metrics: Arc::default(),
                cold_reads: ColdReads::new(),
                file_way,
                stopping: Arc::default(),
                admission: Arc::new(admission),
                next_id: AtomicU64::new(1),
                limits,
            }),
        })
    }

    /// Name and actual address of each listener, in the order given.
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.listeners
            .iter()
            .map(|(name, _, address)| (Arc::clone(name), *address))
            .collect()
    }

    pub fn metrics(&self) -> Arc<NetMetrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Accepts connections and has `service` answer them, on tasks of the current runtime.
    pub fn start<S: Service>(self, service: Arc<S>) -> ServerHandle {
        let addresses = self.addresses();
        let (stop, _) = watch::channel(false);
        let acceptors = self
            .listeners
            .into_iter()
            .enumerate()
            .map(|(index, (name, listener, _))| {
                let acceptor = Acceptor {
                    listener,
                    index,
                    name,
                    service: Arc::clone(&service),
                    shared: Arc::clone(&self.shared),
                };
                tokio::spawn(acceptor.run(stop.subscribe()))
            })
            .collect();
        ServerHandle {
            addresses,
            shared: self.shared,
            stop,
            acceptors,
        }
    }
}

fn listen(address: SocketAddr, limits: &Limits) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // As Java does: a wildcard IPv6 listener takes IPv4 as well.
        socket.set_only_v6(false)?;
    }
    // Connections inherit these, and the receive window needs them before the handshake.
    if let Some(bytes) = limits.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = limits.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits.listen_backlog).unwrap_or(i32::MAX))?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A server that runs. Dropping the handle stops accepting and leaves the connections.
pub struct ServerHandle {
    addresses: Vec<(Arc<str>, SocketAddr)>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    acceptors: Vec<JoinHandle<()>>,
}

/// A way to change who may connect to a server that runs; of no effect once it has stopped.
#[derive(Clone)]
pub struct ConnectionLimits {
    admission: Arc<Admission>,
}

impl ConnectionLimits {
    pub fn update(&self, limits: &Limits) {
        self.admission.update(limits);
    }
}

impl ServerHandle {
    /// Name and actual address of each listener, in the order given.
    pub fn addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.addresses
    }

    pub fn metrics(&self) -> Arc<NetMetrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Applies changed limits on who may connect; the other limits stay as they were at `bind`.
    pub fn update_connection_limits(&self, limits: &Limits) {
        self.shared.admission.update(limits);
    }

    /// The same, for whoever follows a configuration and does not own the server.
    pub fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            admission: Arc::clone(&self.shared.admission),
        }
    }

    /// Stops accepting and reading, lets requests in flight finish for `grace`, closes the rest.
    pub async fn stop(self, grace: Duration) {
        self.stop.send_replace(true);
        for acceptor in self.acceptors {
            if let Err(error) = acceptor.await {
                error!(%error, "an acceptor had failed");
            }
        }
        let stopping = &self.shared.stopping;
        stopping.set(Stopping::Drain);
        if tokio::time::timeout(grace, stopping.wait_for_none())
            .await
            .is_err()
        {
            let left = stopping.connections();
            info!(
                left,
                "closing connections whose requests did not finish in time"
            );
            stopping.set(Stopping::Abort);
            stopping.wait_for_none().await;
        }
    }
}

struct Acceptor<S> {
    listener: TcpListener,
    index: usize,
    name: Arc<str>,
    service: Arc<S>,
    shared: Arc<Shared>,
}

impl<S: Service> Acceptor<S> {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            // An error means that the handle is gone, which also ends accepting.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.accept_all() => {}
        }
    }

    async fn accept_all(&self) {
        let mut backoff = ACCEPT_BACKOFF_FIRST;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    backoff = ACCEPT_BACKOFF_FIRST;
                    // Others wait in the backlog behind one that finds no room.
                    let slot = self.shared.admission.slot(self.index).await;
                    self.admit(stream, peer, slot);
                    let pause = self.shared.admission.pay(Instant::now());
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => {
                    self.shared.metrics.accept_errors.add(1);
                    if !is_exhaustion(&error) {
                        // The one connection failed before it was taken.
                        debug!(listener = %self.name, %error, "a connection was not accepted");
                        continue;
                    }
                    if backoff == ACCEPT_BACKOFF_FIRST {
                        warn!(
                            listener = %self.name, %error,
                            "cannot accept connections; raise the limit of open files or lower max.connections"
                        );
                    }
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, mut slot: Slot) {
        let metrics = &self.shared.metrics;
        if let Err(full) = slot.claim(peer.ip()) {
            metrics.connections_refused_per_ip.add(1);
            debug!(listener = %self.name, %full, "connection refused");
            return;
        }
        let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
            Ok(local) => local,
            Err(error) => {
                // The peer has already gone.
                debug!(listener = %self.name, %peer, %error, "connection lost");
                return;
            }
        };
        let info = ConnectionInfo {
            id: self.shared.next_id.fetch_add(1, Ordering::Relaxed),
            peer,
            local,
            listener: Arc::clone(&self.name),
        };
        metrics.connections_accepted.add(1);
        let service = Arc::clone(&self.service);
        let shared = Arc::clone(&self.shared);
        let counted = shared.stopping.enter();
        tokio::spawn(async move {
            shared.metrics.connections_open.add(1);
            let listener = Arc::clone(&info.listener);
            let closed = connection::run(stream, info, service, Arc::clone(&shared)).await;
            shared.metrics.connections_open.sub(1);
            if matches!(closed, Closed::Panicked) {
                shared.metrics.panics.add(1);
            }
            log_end(&listener, peer, &closed);
            drop(slot);
            drop(counted);
        });
    }
}

fn log_end(listener: &str, peer: SocketAddr, closed: &Closed) {
    match closed {
        Closed::Panicked => error!(listener, %peer, %closed, "connection closed"),
        Closed::File(_) | Closed::FileEnded { .. } | Closed::ReplyTooLong { .. } => {
            warn!(listener, %peer, %closed, "connection closed");
        }
        Closed::Frame(_) | Closed::Service(_) | Closed::Stalled => {
            info!(listener, %peer, %closed, "connection closed");
        }
        Closed::ByPeer | Closed::Socket(_) | Closed::Idle | Closed::Stopped => {
            debug!(listener, %peer, %closed, "connection closed");
        }
    }
}

/// Whether accepting fails for want of something that others must give back first.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

#[cfg(test)]
mod tests;
