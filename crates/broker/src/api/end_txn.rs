//! EndTxn: a producer commits or aborts its transaction.

use ottla_coordinator::transaction::{Answer, EndTransaction, NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{EndTxnRequest, EndTxnResponse};

use super::Context;
use crate::transactions::Ids;

/// First version whose clients know PRODUCER_FENCED.
const PRODUCER_FENCED_VERSION: i16 = 2;
/// First version whose clients have an epoch for each transaction.
const EPOCH_BUMP_VERSION: i16 = 5;

pub async fn handle(context: &Context, request: EndTxnRequest) -> EndTxnResponse {
    let request = EndTransaction {
        transactional_id: request.transactional_id.detached(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        committed: request.committed,
        client_version: if context.version >= EPOCH_BUMP_VERSION { 2 } else { 0 },
    };
    if request.transactional_id.is_empty() {
        return failed(ErrorCode::InvalidRequest);
    }
    let transactions = &context.broker.transactions;
    let answer = transactions.call(&request.transactional_id, |machine, now_ms, token| {
        machine.handle_end_transaction(now_ms, token, &request, &mut Ids::of(&context.broker));
    });
    match answer.await {
        Ok(Answer::EndTransaction(answer)) => EndTxnResponse {
            error_code: match answer.error {
                ErrorCode::ProducerFenced if context.version < PRODUCER_FENCED_VERSION => {
                    ErrorCode::InvalidProducerEpoch.code()
                }
                error => error.code(),
            },
            producer_id: answer.producer_id,
            producer_epoch: answer.producer_epoch,
            ..Default::default()
        },
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}

fn failed(error: ErrorCode) -> EndTxnResponse {
    EndTxnResponse {
        error_code: error.code(),
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        ..Default::default()
    }
}
