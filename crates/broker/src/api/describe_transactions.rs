//! DescribeTransactions: where transactions stand, from their coordinator.

use ottla_coordinator::transaction::DescribedTransaction;
use ottla_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use ottla_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

pub async fn handle(context: &Context, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let describe = |transactional_id: Str| match look(context, &transactional_id) {
        Ok(described) => state(described),
        Err(error) => {
            TransactionState { transactional_id, error_code: error.code(), ..Default::default() }
        }
    };
    DescribeTransactionsResponse {
        transaction_states: request.transactional_ids.into_iter().map(describe).collect(),
        ..Default::default()
    }
}

fn look(context: &Context, transactional_id: &str) -> Result<DescribedTransaction, ErrorCode> {
    if transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let described = context.broker.transactions.look(transactional_id, |machine| machine.describe(transactional_id));
    described?.map_err(|error| error.code())
}

fn state(described: DescribedTransaction) -> TransactionState {
    let topics = described.partitions.topics().map(|(topic, partitions)| TopicData {
        topic: topic.clone(),
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    TransactionState {
        topics: topics.collect(),
        transactional_id: described.transactional_id,
        transaction_state: Str::from_static(described.state),
        transaction_timeout_ms: described.timeout_ms,
        transaction_start_time_ms: described.start_ms,
        producer_id: described.producer_id,
        producer_epoch: described.producer_epoch,
        ..Default::default()
    }
}
