use ottla_protocol::Encoder;
use ottla_protocol::log_records::producer_snapshot::ProducerEntry;

use super::*;
use crate::log_dump::tests::dump_bytes;
use crate::output::Format;

fn check(name: &str, bytes: &[u8], expected: &str) {
    let (text, faults) = dump_bytes(name, bytes, false, Format::Text);
    assert_eq!(text, expected);
    assert_eq!(faults, expected.matches("FAULT").count() as u64);
}

fn index(entries: &[(i32, i32)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(delta, position)| [delta.to_be_bytes(), position.to_be_bytes()].concat())
        .collect()
}

#[test]
fn indexes_show_offsets_and_places() {
    let name = "00000000000000000100.index";
    check(
        name,
        &index(&[(5, 4096), (9, 8192), (0, 0), (0, 0)]),
        "offset=105 position=4096\noffset=109 position=8192\n",
    );
    check(
        name,
        &index(&[(5, 4096), (5, 8192)])[..12],
        "offset=105 position=4096\nFAULT at byte 8: 4 bytes are no entry\n",
    );
    check(
        name,
        &index(&[(5, 4096), (4, 8192)]),
        "offset=105 position=4096\noffset=104 position=8192\n\
         FAULT at byte 8: the entry does not follow the one before\n",
    );
}

#[test]
fn time_indexes_show_times() {
    let mut entry = 1_795_497_660_000_i64.to_be_bytes().to_vec();
    entry.extend_from_slice(&7_i32.to_be_bytes());
    check(
        "00000000000000000100.timeindex",
        &entry,
        "timestamp=1795497660000 time=2026-11-24T05:21:00.000Z offset=107\n",
    );
}

#[test]
fn aborted_transactions_are_shown() {
    let mut entry = 0_i16.to_be_bytes().to_vec();
    for number in [1_i64, 2, 3, 4] {
        entry.extend_from_slice(&number.to_be_bytes());
    }
    check(
        "00000000000000000000.txnindex",
        &entry,
        "producer_id=1 first_offset=2 last_offset=3 last_stable_offset=4\n",
    );
}

#[test]
fn producer_snapshots_are_checked() {
    let mut snapshot = ProducerSnapshot {
        producer_entries: vec![ProducerEntry {
            producer_id: 9,
            epoch: 1,
            last_sequence: 4,
            last_offset: 10,
            offset_delta: 2,
            timestamp: 1_795_497_660_000,
            coordinator_epoch: -1,
            current_txn_first_offset: -1,
        }],
        ..ProducerSnapshot::default()
    };
    let version = *ProducerSnapshot::VALID_VERSIONS.end();
    let encode = |snapshot: &ProducerSnapshot| {
        let mut e = Encoder::new();
        e.i16(version);
        snapshot.encode(&mut e, version).unwrap();
        e.finish().into_bytes().unwrap()
    };
    let entry = "producer_id=9 epoch=1 last_sequence=4 last_offset=10 offset_delta=2 \
                 time=2026-11-24T05:21:00.000Z coordinator_epoch=-1\n";
    snapshot.crc = crc32c(&encode(&snapshot)[SNAPSHOT_CRC_END..]);
    check("00000000000000000011.snapshot", &encode(&snapshot), entry);

    snapshot.crc ^= 1;
    let (text, faults) = dump_bytes("11.snapshot", &encode(&snapshot), false, Format::Text);
    assert_eq!(faults, 1);
    assert!(text.ends_with(entry));
    assert_eq!(dump_bytes("11.snapshot", b"\0", false, Format::Text).1, 1);
}

#[test]
fn checkpoints_are_counted() {
    check(
        "recovery-point-offset-checkpoint",
        b"0\n2\norders 0 7\n__consumer_offsets 3 1\n",
        "topic=orders partition=0 offset=7\ntopic=__consumer_offsets partition=3 offset=1\n",
    );
    check(
        "leader-epoch-checkpoint",
        b"0\n2\n1 100\n",
        "epoch=1 start_offset=100\n\
         FAULT at byte 0: 1 entries, where the second line says otherwise\n",
    );
    check(
        "leader-epoch-checkpoint",
        b"1\n",
        "FAULT at byte 0: the first line is not version 0\n",
    );
}

#[test]
fn properties_are_shown_as_they_are() {
    check(
        "meta.properties",
        b"version=1\nnode.id=1\n",
        "version=1\nnode.id=1\n",
    );
}
