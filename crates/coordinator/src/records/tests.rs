use bytes::Bytes;
use expect_test::expect;
use ottla_protocol::Uuid;

use super::{GroupValue, MemberValue, Record};
use crate::offsets::{CommittedOffset, OffsetKey};

fn offset_record() -> Record {
    let value = CommittedOffset {
        offset: 42,
        leader_epoch: Some(3),
        metadata: "note".into(),
        commit_timestamp_ms: 1_000,
        expire_timestamp_ms: None,
        topic_id: Uuid::from_u128(7),
        position: 0,
    };
    Record::Offset {
        key: OffsetKey {
            group_id: "g".into(),
            topic: "t".into(),
            partition: 1,
        },
        value: Some(value),
    }
}

fn group_record() -> Record {
    let member = MemberValue {
        member_id: "m".into(),
        group_instance_id: Some("i".into()),
        client_id: "c".into(),
        client_host: "/1.2.3.4".into(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 10_000,
        subscription: Bytes::from_static(b"S"),
        assignment: Bytes::from_static(b"A"),
    };
    let value = GroupValue {
        protocol_type: "consumer".into(),
        generation_id: 5,
        protocol_name: Some("range".into()),
        leader_id: Some("m".into()),
        state_since_ms: Some(2_000),
        members: vec![member],
    };
    Record::Group {
        group_id: "g".into(),
        value: Some(value),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(record: &Record) -> String {
    let (key, value) = record.encode();
    let decoded = Record::decode(&key, value.as_deref()).expect("readable");
    assert_eq!(decoded.as_ref(), Some(record));
    format!(
        "{}\n{}\n",
        hex(&key),
        value.map_or("-".to_owned(), |value| hex(&value))
    )
}

// key: type 0001, group, topic, partition
// value: version 0004, offset, leader epoch, compact metadata, timestamp, tagged topic id
#[test]
fn an_offset_is_written_in_version_4() {
    expect![[r#"
        000100016700017400000001
        0004000000000000002a00000003056e6f746500000000000003e801001000000000000000000000000000000007
    "#]]
    .assert_eq(&shown(&offset_record()));
}

// value: version 0001, offset, metadata, commit timestamp, expire timestamp
#[test]
fn an_offset_with_an_expiry_is_written_in_version_1() {
    let Record::Offset {
        key,
        value: Some(value),
    } = offset_record()
    else {
        unreachable!()
    };
    let value = CommittedOffset {
        expire_timestamp_ms: Some(9_000),
        leader_epoch: None,
        topic_id: Uuid::ZERO,
        ..value
    };
    expect![[r#"
        000100016700017400000001
        0001000000000000002a00046e6f746500000000000003e80000000000002328
    "#]]
    .assert_eq(&shown(&Record::Offset {
        key,
        value: Some(value),
    }));
}

// key: type 0002, group
// value: version 0003, protocol type, generation, protocol, leader, timestamp, members
#[test]
fn a_group_is_written_in_version_3() {
    expect![[r#"
        0002000167
        00030008636f6e73756d657200000005000572616e676500016d00000000000007d00000000100016d00016900016300082f312e322e332e340000ea600000271000000001530000000141
    "#]].assert_eq(&shown(&group_record()));
}

#[test]
fn tombstones_have_no_value() {
    let Record::Offset { key, .. } = offset_record() else {
        unreachable!()
    };
    let gone = shown(&Record::Offset { key, value: None })
        + &shown(&Record::Group {
            group_id: "g".into(),
            value: None,
        });
    expect![[r#"
        000100016700017400000001
        -
        0002000167
        -
    "#]]
    .assert_eq(&gone);
}

#[test]
fn an_offset_of_a_broker_of_old_is_read() {
    // Type 0; value version 0: offset, metadata, timestamp.
    let key = [b"\0\0".as_slice(), b"\0\x01g", b"\0\x01t", b"\0\0\0\x01"].concat();
    let value = [
        b"\0\0".as_slice(),
        &42i64.to_be_bytes(),
        b"\0\x04note",
        &1_000i64.to_be_bytes(),
    ]
    .concat();
    let Record::Offset {
        key: expected_key,
        value: Some(expected),
    } = offset_record()
    else {
        unreachable!()
    };
    let expected = CommittedOffset {
        leader_epoch: None,
        topic_id: Uuid::ZERO,
        ..expected
    };
    let expected = Record::Offset {
        key: expected_key,
        value: Some(expected),
    };
    assert_eq!(Record::decode(&key, Some(&value)), Ok(Some(expected)));
}

#[test]
fn unknown_kinds_are_passed_over_and_damage_is_an_error() {
    assert_eq!(Record::decode(b"\x7f\0whatever", Some(b"x")), Ok(None));
    assert!(Record::decode(b"", None).is_err());
    let (key, value) = group_record().encode();
    let value = value.expect("not a tombstone");
    for len in 0..value.len() {
        assert!(
            Record::decode(&key, Some(&value[..len])).is_err(),
            "{len} bytes of the value"
        );
    }
    for len in 0..key.len() {
        assert!(
            Record::decode(&key[..len], Some(&value)).is_err(),
            "{len} bytes of the key"
        );
    }
}
