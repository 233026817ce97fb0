//! A blocking connection whose owner writes frames and reads answers itself.
//!
//! The client of `ottla-net` is made for tools that do many things; a load generator must cost less
//! than what it measures, so here a frame is written as it stands, and the two directions can be
//! owned by two threads. Invariant: an answer is never longer than `ANSWER_BYTES_MAX`.
//! Used by every command of `bench`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use bytes::Bytes;
use ottla_net::client::{ClientError, Lost};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ApiKey, Decoder, ErrorCode, Message, Request, ResponseHeader, Str, frame};

/// The longest answer: what all partitions of a fetch may hold, and more than a batch over it.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a broker may leave a request without an answer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The version of ApiVersions that is tried; older brokers answer in version 0.
const API_VERSIONS_VERSION: i16 = 3;
/// Answers of common size arrive in one read.
const READ_BYTES: usize = 64 * 1024;
/// Where the correlation id lies in a request: behind length, key and version.
const CORRELATION_ID: std::ops::Range<usize> = 8..12;

type Result<T> = std::result::Result<T, ClientError>;

/// Both directions of one connection, and the versions that its broker serves.
pub struct Pipe {
    pub outlet: Outlet,
    pub inlet: Inlet,
    versions: HashMap<i16, (i16, i16)>,
    next_id: i32,
}

impl Pipe {
    pub fn open(address: &str) -> Result<Pipe> {
        let stream = connect(address)?;
        let reader = stream.try_clone().map_err(|error| lost(address, &error))?;
        let mut pipe = Pipe {
            outlet: Outlet {
                stream,
                address: address.to_owned(),
            },
            inlet: Inlet {
                stream: reader,
                address: address.to_owned(),
                bytes: Vec::new(),
            },
            versions: HashMap::new(),
            next_id: 0,
        };
        pipe.versions = pipe.ask_versions()?;
        Ok(pipe)
    }

    /// The highest version within `ours` that the broker serves.
    pub fn version<R: Request>(&self, ours: RangeInclusive<i16>) -> Result<i16> {
        let theirs = self.versions.get(&R::KEY.code()).copied();
        theirs
            .map(|(min, max)| (min.max(*ours.start()), max.min(*ours.end())))
            .filter(|(min, max)| min <= max)
            .map(|(_, max)| max)
            .ok_or_else(|| ClientError::UnsupportedApi {
                api: R::KEY,
                address: self.outlet.address.clone(),
                ours: (*ours.start(), *ours.end()),
                theirs,
            })
    }

    /// Sends one request and waits for its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.next_id = self.next_id.wrapping_add(1);
        self.outlet
            .write(&encode(request, version, self.next_id)?)?;
        self.inlet.read::<R>(version)
    }

    fn ask_versions(&mut self) -> Result<HashMap<i16, (i16, i16)>> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("ottla-bench"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        self.outlet
            .write(&encode(&request, API_VERSIONS_VERSION, 0)?)?;
        let answer = self.inlet.next()?;
        // The header of this answer is always the shortest one: a correlation id.
        let body = answer.slice(answer.len().min(4)..);
        let unsupported = ErrorCode::UnsupportedVersion.code();
        let response = ApiVersionsResponse::from_bytes(body.clone(), API_VERSIONS_VERSION)
            .ok()
            .filter(|response| response.error_code != unsupported)
            .map_or_else(|| ApiVersionsResponse::from_bytes(body, 0), Ok)
            .map_err(|source| self.inlet.undecodable(ApiKey::ApiVersions, source))?;
        let keys = response.api_keys.iter();
        Ok(keys
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect())
    }
}

/// The way to the broker.
pub struct Outlet {
    stream: TcpStream,
    address: String,
}

impl Outlet {
    pub fn write(&mut self, frame: &[u8]) -> Result<()> {
        self.stream
            .write_all(frame)
            .map_err(|error| lost(&self.address, &error))
    }
}

/// The way from the broker.
pub struct Inlet {
    stream: TcpStream,
    address: String,
    /// What was read and not yet taken.
    bytes: Vec<u8>,
}

impl Inlet {
    /// The next answer, decoded.
    pub fn read<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let mut decoder = Decoder::new(self.next()?);
        ResponseHeader::decode(&mut decoder, R::KEY.response_header_version(version))
            .and_then(|_| R::Response::from_bytes(decoder.rest(), version))
            .map_err(|source| self.undecodable(R::KEY, source))
    }

    pub fn socket(&self) -> impl AsFd {
        &self.stream
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next answer behind its length.
    pub fn next(&mut self) -> Result<Bytes> {
        self.fill(frame::LENGTH_SIZE)?;
        let length = self
            .bytes
            .first_chunk()
            .copied()
            .map_or(0, u32::from_be_bytes);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > ANSWER_BYTES_MAX {
            let kind = io::ErrorKind::InvalidData;
            return Err(lost(&self.address, &kind.into()));
        }
        let whole = frame::LENGTH_SIZE + length;
        self.fill(whole)?;
        let rest = self.bytes.split_off(whole);
        let answer = Bytes::from(std::mem::replace(&mut self.bytes, rest));
        Ok(answer.slice(frame::LENGTH_SIZE..))
    }

    /// Reads until `wanted` bytes are there.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        while self.bytes.len() < wanted {
            let missing = (wanted - self.bytes.len()).max(READ_BYTES);
            self.bytes.reserve(missing);
            let room = rustix::buffer::spare_capacity(&mut self.bytes);
            match rustix::io::read(&self.stream, room) {
                Ok(0) => {
                    return Err(ClientError::ConnectionLost {
                        address: self.address.clone(),
                        reason: Lost::ByPeer,
                    });
                }
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(lost(&self.address, &error.into())),
            }
        }
        Ok(())
    }

    fn undecodable(&self, api: ApiKey, source: ottla_protocol::DecodeError) -> ClientError {
        ClientError::Decode {
            api,
            address: self.address.clone(),
            source,
        }
    }
}

/// Gives a frame another correlation id.
pub fn set_correlation_id(frame: &mut [u8], id: i32) {
    if let Some(place) = frame.get_mut(CORRELATION_ID) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// A whole request frame.
pub fn encode<R: Request>(request: &R, version: i16, id: i32) -> Result<Bytes> {
    frame::encode_request(request, version, id, Some(Str::from_static("ottla-bench")))
        .and_then(ottla_protocol::Encoded::into_bytes)
        .map_err(|source| ClientError::Encode {
            api: R::KEY,
            source,
        })
}

fn connect(address: &str) -> Result<TcpStream> {
    let candidates = address
        .to_socket_addrs()
        .map_err(|source| ClientError::Resolve {
            address: address.to_owned(),
            source,
        })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in candidates {
        match TcpStream::connect(candidate) {
            Ok(stream) => {
                return stream
                    .set_nodelay(true)
                    .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
                    .map(|()| stream)
                    .map_err(|error| lost(address, &error));
            }
            Err(error) => last = error,
        }
    }
    Err(ClientError::Connect {
        address: address.to_owned(),
        source: last,
    })
}

fn lost(address: &str, error: &io::Error) -> ClientError {
    ClientError::ConnectionLost {
        address: address.to_owned(),
        reason: Lost::Io { kind: error.kind() },
    }
}
