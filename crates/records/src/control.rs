//! Control records: transaction markers, and what a KRaft quorum writes into its log.
//!
//! Invariant: a key or value of a later version reads as the version that is known here, which its writers promise to
//! keep possible.
//! Called by the log (markers end transactions), the coordinators that write markers, and the metadata log.
//!
//! ```text
//! key    version (2), type (2)
//! value  version (2), message: of a marker the coordinator epoch (4); of the others, protocol::log_records
//! ```

use bytes::Bytes;

use crate::batch::NO_SEQUENCE;
use crate::builder::{BatchBuilder, Producer};

const KEY_VERSION: i16 = 0;
const END_TXN_MARKER_VERSION: i16 = 0;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KRaftVersion,
    KRaftVoters,
}

/// Why a control record could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("control record key is too short")]
    Key,
    #[error("invalid version {0} of a control record key")]
    KeyVersion(i16),
    #[error("end transaction marker is too short")]
    Marker,
    #[error("invalid version {0} of an end transaction marker")]
    MarkerVersion(i16),
    #[error("control record of type {0:?} is not an end transaction marker")]
    NotAMarker(Option<ControlType>),
}

impl ControlType {
    const ALL: [ControlType; 7] = [
        ControlType::Abort,
        ControlType::Commit,
        ControlType::LeaderChange,
        ControlType::SnapshotHeader,
        ControlType::SnapshotFooter,
        ControlType::KRaftVersion,
        ControlType::KRaftVoters,
    ];

    pub fn id(self) -> i16 {
        self as i16
    }

    /// The type that a record's key states; `None` is one that is not known here and to be passed over.
    pub fn parse(key: &[u8]) -> Result<Option<ControlType>, ControlError> {
        let (version, rest) = split_i16(key).ok_or(ControlError::Key)?;
        let (id, _) = split_i16(rest).ok_or(ControlError::Key)?;
        if version < KEY_VERSION {
            return Err(ControlError::KeyVersion(version));
        }
        Ok(ControlType::ALL
            .into_iter()
            .find(|control| control.id() == id))
    }

    /// The record key.
    pub fn key(self) -> [u8; 4] {
        let [v0, v1] = KEY_VERSION.to_be_bytes();
        let [t0, t1] = self.id().to_be_bytes();
        [v0, v1, t0, t1]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionResult {
    Abort,
    Commit,
}

/// The end of a transaction, as it stands in each partition that took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    pub result: TransactionResult,
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    pub fn parse(key: &[u8], value: &[u8]) -> Result<EndTxnMarker, ControlError> {
        let result = match ControlType::parse(key)? {
            Some(ControlType::Abort) => TransactionResult::Abort,
            Some(ControlType::Commit) => TransactionResult::Commit,
            other => return Err(ControlError::NotAMarker(other)),
        };
        let (version, rest) = split_i16(value).ok_or(ControlError::Marker)?;
        if version < END_TXN_MARKER_VERSION {
            return Err(ControlError::MarkerVersion(version));
        }
        let epoch = rest.first_chunk().ok_or(ControlError::Marker)?;
        Ok(EndTxnMarker {
            result,
            coordinator_epoch: i32::from_be_bytes(*epoch),
        })
    }

    pub fn control_type(&self) -> ControlType {
        match self.result {
            TransactionResult::Abort => ControlType::Abort,
            TransactionResult::Commit => ControlType::Commit,
        }
    }

    pub fn key(&self) -> [u8; 4] {
        self.control_type().key()
    }

    pub fn value(&self) -> [u8; 6] {
        let [v0, v1] = END_TXN_MARKER_VERSION.to_be_bytes();
        let [e0, e1, e2, e3] = self.coordinator_epoch.to_be_bytes();
        [v0, v1, e0, e1, e2, e3]
    }

    /// The batch that ends a producer's transaction in a partition.
    pub fn to_batch(&self, producer_id: i64, producer_epoch: i16, timestamp: i64) -> Bytes {
        let producer = Producer {
            id: producer_id,
            epoch: producer_epoch,
            base_sequence: NO_SEQUENCE,
        };
        let mut builder = BatchBuilder::default()
            .producer(producer)
            .transactional(true);
        builder.append_control(timestamp, self.control_type(), &self.value());
        builder
            .build()
            .expect("a marker fits and is not compressed")
    }
}

impl BatchBuilder {
    /// Appends a control record, which makes the batch a control batch.
    pub fn append_control(&mut self, timestamp: i64, control_type: ControlType, value: &[u8]) {
        self.set_control();
        self.append(timestamp, Some(&control_type.key()), Some(value));
    }
}

fn split_i16(bytes: &[u8]) -> Option<(i16, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((i16::from_be_bytes(*value), rest))
}

#[cfg(test)]
mod tests;
