//! Where the metadata log lives, and the place where a consensus engine sits.
//!
//! [`MetadataQuorum`] is all that the controller knows of it: records go in, and are committed when a majority of
//! the voters has them on disk. [`local::LocalQuorum`] is the quorum of one voter: its own disk is the majority.
//!
//! Invariant: after `commit` returned, every record appended before is read again by the next start.

mod damage;
pub mod local;
mod snapshot;

use ottla_log::{AppendError, OpenError, ReadError, StorageError};
use ottla_metadata::{FramingError, MetadataImage, ReplayError};
use ottla_protocol::metadata_records::MetadataRecord;

pub trait MetadataQuorum: Send {
    /// The offset that the next record gets.
    fn next_offset(&self) -> i64;

    fn state(&self) -> QuorumState;

    /// Takes records, the first of which has the next offset, to be committed. They stay together if they are no more
    /// than one command may decide at once.
    fn append(&mut self, records: Vec<MetadataRecord>, now_ms: i64) -> Result<(), QuorumError>;

    /// Waits until everything appended is committed.
    fn commit(&mut self, now_ms: i64) -> Result<(), QuorumError>;

    /// Writes a snapshot of `image`, which reflects everything committed, if it is time for one.
    fn maybe_snapshot(&mut self, image: &MetadataImage, now_ms: i64) -> Result<(), QuorumError>;

    /// Leaves the log so that the next start has nothing to recover.
    fn close(&mut self) -> Result<(), QuorumError>;
}

/// How far the metadata log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumState {
    pub leader_epoch: i32,
    /// Exclusive end of what is committed.
    pub high_watermark: i64,
    pub log_end_offset: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the metadata log: {0}")]
    Framing(#[from] FramingError),
    #[error("the metadata record at offset {offset} does not follow from those before: {source}")]
    Replay { offset: i64, source: ReplayError },
    #[error(
        "{path} is damaged at position {position}, and acknowledged changes follow or are missing there; put the file \
         back, or cut it at that position to do without them"
    )]
    Damaged { path: String, position: u64 },
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
}
