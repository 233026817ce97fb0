use bytes::Bytes;
use ottla_records::Producer;

use super::*;
use crate::testing::{batch_of, marker};

fn txn(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTxn {
    AbortedTxn {
        producer_id,
        first_offset,
        last_offset,
        last_stable_offset: first_offset,
    }
}

fn data(producer_id: i64) -> Bytes {
    let producer = Producer {
        id: producer_id,
        epoch: 0,
        base_sequence: 0,
    };
    batch_of(&[1], producer, true)
}

/// The same bytes at `offset`, which no checksum covers.
fn at(offset: i64, bytes: &Bytes) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes
}

fn on_data(transactions: &mut CleanedTransactions, producer_id: i64, offset: i64) -> bool {
    let bytes = at(offset, &data(producer_id));
    transactions.on_data(&RawBatch::first(&bytes).unwrap().unwrap())
}

fn on_marker(
    transactions: &mut CleanedTransactions,
    producer_id: i64,
    offset: i64,
    is_abort: bool,
) -> MarkerVerdict {
    let bytes = at(offset, &marker(producer_id, 0, is_abort));
    transactions
        .on_control(&RawBatch::first(&bytes).unwrap().unwrap())
        .unwrap()
}

#[test]
fn data_of_an_aborted_transaction_goes_and_its_marker_stays_until_it_is_alone() {
    let mut transactions = CleanedTransactions::default();
    transactions.add_aborted(&[txn(1, 5, 8)]);
    assert!(
        !on_data(&mut transactions, 1, 3),
        "of the transaction before"
    );
    assert_eq!(
        on_marker(&mut transactions, 1, 4, false),
        MarkerVerdict::Keep
    );
    assert!(on_data(&mut transactions, 1, 5));
    assert!(!on_data(&mut transactions, 2, 6));
    assert!(on_data(&mut transactions, 1, 7));
    assert_eq!(
        on_marker(&mut transactions, 1, 8, true),
        MarkerVerdict::KeepAborted(txn(1, 5, 8))
    );
    assert_eq!(
        on_marker(&mut transactions, 1, 9, true),
        MarkerVerdict::MayGo
    );
}

#[test]
fn an_aborted_transaction_without_data_leaves_a_marker_that_may_go() {
    let mut transactions = CleanedTransactions::default();
    transactions.add_aborted(&[txn(1, 5, 8)]);
    assert_eq!(
        on_marker(&mut transactions, 1, 8, true),
        MarkerVerdict::MayGo
    );
    assert!(
        !on_data(&mut transactions, 1, 9),
        "the next one is not aborted"
    );
}

#[test]
fn a_commit_marker_may_go_when_no_data_was_met() {
    let mut transactions = CleanedTransactions::default();
    assert_eq!(
        on_marker(&mut transactions, 1, 0, false),
        MarkerVerdict::MayGo
    );
    on_data(&mut transactions, 1, 1);
    assert_eq!(
        on_marker(&mut transactions, 2, 2, false),
        MarkerVerdict::MayGo
    );
    assert_eq!(
        on_marker(&mut transactions, 1, 3, false),
        MarkerVerdict::Keep
    );
    assert_eq!(
        on_marker(&mut transactions, 1, 4, false),
        MarkerVerdict::MayGo
    );
}

#[test]
fn one_that_spans_segments_is_added_with_each_and_counts_once() {
    let mut transactions = CleanedTransactions::default();
    transactions.add_aborted(&[txn(1, 5, 20)]);
    assert!(on_data(&mut transactions, 1, 5));
    transactions.add_aborted(&[txn(1, 5, 20)]);
    assert!(on_data(&mut transactions, 1, 12));
    assert_eq!(
        on_marker(&mut transactions, 1, 20, true),
        MarkerVerdict::KeepAborted(txn(1, 5, 20))
    );
    assert!(!on_data(&mut transactions, 1, 21));
}

#[test]
fn a_control_batch_without_its_record_may_go() {
    let bytes = marker(1, 0, false);
    let empty = ottla_records::empty_batch(RawBatch::first(&bytes).unwrap().unwrap().header());
    let mut transactions = CleanedTransactions::default();
    on_data(&mut transactions, 1, 0);
    let verdict = transactions
        .on_control(&RawBatch::first(&empty).unwrap().unwrap())
        .unwrap();
    assert_eq!(verdict, MarkerVerdict::MayGo);
}
