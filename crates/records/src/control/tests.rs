use super::*;
use crate::batch::batches;
use crate::record::RecordIter;

#[test]
fn keys_survive_and_strangers_are_passed_over() {
    for control in ControlType::ALL {
        assert_eq!(ControlType::parse(&control.key()), Ok(Some(control)));
    }
    assert_eq!(ControlType::Commit.key(), [0, 0, 0, 1]);
    assert_eq!(ControlType::parse(&[0, 0, 0, 9]), Ok(None));
    assert_eq!(
        ControlType::parse(&[0, 5, 0, 2, 77]),
        Ok(Some(ControlType::LeaderChange))
    );
    assert_eq!(
        ControlType::parse(&[0xff, 0xff, 0, 1]),
        Err(ControlError::KeyVersion(-1))
    );
    assert_eq!(ControlType::parse(&[0, 0, 0]), Err(ControlError::Key));
}

#[test]
fn markers_survive() {
    for result in [TransactionResult::Abort, TransactionResult::Commit] {
        let marker = EndTxnMarker {
            result,
            coordinator_epoch: 0x0102_0304,
        };
        assert_eq!(marker.value(), [0, 0, 1, 2, 3, 4]);
        assert_eq!(
            EndTxnMarker::parse(&marker.key(), &marker.value()),
            Ok(marker)
        );
    }
    let commit = ControlType::Commit.key();
    assert_eq!(
        EndTxnMarker::parse(&commit, &[0, 0, 0, 0, 0]),
        Err(ControlError::Marker)
    );
    assert_eq!(
        EndTxnMarker::parse(&commit, &[0xff, 0xff, 0, 0, 0, 0]),
        Err(ControlError::MarkerVersion(-1))
    );
    // A later version may have more behind what is known.
    let later = EndTxnMarker::parse(&commit, &[0, 1, 0, 0, 0, 7, 8, 9]).unwrap();
    assert_eq!(later.coordinator_epoch, 7);
    assert_eq!(
        EndTxnMarker::parse(&ControlType::LeaderChange.key(), &[0; 6]),
        Err(ControlError::NotAMarker(Some(ControlType::LeaderChange)))
    );
}

#[test]
fn a_marker_batch_has_the_producer_but_no_sequence() {
    let marker = EndTxnMarker {
        result: TransactionResult::Commit,
        coordinator_epoch: 3,
    };
    let bytes = marker.to_batch(9, 2, 1000);
    let batch = batches(&bytes).next().unwrap().unwrap();
    batch.verify().unwrap();
    assert!(batch.is_control() && batch.is_transactional());
    assert_eq!(
        (
            batch.producer_id(),
            batch.producer_epoch(),
            batch.base_sequence()
        ),
        (9, 2, -1)
    );
    let record = RecordIter::new(&bytes, 0).unwrap().next().unwrap().unwrap();
    assert_eq!(
        EndTxnMarker::parse(&record.key.unwrap(), &record.value.unwrap()),
        Ok(marker)
    );
}

#[test]
fn marker_values_are_those_of_the_schema() {
    use ottla_protocol::log_framing::version_prefixed;
    use ottla_protocol::log_records;
    let marker = EndTxnMarker {
        result: TransactionResult::Commit,
        coordinator_epoch: 12,
    };
    let schema = log_records::EndTxnMarker {
        coordinator_epoch: 12,
    };
    assert_eq!(version_prefixed(&schema, 0).unwrap(), &marker.value()[..]);
    let schema = log_records::ControlRecordTypeSchema { r#type: 1 };
    assert_eq!(version_prefixed(&schema, 0).unwrap(), &marker.key()[..]);
}
