//! A client that sends a request and waits for its answer. Each test's file adds the requests that only it makes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use ottla_protocol::frame::encode_request;
use ottla_protocol::messages::CreateTopicsRequest;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::{Decoder, Message, Request, ResponseHeader};

pub struct Client(TcpStream);

impl Client {
    /// What the client calls itself.
    pub const ID: &str = "apis";

    pub fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).unwrap())
    }

    /// Sends a request of the newest version that both know, and waits for the answer.
    pub fn call<R: Request>(&mut self, request: &R) -> R::Response {
        self.call_in(*R::VALID_VERSIONS.end(), request)
    }

    /// As [`Client::call`], in an older version.
    pub fn call_in<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let frame = encode_request(request, version, 1, Some(Client::ID.into())).unwrap();
        self.0.write_all(&frame.into_bytes().unwrap()).unwrap();
        let mut size = [0; 4];
        self.0.read_exact(&mut size).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.0.read_exact(&mut answer).unwrap();
        let mut decoder = Decoder::new(answer.into());
        ResponseHeader::decode(&mut decoder, R::KEY.response_header_version(version)).unwrap();
        R::Response::decode(&mut decoder, version).unwrap()
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32) {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 5000,
            ..Default::default()
        };
        assert_eq!(self.call(&request).topics[0].error_code, 0);
    }
}
