//! A machine that loses its power: what was synced is there, what was only written may be, in parts.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ottla_records::Producer;
use proptest::prelude::*;

use super::{Fixture, batch_of, records};
use crate::disk::{Faults, WriteFault};
use crate::names::DELETED_SUFFIX;
use crate::{Disk, LeaderAppend, LogConfig, OpenOptions};

/// A unit that a disk writes as a whole.
const SECTOR: usize = 64;

/// Remembers what is durable.
#[derive(Debug, Default)]
pub(crate) struct Platter(Mutex<Durable>);

#[derive(Debug, Default)]
struct Durable {
    /// Operations until the power fails; `None` is never.
    left: Option<usize>,
    /// An operation came after that.
    has_failed: bool,
    contents: HashMap<PathBuf, Vec<u8>>,
    /// Files whose names are durable.
    names: HashSet<PathBuf>,
    /// Renames of directories of which the journal may not know, in order.
    dir_renames: Vec<(PathBuf, PathBuf)>,
    /// All of them, for files that are open and know the name that they were opened by.
    all_dir_renames: Vec<(PathBuf, PathBuf)>,
}

impl Durable {
    /// Where a file is that was opened as `path`.
    fn current(&self, path: &Path) -> PathBuf {
        let mut current = path.to_path_buf();
        for (from, to) in &self.all_dir_renames {
            if current.exists() {
                break;
            }
            if let Ok(rest) = current.strip_prefix(from) {
                current = to.join(rest);
            }
        }
        current
    }

    /// Everything below `from` is below `to` from now on.
    fn move_tree(&mut self, from: &Path, to: &Path) {
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        let contents = self.contents.drain();
        let contents = contents.map(|(path, content)| (moved(&path).unwrap_or(path), content));
        self.contents = contents.collect();
        let names = self.names.drain();
        self.names = names.map(|path| moved(&path).unwrap_or(path)).collect();
    }
}

impl Faults for Platter {
    fn before_write(&self, _: &Path, _: u64, _: usize) -> WriteFault {
        match self.operate() {
            Ok(()) => WriteFault::None,
            Err(error) => WriteFault::Short(0, error),
        }
    }

    fn before_sync(&self, _: &Path) -> io::Result<()> {
        self.operate()
    }

    fn before_change(&self, _: &Path) -> io::Result<()> {
        self.operate()
    }

    fn synced(&self, path: &Path) {
        let mut durable = self.0.lock().unwrap();
        if path.is_dir() {
            durable
                .dir_renames
                .retain(|(_, to)| to.parent() != Some(path));
            for entry in std::fs::read_dir(path).unwrap() {
                durable.names.insert(entry.unwrap().path());
            }
        } else {
            let path = durable.current(path);
            let content = std::fs::read(&path).unwrap();
            durable.contents.insert(path, content);
        }
    }

    fn synced_all(&self, dir: &Path) {
        self.synced(dir);
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.synced_all(&path),
                false => self.synced(&path),
            }
        }
    }

    fn renamed(&self, from: &Path, to: &Path) {
        // Which of two names survives is the file system's journal to tell; either is fine, and the later one is taken.
        let mut durable = self.0.lock().unwrap();
        if to.is_dir() {
            durable.move_tree(from, to);
            let renamed = (from.to_path_buf(), to.to_path_buf());
            durable.all_dir_renames.push(renamed.clone());
            return durable.dir_renames.push(renamed);
        }
        if let Some(content) = durable.contents.remove(from) {
            durable.contents.insert(to.to_path_buf(), content);
        }
        // The name of a deleted file would not bring the other one back: whoever starts removes it.
        let is_recalled = !from.to_string_lossy().ends_with(DELETED_SUFFIX);
        if durable.names.remove(from) && is_recalled {
            durable.names.insert(to.to_path_buf());
        }
    }

    fn removed(&self, path: &Path) {
        let mut durable = self.0.lock().unwrap();
        durable.contents.remove(path);
        durable.names.remove(path);
    }
}

impl Platter {
    fn operate(&self) -> io::Result<()> {
        let mut durable = self.0.lock().unwrap();
        match &mut durable.left {
            None => Ok(()),
            Some(0) => {
                durable.has_failed = true;
                Err(io::ErrorKind::Other.into())
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Lets every operation fail after so many more.
    pub fn fail_after(&self, operations: usize) {
        self.0.lock().unwrap().left = Some(operations);
    }

    /// Whether no operation has failed.
    pub fn has_power(&self) -> bool {
        !self.0.lock().unwrap().has_failed
    }

    /// Has the disk work again.
    pub fn restore_power(&self) {
        self.0.lock().unwrap().left = None;
    }

    /// Leaves in the log directory `dir` what a power cut would: renames of the logs' directories that were not synced
    /// may be undone, the later ones first.
    pub fn cut_power_below(&self, dir: &Path, random: &mut fastrand::Rng) {
        let renames = std::mem::take(&mut self.0.lock().unwrap().dir_renames);
        let (here, others) = renames
            .into_iter()
            .partition(|(_, to)| to.parent() == Some(dir));
        self.0.lock().unwrap().dir_renames = others;
        let here: Vec<(PathBuf, PathBuf)> = here;
        for (from, to) in here.into_iter().rev() {
            if random.bool() {
                break;
            }
            std::fs::rename(&to, &from).unwrap();
            self.0.lock().unwrap().move_tree(&to, &from);
        }
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_dir() {
                continue;
            }
            let is_durable = self.0.lock().unwrap().names.contains(&path);
            match !is_durable && path.to_string_lossy().ends_with("-future") && random.bool() {
                true => std::fs::remove_dir_all(&path).unwrap(),
                false => self.cut_power(&path, random),
            }
        }
    }

    /// Leaves in `dir`, which has only files, what a power cut would.
    pub fn cut_power(&self, dir: &Path, random: &mut fastrand::Rng) {
        let durable = self.0.lock().unwrap();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if !durable.names.contains(&path) && random.bool() {
                std::fs::remove_file(&path).unwrap();
                continue;
            }
            let written = std::fs::read(&path).unwrap();
            let synced = durable.contents.get(&path).cloned().unwrap_or_default();
            // A cut need not have arrived either.
            let (short, long) = (
                synced.len().min(written.len()),
                synced.len().max(written.len()),
            );
            let len = random.usize(short..=long);
            let mut content = synced.clone();
            content.resize(len, 0);
            for sector in (0..len.min(written.len())).step_by(SECTOR) {
                // A sector arrived, or it did not.
                if random.bool() {
                    let end = (sector + SECTOR).min(len).min(written.len());
                    content[sector..end].copy_from_slice(&written[sector..end]);
                }
            }
            std::fs::write(&path, content).unwrap();
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    /// A leader epoch begins.
    Lead,
    Flush,
    Settle,
    Roll,
    /// The next segment's blocks are reserved.
    MakeSpare,
    Retention,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1u8..5).prop_map(Step::Append),
        2 => Just(Step::Lead),
        2 => Just(Step::Flush),
        2 => Just(Step::Settle),
        1 => Just(Step::Roll),
        2 => Just(Step::MakeSpare),
        1 => Just(Step::Retention),
    ]
}

const PRODUCER: i64 = 5;

fn send(
    log: &crate::Log,
    leader_epoch: i32,
    sequence: i32,
    count: u8,
) -> Result<crate::AppendInfo, crate::AppendError> {
    let producer = Producer {
        id: PRODUCER,
        epoch: 0,
        base_sequence: sequence,
    };
    let timestamps: Vec<i64> = (0..i64::from(count))
        .map(|n| i64::from(sequence) + n)
        .collect();
    let batch = batch_of(&timestamps, producer, false);
    log.append_as_leader(&[batch], &LeaderAppend::client(leader_epoch), 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What was flushed is there, what is there was appended, and the producer goes on where the log ends.
    #[test]
    fn nothing_flushed_is_lost_and_nothing_is_made_up(
        steps in prop::collection::vec(step(), 1..60),
        seed in any::<u64>(),
        lag in 0i64..40,
    ) {
        let platter = Arc::new(Platter::default());
        let config = LogConfig {
            segment_bytes: 800,
            index_interval_bytes: 150,
            retention_bytes: 4000,
            ..LogConfig::default()
        };
        let fixture = Fixture::with_disk(config, Disk::with_faults(platter.clone()));
        let log = fixture.fresh();
        let mut sequence = 0;
        // The epoch of each record.
        let mut epochs = Vec::new();
        let mut epoch = 0;
        log.assign_epoch_start_offset(epoch, 0).unwrap();
        for step in &steps {
            match step {
                Step::Append(count) => {
                    send(&log, epoch, sequence, *count).unwrap();
                    sequence += i32::from(*count);
                    epochs.resize(sequence as usize, epoch);
                }
                Step::Lead => {
                    epoch += 1;
                    log.assign_epoch_start_offset(epoch, log.log_end_offset()).unwrap();
                }
                Step::Flush => log.flush().unwrap(),
                Step::Settle => {
                    log.flush().unwrap();
                    log.settle(&log.active_segment()).unwrap();
                }
                Step::Roll => log.roll(0).unwrap(),
                Step::MakeSpare => log.make_spare(4096),
                Step::Retention => {
                    log.set_high_watermark(log.recovery_point());
                    log.run_retention(0).unwrap();
                }
            }
        }
        let (start, end, durable) =
            (log.log_start_offset(), log.log_end_offset(), log.recovery_point());
        log.abandon();
        let mut random = fastrand::Rng::with_seed(seed);
        platter.cut_power(&fixture.path(""), &mut random);
        let (log, report) = fixture.open(OpenOptions {
            log_start_offset: start,
            recovery_point: (durable - lag).max(0),
            is_clean: false,
            ..OpenOptions::fresh(None, 0)
        });
        prop_assert!(log.log_end_offset() >= durable, "{:?}", report.notes);
        prop_assert!(log.log_end_offset() <= end);
        let found = records(&log, log.log_start_offset(), 300);
        let expected: Vec<_> = (log.log_start_offset()..log.log_end_offset())
            .map(|offset| (offset, offset))
            .collect();
        prop_assert_eq!(found, expected);
        for offset in log.log_start_offset()..log.log_end_offset() {
            let known = log.epoch_for_offset(offset);
            prop_assert_eq!(known, Some(epochs[offset as usize]), "at {}", offset);
        }
        // The producer is known by what is left of its batches.
        let next = log.log_end_offset() as i32;
        if next as i64 > log.log_start_offset() {
            prop_assert!(send(&log, epoch + 1, next + 1, 1).is_err());
        }
        let info = send(&log, epoch + 1, next, 2).unwrap();
        prop_assert_eq!(info.first_offset, i64::from(next));
    }
}
