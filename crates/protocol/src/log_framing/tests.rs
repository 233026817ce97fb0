use super::*;
use crate::group_records::{GroupMetadataKey, GroupRecord, OffsetCommitKey, OffsetCommitValue};
use crate::metadata_records::{
    BrokerRegistrationChangeRecord, FeatureLevelRecord, NoOpRecord, PartitionRecord,
    RegisterBrokerRecord, TopicRecord,
};
use crate::share_records::ShareRecord;
use crate::transaction_records::{TransactionLogKey, TransactionLogValue, TransactionRecord};
use crate::{TaggedField, Uuid};

#[test]
fn a_metadata_record_begins_with_frame_type_and_version() {
    let record = FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: LATEST_METADATA_VERSION,
        ..Default::default()
    };
    let record = MetadataRecord::from(record);
    let bytes = record
        .encode_to_bytes(record.version_at(LATEST_METADATA_VERSION))
        .unwrap();
    // As kafka-storage writes the first record of a bootstrap checkpoint.
    assert_eq!(&bytes[..], b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00");
    assert_eq!(MetadataRecord::decode_from(&bytes), Ok(record));
}

#[test]
fn a_topic_record_has_these_bytes() {
    let topic = TopicRecord {
        name: "t".into(),
        topic_id: Uuid::from_u128(2),
        ..Default::default()
    };
    let record = MetadataRecord::Topic(topic);
    assert_eq!((record.name(), record.api_key()), ("TopicRecord", 2));
    let bytes = record.encode_to_bytes(0).unwrap();
    assert_eq!(
        &bytes[..],
        b"\x01\x02\x00\x02t\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x00"
    );
}

#[test]
fn metadata_records_fill_their_frame() {
    let decode = |bytes: &[u8]| MetadataRecord::decode_from(bytes);
    assert_eq!(
        decode(b"\x01\x14\x00\x00"),
        Ok(NoOpRecord::default().into())
    );
    assert_eq!(
        decode(b"\x01\x14\x00\x00\x07"),
        Err(DecodeError::TrailingBytes(1))
    );
    assert_eq!(
        decode(b"\x00\x14\x00\x00"),
        Err(DecodeError::UnsupportedFrameVersion(0))
    );
    assert_eq!(
        decode(b"\x01\x63\x00\x00"),
        Err(DecodeError::UnknownRecordType(99))
    );
    let version = DecodeError::UnsupportedVersion {
        message: "NoOpRecord",
        version: 1,
    };
    assert_eq!(decode(b"\x01\x14\x01\x00"), Err(version));
    assert_eq!(
        decode(b"\x01\xff\xff\x7f\x00"),
        Err(DecodeError::InvalidLength(0x1f_ffff))
    );
}

#[test]
fn record_versions_follow_the_metadata_version() {
    let change = |set: fn(&mut BrokerRegistrationChangeRecord)| {
        let mut record = BrokerRegistrationChangeRecord::default();
        set(&mut record);
        MetadataRecord::from(record)
    };
    for (record, expected) in [
        (RegisterBrokerRecord::default().into(), [1, 2, 3, 3, 4]),
        (PartitionRecord::default().into(), [0, 0, 1, 2, 2]),
        (NoOpRecord::default().into(), [0; 5]),
        (change(|record| record.fenced = 1), [0; 5]),
        (change(|record| record.in_controlled_shutdown = 1), [1; 5]),
        (change(|record| record.log_dirs = vec![Uuid::ZERO]), [2; 5]),
        (
            change(|record| record.cordoned_log_dirs = Some(vec![])),
            [3; 5],
        ),
    ] {
        let record: MetadataRecord = record;
        for (level, version) in [7, 8, 17, 23, 30].into_iter().zip(expected) {
            assert_eq!(
                record.version_at(level),
                version,
                "{} at {level}",
                record.name()
            );
        }
    }
}

#[test]
fn an_offset_commit_has_type_key_version_value() {
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
    };
    let value = OffsetCommitValue {
        offset: 10,
        leader_epoch: -1,
        metadata: "".into(),
        commit_timestamp: 5,
        ..Default::default()
    };
    let record = GroupRecord::OffsetCommit(key, Some(value));
    let key = record.encode_key().unwrap();
    assert_eq!(&key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x03");
    let value = record.encode_value(3).unwrap().unwrap();
    assert_eq!(
        &value[..],
        b"\0\x03\0\0\0\0\0\0\0\x0a\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\x05"
    );
    assert_eq!(
        GroupRecord::decode_from(&key, Some(&value)),
        Ok(record.clone())
    );
    assert_eq!(
        (record.record_type(), record.highest_value_version()),
        (1, 4)
    );
    let tombstone = GroupRecord::decode_from(&key, None).unwrap();
    assert!(tombstone.is_tombstone());
    assert_eq!(tombstone.encode_value(3), Ok(None));
}

#[test]
fn unknown_coordinator_records_are_named_by_their_type() {
    let unknown = Err(DecodeError::UnknownRecordType(77));
    assert_eq!(GroupRecord::decode_from(b"\0\x4d", None), unknown);
    assert_eq!(
        ShareRecord::decode_from(b"\0\x4d", None),
        Err(DecodeError::UnknownRecordType(77))
    );
    let version = DecodeError::UnsupportedVersion {
        message: "TransactionLogValue",
        version: 9,
    };
    let key = TransactionRecord::TransactionLog(TransactionLogKey::default(), None);
    let key = key.encode_key().unwrap();
    assert_eq!(
        TransactionRecord::decode_from(&key, Some(b"\0\x09")),
        Err(version)
    );
}

#[test]
fn values_keep_unknown_tagged_fields() {
    let value = TransactionLogValue {
        unknown_tagged_fields: vec![TaggedField {
            tag: 100,
            data: Bytes::from_static(b"?"),
        }],
        ..Default::default()
    };
    let key = TransactionLogKey {
        transactional_id: "id".into(),
    };
    let record = TransactionRecord::TransactionLog(key, Some(value));
    let key = record.encode_key().unwrap();
    assert_eq!(&key[..], b"\0\0\0\x02id");
    let value = record.encode_value(1).unwrap().unwrap();
    assert_eq!(
        TransactionRecord::decode_from(&key, Some(&value)),
        Ok(record)
    );
}

#[test]
fn group_metadata_keys_have_type_two() {
    let record = GroupRecord::GroupMetadata(GroupMetadataKey { group: "g".into() }, None);
    assert_eq!(&record.encode_key().unwrap()[..], b"\0\x02\0\x01g");
}
