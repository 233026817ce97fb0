//! One connection to a broker: requests pipelined, answers matched by correlation id.
//!
//! Invariant: a caller that gives up leaves the stream whole, because only the two tasks of the
//! connection touch the socket; at most `IN_FLIGHT_MAX` requests wait for answers.
//! Made and cached by `client.rs`.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{
    ApiKey, DecodeError, Decoder, ErrorCode, Message, ResponseHeader, Str, frame,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::error::{ClientError, Lost};
use super::{Ask, ClientConfig};
use crate::budget::Budget;
use crate::frames::{FrameReader, ReadError};

/// Requests of one connection that may wait for their answers.
const IN_FLIGHT_MAX: usize = 32;

/// The longest answer that is accepted. A fetch may exceed its limits by one batch.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The version of ApiVersions that is tried first; brokers that lack it say so in version 0.
const API_VERSIONS_VERSION: i16 = 3;

/// A connection whose broker has said which versions it serves.
pub(crate) struct BrokerConnection {
    address: String,
    client_id: Str,
    timeout: Duration,
    next_id: AtomicI32,
    in_flight: Semaphore,
    frames: mpsc::Sender<Bytes>,
    pending: Arc<Mutex<Pending>>,
    versions: HashMap<i16, (i16, i16)>,
    tasks: [JoinHandle<()>; 2],
}

enum Pending {
    Open(HashMap<i32, oneshot::Sender<Bytes>>),
    Closed(Lost),
}

impl Drop for BrokerConnection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl BrokerConnection {
    /// Connects and asks for the versions that the broker serves.
    pub(crate) async fn open(address: String, config: &ClientConfig) -> Result<Self, ClientError> {
        let stream = connect(&address, config.connect_timeout).await?;
        let (reader, writer) = stream.into_split();
        let pending = Arc::new(Mutex::new(Pending::Open(HashMap::new())));
        let (frames, queue) = mpsc::channel(IN_FLIGHT_MAX);
        let tasks = [
            tokio::spawn(read_answers(reader, Arc::clone(&pending))),
            tokio::spawn(write_frames(writer, queue, Arc::clone(&pending))),
        ];
        let mut connection = BrokerConnection {
            address,
            client_id: Str::from(config.client_id.as_str()),
            timeout: config.request_timeout,
            next_id: AtomicI32::new(1),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            frames,
            pending,
            versions: HashMap::new(),
            tasks,
        };
        connection.versions = connection.ask_versions().await?;
        Ok(connection)
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(*lock(&self.pending), Pending::Open(_))
    }

    /// The highest version of `R` within `ours` that the broker serves.
    pub(crate) fn version<R: Ask>(&self, ours: &RangeInclusive<i16>) -> Result<i16, ClientError> {
        let stable = R::KEY.valid_versions();
        let lowest = *ours.start().max(stable.start());
        let highest = *ours.end().min(stable.end());
        let theirs = self.versions.get(&R::KEY.code()).copied();
        let common = theirs.and_then(|(min, max)| {
            let version = max.min(highest);
            (version >= lowest.max(min)).then_some(version)
        });
        common.ok_or_else(|| ClientError::UnsupportedApi {
            api: R::KEY,
            address: self.address.clone(),
            ours: (lowest, highest),
            theirs,
        })
    }

    /// Sends a request and waits for its answer. `wait` is added to the usual patience, for
    /// requests that the broker holds on purpose.
    pub(crate) async fn call<R: Ask>(
        &self,
        request: &R,
        versions: &RangeInclusive<i16>,
        wait: Duration,
    ) -> Result<R::Response, ClientError> {
        let version = self.version::<R>(versions)?;
        let body = self.exchange(request, version, wait).await?;
        R::Response::from_bytes(body, version).map_err(|source| self.undecodable(R::KEY, source))
    }

    /// Sends a request that has no answer.
    pub(crate) async fn send<R: Ask>(
        &self,
        request: &R,
        versions: &RangeInclusive<i16>,
    ) -> Result<(), ClientError> {
        let version = self.version::<R>(versions)?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.enqueue(request, version, id).await
    }

    /// The answer's bytes behind its header.
    async fn exchange<R: Ask>(
        &self,
        request: &R,
        version: i16,
        wait: Duration,
    ) -> Result<Bytes, ClientError> {
        let patience = self.timeout + wait;
        let exchange = async {
            // The semaphore is never closed.
            let _permit = self.in_flight.acquire().await;
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let (sender, answer) = oneshot::channel();
            let forget = Forget {
                pending: &self.pending,
                id,
            };
            match &mut *lock(&self.pending) {
                Pending::Open(waiting) => waiting.insert(id, sender),
                Pending::Closed(reason) => return Err(self.lost(reason.clone())),
            };
            self.enqueue(request, version, id).await?;
            let answer = answer.await.map_err(|_| self.lost(self.reason()))?;
            drop(forget);
            Ok(answer)
        };
        let answer = tokio::time::timeout(patience, exchange)
            .await
            .map_err(|_| ClientError::Timeout {
                api: R::KEY,
                address: self.address.clone(),
                after: patience,
            })??;
        let mut decoder = Decoder::new(answer);
        ResponseHeader::decode(&mut decoder, R::KEY.response_header_version(version))
            .map_err(|source| self.undecodable(R::KEY, source))?;
        Ok(decoder.rest())
    }

    async fn enqueue<R: Ask>(&self, request: &R, version: i16, id: i32) -> Result<(), ClientError> {
        let frame = frame::encode_request(request, version, id, Some(self.client_id.clone()))
            .and_then(ottla_protocol::Encoded::into_bytes)
            .map_err(|source| ClientError::Encode {
                api: R::KEY,
                source,
            })?;
        self.frames
            .send(frame)
            .await
            .map_err(|_| self.lost(self.reason()))
    }

    async fn ask_versions(&self) -> Result<HashMap<i16, (i16, i16)>, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("ottla"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        let body = self
            .exchange(&request, API_VERSIONS_VERSION, Duration::ZERO)
            .await?;
        let decoded = match ApiVersionsResponse::from_bytes(body.clone(), API_VERSIONS_VERSION) {
            Ok(response) if response.error_code != ErrorCode::UnsupportedVersion.code() => {
                Ok(response)
            }
            // A broker that does not know this version answers in version 0.
            _ => ApiVersionsResponse::from_bytes(body, 0),
        };
        let response = decoded.map_err(|source| self.undecodable(ApiKey::ApiVersions, source))?;
        Ok(response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect())
    }

    fn reason(&self) -> Lost {
        match &*lock(&self.pending) {
            Pending::Open(_) => Lost::ByPeer,
            Pending::Closed(reason) => reason.clone(),
        }
    }

    fn lost(&self, reason: Lost) -> ClientError {
        ClientError::ConnectionLost {
            address: self.address.clone(),
            reason,
        }
    }

    fn undecodable(&self, api: ApiKey, source: DecodeError) -> ClientError {
        ClientError::Decode {
            api,
            address: self.address.clone(),
            source,
        }
    }
}

/// Forgets a request whose caller no longer waits; its answer is then dropped.
struct Forget<'a> {
    pending: &'a Mutex<Pending>,
    id: i32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Pending::Open(waiting) = &mut *lock(self.pending) {
            waiting.remove(&self.id);
        }
    }
}

async fn connect(address: &str, timeout: Duration) -> Result<TcpStream, ClientError> {
    let connect = async {
        let candidates =
            tokio::net::lookup_host(address)
                .await
                .map_err(|source| ClientError::Resolve {
                    address: address.to_owned(),
                    source,
                })?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for candidate in candidates {
            match TcpStream::connect(candidate).await {
                Ok(stream) => {
                    // Refused only by a socket that is gone, which the first request reports.
                    let _refused = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(ClientError::Connect {
            address: address.to_owned(),
            source: last,
        })
    };
    tokio::time::timeout(timeout, connect)
        .await
        .map_err(|_| ClientError::ConnectTimeout {
            address: address.to_owned(),
            after: timeout,
        })?
}

async fn write_frames(
    mut writer: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Bytes>,
    pending: Arc<Mutex<Pending>>,
) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = writer.write_all(&frame).await {
            close(&pending, Lost::Io { kind: error.kind() });
            return;
        }
    }
}

async fn read_answers(mut reader: OwnedReadHalf, pending: Arc<Mutex<Pending>>) {
    let budget = Budget::new(ANSWER_BYTES_MAX);
    let mut frames = FrameReader::new(ANSWER_BYTES_MAX);
    let lost = loop {
        match poll_fn(|cx| frames.poll_read(&mut reader, &budget, cx)).await {
            Ok(0) => break Lost::ByPeer,
            Ok(_) => {}
            Err(ReadError::Frame(error)) => break Lost::Frame(error),
            Err(ReadError::Io(error)) => break Lost::Io { kind: error.kind() },
        }
        if !std::iter::from_fn(|| frames.take()).all(|frame| deliver(&pending, frame.bytes)) {
            break Lost::Uninvited;
        }
    };
    close(&pending, lost);
}

/// Hands an answer to who waits for it; false if it has no correlation id.
fn deliver(pending: &Mutex<Pending>, answer: Bytes) -> bool {
    let Some(id) = answer.first_chunk().copied().map(i32::from_be_bytes) else {
        return false;
    };
    if let Pending::Open(waiting) = &mut *lock(pending)
        && let Some(sender) = waiting.remove(&id)
    {
        // The caller may have given up in this moment.
        let _unwanted = sender.send(answer);
    }
    true
}

/// Fails everybody who waits, and everybody who comes.
fn close(pending: &Mutex<Pending>, reason: Lost) {
    let mut pending = lock(pending);
    if let Pending::Open(_) = *pending {
        *pending = Pending::Closed(reason);
    }
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    // Nothing that holds it can panic half way.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
