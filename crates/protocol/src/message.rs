//! What every message can do, and the tagged fields that Ottla does not know.
//!
//! Invariant: decoding a message and encoding it again in the same version keeps every field,
//! known or not. The generated code implements these traits; brokers and tools call them.

#[cfg(test)]
pub(crate) mod tests;

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::{ApiKey, DecodeError, Decoder, EncodeError, Encoder};

/// A message with versions of its own: a request, a response, or a record that lives in a log.
pub trait Message: Sized + Default {
    /// The name in Kafka's schemas.
    const NAME: &'static str;

    /// Every version that can be decoded and encoded, an unstable newest one included.
    const VALID_VERSIONS: RangeInclusive<i16>;

    /// Reads one message and leaves the decoder behind it; bytes that follow are not looked at.
    fn decode(d: &mut Decoder<'_>, version: i16) -> Result<Self, DecodeError>;

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError>;

    /// Whether the version has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool;

    /// Decodes from the start of a frame, whose strings and bytes are shared, not copied.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::decode(&mut Decoder::new(bytes), version)
    }

    /// Decodes from borrowed bytes; strings and bytes are copied, so nothing keeps `bytes` alive.
    fn from_slice(bytes: &[u8], version: i16) -> Result<Self, DecodeError> {
        Self::decode(&mut Decoder::copying(bytes), version)
    }

    /// The encoded message alone, without a header. Fails if it would have splices.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut e = Encoder::new();
        self.encode(&mut e, version)?;
        e.finish().into_bytes()
    }
}

/// A message that a client sends and that has an answer.
pub trait Request: Message {
    const KEY: ApiKey;
    type Response: Message;
}

/// A part of a message, read and written within the version of the whole.
///
/// Implemented by the scalars that stand in arrays and by every generated struct.
pub trait Wire: Sized {
    fn read(d: &mut Decoder<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError>;
    fn write(&self, e: &mut Encoder, version: i16, flexible: bool) -> Result<(), EncodeError>;
}

/// A tagged field whose tag the schema does not name, kept so that it survives re-encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedField {
    pub tag: u32,
    pub data: Bytes,
}

/// A key or value of a coordinator's log.
pub trait CoordinatorMessage: Message {
    /// Names the pair of key and value; stands before each key in the log.
    const TYPE: i16;
}

/// What each generated file imports.
pub(crate) mod prelude {
    pub use bytes::Bytes;

    pub(crate) use super::message;
    pub use super::{CoordinatorMessage, Request, TaggedField, Wire};
    pub use crate::{ApiKey, DecodeError, Decoder, EncodeError, Encoder, Records, Str, Uuid};
}

/// Ties a generated struct to its versions.
macro_rules! message {
    ($name:ident, $versions:expr, $flexible_from:expr) => {
        impl $crate::Message for $name {
            const NAME: &'static str = stringify!($name);
            const VALID_VERSIONS: std::ops::RangeInclusive<i16> = $versions;

            fn decode(
                d: &mut $crate::Decoder<'_>,
                version: i16,
            ) -> Result<Self, $crate::DecodeError> {
                if !Self::VALID_VERSIONS.contains(&version) {
                    return Err($crate::DecodeError::UnsupportedVersion {
                        message: Self::NAME,
                        version,
                    });
                }
                $crate::Wire::read(d, version, Self::is_flexible(version))
            }

            fn encode(
                &self,
                e: &mut $crate::Encoder,
                version: i16,
            ) -> Result<(), $crate::EncodeError> {
                if !Self::VALID_VERSIONS.contains(&version) {
                    return Err($crate::EncodeError::UnsupportedVersion {
                        message: Self::NAME,
                        version,
                    });
                }
                $crate::Wire::write(self, e, version, Self::is_flexible(version))
            }

            fn is_flexible(version: i16) -> bool {
                version >= $flexible_from
            }
        }
    };
}
pub(crate) use message;

macro_rules! wire_scalar {
    ($($scalar:ident),*) => {$(
        impl Wire for $scalar {
            fn read(d: &mut Decoder<'_>, _: i16, _: bool) -> Result<Self, DecodeError> {
                d.$scalar()
            }

            fn write(&self, e: &mut Encoder, _: i16, _: bool) -> Result<(), EncodeError> {
                e.$scalar(*self);
                Ok(())
            }
        }
    )*};
}
wire_scalar!(i8, i16, i32, i64);

impl Wire for crate::Uuid {
    fn read(d: &mut Decoder<'_>, _: i16, _: bool) -> Result<Self, DecodeError> {
        d.uuid()
    }

    fn write(&self, e: &mut Encoder, _: i16, _: bool) -> Result<(), EncodeError> {
        e.uuid(*self);
        Ok(())
    }
}

impl Wire for crate::Str {
    fn read(d: &mut Decoder<'_>, _: i16, flexible: bool) -> Result<Self, DecodeError> {
        d.string(flexible)
    }

    fn write(&self, e: &mut Encoder, _: i16, flexible: bool) -> Result<(), EncodeError> {
        e.string(self, flexible)
    }
}
