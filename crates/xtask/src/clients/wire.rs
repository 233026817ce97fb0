//! The one question that tells a broker that answers from a port that is merely open: who are the brokers?
//!
//! Metadata version 0 is spelled out by hand, so that the tests do not lean on the codec under test.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_SECONDS_MAX: u64 = 5;
/// No answer to the question asked here comes near this size.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const CORRELATION_ID: i32 = 7;

/// Metadata, version 0, no client id, and one topic that cannot exist (an empty list would mean all).
const REQUEST: [u8; 21] = [
    0, 0, 0, 17, // size
    0, 3, 0, 0, // api key, version
    0, 0, 0, 7, // correlation id
    0xff, 0xff, // client id: null
    0, 0, 0, 1, // one topic
    0, 1, b'/',
];

/// How many brokers the cluster at `address` has.
pub fn brokers(address: &str) -> io::Result<i32> {
    let mut stream = TcpStream::connect(address)?;
    let limit = Some(Duration::from_secs(ANSWER_SECONDS_MAX));
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    stream.write_all(&REQUEST)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if !(8..=ANSWER_BYTES_MAX).contains(&size) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not an answer to Metadata",
        ));
    }
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> io::Result<i32> {
    let int = |at: usize| {
        let bytes = answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(i32::from_be_bytes)
    };
    match (int(0), int(4)) {
        (Some(CORRELATION_ID), Some(brokers)) => Ok(brokers),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not an answer to Metadata",
        )),
    }
}

#[cfg(test)]
mod tests;
