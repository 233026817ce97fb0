//! InitProducerId: an id for an idempotent producer, so that the log can tell its retries from new records; and an
//! epoch for a transactional one, which fences whoever had the transactional id before.

use ottla_coordinator::transaction::{
    Answer, InitProducerId, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
};
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::transactions::Ids;

/// First version whose clients know PRODUCER_FENCED.
const PRODUCER_FENCED_VERSION: i16 = 4;

pub async fn handle(context: &Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match initialize(context, request).await {
        Ok((producer_id, producer_epoch)) => {
            InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Err(error) => {
            let error = match error {
                ErrorCode::ProducerFenced if context.version < PRODUCER_FENCED_VERSION => {
                    ErrorCode::InvalidProducerEpoch
                }
                error => error,
            };
            InitProducerIdResponse {
                error_code: error.code(),
                producer_id: NO_PRODUCER_ID,
                producer_epoch: NO_PRODUCER_EPOCH,
                ..Default::default()
            }
        }
    }
}

async fn initialize(context: &Context, request: InitProducerIdRequest) -> Result<(i64, i16), ErrorCode> {
    let broker = &context.broker;
    let current = match (request.producer_id, request.producer_epoch) {
        (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => None,
        (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => return Err(ErrorCode::InvalidRequest),
        current => Some(current),
    };
    let Some(transactional_id) = request.transactional_id else {
        return Ok((broker.producer_ids.next(broker).await?, 0));
    };
    broker.producer_ids.prepare(broker).await?;
    let request = InitProducerId {
        transactional_id: Str::detached(&transactional_id),
        timeout_ms: request.transaction_timeout_ms,
        enable_two_phase_commit: request.enable2_pc,
        keep_prepared: request.keep_prepared_txn,
        current,
    };
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let answer = broker.transactions.call(&transactional_id, |machine, now_ms, token| {
        machine.handle_init_producer_id(now_ms, token, &request, &mut Ids::of(broker));
    });
    match answer.await? {
        Answer::InitProducerId(answer) if answer.error == ErrorCode::None => {
            Ok((answer.producer_id, answer.producer_epoch))
        }
        Answer::InitProducerId(answer) => Err(answer.error),
        _ => Err(ErrorCode::UnknownServerError),
    }
}
