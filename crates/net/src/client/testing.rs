//! A broker that answers as a test tells it to, over real sockets.
//!
//! It answers ApiVersions by itself; every other request goes to the test's function, which answers
//! with a message, with nothing for as long as the connection lives, or by closing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::api_versions_response::ApiVersion;
use ottla_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{ApiVersionsResponse, MetadataResponse};
use ottla_protocol::{
    ApiKey, Decoder, Encoder, ErrorCode, Message, RequestHeader, ResponseHeader, Str,
};

use super::{Client, ClientConfig};
use crate::{
    ConnectionInfo, Limits, ListenerConfig, Outcome, Reply, Server, ServerHandle, Service,
};

pub(crate) enum Answer {
    Bytes(Bytes),
    /// `acks=0`.
    Nothing,
    Silence,
    Close,
}

/// What a request was.
pub(crate) struct Asked {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn decode<M: Message>(&self) -> M {
        M::from_bytes(self.body.clone(), self.version).unwrap()
    }

    pub(crate) fn answer(&self, message: &impl Message) -> Answer {
        Answer::Bytes(message.to_bytes(self.version).unwrap())
    }
}

type Script = Box<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// Which versions a broker says that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// All that this build knows.
    Current,
    /// Knows ApiVersions 0 alone, and of the others only the lowest.
    Old,
}

struct Scripted {
    era: Era,
    script: Script,
    asked: Arc<Mutex<Vec<(ApiKey, i16)>>>,
    connections: Arc<AtomicUsize>,
}

#[derive(Debug, thiserror::Error)]
#[error("the test closes it")]
struct ClosedByTest;

impl Service for Scripted {
    type Connection = ();

    fn connected(&self, _info: ConnectionInfo) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    async fn call(&self, _connection: &Arc<()>, frame: Bytes) -> Outcome {
        let mut decoder = Decoder::new(frame);
        let (header, key) = RequestHeader::decode(&mut decoder).unwrap();
        let asked = Asked {
            key,
            version: header.api_version,
            body: decoder.rest(),
        };
        self.asked.lock().unwrap().push((key, asked.version));
        let answer = match key {
            ApiKey::ApiVersions => Answer::Bytes(self.versions(asked.version)),
            _ => (self.script)(&asked),
        };
        match answer {
            Answer::Bytes(body) => {
                let mut e = Encoder::new();
                let version = key.response_header_version(asked.version);
                let header = ResponseHeader::new(header.correlation_id);
                header.encode(&mut e, version).unwrap();
                e.raw(&body);
                Outcome::Reply(Reply::from(e.finish().into_bytes().unwrap()))
            }
            Answer::Nothing => Outcome::NoReply,
            Answer::Silence => std::future::pending().await,
            Answer::Close => Outcome::Close(Box::new(ClosedByTest)),
        }
    }
}

impl Scripted {
    fn versions(&self, version: i16) -> Bytes {
        let api = |key: &ApiKey| {
            let versions = key.valid_versions();
            ApiVersion {
                api_key: key.code(),
                min_version: *versions.start(),
                max_version: match self.era {
                    Era::Current => *versions.end(),
                    Era::Old => *versions.start(),
                },
                ..ApiVersion::default()
            }
        };
        let mut response = ApiVersionsResponse {
            api_keys: ApiKey::ALL.iter().map(api).collect(),
            ..ApiVersionsResponse::default()
        };
        match (self.era, version) {
            (Era::Old, 1..) => {
                response.error_code = ErrorCode::UnsupportedVersion.code();
                response.to_bytes(0).unwrap()
            }
            _ => response.to_bytes(version).unwrap(),
        }
    }
}

pub(crate) struct FakeBroker {
    pub(crate) handle: ServerHandle,
    pub(crate) asked: Arc<Mutex<Vec<(ApiKey, i16)>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl FakeBroker {
    /// Starts a broker; the script learns the broker's port first.
    pub(crate) fn start<S>(era: Era, script: impl FnOnce(u16) -> S) -> FakeBroker
    where
        S: Fn(&Asked) -> Answer + Send + Sync + 'static,
    {
        let listener = ListenerConfig::new("PLAINTEXT", "127.0.0.1:0".parse().unwrap());
        let server = Server::bind(Limits::default(), &[listener]).unwrap();
        let port = server.addresses()[0].1.port();
        let asked = Arc::default();
        let connections = Arc::default();
        let service = Scripted {
            era,
            script: Box::new(script(port)),
            asked: Arc::clone(&asked),
            connections: Arc::clone(&connections),
        };
        FakeBroker {
            handle: server.start(Arc::new(service)),
            asked,
            connections,
        }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new(&self.handle.addresses()[0].1.to_string()).unwrap();
        config.request_timeout = Duration::from_secs(20);
        config.operation_timeout = Duration::from_secs(20);
        config
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.config()).await.unwrap()
    }

    /// How often an API was asked for.
    pub(crate) fn count(&self, key: ApiKey) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(asked, _)| *asked == key).count()
    }
}

/// A cluster of one broker whose topic `t` has two partitions.
pub(crate) fn metadata(port: u16) -> MetadataResponse {
    let partition = |index| MetadataResponsePartition {
        partition_index: index,
        leader_id: 1,
        ..MetadataResponsePartition::default()
    };
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: Str::from("127.0.0.1"),
            port: port.into(),
            ..MetadataResponseBroker::default()
        }],
        controller_id: 1,
        topics: vec![MetadataResponseTopic {
            name: Some(Str::from("t")),
            partitions: vec![partition(0), partition(1)],
            ..MetadataResponseTopic::default()
        }],
        ..MetadataResponse::default()
    }
}
