//! The log against a plain vector of records.

use proptest::prelude::*;

use super::{Fixture, batch, records};
use crate::{LeaderAppend, Log, LogConfig, OpenOptions, RecoveryReport};

#[derive(Debug, Clone)]
enum Step {
    /// Batches of so many records each, with timestamps that need not grow.
    Append(Vec<(u8, i64)>),
    NextEpoch,
    Truncate(u16),
    RestartAt(u8),
    DeleteRecords(u16),
    Retention,
    Roll,
    /// The next segment's blocks are reserved.
    MakeSpare,
    Flush,
    /// An interval flush of a large segment: indexes and producers are written too.
    Settle,
    CleanRestart,
    /// The process dies; the checkpoint lies so far behind the recovery point.
    Crash(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec((1u8..6, 0i64..10_000), 1..5).prop_map(Step::Append),
        1 => Just(Step::NextEpoch),
        2 => any::<u16>().prop_map(Step::Truncate),
        1 => (0u8..50).prop_map(Step::RestartAt),
        1 => any::<u16>().prop_map(Step::DeleteRecords),
        1 => Just(Step::Retention),
        1 => Just(Step::Roll),
        2 => Just(Step::MakeSpare),
        2 => Just(Step::Flush),
        2 => Just(Step::Settle),
        1 => Just(Step::CleanRestart),
        2 => any::<u16>().prop_map(Step::Crash),
    ]
}

#[derive(Debug, Default)]
struct Model {
    /// Offset, timestamp; offsets may have gaps where a batch was cut in its middle.
    records: Vec<(i64, i64)>,
    /// Last offset of each batch by its base offset.
    batches: Vec<(i64, i64)>,
    start: i64,
    end: i64,
    epoch: i32,
    epochs: Vec<(i32, i64)>,
}

impl Model {
    fn append(&mut self, timestamps: &[i64]) {
        if self.epochs.last().is_none_or(|last| last.0 != self.epoch) {
            while self.epochs.last().is_some_and(|last| last.1 >= self.end) {
                self.epochs.pop();
            }
            self.epochs.push((self.epoch, self.end));
        }
        let base = self.end;
        for timestamp in timestamps {
            self.records.push((self.end, *timestamp));
            self.end += 1;
        }
        self.batches.push((base, self.end - 1));
    }

    fn truncate(&mut self, offset: i64) {
        if offset >= self.end {
            self.epochs.retain(|(_, start)| *start < self.end);
            return;
        }
        self.batches.retain(|(_, last)| *last < offset);
        let kept = self.batches.last().map_or(-1, |(_, last)| *last);
        self.records.retain(|(at, _)| *at <= kept);
        self.end = offset;
        self.start = self.start.min(offset);
        self.epochs.retain(|(_, start)| *start < offset);
    }

    fn restart_at(&mut self, offset: i64) {
        let epoch = self.epoch;
        *self = Model {
            start: offset,
            end: offset,
            epoch,
            ..Model::default()
        };
    }

    fn delete_before(&mut self, offset: i64) {
        if offset <= self.start {
            return;
        }
        self.start = offset;
        let current = self.epochs.iter().rposition(|(_, start)| *start <= offset);
        if let Some(current) = current {
            self.epochs.drain(..current);
            self.epochs[0].1 = offset;
        }
    }

    /// The end behind a batch that was cut in its middle is not in the files: it is where the last batch ends.
    fn restarted(&mut self, end: i64, report: &RecoveryReport) {
        let after_last = self.batches.last().map_or(0, |(_, last)| last + 1);
        assert!(end <= self.end && (end >= after_last || end >= self.start));
        if after_last == self.end {
            assert_eq!(report.notes, []);
        }
        if end < self.end {
            self.end = end;
            self.start = self.start.min(end);
        }
        // An epoch that begins at the end has no record: the next leader has an epoch of its own.
        self.epochs.retain(|(_, start)| *start < end);
    }

    fn visible(&self) -> Vec<(i64, i64)> {
        let visible = self.records.iter().filter(|(at, _)| *at >= self.start);
        visible.copied().collect()
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 900,
        segment_index_bytes: 96,
        index_interval_bytes: 150,
        retention_bytes: 3000,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

fn apply(fixture: &Fixture, log: &mut std::sync::Arc<Log>, model: &mut Model, step: &Step) {
    match step {
        Step::Append(batches) => {
            let timestamps: Vec<Vec<i64>> = batches
                .iter()
                .map(|(count, first)| (0..i64::from(*count)).map(|n| first - n * 7).collect())
                .collect();
            let bytes: Vec<_> = timestamps.iter().map(|all| batch(all)).collect();
            let how = LeaderAppend::client(model.epoch);
            let info = log.append_as_leader(&bytes, &how, 0).unwrap();
            assert_eq!(info.first_offset, model.end);
            timestamps.iter().for_each(|all| model.append(all));
            assert_eq!(info.last_offset + 1, model.end);
            log.set_high_watermark(model.end);
        }
        Step::NextEpoch => model.epoch += 1,
        Step::Truncate(by) => {
            let span = model.end - model.start + 2;
            let offset = model.end - i64::from(*by) % span;
            let cuts = log.truncate_to(offset.max(0), 0).unwrap();
            assert_eq!(cuts, offset.max(0) < model.end);
            model.truncate(offset.max(0));
        }
        Step::RestartAt(offset) => {
            let offset = i64::from(*offset);
            log.truncate_fully_and_start_at(offset, None, 0).unwrap();
            model.restart_at(offset);
        }
        Step::DeleteRecords(to) => {
            let offset = model.start + i64::from(*to) % (model.end - model.start + 1);
            log.set_high_watermark(model.end);
            log.advance_log_start_offset(offset).unwrap();
            model.delete_before(offset);
        }
        Step::Retention => {
            log.set_high_watermark(model.end);
            log.run_retention(0).unwrap();
            let start = log.log_start_offset();
            assert!(start >= model.start && start <= model.end);
            model.delete_before(start);
        }
        Step::Roll => log.roll(0).unwrap(),
        Step::MakeSpare => log.make_spare(4096),
        Step::Flush => {
            log.flush().unwrap();
            assert_eq!(log.recovery_point(), model.end);
        }
        Step::Settle => {
            log.flush().unwrap();
            log.settle(&log.active_segment()).unwrap();
        }
        Step::CleanRestart => {
            let (reopened, report) = fixture.clean(log);
            *log = reopened;
            model.restarted(log.log_end_offset(), &report);
        }
        Step::Crash(behind) => {
            log.abandon();
            let recovery_point = log.recovery_point();
            let behind = i64::from(*behind) % (recovery_point + 1);
            let (reopened, report) = fixture.open(OpenOptions {
                log_start_offset: log.log_start_offset(),
                recovery_point: recovery_point - behind,
                is_clean: false,
                ..OpenOptions::fresh(None, 0)
            });
            *log = reopened;
            model.restarted(log.log_end_offset(), &report);
        }
    }
}

fn check(log: &Log, model: &Model, max_bytes: usize, probe: i64) {
    assert_eq!(log.log_start_offset(), model.start);
    assert_eq!(log.log_end_offset(), model.end);
    assert!(log.recovery_point() <= model.end);
    let visible = model.visible();
    assert_eq!(records(log, model.start, max_bytes), visible);
    if model.end > model.start {
        let from = model.start + probe % (model.end - model.start);
        let rest: Vec<_> = visible
            .iter()
            .filter(|(at, _)| *at >= from)
            .copied()
            .collect();
        assert_eq!(records(log, from, max_bytes), rest);
    }
    let expected = visible.iter().find(|(_, timestamp)| *timestamp >= probe);
    let found = log.offset_for_timestamp(probe).unwrap();
    assert_eq!(
        found.map(|found| (found.offset, found.timestamp)),
        expected.copied()
    );
    let epochs: Vec<_> = log
        .epoch_entries()
        .iter()
        .map(|entry| (entry.epoch, entry.start_offset))
        .collect();
    assert_eq!(epochs, model.epochs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_log_is_a_vector_of_records(
        steps in prop::collection::vec(step(), 1..40),
        max_bytes in 1usize..2000,
        probe in 0i64..10_000,
    ) {
        let fixture = Fixture::new(config());
        let mut log = fixture.fresh();
        let mut model = Model::default();
        for step in &steps {
            apply(&fixture, &mut log, &mut model, step);
            check(&log, &model, max_bytes, probe);
        }
    }
}
