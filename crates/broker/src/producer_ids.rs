//! Producer ids, handed out from blocks that the metadata log gives this broker.
//!
//! Invariant: an id is handed out once in the life of the cluster: a block is in the log before its first id is
//! used, and what is left of it is forgotten with the process.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use tokio::sync::Mutex;

use crate::broker::Broker;

#[derive(Debug, Default)]
pub struct ProducerIds {
    block: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    pub async fn next(&self, broker: &Broker) -> Result<i64, ErrorCode> {
        // Held while a block is fetched: the others wait for the same block instead of asking for more.
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        *block = broker.allocate_producer_ids().await?;
        block.next().ok_or(ErrorCode::UnknownServerError)
    }

    /// Sees to it that there are ids at hand.
    pub async fn prepare(&self, broker: &Broker) -> Result<(), ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = broker.allocate_producer_ids().await?;
        }
        Ok(())
    }

    /// The next id if one is at hand; otherwise the next block is on its way, and the caller comes again.
    pub fn take(&self, broker: &Arc<Broker>) -> Result<i64, ErrorCode> {
        if let Ok(mut block) = self.block.try_lock()
            && let Some(id) = block.next()
        {
            return Ok(id);
        }
        let broker = Arc::clone(broker);
        tokio::spawn(async move {
            if let Err(error) = broker.producer_ids.prepare(&broker).await {
                tracing::warn!(?error, "no producer ids to be had");
            }
        });
        Err(ErrorCode::CoordinatorLoadInProgress)
    }
}
