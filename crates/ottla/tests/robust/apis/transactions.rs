//! Requests of the APIs of transactions.

use ottla_protocol::messages::*;

use super::{Sample, add, text};

pub(super) fn add_all(all: &mut Vec<Sample>) {
    let request = FindCoordinatorRequest {
        key: text("tx"),
        key_type: 1,
        ..Default::default()
    };
    add(all, &request);
    for transactional_id in ["tx", "nope", ""].map(text) {
        for topic in ["t", "nope"] {
            let topics = vec![add_partitions_to_txn_request::AddPartitionsToTxnTopic {
                name: text(topic),
                partitions: vec![0, 9],
                ..Default::default()
            }];
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: transactional_id.clone(),
                v3_and_below_topics: topics.clone(),
                ..Default::default()
            };
            add(all, &request);
            for verify_only in [false, true] {
                let transaction = add_partitions_to_txn_request::AddPartitionsToTxnTransaction {
                    transactional_id: transactional_id.clone(),
                    verify_only,
                    topics: topics.clone(),
                    ..Default::default()
                };
                let request = AddPartitionsToTxnRequest {
                    transactions: vec![transaction],
                    ..Default::default()
                };
                add(all, &request);
            }
            let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic {
                name: text(topic),
                partitions: vec![Default::default()],
                ..Default::default()
            };
            let request = TxnOffsetCommitRequest {
                transactional_id: transactional_id.clone(),
                group_id: text("g"),
                topics: vec![topic],
                ..Default::default()
            };
            add(all, &request);
        }
        let request = AddOffsetsToTxnRequest {
            transactional_id: transactional_id.clone(),
            group_id: text("g"),
            ..Default::default()
        };
        add(all, &request);
        for committed in [false, true] {
            let request = EndTxnRequest {
                transactional_id: transactional_id.clone(),
                committed,
                ..Default::default()
            };
            add(all, &request);
        }
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![transactional_id],
            ..Default::default()
        };
        add(all, &request);
    }
    for transactional_id_pattern in [None, Some(text("t.*")), Some(text("(("))] {
        let request = ListTransactionsRequest {
            state_filters: vec![text("Ongoing"), text("nonsense")],
            producer_id_filters: vec![0],
            duration_filter: 1,
            transactional_id_pattern,
            ..Default::default()
        };
        add(all, &request);
    }
    markers(all);
}

fn markers(all: &mut Vec<Sample>) {
    for topic in ["t", "nope"] {
        let topic = write_txn_markers_request::WritableTxnMarkerTopic {
            name: text(topic),
            partition_indexes: vec![0, 9],
            ..Default::default()
        };
        let marker = write_txn_markers_request::WritableTxnMarker {
            producer_id: 1,
            topics: vec![topic],
            ..Default::default()
        };
        let request = WriteTxnMarkersRequest {
            markers: vec![marker],
            ..Default::default()
        };
        add(all, &request);
    }
}
