//! Log directories that fail while the broker runs: it goes on with those that are left, and ends when none is.

use std::path::Path;
use std::time::Instant;

use crate::client::{Client, batch};
use crate::process::{Broker, DEADLINE, check_text};

const TOPIC: &str = "data";
const NONE: i16 = 0;
const KAFKA_STORAGE_ERROR: i16 = 56;

/// The partition that lies in `dir`.
fn partition_in(dir: &Path) -> i32 {
    let is_in = |index: &i32| dir.join(format!("{TOPIC}-{index}")).is_dir();
    (0..2).find(is_in).unwrap()
}

fn produce(client: &mut Client, partition: i32) -> i16 {
    let records = batch(&[b"value".to_vec()], None);
    client.produce(TOPIC, partition, records).unwrap().0
}

#[test]
fn a_broker_goes_on_with_one_directory_and_ends_without_any() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let dirs = format!("log.dirs={},{}", a.display(), b.display());
    let soon = "replica.high.watermark.checkpoint.interval.ms=100";
    let broker = Broker::start(dir.path(), &[&dirs, soon]);
    let mut client = Client::connect(broker.address).unwrap();
    client.create_topic(TOPIC, 2, &[]).unwrap();
    let (in_a, in_b) = (partition_in(&a), partition_in(&b));
    // Nothing can be made in a directory that is not there, checkpoints for example.
    std::fs::remove_dir_all(&b).unwrap();
    let begun = Instant::now();
    while produce(&mut client, in_b) == NONE {
        assert!(begun.elapsed() < DEADLINE, "nobody saw the directory fail");
    }
    for _ in 0..50 {
        assert_eq!(produce(&mut client, in_b), KAFKA_STORAGE_ERROR);
    }
    let told = broker.errors().matches("an append failed").count() as u64;
    let most = 1 + begun.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&told), "{told} lines for 50 refusals");
    assert_eq!(produce(&mut client, in_a), NONE);

    std::fs::remove_dir_all(&a).unwrap();
    // The broker may have ended before it answers.
    let records = batch(&[b"value".to_vec()], None);
    let _ = client.produce(TOPIC, in_a, records);
    let exit = broker.ended();
    assert_eq!(exit.status.code(), Some(1), "{}", exit.errors);
    let said = "ottla: the broker cannot go on and has stopped: every log directory has failed";
    assert!(exit.errors.contains(said), "{}", exit.errors);
    check_text(&exit.errors);
}
