//! Replays a partition of `__transaction_state` into the machine that coordinates its transactions.
//!
//! A record that cannot be read is left out with an error on the log: one bad record must not keep all transactions
//! of the partition away.

use std::io;

use bytes::Bytes;
use ottla_coordinator::transaction::TransactionLoader;
use ottla_log::ReadError;
use ottla_records::{MAX_DECOMPRESSED_BYTES, RawBatch, RecordError, RecordViews, batches};

use crate::partition::Partition;

/// Bytes that are read at a time (`transaction.state.log.load.buffer.size`).
const LOAD_BYTES: usize = 5 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub fn load(partition: &Partition, loader: &mut TransactionLoader) -> Result<(), LoadError> {
    let log = &partition.log;
    let (mut offset, end) = (log.log_start_offset(), log.log_end_offset());
    while offset < end {
        let range = log.read(offset, LOAD_BYTES, true, end)?;
        if range.is_empty() {
            break;
        }
        replay(loader, &range.read()?, partition.index);
        offset = range.end_offset;
    }
    Ok(())
}

fn replay(loader: &mut TransactionLoader, bytes: &Bytes, partition: i32) {
    for batch in batches(bytes) {
        let replayed = match &batch {
            Ok(batch) => replay_batch(loader, *batch, partition),
            Err(error) => Err(RecordError::from(error.clone())),
        };
        if let Err(error) = replayed {
            let offset = batch.map(|batch| batch.base_offset()).unwrap_or(-1);
            tracing::error!(partition, offset, %error, "a batch of transaction records cannot be read and is left out");
        }
    }
}

fn replay_batch(
    loader: &mut TransactionLoader,
    batch: RawBatch<'_>,
    partition: i32,
) -> Result<(), RecordError> {
    if batch.is_control() {
        return Ok(());
    }
    let payload = batch.decompress(MAX_DECOMPRESSED_BYTES)?;
    for record in RecordViews::new(batch.header(), &payload)? {
        let record = record?;
        let key = record.key.unwrap_or_default();
        if let Err(error) = loader.replay(record.offset, key, record.value) {
            tracing::error!(partition, %error, "a transaction record is left out");
        }
    }
    Ok(())
}
