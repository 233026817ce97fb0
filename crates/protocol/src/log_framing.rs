//! How records are framed inside the logs that Kafka keeps its own state in.
//!
//! ```text
//! metadata log      value = varint frame version (1) | varint type | varint version | record
//! coordinator logs  key   = i16 type | key, version 0
//!                   value = i16 version | value          (no value: a tombstone)
//! ```
//!
//! The enums over all records are generated with the macros below. Decoding from borrowed bytes
//! copies strings, so that state built from a log keeps no read buffer alive.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::metadata_records::MetadataRecord;
use crate::{DecodeError, Decoder, EncodeError, Encoder, Message};

/// The only frame version of the metadata log since its preview.
pub const FRAME_VERSION: u32 = 1;
/// Every key of a coordinator's log has this version.
pub const COORDINATOR_KEY_VERSION: i16 = 0;

/// The feature level of metadata.version that Kafka 4.3 calls 4.3-IV0.
pub const LATEST_METADATA_VERSION: i16 = 30;
/// And the oldest one that Kafka 4.x can still run, 3.3-IV3.
pub const MINIMUM_METADATA_VERSION: i16 = 7;

// The feature levels at which records got fields.
const IS_MIGRATING_ZK_BROKER: i16 = 8;
const DIRECTORY_ASSIGNMENT: i16 = 17;
const ELIGIBLE_LEADER_REPLICAS: i16 = 23;
const CORDONED_LOG_DIRS: i16 = 30;

impl MetadataRecord {
    /// The version in which a cluster of this metadata.version writes the record: what every node
    /// of that level can read.
    ///
    /// A change of a broker's registration takes the lowest version that carries the change.
    pub fn version_at(&self, metadata_version: i16) -> i16 {
        match self {
            MetadataRecord::RegisterBroker(_) => match metadata_version {
                CORDONED_LOG_DIRS.. => 4,
                DIRECTORY_ASSIGNMENT.. => 3,
                IS_MIGRATING_ZK_BROKER.. => 2,
                _ => 1,
            },
            MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
                match metadata_version {
                    ELIGIBLE_LEADER_REPLICAS.. => 2,
                    DIRECTORY_ASSIGNMENT.. => 1,
                    _ => 0,
                }
            }
            MetadataRecord::BrokerRegistrationChange(change) => {
                if change.cordoned_log_dirs.is_some() {
                    3
                } else if !change.log_dirs.is_empty() {
                    2
                } else {
                    (change.in_controlled_shutdown != 0).into()
                }
            }
            _ => self.highest_version(),
        }
    }
}

/// Reads the frame of a metadata record: its type and its version.
pub fn read_frame(d: &mut Decoder<'_>) -> Result<(i16, i16), DecodeError> {
    let frame_version = d.varint()?;
    if frame_version != FRAME_VERSION {
        return Err(DecodeError::UnsupportedFrameVersion(frame_version));
    }
    let mut short = || {
        let value = d.varint()?;
        i16::try_from(value).map_err(|_| DecodeError::InvalidLength(value.into()))
    };
    Ok((short()?, short()?))
}

pub fn write_frame(e: &mut Encoder, key: i16, version: i16) {
    e.varint(FRAME_VERSION);
    e.varint(key as u32);
    e.varint(version as u32);
}

/// A message after its version, as coordinators write values and consumers their assignments.
pub fn version_prefixed<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut e = Encoder::new();
    e.i16(version);
    message.encode(&mut e, version)?;
    e.finish().into_bytes()
}

/// Reads what `version_prefixed` writes, and the version that it had.
pub fn decode_version_prefixed<M: Message>(d: &mut Decoder<'_>) -> Result<(M, i16), DecodeError> {
    let version = d.i16()?;
    Ok((M::decode(d, version)?, version))
}

/// Refuses bytes after a record that must fill its frame.
pub fn expect_end(d: &Decoder<'_>) -> Result<(), DecodeError> {
    match d.remaining() {
        0 => Ok(()),
        n => Err(DecodeError::TrailingBytes(n)),
    }
}

macro_rules! metadata_records {
    ($name:ident { $($key:literal => $variant:ident($record:ident),)* }) => {
        /// Any record of this log.
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $($variant($record),)*
        }

        impl $name {
            /// The type that the frame names.
            pub fn api_key(&self) -> i16 {
                match self {
                    $($name::$variant(_) => $key,)*
                }
            }

            /// The name of the record's schema.
            pub fn name(&self) -> &'static str {
                match self {
                    $($name::$variant(_) => stringify!($record),)*
                }
            }

            /// The newest version of this kind of record.
            pub fn highest_version(&self) -> i16 {
                match self {
                    $($name::$variant(_) => *<$record as $crate::Message>::VALID_VERSIONS.end(),)*
                }
            }

            /// Writes the frame and the record.
            pub fn encode(
                &self,
                e: &mut $crate::Encoder,
                version: i16,
            ) -> Result<(), $crate::EncodeError> {
                $crate::log_framing::write_frame(e, self.api_key(), version);
                match self {
                    $($name::$variant(record) => $crate::Message::encode(record, e, version),)*
                }
            }

            /// The value of a log record: frame and record.
            pub fn encode_to_bytes(&self, version: i16) -> Result<bytes::Bytes, $crate::EncodeError> {
                let mut e = $crate::Encoder::new();
                self.encode(&mut e, version)?;
                e.finish().into_bytes()
            }

            /// Reads the frame and the record, which must end together with the bytes; also gives
            /// the version that the record had.
            pub fn decode(d: &mut $crate::Decoder<'_>) -> Result<(Self, i16), $crate::DecodeError> {
                let (key, version) = $crate::log_framing::read_frame(d)?;
                let record = match key {
                    $($key => $name::$variant($crate::Message::decode(d, version)?),)*
                    _ => return Err($crate::DecodeError::UnknownRecordType(key.into())),
                };
                $crate::log_framing::expect_end(d)?;
                Ok((record, version))
            }

            /// Decodes the value of a log record, copying what it keeps.
            pub fn decode_from(value: &[u8]) -> Result<Self, $crate::DecodeError> {
                Ok(Self::decode(&mut $crate::Decoder::copying(value))?.0)
            }
        }

        $(impl From<$record> for $name {
            fn from(record: $record) -> Self {
                $name::$variant(record)
            }
        })*
    };
}
pub(crate) use metadata_records;

macro_rules! coordinator_records {
    ($name:ident { $($key:literal => $variant:ident($key_type:ident, $value_type:ident),)* }) => {
        /// Any record of this log: a key, and its value unless the key is deleted.
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $($variant($key_type, Option<$value_type>),)*
        }

        impl $name {
            /// The type that stands before the key.
            pub fn record_type(&self) -> i16 {
                match self {
                    $($name::$variant(..) => $key,)*
                }
            }

            pub fn is_tombstone(&self) -> bool {
                match self {
                    $($name::$variant(_, value) => value.is_none(),)*
                }
            }

            /// The newest version of this record's value.
            pub fn highest_value_version(&self) -> i16 {
                match self {
                    $($name::$variant(..) => {
                        *<$value_type as $crate::Message>::VALID_VERSIONS.end()
                    })*
                }
            }

            pub fn encode_key(&self) -> Result<bytes::Bytes, $crate::EncodeError> {
                let mut e = $crate::Encoder::new();
                e.i16(self.record_type());
                match self {
                    $($name::$variant(key, _) => $crate::Message::encode(
                        key,
                        &mut e,
                        $crate::log_framing::COORDINATOR_KEY_VERSION,
                    )?,)*
                }
                e.finish().into_bytes()
            }

            /// `None` for a tombstone.
            pub fn encode_value(
                &self,
                version: i16,
            ) -> Result<Option<bytes::Bytes>, $crate::EncodeError> {
                match self {
                    $($name::$variant(_, Some(value)) => {
                        $crate::log_framing::version_prefixed(value, version).map(Some)
                    })*
                    _ => Ok(None),
                }
            }

            /// Decodes the key and value of a log record, copying what it keeps.
            pub fn decode_from(
                key: &[u8],
                value: Option<&[u8]>,
            ) -> Result<Self, $crate::DecodeError> {
                let mut k = $crate::Decoder::copying(key);
                let record_type = k.i16()?;
                let mut value = value.map($crate::Decoder::copying);
                let version = $crate::log_framing::COORDINATOR_KEY_VERSION;
                match record_type {
                    $($key => Ok($name::$variant(
                        $crate::Message::decode(&mut k, version)?,
                        match &mut value {
                            Some(d) => Some($crate::log_framing::decode_version_prefixed(d)?.0),
                            None => None,
                        },
                    )),)*
                    _ => Err($crate::DecodeError::UnknownRecordType(record_type.into())),
                }
            }
        }
    };
}
pub(crate) use coordinator_records;
