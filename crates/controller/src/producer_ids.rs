//! AllocateProducerIds: blocks of producer ids, each given out once.

use ottla_protocol::metadata_records::ProducerIdsRecord;

use crate::controller::{Controller, Outcome};
use crate::error::ControlError;

/// Ids per block: a broker asks once for so many producers.
pub const PRODUCER_IDS_PER_BLOCK: i32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first_id: i64,
    pub len: i32,
}

impl Controller {
    pub fn allocate_producer_ids(
        &self,
        broker_id: i32,
        broker_epoch: i64,
    ) -> Result<Outcome<ProducerIdBlock>, ControlError> {
        self.check_broker_epoch(broker_id, broker_epoch)?;
        let first_id = self.image.next_producer_id.unwrap_or_default();
        let next_producer_id = first_id
            .checked_add(PRODUCER_IDS_PER_BLOCK.into())
            .ok_or(ControlError::ProducerIdsExhausted)?;
        let record = ProducerIdsRecord {
            broker_id,
            broker_epoch,
            next_producer_id,
            ..Default::default()
        };
        let block = ProducerIdBlock {
            first_id,
            len: PRODUCER_IDS_PER_BLOCK,
        };
        Ok(Outcome::stepwise(vec![record.into()], block))
    }
}
