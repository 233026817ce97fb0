//! ListTransactions: the transactions that this broker coordinates, by state, producer, age and name.

use ottla_coordinator::transaction::ListTransactions;
use ottla_protocol::messages::list_transactions_response::TransactionState;
use ottla_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use ottla_protocol::{ErrorCode, Str};
use regex::{Regex, RegexBuilder};

use super::Context;

/// Memory that the compiled pattern of one request may take.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

pub async fn handle(context: &Context, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let pattern = request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
    let Ok(pattern) = pattern.map(compile).transpose() else {
        return failed(ErrorCode::InvalidRegularExpression);
    };
    let is_match = |id: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
    let filter = ListTransactions {
        producer_ids: &request.producer_id_filters,
        states: &request.state_filters,
        longer_than_ms: request.duration_filter,
        is_match: Some(&is_match),
    };
    let now_ms = context.broker.now_ms();
    let mut listed = Vec::new();
    let is_loading = context.broker.transactions.each(|machine| listed.extend(machine.list(now_ms, filter)));
    if is_loading {
        return failed(ErrorCode::CoordinatorLoadInProgress);
    }
    let states = listed.into_iter().map(|transaction| TransactionState {
        transactional_id: transaction.transactional_id,
        producer_id: transaction.producer_id,
        transaction_state: Str::from_static(transaction.state),
        ..Default::default()
    });
    ListTransactionsResponse {
        unknown_state_filters: filter.unknown_states(),
        transaction_states: states.collect(),
        ..Default::default()
    }
}

/// The pattern must match the whole id.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    // By itself first: what closes our bracket and opens another is none.
    let bounded = |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    bounded(pattern)?;
    bounded(&format!("^(?:{pattern})$"))
}

fn failed(error: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse { error_code: error.code(), ..Default::default() }
}
