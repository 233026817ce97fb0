//! What a stopped broker left on disk, read by Kafka's own DumpLogSegments: it must have nothing to complain of.
//!
//! Invariant: no file of a kind that the tool reads is passed over, and each is seen in its output.
//! Called after the suite that makes a broker write all of them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::install::{self, SUITE_FLAGS};
use super::report::Verdict;
use super::{Places, process};

const TOOL: &str = "org.apache.kafka.tools.DumpLogSegments";
/// The names that the tool knows, by their ends.
const KINDS: &[&str] = &["log", "index", "timeindex", "snapshot", "txnindex"];
/// Snapshots of the metadata.
const CHECKPOINT: &str = "checkpoint";
const INDEXES: &[&str] = &["index", "timeindex"];
/// More complaints than these are counted only.
const COMPLAINTS_SHOWN_MAX: usize = 20;

/// Begins what the tool says of a segment whose offsets are not one after the other.
const HEADING: &str = "Non-consecutive offsets in ";

/// What the tool says on its output about a file that is not as it should be.
const BAD_SIGNS: &[&str] = &[
    "isvalid: false",
    "invalid bytes at the end",
    " Error at ",
    "Unknown record type",
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("java: {0}")]
    Java(io::Error),
    #[error(transparent)]
    Process(#[from] process::Error),
}

/// The files of one run of the tool, and how they are looked at.
struct Pass {
    name: &'static str,
    flags: &'static [&'static str],
    is_wanted: fn(&Path) -> bool,
}

const PASSES: &[Pass] = &[
    Pass {
        name: "logs and what lies beside them",
        flags: &["--deep-iteration"],
        is_wanted: |path| has_end(path, KINDS) && topic(path).is_none(),
    },
    Pass {
        name: "offsets of groups",
        flags: &["--print-data-log", "--offsets-decoder"],
        is_wanted: |path| has_end(path, KINDS) && topic(path) == Some(Topic::Offsets),
    },
    Pass {
        name: "states of transactions",
        flags: &["--print-data-log", "--transaction-log-decoder"],
        is_wanted: |path| has_end(path, KINDS) && topic(path) == Some(Topic::Transactions),
    },
    Pass {
        name: "the metadata log and its snapshots",
        flags: &["--print-data-log", "--cluster-metadata-decoder"],
        is_wanted: |path| {
            topic(path) == Some(Topic::Metadata)
                && (has_end(path, KINDS) || has_end(path, &[CHECKPOINT]))
        },
    },
    Pass {
        name: "indexes",
        flags: &["--index-sanity-check"],
        is_wanted: |path| has_end(path, INDEXES),
    },
];

#[derive(PartialEq)]
enum Topic {
    Offsets,
    Transactions,
    Metadata,
}

/// Adds a check for each way of reading the files below `data` to what the suite's program came to.
pub fn check(verdict: Verdict, data: &Path, places: &Places) -> Verdict {
    let Verdict::Ran {
        mut passed,
        mut failed,
    } = verdict
    else {
        return verdict;
    };
    for pass in PASSES {
        match dump(pass, data, places) {
            Err(error) => return Verdict::Broken(error.to_string()),
            Ok((files, complaints)) if complaints.is_empty() && files > 0 => {
                passed += 1;
                println!("   ok   Kafka reads {}: {files} files", pass.name);
            }
            Ok((files, complaints)) => {
                failed += 1;
                for complaint in complaints.iter().take(COMPLAINTS_SHOWN_MAX) {
                    println!("        {complaint}");
                }
                let count = complaints.len();
                println!(
                    "   FAIL Kafka reads {}: {count} complaints, {files} files",
                    pass.name
                );
            }
        }
    }
    Verdict::Ran { passed, failed }
}

/// How many files there were, and the complaints about them.
fn dump(pass: &Pass, data: &Path, places: &Places) -> Result<(usize, Vec<String>), Error> {
    let mut files = Vec::new();
    collect(data, pass.is_wanted, &mut files)?;
    if files.is_empty() {
        return Ok((0, vec!["there is no such file".to_owned()]));
    }
    let list = files
        .iter()
        .map(|path| path.to_string_lossy())
        .collect::<Vec<_>>()
        .join(",");
    let output = install::java(places, TOOL, SUITE_FLAGS)
        .args(["--files", &list])
        .args(pass.flags)
        .output()
        .map_err(Error::Java)?;
    Ok((files.len(), complaints(&output, files.len())))
}

fn collect(
    directory: &Path,
    is_wanted: fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let failed = |source| Error::Read {
        path: directory.to_path_buf(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, is_wanted, files)?;
        } else if is_wanted(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn has_end(path: &Path, ends: &[&str]) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|end| ends.contains(&end))
}

/// Whether the file is of a topic with a decoder of its own.
fn topic(path: &Path) -> Option<Topic> {
    let directory = path.parent()?.file_name()?.to_str()?;
    if directory.starts_with("__consumer_offsets-") {
        Some(Topic::Offsets)
    } else if directory.starts_with("__transaction_state-") {
        Some(Topic::Transactions)
    } else if directory.starts_with("__cluster_metadata-") {
        Some(Topic::Metadata)
    } else {
        None
    }
}

fn complaints(output: &Output, files: usize) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut found = real_errors(&errors);
    let bad = |line: &&str| BAD_SIGNS.iter().any(|sign| line.contains(sign));
    found.extend(said.lines().filter(bad).map(str::to_owned));
    let dumped = said
        .lines()
        .filter(|line| line.starts_with("Dumping "))
        .count();
    if dumped != files {
        found.push(format!("{dumped} of {files} files were dumped"));
    }
    if !output.status.success() {
        found.push(output.status.to_string());
    }
    found
}

/// The tool takes it that every segment begins at offset 0 and has no gaps, and says so of each that is otherwise. A
/// compacted log has gaps.
fn real_errors(errors: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut heading: Option<&str> = None;
    for line in errors.lines() {
        if line.starts_with(HEADING) {
            heading = Some(line);
        } else if !heading.is_some_and(|heading| is_expected(heading, line)) {
            found.extend(heading.take().map(str::to_owned));
            found.push(line.to_owned());
        }
    }
    found
}

/// Whether a line below a heading says what is so in a sound log.
fn is_expected(heading: &str, line: &str) -> bool {
    let Some((before, after)) = line.trim().split_once(" is followed by ") else {
        return false;
    };
    let (Ok(before), Ok(after)) = (before.parse::<i64>(), after.parse::<i64>()) else {
        return false;
    };
    let path = Path::new(heading.strip_prefix(HEADING).unwrap_or(heading));
    let is_compacted = matches!(topic(path), Some(Topic::Offsets | Topic::Transactions));
    (before == -1 && base_offset(heading) == Some(after)) || (is_compacted && after > before)
}

/// The base offset of the segment that a heading is about.
fn base_offset(heading: &str) -> Option<i64> {
    let path = heading.strip_prefix(HEADING)?;
    Path::new(path).file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
