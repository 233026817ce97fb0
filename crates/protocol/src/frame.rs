//! Frames: a length of four bytes, a header, a message.
//!
//! Servers write answers and clients write requests through these, so that the length always
//! counts the spliced bytes.

#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};

use crate::{
    EncodeError, Encoded, Encoder, Message, Request, RequestHeader, ResponseHeader, Splice, Str,
};

/// The bytes of the length itself.
pub const LENGTH_SIZE: usize = 4;
/// Kafka's default of `socket.request.max.bytes`.
pub const DEFAULT_MAX_REQUEST_SIZE: usize = 100 * 1024 * 1024;
/// The shortest request: key, version, correlation id, and the length of the client id.
pub const MIN_REQUEST_SIZE: usize = 10;
/// Room that covers the length and a header with a client id of common size.
const INITIAL_CAPACITY: usize = 512;

/// A whole request frame, its length included.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<Str>,
) -> Result<Encoded, EncodeError> {
    let mut e = begin();
    let header = RequestHeader::new(R::KEY, version, correlation_id, client_id);
    header.encode(&mut e, R::KEY.request_header_version(version))?;
    request.encode(&mut e, version)?;
    finish(e)
}

/// A whole frame of the answer to an `R` of `version`, its length included.
pub fn encode_response<R: Request>(
    response: &R::Response,
    version: i16,
    correlation_id: i32,
) -> Result<Encoded, EncodeError> {
    encode_response_with_header(
        response,
        version,
        correlation_id,
        R::KEY.response_header_version(version),
    )
}

/// The same where the API is known only as a value.
pub fn encode_response_with_header<M: Message>(
    response: &M,
    version: i16,
    correlation_id: i32,
    header_version: i16,
) -> Result<Encoded, EncodeError> {
    let mut e = begin();
    ResponseHeader::new(correlation_id).encode(&mut e, header_version)?;
    response.encode(&mut e, version)?;
    finish(e)
}

fn begin() -> Encoder {
    let mut buf = BytesMut::with_capacity(INITIAL_CAPACITY);
    buf.put_bytes(0, LENGTH_SIZE);
    Encoder::over(buf)
}

fn finish(e: Encoder) -> Result<Encoded, EncodeError> {
    let length = e.len() - LENGTH_SIZE;
    let (mut buf, splices): (BytesMut, Vec<Splice>) = e.into_parts();
    let max = i32::MAX as usize;
    let value = i32::try_from(length).map_err(|_| EncodeError::TooLong { len: length, max })?;
    buf[..LENGTH_SIZE].copy_from_slice(&value.to_be_bytes());
    Ok(Encoded {
        buf: buf.freeze(),
        splices,
    })
}
