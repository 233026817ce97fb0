//! One partition replica's log on disk: segments, indexes, producer state, recovery, retention.
//!
//! Synchronous, in Kafka's files. A [`Log`] belongs to one partition and takes calls from any thread: appends are
//! serialised by it, reads take no lock that an append holds over I/O, and no lock is held while a file is synced.
//!
//! ```text
//! Environment::new(Disk, open_files_max, Background) -> Arc<Environment>      shared by all logs of a process
//! LogDir::new(path) -> Arc<LogDir>
//! Log::open(&environment, &log_dir, &TopicPartition, Arc<LogConfig>, &OpenOptions) -> (Arc<Log>, RecoveryReport)
//!
//! append_as_leader(&[Bytes], &LeaderAppend, now_ms) -> AppendInfo      append_as_follower(&Bytes, leader_epoch, now_ms)
//! read(offset, max_bytes, min_one, upper_bound) -> ReadRange           aborted_transactions(from, upper)
//! read_committed(offset, max_bytes, min_one, upper_bound) -> (ReadRange, aborted)         cleaned_until()
//! offset_for_timestamp(ms)   max_timestamp_offset()
//! flush_to(offset)   flush()   roll(now_ms)   close()   abandon()
//! truncate_to(offset, now_ms)   truncate_fully_and_start_at(offset, start, now_ms)   advance_log_start_offset(offset)
//! run_retention(now_ms)   remove_expired_producers(now_ms)
//! log_start_offset()  log_end_offset()  high_watermark()  set_high_watermark(hw)  last_stable_offset()  recovery_point()
//! latest_epoch()  end_offset_for_epoch(epoch)  assign_epoch_start_offset(epoch, offset)  epoch_for_offset(offset)
//! active_producers()  start_verification(..)  has_ongoing_transaction(..)  size()  segment_count()  topic_id()
//! ```
//!
//! Invariant: this crate knows no network, no clock (the time is passed in) and no runtime.
//! Called by the broker.

mod append;
mod background;
mod behind;
mod cached;
mod care;
mod checkpoint;
mod cleaner;
mod config;
mod disk;
mod environment;
mod epoch_cache;
mod error;
mod file_cache;
mod flush;
mod index;
mod log;
mod lookup;
mod manager;
mod names;
mod open;
mod pressure;
mod producer_state;
mod read;
mod recovery;
mod relocation;
mod replay;
mod retention;
mod scan;
mod segment;
mod seldom;
mod spare;
mod tail;
#[cfg(test)]
mod testing;
mod truncate;
mod turns;
mod txn_index;

pub use append::{AppendInfo, FlushReason, LeaderAppend};
pub use background::{Background, Threads};
pub use cached::cached_only;
pub use checkpoint::{CheckpointFault, Loaded, Offsets, format_offsets, parse_offsets};
pub use config::LogConfig;
pub use disk::{Disk, DiskFile, Faults, HeldSyncs, WriteFault};
pub use environment::{Environment, LogDir};
pub use epoch_cache::{EpochEnd, EpochEntry};
pub use error::{
    AdvanceError, AppendError, Damage, DamageReason, OpenError, ProducerError, ReadError,
    StorageError,
};
pub use file_cache::{DEFAULT_OPEN_FILES_MAX, FileCache};
pub use log::Log;
pub use lookup::TimestampedOffset;
pub use manager::dirs::{DirsError, LogDirs, OpenDir};
pub use manager::{
    AlterDirError, BackgroundTicks, CleanerSettings, CleanerThreads, CreateError, DirDescription,
    DirFailure, LoadSummary, LogDescription, LogManager, ManagerSettings, MetaPropertiesFault,
    MoverSettings, MoverThreads, StartError,
};
pub use open::{OpenOptions, RecoveryNote, RecoveryReport};
pub use pressure::Pressure;
pub use producer_state::{
    AppendOrigin, PRODUCERS_MAX, ProducerDescription, ProducerEntry, TRANSACTION_VERSION_UNKNOWN,
    VerificationGuard,
};
pub use read::ReadRange;
pub use seldom::Seldom;
pub use txn_index::AbortedTxn;
