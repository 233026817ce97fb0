//! Names of files and directories, as Kafka writes them.
//!
//! Invariant: parsing gives back what formatting took, and a name that Kafka would not write parses to nothing. A topic
//! that could leave its directory has no name here.
//! Called by segments, the loader and the manager.

use std::fmt::Write;

/// Longest file name that common file systems take.
pub const FILE_NAME_LEN_MAX: usize = 255;
/// Longest topic name that Kafka takes.
const TOPIC_LEN_MAX: usize = 249;
/// Digits of a base offset in a file name.
const OFFSET_DIGITS: usize = 20;

pub const DELETED_SUFFIX: &str = ".deleted";
pub const CLEANED_SUFFIX: &str = ".cleaned";
pub const SWAP_SUFFIX: &str = ".swap";
pub const DELETE_DIR_SUFFIX: &str = "-delete";
pub const FUTURE_DIR_SUFFIX: &str = "-future";
pub const STRAY_DIR_SUFFIX: &str = "-stray";

pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
pub const PARTITION_METADATA: &str = "partition.metadata";

/// The files that belong to a base offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
    Snapshot,
}

impl FileKind {
    pub const ALL: [FileKind; 5] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TxnIndex,
        FileKind::Snapshot,
    ];

    pub fn suffix(self) -> &'static str {
        match self {
            FileKind::Log => ".log",
            FileKind::OffsetIndex => ".index",
            FileKind::TimeIndex => ".timeindex",
            FileKind::TxnIndex => ".txnindex",
            FileKind::Snapshot => ".snapshot",
        }
    }

    pub fn file_name(self, base_offset: i64) -> String {
        format!("{base_offset:0OFFSET_DIGITS$}{}", self.suffix())
    }
}

/// What a file in a log's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedName {
    pub base_offset: i64,
    pub kind: FileKind,
    pub state: FileState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    Live,
    /// Out of use, and removed after a while.
    Deleted,
    /// Written by the cleaner, not complete.
    Cleaned,
    /// Complete, and about to take the place of what it was made from.
    Swap,
}

impl FileState {
    pub const ALL: [FileState; 4] = [
        FileState::Live,
        FileState::Deleted,
        FileState::Cleaned,
        FileState::Swap,
    ];

    pub fn suffix(self) -> &'static str {
        match self {
            FileState::Live => "",
            FileState::Deleted => DELETED_SUFFIX,
            FileState::Cleaned => CLEANED_SUFFIX,
            FileState::Swap => SWAP_SUFFIX,
        }
    }
}

/// Parses `00000000000000000012.log`, `….index.deleted` and so on.
pub fn parse_file_name(name: &str) -> Option<ParsedName> {
    let digits = name.get(..OFFSET_DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let base_offset = digits.parse().ok()?;
    let rest = &name[OFFSET_DIGITS..];
    let (kind, rest) = FileKind::ALL
        .into_iter()
        .find_map(|kind| Some((kind, rest.strip_prefix(kind.suffix())?)))?;
    let state = match rest {
        "" => FileState::Live,
        DELETED_SUFFIX => FileState::Deleted,
        CLEANED_SUFFIX => FileState::Cleaned,
        SWAP_SUFFIX => FileState::Swap,
        _ => return None,
    };
    Some(ParsedName {
        base_offset,
        kind,
        state,
    })
}

/// Whether a topic name is one that Kafka takes, and so is safe as part of a path.
pub fn is_valid_topic(topic: &str) -> bool {
    !topic.is_empty()
        && topic != "."
        && topic != ".."
        && topic.len() <= TOPIC_LEN_MAX
        && topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// `topic-partition`.
pub fn dir_name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// `topic-partition.<32 hex digits>-delete`, the topic cut so that the file system takes the name.
pub fn marked_dir_name(topic: &str, partition: i32, unique: u128, suffix: &str) -> String {
    let mut tail = format!("-{partition}.");
    write!(tail, "{unique:032x}{suffix}").expect("a string takes all");
    let keep = topic
        .len()
        .min(FILE_NAME_LEN_MAX.saturating_sub(tail.len()));
    // Valid topics are ASCII; anything else loses whole characters.
    let keep = (0..=keep)
        .rev()
        .find(|&at| topic.is_char_boundary(at))
        .unwrap_or(0);
    format!("{}{tail}", &topic[..keep])
}

/// What a directory in a log directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDir<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// What stands before the mark of a directory that is not live.
    pub unique: Option<&'a str>,
    pub state: DirState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirState {
    Live,
    Delete,
    Future,
    Stray,
}

/// Parses `topic-3`, `topic-3.<unique>-delete` and so on.
pub fn parse_dir_name(name: &str) -> Option<ParsedDir<'_>> {
    let marked = [
        (DELETE_DIR_SUFFIX, DirState::Delete),
        (FUTURE_DIR_SUFFIX, DirState::Future),
        (STRAY_DIR_SUFFIX, DirState::Stray),
    ]
    .into_iter()
    .find_map(|(suffix, state)| Some((name.strip_suffix(suffix)?, state)));
    let (plain, unique, state) = match marked {
        Some((marked, state)) => {
            let (plain, unique) = marked.rsplit_once('.')?;
            if unique.is_empty() {
                return None;
            }
            (plain, Some(unique), state)
        }
        None => (name, None, DirState::Live),
    };
    let (topic, partition) = plain.rsplit_once('-')?;
    if !partition.bytes().all(|byte| byte.is_ascii_digit()) || !is_valid_topic(topic) {
        return None;
    }
    Some(ParsedDir {
        topic,
        partition: partition.parse().ok()?,
        unique,
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_kafkas() {
        assert_eq!(FileKind::Log.file_name(12), "00000000000000000012.log");
        assert_eq!(
            FileKind::Snapshot.file_name(i64::MAX),
            "09223372036854775807.snapshot"
        );
        for kind in FileKind::ALL {
            for (state, suffix) in [
                (FileState::Live, ""),
                (FileState::Deleted, ".deleted"),
                (FileState::Cleaned, ".cleaned"),
                (FileState::Swap, ".swap"),
            ] {
                let name = format!("{}{suffix}", kind.file_name(77));
                let parsed = parse_file_name(&name).unwrap();
                assert_eq!(
                    (parsed.base_offset, parsed.kind, parsed.state),
                    (77, kind, state)
                );
            }
        }
    }

    #[test]
    fn other_file_names_are_nothing() {
        for name in [
            "",
            "1.log",
            "leader-epoch-checkpoint",
            "0000000000000000001é.log",
            "00000000000000000012.log.other",
            "99999999999999999999.log",
            "+0000000000000000012.log",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn dir_names_are_kafkas() {
        assert_eq!(dir_name("a-b", 3), "a-b-3");
        let parsed = parse_dir_name("a-b-3").unwrap();
        assert_eq!(
            (parsed.topic, parsed.partition, parsed.state),
            ("a-b", 3, DirState::Live)
        );
        let name = marked_dir_name("t", 0, 0xabc, DELETE_DIR_SUFFIX);
        assert_eq!(name, "t-0.00000000000000000000000000000abc-delete");
        let parsed = parse_dir_name(&name).unwrap();
        assert_eq!(
            (parsed.topic, parsed.partition, parsed.state),
            ("t", 0, DirState::Delete)
        );
        assert_eq!(parsed.unique, Some("00000000000000000000000000000abc"));
        let long = "x".repeat(TOPIC_LEN_MAX);
        let name = marked_dir_name(&long, 12, 1, STRAY_DIR_SUFFIX);
        assert_eq!(name.len(), FILE_NAME_LEN_MAX);
        assert_eq!(parse_dir_name(&name).unwrap().partition, 12);
    }

    #[test]
    fn other_dir_names_are_nothing() {
        for name in [
            "",
            "topic",
            "topic-",
            "-1",
            "topic-x",
            "..-0",
            "a b-0",
            "t-0-delete",
            "t-+1",
        ] {
            assert_eq!(parse_dir_name(name), None, "{name}");
        }
    }
}
