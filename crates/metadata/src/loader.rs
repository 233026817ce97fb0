//! Follows the metadata log batch by batch, and holds back transactions until they end.
//!
//! Invariant: the published image never shows part of a transaction.
//! Owned by whoever reads the log: the controller on start, and every broker.
//!
//! | state | Begin | End | Abort | any other record |
//! | --- | --- | --- | --- | --- |
//! | outside | → inside | error | error | applied with the batch |
//! | inside | error | applied with the batch, → outside | dropped, → outside | held back |

use ottla_protocol::metadata_records::MetadataRecord;

use crate::delta::MetadataDelta;
use crate::error::ReplayError;
use crate::framing::{ControlRecord, LogBatch, LogContent};
use crate::image::{MetadataImage, Provenance};

/// How many records a transaction may hold back, which bounds what a broken log can make us keep.
const TRANSACTION_RECORDS_MAX: usize = 10_000_000;

#[derive(Debug, Clone, Default)]
pub struct Loader {
    image: MetadataImage,
    /// The records of the transaction that has begun and not ended.
    transaction: Option<Vec<MetadataRecord>>,
}

impl Loader {
    pub fn new(image: MetadataImage) -> Loader {
        Loader {
            image,
            transaction: None,
        }
    }

    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Whether a transaction waits for its end; a controller that takes over aborts it.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// The level of `kraft.version`, which stands in control records.
    pub fn set_kraft_version(&mut self, level: i16) {
        self.image.features.kraft_version = level;
    }

    /// Takes a batch as it stands in the log, records of the quorum too.
    pub fn on_log_batch(&mut self, batch: LogBatch) -> Result<MetadataDelta, ReplayError> {
        let control = match batch.content {
            LogContent::Records(records) => return self.on_batch(batch.provenance, records),
            LogContent::Control(control) => control,
        };
        let mut delta = MetadataDelta::default();
        for record in control {
            if let ControlRecord::KRaftVersion(record) = record {
                self.set_kraft_version(record.k_raft_version);
                delta.features = true;
            }
        }
        self.image.provenance = batch.provenance;
        Ok(delta)
    }

    /// Takes one batch of metadata records; returns what it changed in the image.
    pub fn on_batch(
        &mut self,
        provenance: Provenance,
        records: Vec<MetadataRecord>,
    ) -> Result<MetadataDelta, ReplayError> {
        let mut ready = Vec::with_capacity(records.len());
        for record in records {
            match (record, &mut self.transaction) {
                (MetadataRecord::BeginTransaction(_), Some(_)) => {
                    return Err(ReplayError::NestedTransaction);
                }
                (MetadataRecord::BeginTransaction(_), None) => self.transaction = Some(Vec::new()),
                (MetadataRecord::EndTransaction(_) | MetadataRecord::AbortTransaction(_), None) => {
                    return Err(ReplayError::NoTransaction);
                }
                (MetadataRecord::EndTransaction(_), Some(held)) => {
                    ready.append(held);
                    self.transaction = None;
                }
                (MetadataRecord::AbortTransaction(_), Some(_)) => self.transaction = None,
                (record, None) => ready.push(record),
                (record, Some(held)) => {
                    if held.len() >= TRANSACTION_RECORDS_MAX {
                        return Err(ReplayError::TransactionTooLarge(TRANSACTION_RECORDS_MAX));
                    }
                    held.push(record);
                }
            }
        }
        let (mut image, delta) = self.image.apply(&ready)?;
        image.provenance = provenance;
        self.image = image;
        Ok(delta)
    }
}
