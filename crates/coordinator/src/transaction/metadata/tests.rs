use super::*;

#[test]
fn partitions_are_a_set_by_topic() {
    let mut partitions = Partitions::default();
    for (topic, partition) in [("b", 1), ("a", 2), ("b", 0), ("b", 1)] {
        partitions.insert(topic, partition);
    }
    let listed: Vec<_> = partitions
        .iter()
        .map(|(topic, index)| format!("{topic}{index}"))
        .collect();
    assert_eq!(listed, ["a2", "b0", "b1"]);
    assert!(partitions.remove("a", 2));
    assert!(!partitions.remove("a", 2));
    assert!(!partitions.contains("a", 2) && partitions.contains("b", 1));
    assert_eq!(partitions.topics().count(), 1);
}

#[test]
fn states_keep_their_ids() {
    for (id, state) in (0..).zip(TransactionState::ALL) {
        assert_eq!(state.id(), id);
        assert_eq!(TransactionState::from_id(id), Some(state));
    }
    // Dead, and the passing state of a fence, are never stored.
    assert_eq!(TransactionState::from_id(6), None);
    assert_eq!(TransactionState::from_id(7), None);
}

#[test]
fn the_last_epoch_is_never_passed() {
    let mut metadata = Metadata::born(1, 1_000, 0);
    metadata.state = TransactionState::Ongoing;
    metadata.producer_epoch = i16::MAX;
    let prepare = Prepare {
        committed: false,
        client_version: 2,
        next_producer_id: 7,
        is_without_partitions: false,
    };
    let next = metadata.prepared(prepare, 5);
    assert_eq!(next.producer_epoch, i16::MAX);
    let next = next.completed(6);
    assert_eq!((next.producer_id, next.producer_epoch), (7, 0));
    assert_eq!(next.previous_producer_id, 1);
}
