//! Records of `__transaction_state` between the machine's words and their bytes.
//!
//! Invariant: written exactly as Kafka 4.3 writes them; whatever an older or newer version wrote under a known
//! key and value version is read.
//!
//! | key | record                   | value version written                      |
//! |-----|--------------------------|--------------------------------------------|
//! | 0   | transactional id         | 0, or 1 from `transaction.version` 1 on    |

use bytes::Bytes;
use ottla_protocol::transaction_records::transaction_log_value::PartitionsSchema;
use ottla_protocol::transaction_records::{
    TransactionLogKey, TransactionLogValue, TransactionRecord,
};
use ottla_protocol::{DecodeError, Str};

use super::config::FLEXIBLE_RECORDS_VERSION;
use super::metadata::{Metadata, NO_PRODUCER_EPOCH, Partitions, TransactionState};
use crate::effect::KeyValue;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("a transaction cannot be stored in state {0}")]
    UnknownState(i8),
}

/// What a record says about its transactional id; no metadata is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub transactional_id: Str,
    pub metadata: Option<Metadata>,
}

/// Key and value for the log.
pub(crate) fn encode(transactional_id: &Str, metadata: &Metadata, version: i16) -> KeyValue {
    let value_version = i16::from(version >= FLEXIBLE_RECORDS_VERSION);
    let mut value = TransactionLogValue {
        producer_id: metadata.producer_id,
        producer_epoch: metadata.producer_epoch,
        transaction_timeout_ms: metadata.timeout_ms,
        transaction_status: metadata.state.id(),
        transaction_partitions: partitions_schema(metadata),
        transaction_last_update_timestamp_ms: metadata.last_update_ms,
        transaction_start_timestamp_ms: metadata.start_ms,
        ..TransactionLogValue::default()
    };
    if version >= FLEXIBLE_RECORDS_VERSION {
        value.client_transaction_version = metadata.client_version;
        value.previous_producer_id = metadata.previous_producer_id;
        value.next_producer_id = metadata.next_producer_id;
    }
    let record = TransactionRecord::TransactionLog(key(transactional_id), Some(value));
    let encoded = record
        .encode_key()
        .and_then(|key| Ok((key, record.encode_value(value_version)?)));
    // Every part came in requests of bounded size, in versions of ours.
    encoded.expect("a record made of decoded requests is encodable")
}

pub(crate) fn tombstone_key(transactional_id: &Str) -> Bytes {
    let record = TransactionRecord::TransactionLog(key(transactional_id), None);
    // As above.
    record
        .encode_key()
        .expect("an id that came in a request is encodable")
}

/// `Ok(None)` for records of kinds and versions that this machine does not know.
pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, RecordError> {
    let record = match TransactionRecord::decode_from(key, value) {
        Ok(record) => record,
        Err(DecodeError::UnknownRecordType(_) | DecodeError::UnsupportedVersion { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let TransactionRecord::TransactionLog(key, value) = record;
    Ok(Some(Record {
        transactional_id: key.transactional_id,
        metadata: value.map(metadata).transpose()?,
    }))
}

fn key(transactional_id: &Str) -> TransactionLogKey {
    TransactionLogKey {
        transactional_id: transactional_id.clone(),
    }
}

fn partitions_schema(metadata: &Metadata) -> Option<Vec<PartitionsSchema>> {
    if metadata.state == TransactionState::Empty {
        return None;
    }
    let topics = metadata.partitions.topics();
    let schema = topics.map(|(topic, partitions)| PartitionsSchema {
        topic: topic.clone(),
        partition_ids: partitions.iter().copied().collect(),
        ..PartitionsSchema::default()
    });
    Some(schema.collect())
}

fn metadata(value: TransactionLogValue) -> Result<Metadata, RecordError> {
    let id = value.transaction_status;
    let state = TransactionState::from_id(id).ok_or(RecordError::UnknownState(id))?;
    let mut partitions = Partitions::default();
    if state != TransactionState::Empty {
        for schema in value.transaction_partitions.unwrap_or_default() {
            for partition in schema.partition_ids {
                partitions.insert(&schema.topic, partition);
            }
        }
    }
    Ok(Metadata {
        state,
        producer_id: value.producer_id,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        producer_epoch: value.producer_epoch,
        last_producer_epoch: NO_PRODUCER_EPOCH,
        timeout_ms: value.transaction_timeout_ms,
        partitions,
        start_ms: value.transaction_start_timestamp_ms,
        last_update_ms: value.transaction_last_update_timestamp_ms,
        client_version: value.client_transaction_version,
    })
}

#[cfg(test)]
mod tests;
