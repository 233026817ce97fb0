//! Questions about transactions, and the end of one that nobody will end.
//!
//! Invariant: as in `admin.rs`: an error in an answer becomes an error that names what was asked. Used by
//! `ottla transactions`.

use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::describe_producers_response::ProducerState;
use ottla_protocol::messages::describe_transactions_response::TransactionState as DescribedTransaction;
use ottla_protocol::messages::list_transactions_response::TransactionState as ListedTransaction;
use ottla_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use ottla_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, InitProducerIdRequest,
    ListTransactionsRequest, WriteTxnMarkersRequest,
};
use ottla_protocol::{ApiKey, Str};

use super::admin::only;
use super::error::ClientError;
use super::{Client, CoordinatorKind, Purpose, check};

const LIST_TRANSACTIONS_VERSIONS: RangeInclusive<i16> = 0..=2;
const DESCRIBE_TRANSACTIONS_VERSIONS: RangeInclusive<i16> = 0..=0;
const DESCRIBE_PRODUCERS_VERSIONS: RangeInclusive<i16> = 0..=0;
const WRITE_TXN_MARKERS_VERSIONS: RangeInclusive<i16> = 1..=1;
const INIT_PRODUCER_ID_VERSIONS: RangeInclusive<i16> = 0..=5;
/// What Kafka's tool asks for too, when it takes a transactional id over to end its transaction.
const TERMINATION_TIMEOUT_MS: i32 = 1;

/// Which transactions to list; an empty list lets everything pass.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    pub states: Vec<String>,
    pub producer_ids: Vec<i64>,
    /// Those that began longer ago than this.
    pub longer_than_ms: Option<i64>,
    /// A regular expression that the whole transactional id matches.
    pub id_pattern: Option<String>,
}

/// A transaction of one producer in one partition, as a marker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    pub topic: String,
    pub partition: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub coordinator_epoch: i32,
}

impl Client {
    /// The transactions of every broker, with the broker that coordinates each.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<(i32, ListedTransaction)>, ClientError> {
        let cluster = self.cluster(Some(&[])).await?;
        let request = ListTransactionsRequest {
            state_filters: filter
                .states
                .iter()
                .map(|state| Str::from(&**state))
                .collect(),
            producer_id_filters: filter.producer_ids.clone(),
            duration_filter: filter.longer_than_ms.unwrap_or(-1),
            transactional_id_pattern: filter.id_pattern.as_deref().map(Str::from),
            ..ListTransactionsRequest::default()
        };
        let mut transactions = Vec::new();
        for &broker in cluster.brokers.keys() {
            let response = self
                .retry(|| async {
                    let (versions, zero) = (LIST_TRANSACTIONS_VERSIONS, Duration::ZERO);
                    let response = self
                        .call_broker(broker, Purpose::General, &request, versions, zero)
                        .await?;
                    let subject = || format!("transactions of broker {broker}");
                    check(subject, response.error_code, None)?;
                    Ok(response)
                })
                .await?;
            let listed = response.transaction_states.into_iter();
            transactions.extend(listed.map(|transaction| (broker, transaction)));
        }
        transactions.sort_by(|a, b| a.1.transactional_id.cmp(&b.1.transactional_id));
        Ok(transactions)
    }

    pub async fn describe_transaction(
        &self,
        transactional_id: &str,
    ) -> Result<DescribedTransaction, ClientError> {
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![Str::from(transactional_id)],
            ..DescribeTransactionsRequest::default()
        };
        self.retry(|| async {
            let coordinator = self.transaction_coordinator(transactional_id).await?;
            let (versions, zero) = (DESCRIBE_TRANSACTIONS_VERSIONS, Duration::ZERO);
            let response = self
                .call_broker(coordinator, Purpose::General, &request, versions, zero)
                .await?;
            let subject = || subject(transactional_id);
            let described = only(
                response.transaction_states,
                ApiKey::DescribeTransactions,
                subject,
            )?;
            check(subject, described.error_code, None)?;
            Ok(described)
        })
        .await
    }

    /// Who has written to a partition lately, and which transactions are open there.
    pub async fn describe_producers(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<ProducerState>, ClientError> {
        let request = DescribeProducersRequest {
            topics: vec![TopicRequest {
                name: Str::from(topic),
                partition_indexes: vec![partition],
                ..TopicRequest::default()
            }],
            ..DescribeProducersRequest::default()
        };
        self.retry(|| async {
            let leader = self
                .cluster(Some(&[topic]))
                .await?
                .leader(topic, partition)?;
            let (versions, zero) = (DESCRIBE_PRODUCERS_VERSIONS, Duration::ZERO);
            let response = self
                .call_broker(leader, Purpose::General, &request, versions, zero)
                .await?;
            let subject = || format!("producers of {topic}-{partition}");
            let topic = only(response.topics, ApiKey::DescribeProducers, subject)?;
            let described = only(topic.partitions, ApiKey::DescribeProducers, subject)?;
            let message = described.error_message.as_deref();
            check(subject, described.error_code, message)?;
            Ok(described.active_producers)
        })
        .await
    }

    /// Writes the marker that aborts a transaction to one partition, without asking its coordinator.
    pub async fn abort_transaction(&self, open: &OpenTransaction) -> Result<(), ClientError> {
        let OpenTransaction {
            topic, partition, ..
        } = open;
        let request = WriteTxnMarkersRequest {
            markers: vec![WritableTxnMarker {
                producer_id: open.producer_id,
                producer_epoch: open.producer_epoch,
                transaction_result: false,
                coordinator_epoch: open.coordinator_epoch,
                topics: vec![WritableTxnMarkerTopic {
                    name: Str::from(&**topic),
                    partition_indexes: vec![*partition],
                    ..WritableTxnMarkerTopic::default()
                }],
                ..WritableTxnMarker::default()
            }],
            ..WriteTxnMarkersRequest::default()
        };
        self.retry(|| async {
            let cluster = self.cluster(Some(&[topic])).await?;
            let leader = cluster.leader(topic, *partition)?;
            let (versions, zero) = (WRITE_TXN_MARKERS_VERSIONS, Duration::ZERO);
            let response = self
                .call_broker(leader, Purpose::General, &request, versions, zero)
                .await?;
            let producer_id = open.producer_id;
            let subject =
                || format!("transaction of producer {producer_id} in {topic}-{partition}");
            let marker = only(response.markers, ApiKey::WriteTxnMarkers, subject)?;
            let topic = only(marker.topics, ApiKey::WriteTxnMarkers, subject)?;
            let written = only(topic.partitions, ApiKey::WriteTxnMarkers, subject)?;
            check(subject, written.error_code, None)
        })
        .await
    }

    /// Takes a transactional id over: its producer is fenced, and what it has open is aborted.
    pub async fn terminate_transaction(&self, transactional_id: &str) -> Result<(), ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: Some(Str::from(transactional_id)),
            transaction_timeout_ms: TERMINATION_TIMEOUT_MS,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        self.retry(|| async {
            let coordinator = self.transaction_coordinator(transactional_id).await?;
            let (versions, zero) = (INIT_PRODUCER_ID_VERSIONS, Duration::ZERO);
            let response = self
                .call_broker(coordinator, Purpose::General, &request, versions, zero)
                .await?;
            check(|| subject(transactional_id), response.error_code, None)
        })
        .await
    }

    async fn transaction_coordinator(&self, transactional_id: &str) -> Result<i32, ClientError> {
        self.find_coordinator(CoordinatorKind::Transaction, transactional_id)
            .await
    }
}

fn subject(transactional_id: &str) -> String {
    format!("transactional id {transactional_id}")
}
