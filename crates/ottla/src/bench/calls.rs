//! One request after the other on a connection, as a task among many on one thread.
//!
//! A thousand members of groups are a thousand connections; a thread for each would cost more than
//! the broker's work. Invariant: an answer belongs to the request that was just sent, or the
//! connection is given up. Used by `groups.rs`, `transactions.rs` and `partitions.rs`.

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use ottla_net::client::{ClientError, Lost};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, FindCoordinatorRequest};
use ottla_protocol::{ApiKey, Decoder, ErrorCode, Message, Request, ResponseHeader, Str, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::pipe::{PATIENCE, encode};

/// The longest answer: metadata of a hundred thousand partitions, and room.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The version of ApiVersions that is tried; older brokers answer in version 0.
const API_VERSIONS_VERSION: i16 = 3;
const CORRELATION_ID_BYTES: usize = 4;
/// How long to wait before the same is asked again.
const RETRY_BACKOFF: Duration = Duration::from_millis(20);
/// The versions in which one coordinator is asked for.
const FIND_COORDINATOR_VERSIONS: RangeInclusive<i16> = 1..=3;

type Result<T> = std::result::Result<T, ClientError>;

/// A connection, and what its broker can do.
pub struct Caller {
    stream: TcpStream,
    address: String,
    /// What was read and not yet taken.
    bytes: BytesMut,
    versions: HashMap<i16, (i16, i16)>,
    features: HashMap<String, i16>,
    last_id: i32,
}

impl Caller {
    pub async fn open(address: &str) -> Result<Caller> {
        let connect = TcpStream::connect(address);
        let stream = timeout(PATIENCE, connect)
            .await
            .map_err(|_| ClientError::ConnectTimeout {
                address: address.to_owned(),
                after: PATIENCE,
            })?
            .map_err(|source| ClientError::Connect {
                address: address.to_owned(),
                source,
            })?;
        // Refused only by a socket that is gone, which the first request reports.
        let _refused = stream.set_nodelay(true);
        let mut caller = Caller {
            stream,
            address: address.to_owned(),
            bytes: BytesMut::new(),
            versions: HashMap::new(),
            features: HashMap::new(),
            last_id: 0,
        };
        caller.ask_versions().await?;
        Ok(caller)
    }

    /// The highest version within `ours` that the broker serves.
    pub fn version<R: Request>(&self, ours: &RangeInclusive<i16>) -> Result<i16> {
        let theirs = self.versions.get(&R::KEY.code()).copied();
        theirs
            .map(|(min, max)| (min.max(*ours.start()), max.min(*ours.end())))
            .filter(|(min, max)| min <= max)
            .map(|(_, max)| max)
            .ok_or_else(|| ClientError::UnsupportedApi {
                api: R::KEY,
                address: self.address.clone(),
                ours: (*ours.start(), *ours.end()),
                theirs,
            })
    }

    /// The level at which the cluster has a feature; 0 if it has not.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// Sends one request and waits for its answer.
    pub async fn call<R: Request>(
        &mut self,
        request: &R,
        versions: &RangeInclusive<i16>,
    ) -> Result<R::Response> {
        let version = self.version::<R>(versions)?;
        let answer = self.exchange(request, version).await?;
        let mut decoder = Decoder::new(answer);
        ResponseHeader::decode(&mut decoder, R::KEY.response_header_version(version))
            .and_then(|_| R::Response::from_bytes(decoder.rest(), version))
            .map_err(|source| self.undecodable(R::KEY, source))
    }

    /// The answer behind its length.
    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<Bytes> {
        self.last_id = self.last_id.wrapping_add(1);
        let frame = encode(request, version, self.last_id)?;
        let exchange = async {
            self.stream.write_all(&frame).await?;
            read_frame(&mut self.stream, &mut self.bytes).await
        };
        let answer = timeout(PATIENCE, exchange)
            .await
            .map_err(|_| ClientError::Timeout {
                api: R::KEY,
                address: self.address.clone(),
                after: PATIENCE,
            })?
            .map_err(|error| self.lost(Lost::Io { kind: error.kind() }))?;
        match answer.first_chunk() == Some(&self.last_id.to_be_bytes()) {
            true => Ok(answer),
            false => Err(self.lost(Lost::Uninvited)),
        }
    }

    async fn ask_versions(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("ottla-bench"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        let mut body = self.exchange(&request, API_VERSIONS_VERSION).await?;
        // The header of this answer is a correlation id in every version.
        body.advance(CORRELATION_ID_BYTES);
        let response = ApiVersionsResponse::from_bytes(body.clone(), API_VERSIONS_VERSION)
            .ok()
            .filter(|response| response.error_code != ErrorCode::UnsupportedVersion.code())
            .map_or_else(|| ApiVersionsResponse::from_bytes(body, 0), Ok)
            .map_err(|source| self.undecodable(ApiKey::ApiVersions, source))?;
        self.versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        self.features = response
            .finalized_features
            .iter()
            .map(|feature| (feature.name.to_string(), feature.max_version_level))
            .collect();
        Ok(())
    }

    fn lost(&self, reason: Lost) -> ClientError {
        ClientError::ConnectionLost {
            address: self.address.clone(),
            reason,
        }
    }

    fn undecodable(&self, api: ApiKey, source: ottla_protocol::DecodeError) -> ClientError {
        ClientError::Decode {
            api,
            address: self.address.clone(),
            source,
        }
    }
}

async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut BytesMut,
) -> io::Result<Bytes> {
    let mut wanted = frame::LENGTH_SIZE;
    loop {
        if let Some(length) = bytes.first_chunk().copied().map(u32::from_be_bytes) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > ANSWER_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            wanted = frame::LENGTH_SIZE + length;
        }
        if bytes.len() >= wanted {
            bytes.advance(frame::LENGTH_SIZE);
            return Ok(bytes.split_to(wanted - frame::LENGTH_SIZE).freeze());
        }
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Whether an answer says that all is well with `subject`.
pub fn check(subject: impl FnOnce() -> String, code: i16, message: Option<&str>) -> Result<()> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(ClientError::Refused {
            subject: subject(),
            code,
            message: message.map(str::to_owned),
        }),
    }
}

/// What an attempt came to that may be made again.
pub enum Attempt<T> {
    Done(T),
    /// Refused for a reason that passes.
    Later(ClientError),
}

impl<T> Attempt<T> {
    /// Keeps errors that do not pass.
    pub fn of(result: Result<T>) -> Result<Attempt<T>> {
        match result {
            Ok(value) => Ok(Attempt::Done(value)),
            Err(error) if error.code().is_some_and(ErrorCode::is_retriable) => {
                Ok(Attempt::Later(error))
            }
            Err(error) => Err(error),
        }
    }
}

/// How long something may be tried again, and how often that was needed.
pub struct Retries {
    deadline: Instant,
    pub count: u64,
}

impl Retries {
    pub fn new() -> Retries {
        Retries {
            deadline: Instant::now() + PATIENCE,
            count: 0,
        }
    }

    /// Waits before the next attempt, or gives up with the reason of the last one.
    pub async fn wait(&mut self, reason: ClientError) -> Result<()> {
        self.wait_for(RETRY_BACKOFF, reason).await
    }

    pub async fn wait_for(&mut self, backoff: Duration, reason: ClientError) -> Result<()> {
        if Instant::now() + backoff > self.deadline {
            return Err(reason);
        }
        self.count += 1;
        sleep(backoff).await;
        Ok(())
    }
}

/// Whose coordinator is asked for, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinated {
    Group = 0,
    Transaction = 1,
}

/// The address of who coordinates `key`; the first question may make the broker create the topic
/// that coordinators write to.
pub async fn coordinator(caller: &mut Caller, of: Coordinated, key: &str) -> Result<String> {
    let request = FindCoordinatorRequest {
        key: Str::from(key),
        key_type: of as i8,
        ..FindCoordinatorRequest::default()
    };
    let mut retries = Retries::new();
    loop {
        let response = caller.call(&request, &FIND_COORDINATOR_VERSIONS).await?;
        let checked = check(
            || format!("coordinator of {key}"),
            response.error_code,
            response.error_message.as_deref(),
        );
        match Attempt::of(checked)? {
            Attempt::Done(()) => return Ok(address(&response.host, response.port)),
            Attempt::Later(reason) => retries.wait(reason).await?,
        }
    }
}

/// An address as one connects to it.
pub fn address(host: &str, port: i32) -> String {
    // An IPv6 address needs brackets before a port.
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests;
