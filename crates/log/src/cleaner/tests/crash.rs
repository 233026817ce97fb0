//! A crash at each step of a swap: what the start finds there, and what it makes of it.
//!
//! Each state is made by hand as Kafka leaves it, so that a directory that Kafka left works too.

use super::*;
use crate::names::{FileState, parse_file_name};

/// A log of which everything is cleanable, and its files before and after a clean.
struct States {
    fixture: Fixture,
    log: Arc<Log>,
    before: BTreeMap<String, Vec<u8>>,
    after: BTreeMap<String, Vec<u8>>,
    rows_before: Vec<Row>,
    rows_after: Vec<Row>,
}

fn states() -> States {
    let fixture = Fixture::new(compacted());
    let log = filled(&fixture);
    log.flush().unwrap();
    let files = || -> BTreeMap<String, Vec<u8>> {
        let names = fixture.files().into_iter();
        names
            .filter(|name| !name.ends_with(".deleted"))
            .map(|name| (name.clone(), std::fs::read(fixture.path(&name)).unwrap()))
            .collect()
    };
    for segment in log.segments.load().iter() {
        segment.flush_indexes().unwrap();
    }
    let (before, rows_before) = (files(), rows(&log));
    // All segments become one.
    log.set_config(Arc::new(LogConfig {
        segment_bytes: 100_000,
        ..compacted()
    }));
    clean_at(&log, 0).unwrap();
    let (after, rows_after) = (files(), rows(&log));
    assert_eq!(log.segment_count(), 2);
    log.abandon();
    States {
        fixture,
        log,
        before,
        after,
        rows_before,
        rows_after,
    }
}

impl States {
    /// Files of the cleaned segment, in the order in which they are renamed.
    fn cleaned(&self) -> Vec<(&String, &Vec<u8>)> {
        let kinds = [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex];
        let names = kinds.map(|kind| kind.file_name(0));
        let files = names.iter().map(|name| self.after.get_key_value(name));
        files.map(Option::unwrap).collect()
    }

    /// Leaves exactly these files and opens the log.
    fn open(&self, files: &BTreeMap<String, Vec<u8>>) -> Arc<Log> {
        for name in self.fixture.files() {
            std::fs::remove_file(self.fixture.path(&name)).unwrap();
        }
        for (name, bytes) in files {
            std::fs::write(self.fixture.path(name), bytes).unwrap();
        }
        let log = reopened(&self.fixture, &self.log);
        let is_odd =
            |name: &String| parse_file_name(name).is_some_and(|name| name.state != FileState::Live);
        let odd: Vec<_> = self.fixture.files().into_iter().filter(is_odd).collect();
        assert_eq!(odd, [] as [String; 0]);
        log
    }
}

#[test]
fn a_clean_that_was_not_finished_leaves_nothing() {
    let states = states();
    let mut files = states.before.clone();
    for (name, bytes) in states.cleaned() {
        files.insert(format!("{name}.cleaned"), bytes[..bytes.len() / 2].to_vec());
    }
    assert_eq!(rows(&states.open(&files)), states.rows_before);
}

#[test]
fn a_swap_of_which_one_file_is_still_called_cleaned_is_undone() {
    let states = states();
    let mut files = states.before.clone();
    for (n, (name, bytes)) in states.cleaned().into_iter().enumerate() {
        let suffix = if n == 0 { "swap" } else { "cleaned" };
        files.insert(format!("{name}.{suffix}"), bytes.clone());
    }
    assert_eq!(rows(&states.open(&files)), states.rows_before);
}

#[test]
fn a_swap_is_finished_however_many_of_the_old_files_are_gone() {
    let states = states();
    let is_old = |name: &str| {
        !name.ends_with(".snapshot")
            && parse_file_name(name).is_some_and(|parsed| parsed.base_offset < 60)
    };
    let names = states.before.keys().filter(|name| is_old(name));
    let old: Vec<String> = names.cloned().collect();
    assert!(old.len() > 20);
    for gone in 0..=old.len() {
        let mut files = states.before.clone();
        for name in &old[..gone] {
            let bytes = files.remove(name).unwrap();
            files.insert(format!("{name}.deleted"), bytes);
        }
        for (name, bytes) in states.cleaned() {
            files.insert(format!("{name}.swap"), bytes.clone());
        }
        let log = states.open(&files);
        assert_eq!(rows(&log), states.rows_after, "{gone} gone");
        assert_eq!(log.segment_count(), 2);
    }
}

#[test]
fn a_swap_is_finished_when_some_of_its_files_are_in_place() {
    let states = states();
    let cleaned: Vec<_> = states.cleaned();
    for in_place in 0..=cleaned.len() {
        let mut files = states.after.clone();
        for (name, bytes) in &cleaned[in_place..] {
            files.remove(*name);
            files.insert(format!("{name}.swap"), (*bytes).clone());
        }
        assert_eq!(rows(&states.open(&files)), states.rows_after);
    }
}
