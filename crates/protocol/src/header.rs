//! What stands before each request and each response.
//!
//! Written by hand, for the header decides how the rest is read: the request header has version 1,
//! or 2 where the API's version is flexible; the response header 0 or 1 (`ApiKey` knows which).
//! The client id keeps its two-byte length even in the flexible header.

#[cfg(test)]
mod tests;

use crate::{ApiKey, DecodeError, Decoder, EncodeError, Encoder, Str, TaggedField, UnknownApiKey};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Str>,
    pub unknown_tagged_fields: Vec<TaggedField>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error(transparent)]
    UnknownApi(#[from] UnknownApiKey),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl RequestHeader {
    pub fn new(api: ApiKey, version: i16, correlation_id: i32, client_id: Option<Str>) -> Self {
        RequestHeader {
            api_key: api.code(),
            api_version: version,
            correlation_id,
            client_id,
            unknown_tagged_fields: Vec::new(),
        }
    }

    /// Reads the header, whose own version follows from the API key and version that it begins with.
    ///
    /// A version that the API does not have is not refused here: its header is read as flexible if
    /// it lies above the first flexible version, so that ApiVersions can be answered from the future.
    pub fn decode(d: &mut Decoder<'_>) -> Result<(Self, ApiKey), HeaderError> {
        let api_key = d.i16()?;
        let api_version = d.i16()?;
        let correlation_id = d.i32()?;
        let api = ApiKey::try_from(api_key)?;
        let client_id = d.nullable_string(false)?;
        let unknown_tagged_fields = match api.request_header_version(api_version) {
            2.. => d.unknown_tagged_fields()?,
            _ => Vec::new(),
        };
        let header = RequestHeader {
            api_key,
            api_version,
            correlation_id,
            client_id,
            unknown_tagged_fields,
        };
        Ok((header, api))
    }

    pub fn encode(&self, e: &mut Encoder, header_version: i16) -> Result<(), EncodeError> {
        e.i16(self.api_key);
        e.i16(self.api_version);
        e.i32(self.correlation_id);
        e.nullable_string(self.client_id.as_deref(), false)?;
        e.unknown_tags(&self.unknown_tagged_fields, header_version >= 2)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHeader {
    pub correlation_id: i32,
    pub unknown_tagged_fields: Vec<TaggedField>,
}

impl ResponseHeader {
    pub fn new(correlation_id: i32) -> Self {
        ResponseHeader {
            correlation_id,
            unknown_tagged_fields: Vec::new(),
        }
    }

    pub fn decode(d: &mut Decoder<'_>, header_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = d.i32()?;
        let unknown_tagged_fields = match header_version {
            1.. => d.unknown_tagged_fields()?,
            _ => Vec::new(),
        };
        Ok(ResponseHeader {
            correlation_id,
            unknown_tagged_fields,
        })
    }

    pub fn encode(&self, e: &mut Encoder, header_version: i16) -> Result<(), EncodeError> {
        e.i32(self.correlation_id);
        e.unknown_tags(&self.unknown_tagged_fields, header_version >= 1)
    }
}
