use ottla_records::{BatchBuilder, Codec, Compression, EndTxnMarker, Producer, TransactionResult};

use super::*;

fn batch(base_offset: i64, count: i64, codec: Codec) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Compression::new(codec)).base_offset(base_offset);
    for i in 0..count {
        let value = (base_offset + i).to_string();
        builder.append(0, None, Some(value.as_bytes()));
    }
    builder
}

fn transactional(base_offset: i64, count: i64, id: i64) -> Bytes {
    let producer = Producer {
        id,
        epoch: 0,
        base_sequence: 0,
    };
    batch(base_offset, count, Codec::None)
        .producer(producer)
        .transactional(true)
        .build()
        .unwrap()
}

fn marker(offset: i64, id: i64, result: TransactionResult) -> Bytes {
    let marker = EndTxnMarker {
        result,
        coordinator_epoch: 0,
    };
    let mut bytes = marker.to_batch(id, 0, 0).to_vec();
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes.into()
}

fn offsets(decoded: &Decoded) -> Vec<i64> {
    decoded.records.iter().map(|record| record.offset).collect()
}

#[test]
fn records_before_the_wanted_offset_are_left_out() {
    let bytes: Bytes = [
        batch(0, 3, Codec::None).build().unwrap(),
        batch(3, 4, Codec::Zstd).build().unwrap(),
    ]
    .concat()
    .into();
    let decoded = decode(&bytes, 4, &[]).unwrap();
    assert_eq!(offsets(&decoded), [4, 5, 6]);
    assert_eq!(decoded.next_offset, 7);
}

#[test]
fn a_batch_that_is_cut_off_is_left_for_the_next_fetch() {
    let whole = batch(0, 3, Codec::None).build().unwrap();
    let next = batch(3, 4, Codec::None).build().unwrap();
    for cut in 0..next.len() {
        let bytes: Bytes = [&whole[..], &next[..cut]].concat().into();
        let decoded = decode(&bytes, 0, &[]).unwrap();
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![0, 1, 2], 3));
    }
}

#[test]
fn aborted_transactions_and_markers_do_not_surface() {
    let bytes: Bytes = [
        transactional(0, 2, 7),
        transactional(2, 2, 8),
        marker(4, 7, TransactionResult::Abort),
        // The same producer's next transaction is not the one that was aborted.
        transactional(5, 1, 7),
        marker(6, 8, TransactionResult::Commit),
        marker(7, 7, TransactionResult::Commit),
    ]
    .concat()
    .into();
    let aborted = [AbortedTransaction {
        producer_id: 7,
        first_offset: 0,
        ..AbortedTransaction::default()
    }];
    let committed = decode(&bytes, 0, &aborted).unwrap();
    assert_eq!(offsets(&committed), [2, 3, 5]);
    // Control records take offsets, which must not be asked for again.
    assert_eq!(committed.next_offset, 8);
    let all = decode(&bytes, 0, &[]).unwrap();
    assert_eq!(offsets(&all), [0, 1, 2, 3, 5]);
}

#[test]
fn damage_is_reported_with_its_offset() {
    let mut bytes = batch(10, 3, Codec::None).build().unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let error = decode(&bytes.into(), 10, &[]).unwrap_err();
    assert_eq!(error.offset, 10);
}
