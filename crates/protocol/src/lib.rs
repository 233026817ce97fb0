//! Words of the wire: ids, error codes, frames and the messages generated from Kafka's schemas.
//!
//! Invariant: decoding never panics, never allocates by a length that the sender only claims, and
//! never copies what it can slice. Nothing here does I/O, reads a clock or draws random numbers.
//! Every other crate speaks in these types; the files under `generated` come from
//! `cargo xtask codegen`.

mod api_key;
mod decode;
mod encode;
mod error_code;
pub mod frame;
mod generated;
mod header;
pub mod ids;
pub mod log_framing;
mod message;
mod records;
mod str;
mod uuid;

pub use api_key::{ApiKey, UnknownApiKey};
pub use decode::{
    DecodeError, Decoder, MAX_ARRAY_ELEMENTS, MAX_DECODED_BYTES_BASE, MAX_DECODED_BYTES_PER_BYTE,
    MAX_STRING_LENGTH, MAX_TAGGED_FIELDS,
};
pub use encode::{EncodeError, Encoded, Encoder, Splice};
pub use error_code::ErrorCode;
pub use generated::{
    group_records, log_records, messages, metadata_records, remote_log_records, share_records,
    transaction_records,
};
pub use header::{HeaderError, RequestHeader, ResponseHeader};
pub use message::{CoordinatorMessage, Message, Request, TaggedField, Wire};
pub use records::Records;
pub use str::Str;
pub use uuid::{InvalidUuid, Uuid};
