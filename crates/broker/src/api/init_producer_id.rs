//! InitProducerId: an id for an idempotent producer, so that the log can tell its retries from new records.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::Context;

pub async fn handle(context: &Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let broker = &context.broker;
    let allocated = match request.transactional_id {
        None => broker.producer_ids.next(broker).await,
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
    };
    match allocated {
        Ok(producer_id) => InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
    }
}
