use std::fs;

use bytes::Bytes;
use ottla_protocol::group_records::{GroupRecord, OffsetCommitKey, OffsetCommitValue};
use ottla_records::{BatchBuilder, Codec, Compression};

use super::*;

/// Writes a file and dumps it; returns what was printed and how many faults there were.
pub fn dump_bytes(name: &str, bytes: &[u8], records: bool, output: Format) -> (String, u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let args = DumpArgs {
        files: vec![path.clone()],
        records,
        decode: None,
        output,
    };
    let mut printer = Printer {
        out: Vec::new(),
        output,
        faults: 0,
    };
    dump(&path, &args, &mut printer).unwrap();
    (String::from_utf8(printer.out).unwrap(), printer.faults)
}

fn batch(base_offset: i64, values: &[&str], codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::new(codec)).base_offset(base_offset);
    for value in values {
        builder.append(1_795_497_660_000, Some(b"k"), Some(value.as_bytes()));
    }
    builder.build().unwrap()
}

#[test]
fn a_sound_log_shows_batches_and_records() {
    let log = [
        batch(5, &["a", "b c"], Codec::None),
        batch(7, &["d"], Codec::Lz4),
    ]
    .concat();
    let (text, faults) = dump_bytes("t-0/00000000000000000005.log", &log, true, Format::Text);
    assert_eq!(faults, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("base_offset=5 last_offset=6 records=2 position=0 "));
    assert_eq!(
        lines[2],
        "  offset=6 time=2026-11-24T05:21:00.000Z key=k value=\"b c\""
    );
    assert!(lines[3].contains("codec=lz4"));

    let (json, _) = dump_bytes("t-0/00000000000000000005.log", &log, true, Format::Json);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["base_offset"], 5);
    assert_eq!(first["control"], false);
}

#[test]
fn damage_is_found_wherever_it_is() {
    let first = batch(0, &["a"], Codec::None);
    let log = [first.clone(), batch(1, &["b"], Codec::None)].concat();
    let name = "t-0/00000000000000000000.log";
    let faults = |bytes: &[u8]| dump_bytes(name, bytes, true, Format::Text);

    let mut flipped = log.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let (text, count) = faults(&flipped);
    assert_eq!(count, 1);
    assert!(
        text.contains(&format!("FAULT at byte {}: ", first.len())),
        "{text}"
    );

    // Every cut within the second batch leaves something that is no batch.
    for cut in first.len() + 1..log.len() {
        assert_eq!(faults(&log[..cut]).1, 1, "cut at {cut}");
    }
    let twice = [first.clone(), first].concat();
    assert!(
        faults(&twice)
            .0
            .contains("offset 0 follows, where at least 1 is due")
    );
    let zeroes = [log, vec![0; 200]].concat();
    assert!(faults(&zeroes).0.contains("zeroes"));
}

#[test]
fn offsets_of_groups_are_decoded() {
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "orders".into(),
        partition: 3,
    };
    let value = OffsetCommitValue {
        offset: 42,
        ..OffsetCommitValue::default()
    };
    let record = GroupRecord::OffsetCommit(key, Some(value));
    let mut builder = BatchBuilder::default();
    let value = record.encode_value(3).unwrap();
    builder.append(0, Some(&record.encode_key().unwrap()), value.as_deref());
    let log = builder.build().unwrap();
    let name = "__consumer_offsets-12/00000000000000000000.log";
    let (text, faults) = dump_bytes(name, &log, true, Format::Text);
    assert_eq!(faults, 0);
    assert!(text.contains("group: \"g\""), "{text}");
    assert!(text.contains("offset: 42"), "{text}");

    // What cannot be decoded is a fault, not a crash.
    let log = batch(0, &["x"], Codec::None);
    let (text, faults) = dump_bytes(name, &log, true, Format::Text);
    assert_eq!(faults, 1, "{text}");
}

#[test]
fn files_of_other_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "x").unwrap();
    let args = DumpArgs {
        files: vec![path.clone()],
        records: false,
        decode: None,
        output: Format::Text,
    };
    let mut printer = Printer {
        out: Vec::new(),
        output: Format::Text,
        faults: 0,
    };
    let error = dump(&path, &args, &mut printer).unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
}
