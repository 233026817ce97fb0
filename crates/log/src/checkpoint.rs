//! Kafka's small text files: offset checkpoints, leader epochs, topic ids.
//!
//! ```text
//! recovery-point-offset-checkpoint and the like    leader-epoch-checkpoint    partition.metadata
//! 0                      version                   0                          version: 0
//! 2                      entries                   1                          topic_id: 4xH3…
//! topic-a 0 1234                                   3 1200
//! topic-b 7 0
//! ```
//!
//! Invariant: a file is replaced as a whole, so that a crash leaves the old one or the new one; parsing never panics, and
//! takes a file only if all of it makes sense.
//! Called by logs (epochs, topic id), and by the manager (offsets).

use std::collections::HashMap;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ottla_protocol::ids::TopicPartition;
use ottla_protocol::{Str, Uuid};

use crate::disk::Disk;
use crate::epoch_cache::EpochEntry;

const VERSION: &str = "0";
/// What one read asks for: the files of a partition are smaller.
const SMALL_FILE_BYTES: usize = 512;

/// Why a checkpoint file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    #[error("it is not text")]
    NotText,
    #[error("its version is {0:?}, not 0")]
    Version(String),
    #[error("its number of entries {0:?} is not one")]
    Count(String),
    #[error("it says {expected} entries and has {found}")]
    Entries { expected: usize, found: usize },
    #[error("line {0} is not an entry")]
    Line(usize),
    #[error("its last line has no end")]
    Cut,
}

/// What a file held: nothing if there is none, a fault if it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded<T> {
    Absent,
    Damaged(CheckpointFault),
    Present(T),
}

pub type Offsets = HashMap<TopicPartition, i64>;

pub fn format_offsets<'a>(
    offsets: impl ExactSizeIterator<Item = (&'a TopicPartition, i64)>,
) -> String {
    let mut text = format!("{VERSION}\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        writeln!(text, "{} {} {offset}", partition.topic, partition.partition)
            .expect("a string takes all");
    }
    text
}

pub fn parse_offsets(text: &str) -> Result<Offsets, CheckpointFault> {
    let mut offsets = Offsets::new();
    parse(text, |fields| {
        let [topic, partition, offset] = fields else {
            return None;
        };
        let partition = TopicPartition::new(Str::from(*topic), partition.parse().ok()?);
        offsets.insert(partition, offset.parse().ok()?);
        Some(())
    })?;
    Ok(offsets)
}

pub fn read_offsets(path: &Path) -> io::Result<Loaded<Offsets>> {
    read(path, parse_offsets)
}

pub(crate) fn format_epochs(entries: &[EpochEntry]) -> String {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        writeln!(text, "{} {}", entry.epoch, entry.start_offset).expect("a string takes all");
    }
    text
}

pub(crate) fn parse_epochs(text: &str) -> Result<Vec<EpochEntry>, CheckpointFault> {
    // The file may have lost its end: it is synced later than it is written.
    if !text.ends_with('\n') {
        return Err(CheckpointFault::Cut);
    }
    let mut entries = Vec::new();
    parse(text, |fields| {
        let [epoch, start_offset] = fields else {
            return None;
        };
        entries.push(EpochEntry {
            epoch: epoch.parse().ok()?,
            start_offset: start_offset.parse().ok()?,
        });
        Some(())
    })?;
    Ok(entries)
}

pub(crate) fn read_epochs(path: &Path) -> io::Result<Loaded<Vec<EpochEntry>>> {
    read(path, parse_epochs)
}

pub(crate) fn write_epochs(disk: &Disk, path: &Path, entries: &[EpochEntry]) -> io::Result<()> {
    disk.replace_file_no_dir_sync(path, format_epochs(entries).as_bytes())
}

pub(crate) fn write_epochs_unsynced(
    disk: &Disk,
    path: &Path,
    entries: &[EpochEntry],
) -> io::Result<()> {
    disk.replace_file_unsynced(path, format_epochs(entries).as_bytes())
}

pub(crate) fn format_partition_metadata(topic_id: Uuid) -> String {
    format!("version: {VERSION}\ntopic_id: {topic_id}")
}

pub(crate) fn parse_partition_metadata(text: &str) -> Result<Uuid, CheckpointFault> {
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("version:"));
    match version.map(str::trim) {
        Some(VERSION) => {}
        other => {
            return Err(CheckpointFault::Version(
                other.unwrap_or_default().to_owned(),
            ));
        }
    }
    lines
        .next()
        .and_then(|line| line.strip_prefix("topic_id:"))
        .and_then(|id| id.trim().parse::<Uuid>().ok())
        .filter(|id| !id.is_zero())
        .ok_or(CheckpointFault::Line(2))
}

pub(crate) fn read_partition_metadata(path: &Path) -> io::Result<Loaded<Uuid>> {
    read(path, parse_partition_metadata)
}

fn parse(text: &str, mut entry: impl FnMut(&[&str]) -> Option<()>) -> Result<(), CheckpointFault> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default().trim();
    if version != VERSION {
        return Err(CheckpointFault::Version(shortened(version)));
    }
    let count = lines.next().unwrap_or_default().trim();
    let expected: usize = count
        .parse()
        .map_err(|_| CheckpointFault::Count(shortened(count)))?;
    let mut found = 0;
    for line in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        entry(&fields).ok_or(CheckpointFault::Line(found + 3))?;
        found += 1;
    }
    if found != expected {
        return Err(CheckpointFault::Entries { expected, found });
    }
    Ok(())
}

/// What an error message needs of a text that may be anything.
fn shortened(text: &str) -> String {
    text.chars().take(20).collect()
}

/// The whole file. Most of them are so small that one read gets all.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut first = [0; SMALL_FILE_BYTES];
    let len = file.read(&mut first)?;
    let mut bytes = first[..len].to_vec();
    if len == SMALL_FILE_BYTES {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, CheckpointFault>,
) -> io::Result<Loaded<T>> {
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Absent),
        Err(error) => return Err(error),
    };
    let parsed = std::str::from_utf8(&bytes)
        .map_err(|_| CheckpointFault::NotText)
        .and_then(parse);
    Ok(match parsed {
        Ok(content) => Loaded::Present(content),
        Err(fault) => Loaded::Damaged(fault),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_written_as_kafka_writes_them() {
        let text = "0\n2\ntopic-a 0 1234\ntopic-b 7 0\n";
        let offsets = parse_offsets(text).unwrap();
        assert_eq!(offsets[&TopicPartition::new("topic-a", 0)], 1234);
        let mut sorted: Vec<_> = offsets.iter().map(|(p, o)| (p, *o)).collect();
        sorted.sort();
        assert_eq!(format_offsets(sorted.into_iter()), text);
        assert_eq!(format_offsets([].into_iter()), "0\n0\n");
    }

    #[test]
    fn epochs_are_written_as_kafka_writes_them() {
        let text = "0\n2\n1 0\n3 1200\n";
        let entries = parse_epochs(text).unwrap();
        assert_eq!(
            entries[1],
            EpochEntry {
                epoch: 3,
                start_offset: 1200
            }
        );
        assert_eq!(format_epochs(&entries), text);
    }

    #[test]
    fn topic_ids_are_written_as_kafka_writes_them() {
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788);
        let text = format_partition_metadata(id);
        assert_eq!(text, format!("version: 0\ntopic_id: {id}"));
        assert_eq!(parse_partition_metadata(&text), Ok(id));
        assert_eq!(
            parse_partition_metadata("version: 1\ntopic_id: x"),
            Err(CheckpointFault::Version("1".to_owned()))
        );
        assert!(parse_partition_metadata("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA").is_err());
    }

    #[test]
    fn files_that_make_no_sense_are_faults() {
        for (text, fault) in [
            ("", CheckpointFault::Version(String::new())),
            ("1\n0\n", CheckpointFault::Version("1".to_owned())),
            ("0\nx\n", CheckpointFault::Count("x".to_owned())),
            (
                "0\n2\na 0 1\n",
                CheckpointFault::Entries {
                    expected: 2,
                    found: 1,
                },
            ),
            ("0\n1\na 0\n", CheckpointFault::Line(3)),
            ("0\n1\na 0 x\n", CheckpointFault::Line(3)),
        ] {
            assert_eq!(parse_offsets(text), Err(fault), "{text:?}");
        }
    }
}
