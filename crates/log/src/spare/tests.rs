use std::os::unix::fs::MetadataExt;

use super::{BEING_MADE, NONE, Spare};
use crate::testing::{Fixture, append, batch, records};
use crate::{LeaderAppend, Log, LogConfig};

const SPARE: &str = "09223372036854775807.log.deleted";
const LEN: u64 = 1 << 20;

fn fixture() -> Fixture {
    Fixture::on_disk(LogConfig {
        segment_bytes: LEN as u32,
        ..LogConfig::default()
    })
}

/// Bytes of the disk that a file has, those behind its end included.
fn held_bytes(fixture: &Fixture, file: &str) -> u64 {
    std::fs::metadata(fixture.path(file)).unwrap().blocks() * 512
}

/// A log with one record, and a spare.
fn with_spare(fixture: &Fixture) -> std::sync::Arc<Log> {
    let log = fixture.fresh();
    append(&log, &[0]);
    log.make_spare(LEN);
    assert!(held_bytes(fixture, SPARE) >= LEN);
    log
}

#[test]
fn a_roll_takes_the_spare_and_gives_back_what_it_did_not_need() {
    let fixture = fixture();
    let log = with_spare(&fixture);
    log.roll(0).unwrap();
    append(&log, &[1]);
    assert!(!fixture.path(SPARE).exists());
    assert!(held_bytes(&fixture, "00000000000000000001.log") >= LEN);
    log.roll(0).unwrap();
    append(&log, &[2]);
    assert!(held_bytes(&fixture, "00000000000000000001.log") < LEN / 2);
    assert!(held_bytes(&fixture, "00000000000000000002.log") < LEN / 2);
    assert_eq!(records(&log, 0, 1000), [(0, 0), (1, 1), (2, 2)]);
}

#[test]
fn a_log_that_grows_fast_has_its_next_segment_reserved_before_it_rolls() {
    let fixture = fixture();
    let log = fixture.fresh();
    let record = batch(&vec![0; 100]);
    let mut now_ms = 0;
    while log.segment_count() == 1 {
        let is_late = log.size() > LEN * 9 / 10;
        assert!(!is_late || fixture.path(SPARE).exists());
        now_ms += 10;
        let how = LeaderAppend::client(0);
        log.append_as_leader(std::slice::from_ref(&record), &how, now_ms)
            .unwrap();
    }
    assert!(!fixture.path(SPARE).exists());
    let name = format!("{:020}.log", log.active_segment().base_offset);
    assert!(held_bytes(&fixture, &name) >= LEN);
}

#[test]
fn a_stop_removes_the_spare_and_none_is_made_after_it() {
    let fixture = fixture();
    let log = with_spare(&fixture);
    log.close().unwrap();
    assert!(!fixture.path(SPARE).exists());
    log.make_spare(LEN);
    assert!(!fixture.path(SPARE).exists());
}

#[test]
fn one_that_is_made_while_the_log_is_closed_does_not_count() {
    let spare = Spare::default();
    assert!(spare.change(NONE, BEING_MADE));
    assert!(!spare.change(NONE, BEING_MADE), "one at a time");
    assert_eq!(spare.take(), None);
    spare.end();
    assert!(!spare.change(BEING_MADE, LEN));
    assert!(!spare.change(NONE, BEING_MADE));
    assert_eq!(spare.take(), None);
}

#[test]
fn a_start_after_a_crash_removes_the_spare() {
    let fixture = fixture();
    let log = with_spare(&fixture);
    let (log, report) = fixture.crashed(&log);
    assert_eq!(report.notes, []);
    assert!(!fixture.path(SPARE).exists());
    assert_eq!(records(&log, 0, 1000), [(0, 0)]);
    log.make_spare(LEN);
    assert!(fixture.path(SPARE).exists());
}

#[test]
fn a_roll_whose_spare_is_gone_makes_a_file() {
    let fixture = fixture();
    let log = with_spare(&fixture);
    std::fs::remove_file(fixture.path(SPARE)).unwrap();
    log.roll(0).unwrap();
    append(&log, &[1]);
    assert_eq!(records(&log, 0, 1000), [(0, 0), (1, 1)]);
}

#[test]
fn there_is_no_spare_that_takes_much_of_the_free_space() {
    let fixture = fixture();
    let log = fixture.fresh();
    log.make_spare(1 << 60);
    assert!(!fixture.path(SPARE).exists());
    log.make_spare(LEN);
    assert!(fixture.path(SPARE).exists(), "a later one is not hindered");
}
