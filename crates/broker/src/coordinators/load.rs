//! Replays a coordinator's partition into the machine that is built from it.
//!
//! A record that cannot be read is left out with an error on the log, as in Kafka: one bad record must not keep
//! all groups or transactions of the partition away.

use std::io;

use bytes::Bytes;
use ottla_coordinator::LoggedRecord;
use ottla_log::ReadError;
use ottla_records::{
    ControlType, EndTxnMarker, MAX_DECOMPRESSED_BYTES, RawBatch, RecordError, RecordViews,
    TransactionResult, batches,
};

use super::machine::Loader;
use crate::partition::Partition;

/// Bytes that are read at a time (`offsets.load.buffer.size`, `transaction.state.log.load.buffer.size`).
const LOAD_BYTES: usize = 5 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub fn load(partition: &Partition, loader: &mut impl Loader) -> Result<(), LoadError> {
    let log = &partition.log;
    let (mut offset, end) = (log.log_start_offset(), log.log_end_offset());
    while offset < end {
        let range = log.read(offset, LOAD_BYTES, true, end)?;
        if range.is_empty() {
            break;
        }
        replay(loader, &range.read()?, partition);
        offset = range.end_offset;
    }
    Ok(())
}

fn replay(loader: &mut impl Loader, bytes: &Bytes, partition: &Partition) {
    for batch in batches(bytes) {
        let replayed = match &batch {
            Ok(batch) => replay_batch(loader, *batch, partition),
            Err(error) => Err(RecordError::from(error.clone())),
        };
        if let Err(error) = replayed {
            let offset = batch.map(|batch| batch.base_offset()).unwrap_or(-1);
            let (topic, partition) = (&partition.topic, partition.index);
            tracing::error!(%topic, partition, offset, %error, "a coordinator's batch cannot be read and is left out");
        }
    }
}

fn replay_batch(
    loader: &mut impl Loader,
    batch: RawBatch<'_>,
    partition: &Partition,
) -> Result<(), RecordError> {
    let payload = batch.decompress(MAX_DECOMPRESSED_BYTES)?;
    for record in RecordViews::new(batch.header(), &payload)? {
        let record = record?;
        let key = record.key.unwrap_or_default();
        if batch.is_control() {
            if let Ok(Some(ControlType::Commit | ControlType::Abort)) = ControlType::parse(key)
                && let Ok(marker) = EndTxnMarker::parse(key, record.value.unwrap_or_default())
            {
                let committed = marker.result == TransactionResult::Commit;
                loader.replay_end_transaction(record.offset, batch.producer_id(), committed);
            }
            continue;
        }
        let producer_id = batch.is_transactional().then(|| batch.producer_id());
        let logged = LoggedRecord {
            offset: record.offset,
            producer_id,
            key,
            value: record.value,
        };
        if let Err(error) = loader.replay(logged) {
            let (topic, partition) = (&partition.topic, partition.index);
            tracing::error!(%topic, partition, %error, "a coordinator's record is left out");
        }
    }
    Ok(())
}
