use super::*;

const CLIENT: AppendOrigin = AppendOrigin::Client;

/// A data batch of `count` records.
fn batch(producer_id: i64, epoch: i16, sequence: i32, offset: i64, count: i32) -> ScannedBatch {
    ScannedBatch {
        position: 0,
        size: 100,
        base_offset: offset,
        last_offset: offset + i64::from(count) - 1,
        max_timestamp: 1_000 + offset,
        leader_epoch: 0,
        crc: 0,
        is_control: false,
        is_transactional: false,
        producer_id,
        producer_epoch: epoch,
        base_sequence: sequence,
        last_sequence: ottla_records::increment_sequence(sequence, count - 1),
        record_count: count,
    }
}

fn transactional(mut batch: ScannedBatch) -> ScannedBatch {
    batch.is_transactional = true;
    batch
}

fn marker_batch(producer_id: i64, epoch: i16, offset: i64) -> ScannedBatch {
    let mut batch = transactional(batch(producer_id, epoch, 0, offset, 1));
    batch.is_control = true;
    batch
}

fn marker(is_abort: bool, coordinator_epoch: i32) -> Option<EndTxnMarker> {
    Some(EndTxnMarker {
        is_abort,
        coordinator_epoch,
    })
}

fn append(
    state: &mut ProducerState,
    batch: &ScannedBatch,
    marker: Option<EndTxnMarker>,
    version: i16,
) -> Result<Option<(CompletedTxn, i64)>, ProducerError> {
    let origin = match batch.is_control {
        true => AppendOrigin::Coordinator,
        false => CLIENT,
    };
    let mut update = state.prepare(batch.producer_id, origin);
    let completed = update.append(batch, marker, version)?;
    state.apply(update);
    let completed = completed.map(|completed| {
        let stable = state.last_stable_offset_after(&completed);
        state.complete(&completed);
        (completed, stable)
    });
    state.end_offset = batch.next_offset();
    Ok(completed)
}

fn data(state: &mut ProducerState, batch: ScannedBatch) -> Result<(), ProducerError> {
    append(state, &batch, None, TRANSACTION_VERSION_UNKNOWN).map(|_| ())
}

#[test]
fn sequences_must_follow_one_another() {
    let mut state = ProducerState::default();
    // Nothing is known of the producer: any sequence will do.
    data(&mut state, batch(1, 0, 5, 0, 3)).unwrap();
    data(&mut state, batch(1, 0, 8, 3, 1)).unwrap();
    assert_eq!(
        data(&mut state, batch(1, 0, 10, 4, 1)),
        Err(ProducerError::OutOfOrderSequence {
            producer_id: 1,
            producer_epoch: 0,
            sequence: 10,
            expected: 9
        })
    );
    // A later epoch begins at 0.
    assert!(data(&mut state, batch(1, 1, 9, 4, 1)).is_err());
    data(&mut state, batch(1, 1, 0, 4, 1)).unwrap();
    assert_eq!(
        data(&mut state, batch(1, 0, 9, 5, 1)),
        Err(ProducerError::InvalidEpoch {
            producer_id: 1,
            producer_epoch: 0,
            current: 1
        })
    );
}

#[test]
fn sequences_wrap_to_zero() {
    let mut state = ProducerState::default();
    data(&mut state, batch(1, 0, i32::MAX - 1, 0, 2)).unwrap();
    data(&mut state, batch(1, 0, 0, 2, 1)).unwrap();
    let mut state = ProducerState::default();
    data(&mut state, batch(1, 0, i32::MAX, 0, 3)).unwrap();
    assert_eq!(state.get(1).unwrap().last_sequence(), 1);
    data(&mut state, batch(1, 0, 2, 3, 1)).unwrap();
}

#[test]
fn the_last_five_batches_are_known_again() {
    let mut state = ProducerState::default();
    for n in 0..7 {
        data(&mut state, batch(1, 0, n * 2, i64::from(n) * 10, 2)).unwrap();
    }
    let found: Vec<_> = (0..7)
        .map(|n| {
            state
                .find_duplicate(&batch(1, 0, n * 2, 999, 2))
                .map(|batch| batch.first_offset())
        })
        .collect();
    assert_eq!(
        found,
        [None, None, Some(20), Some(30), Some(40), Some(50), Some(60)]
    );
    assert_eq!(state.find_duplicate(&batch(1, 0, 12, 999, 1)), None);
    assert_eq!(state.find_duplicate(&batch(1, 1, 12, 999, 2)), None);
}

#[test]
fn several_batches_of_one_append_are_judged_together() {
    let state = ProducerState::default();
    let mut update = state.prepare(1, CLIENT);
    update.append(&batch(1, 0, 0, 0, 2), None, -1).unwrap();
    update.append(&batch(1, 0, 2, 2, 2), None, -1).unwrap();
    assert!(update.append(&batch(1, 0, 5, 4, 1), None, -1).is_err());
}

#[test]
fn transactions_hold_the_stable_offset_until_their_marker_is_replicated() {
    let mut state = ProducerState::default();
    data(&mut state, transactional(batch(1, 0, 0, 10, 5))).unwrap();
    data(&mut state, transactional(batch(2, 0, 0, 15, 5))).unwrap();
    assert!(state.has_ongoing_transaction(1, 0));
    assert_eq!(state.first_unstable_offset(), Some(10));
    assert!(matches!(
        data(&mut state, batch(1, 0, 5, 20, 1)),
        Err(ProducerError::InvalidTxnState { producer_id: 1 })
    ));

    let (completed, stable) = append(&mut state, &marker_batch(1, 0, 20), marker(true, 0), 0)
        .unwrap()
        .unwrap();
    assert_eq!(
        completed,
        CompletedTxn {
            producer_id: 1,
            first_offset: 10,
            last_offset: 20,
            is_aborted: true
        }
    );
    assert_eq!(stable, 15);
    assert_eq!(state.first_unstable_offset(), Some(10));
    state.on_high_watermark(20);
    assert_eq!(state.first_unstable_offset(), Some(10));
    state.on_high_watermark(21);
    assert_eq!(state.first_unstable_offset(), Some(15));

    let (_, stable) = append(&mut state, &marker_batch(2, 0, 21), marker(false, 0), 0)
        .unwrap()
        .unwrap();
    assert_eq!(stable, 22);
    // Without data there is nothing to complete.
    assert_eq!(
        append(&mut state, &marker_batch(2, 0, 22), marker(false, 0), 0).unwrap(),
        None
    );
}

#[test]
fn markers_fence_producers_and_coordinators() {
    let mut state = ProducerState::default();
    data(&mut state, transactional(batch(1, 3, 0, 0, 1))).unwrap();
    append(&mut state, &marker_batch(1, 4, 1), marker(true, 7), 0).unwrap();
    assert!(matches!(
        data(&mut state, transactional(batch(1, 3, 1, 2, 1))),
        Err(ProducerError::InvalidEpoch { current: 4, .. })
    ));
    assert!(matches!(
        append(&mut state, &marker_batch(1, 4, 2), marker(true, 6), 0),
        Err(ProducerError::CoordinatorFenced { current: 7, .. })
    ));
}

#[test]
fn with_bumped_epochs_a_marker_needs_a_later_epoch_unless_it_is_repeated() {
    let mut state = ProducerState::default();
    data(&mut state, transactional(batch(1, 3, 0, 0, 1))).unwrap();
    assert!(matches!(
        append(&mut state, &marker_batch(1, 3, 1), marker(false, 0), 2),
        Err(ProducerError::InvalidEpoch { .. })
    ));
    append(&mut state, &marker_batch(1, 4, 1), marker(false, 0), 2).unwrap();
    append(&mut state, &marker_batch(1, 4, 2), marker(false, 0), 2).unwrap();
}

#[test]
fn a_transaction_begins_only_with_the_guard_that_was_given_out() {
    let mut state = ProducerState::default();
    let guard = state.start_verification(1, 0, 3, false, 0).unwrap();
    assert_ne!(guard, VerificationGuard::NONE);
    assert_eq!(state.start_verification(1, 0, 2, false, 0).unwrap(), guard);
    assert!(state.is_verified(1, guard));
    assert!(!state.is_verified(1, VerificationGuard::NONE));
    // A sequence above the lowest that waits would leave a gap.
    assert!(data(&mut state, transactional(batch(1, 0, 3, 0, 1))).is_err());
    data(&mut state, transactional(batch(1, 0, 2, 0, 1))).unwrap();
    assert!(!state.is_verified(1, guard));
    assert_eq!(
        state.start_verification(1, 0, 3, false, 0).unwrap(),
        VerificationGuard::NONE
    );
    assert!(state.start_verification(1, -1, 3, false, 0).is_err());
}

#[test]
fn replay_of_a_snapshot_and_the_rest_is_the_whole() {
    let mut whole = ProducerState::default();
    let mut steps = vec![
        (batch(1, 0, 0, 0, 2), None),
        (transactional(batch(2, 0, 0, 2, 2)), None),
        (transactional(batch(3, 1, 0, 4, 2)), None),
        (marker_batch(2, 0, 6), marker(true, 0)),
        (batch(1, 0, 2, 7, 2), None),
        (marker_batch(3, 2, 9), marker(false, 1)),
    ];
    for (batch, marker) in &steps {
        whole.replay(batch, *marker);
    }
    let rest = steps.split_off(3);
    let mut first = ProducerState::default();
    for (batch, marker) in &steps {
        first.replay(batch, *marker);
    }
    let bytes = snapshot::encode(first.entries().into_iter());
    let mut second = ProducerState::from_entries(snapshot::decode(&bytes).unwrap(), 6, 0, i64::MAX);
    for (batch, marker) in &rest {
        second.replay(batch, *marker);
    }
    assert_eq!(
        snapshot::encode(whole.entries().into_iter()),
        snapshot::encode(second.entries().into_iter())
    );
    assert_eq!(
        whole.first_unstable_offset(),
        second.first_unstable_offset()
    );
    assert_eq!(second.end_offset, 10);
}

#[test]
fn idle_producers_expire_unless_a_transaction_is_open() {
    let mut state = ProducerState::default();
    data(&mut state, batch(1, 0, 0, 0, 1)).unwrap();
    data(&mut state, transactional(batch(2, 0, 0, 1, 1))).unwrap();
    state.remove_expired(1_000 + 500, 500);
    assert!(state.get(1).is_none());
    assert!(state.get(2).is_some());
    assert_eq!(state.oldest_txn_timestamp(), Some(1_001));
}
