use expect_test::{Expect, expect};

use super::*;

/// Segments of 10 offsets and `bytes` each, the active one last.
fn log(bytes: &[u64]) -> LogView {
    let segments: Vec<SegmentView> = bytes
        .iter()
        .enumerate()
        .map(|(n, &bytes)| SegmentView {
            base_offset: n as i64 * 10,
            bytes,
            offset_index_bytes: 8,
            time_index_bytes: 12,
            largest_timestamp: Some(n as i64 * 1000 + 900),
            first_timestamp: Some(n as i64 * 1000),
        })
        .collect();
    let end = segments.len() as i64 * 10;
    LogView {
        log_start_offset: 0,
        log_end_offset: end,
        last_stable_offset: end,
        checkpoint: None,
        segments,
    }
}

fn config() -> LogConfig {
    LogConfig {
        is_compact: true,
        segment_bytes: 100,
        ..LogConfig::default()
    }
}

fn check(log: &LogView, config: &LogConfig, now_ms: i64, expected: Expect) {
    let found = cleanable(log, config, now_ms);
    let text = format!(
        "[{}, {}) clean={} cleanable={} ratio={:.2} overdue={} due={} reset={}",
        found.first_dirty,
        found.first_uncleanable,
        found.clean_bytes,
        found.cleanable_bytes,
        found.ratio(),
        found.is_overdue,
        found.is_due(config),
        found.resets_checkpoint
    );
    expected.assert_eq(&text);
}

#[test]
fn all_but_the_active_segment_is_cleanable() {
    check(
        &log(&[50, 50, 50]),
        &config(),
        0,
        expect!["[0, 20) clean=0 cleanable=100 ratio=1.00 overdue=false due=true reset=false"],
    );
    check(
        &log(&[50]),
        &config(),
        0,
        expect!["[0, 0) clean=0 cleanable=0 ratio=0.00 overdue=false due=false reset=false"],
    );
}

#[test]
fn a_checkpoint_divides_clean_from_dirty() {
    let mut view = log(&[50, 50, 50, 50]);
    view.checkpoint = Some(20);
    check(
        &view,
        &config(),
        0,
        expect!["[20, 30) clean=100 cleanable=50 ratio=0.33 overdue=false due=false reset=false"],
    );
    // In the middle of a segment: that one is counted on both sides, as Kafka does.
    view.checkpoint = Some(25);
    check(
        &view,
        &config(),
        0,
        expect!["[25, 30) clean=150 cleanable=50 ratio=0.25 overdue=false due=false reset=false"],
    );
    view.checkpoint = Some(30);
    check(
        &view,
        &config(),
        0,
        expect!["[30, 30) clean=150 cleanable=0 ratio=0.00 overdue=false due=false reset=false"],
    );
    view.checkpoint = Some(35);
    check(
        &view,
        &config(),
        0,
        expect!["[35, 30) clean=200 cleanable=0 ratio=0.00 overdue=false due=false reset=false"],
    );
}

#[test]
fn a_checkpoint_out_of_range_is_reset() {
    let mut view = log(&[50, 50, 50]);
    view.log_start_offset = 12;
    view.checkpoint = Some(5);
    check(
        &view,
        &config(),
        0,
        expect!["[12, 20) clean=100 cleanable=50 ratio=0.33 overdue=false due=false reset=true"],
    );
    view.checkpoint = Some(31);
    check(
        &view,
        &config(),
        0,
        expect!["[12, 20) clean=100 cleanable=50 ratio=0.33 overdue=false due=false reset=true"],
    );
    view.checkpoint = Some(30);
    check(
        &view,
        &config(),
        0,
        expect!["[30, 20) clean=150 cleanable=0 ratio=0.00 overdue=false due=false reset=false"],
    );
}

#[test]
fn an_open_transaction_keeps_its_segment_and_what_follows() {
    let mut view = log(&[50, 50, 50, 50]);
    view.last_stable_offset = 15;
    check(
        &view,
        &config(),
        0,
        expect!["[0, 10) clean=0 cleanable=50 ratio=1.00 overdue=false due=true reset=false"],
    );
    view.last_stable_offset = 20;
    check(
        &view,
        &config(),
        0,
        expect!["[0, 20) clean=0 cleanable=100 ratio=1.00 overdue=false due=true reset=false"],
    );
}

#[test]
fn what_is_younger_than_the_lag_waits() {
    let config = LogConfig {
        min_compaction_lag_ms: 500,
        ..config()
    };
    let view = log(&[50, 50, 50, 50]);
    check(
        &view,
        &config,
        2_000,
        expect!["[0, 10) clean=0 cleanable=50 ratio=1.00 overdue=false due=true reset=false"],
    );
    check(
        &view,
        &config,
        9_000,
        expect!["[0, 30) clean=0 cleanable=150 ratio=1.00 overdue=false due=true reset=false"],
    );
}

#[test]
fn what_waits_too_long_is_due_however_little_it_is() {
    let config = LogConfig {
        max_compaction_lag_ms: 500,
        ..config()
    };
    let mut view = log(&[90, 90, 10, 10]);
    view.checkpoint = Some(20);
    check(
        &view,
        &config,
        2_500,
        expect!["[20, 30) clean=180 cleanable=10 ratio=0.05 overdue=false due=false reset=false"],
    );
    check(
        &view,
        &config,
        2_501,
        expect!["[20, 30) clean=180 cleanable=10 ratio=0.05 overdue=true due=true reset=false"],
    );
}

#[test]
fn neighbours_that_fit_become_one() {
    let groups = |bytes: &[u64]| {
        let view = log(bytes);
        group(&view.segments, &config(), bytes.len() as i64 * 10)
    };
    assert_eq!(groups(&[50, 50, 50]), [2, 1]);
    assert_eq!(groups(&[10, 20, 30, 40, 1]), [4, 1]);
    assert_eq!(groups(&[100, 100]), [1, 1]);
    assert_eq!(groups(&[150, 0, 0]), [1, 2]);
    assert_eq!(groups(&[0, 0, 0]), [3]);
    assert_eq!(groups(&[]), [] as [usize; 0]);
}

#[test]
fn a_group_keeps_to_what_its_index_and_its_offsets_can_hold() {
    let view = log(&[1, 1, 1, 1]);
    let narrow = LogConfig {
        segment_index_bytes: 24,
        ..config()
    };
    assert_eq!(group(&view.segments, &narrow, 40), [2, 2]);
    let mut far = view.segments.clone();
    far[2].base_offset = i64::from(i32::MAX) - 10;
    far[3].base_offset = i64::from(i32::MAX) + 100;
    assert_eq!(group(&far, &config(), i64::from(i32::MAX) + 200), [2, 2]);
}
