//! From a directory to a [`Log`]: what files are there, what they hold, where the log ends.
//!
//! Invariant: a `Log` exists only after its recovery. Nothing that was durable is removed without a word: every cut, and
//! every refusal to cut, is in the [`RecoveryReport`] and on the tracing log.
//! Called by the manager at start (in parallel) and when a partition is created.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use crate::behind::{List, Marks};
use crate::care::Care;
use crate::checkpoint::{self, CheckpointFault, Loaded};
use crate::config::LogConfig;
use crate::environment::{Environment, LogDir};
use crate::epoch_cache::EpochCache;
use crate::error::{Context, Damage, OpenError, ReadError, StorageError};
use crate::file_cache::DirPath;
use crate::flush::FlushGate;
use crate::log::{Log, Place, Writer};
use crate::names::{
    FileKind, FileState, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, ParsedName, dir_name,
    is_valid_topic, parse_file_name,
};
use crate::producer_state::snapshot::SnapshotFault;
use crate::recovery::{self, Recovered};
use crate::scan::{LARGE_WINDOW, Scan};
use crate::segment::Segment;
use crate::spare::Spare;
use crate::tail::Tail;
use crate::turns::Turns;

/// What is known about a log before its files are looked at.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// From `log-start-offset-checkpoint`; 0 if it says nothing.
    pub log_start_offset: i64,
    /// From `recovery-point-offset-checkpoint`; 0 if it says nothing.
    pub recovery_point: i64,
    /// The log directory has the clean-shutdown marker.
    pub is_clean: bool,
    /// Its directory was seen just before: none need be made.
    pub is_there: bool,
    /// Written to `partition.metadata` if there is none.
    pub topic_id: Option<Uuid>,
    /// The directory's name, if it is not `topic-partition`.
    pub dir_name: Option<String>,
    /// Of the logs that are opened side by side, how many may be read through at a time; `None`: all.
    pub recoveries: Option<Arc<Turns>>,
    pub now_ms: i64,
}

impl OpenOptions {
    /// For a log that begins now.
    pub fn fresh(topic_id: Option<Uuid>, now_ms: i64) -> OpenOptions {
        OpenOptions {
            log_start_offset: 0,
            recovery_point: 0,
            is_clean: true,
            is_there: false,
            topic_id,
            dir_name: None,
            recoveries: None,
            now_ms,
        }
    }
}

/// What recovery found that a person may want to know.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    pub notes: Vec<RecoveryNote>,
    /// Bytes of log that were read.
    pub scanned_bytes: u64,
}

impl RecoveryReport {
    pub(crate) fn note(&mut self, partition: &TopicPartition, note: RecoveryNote) {
        match &note {
            RecoveryNote::Damaged(damage) => {
                tracing::error!(%partition, %damage, "damage before the recovery point; it is kept as it is");
            }
            RecoveryNote::TailMissing {
                end_offset,
                recovery_point,
            } => {
                tracing::error!(%partition, end_offset, recovery_point, "the log ends before its recovery point");
            }
            other => tracing::warn!(%partition, note = ?other, "recovery"),
        }
        self.notes.push(note);
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum RecoveryNote {
    /// An unflushed tail that does not check was cut.
    TailCut { damage: Damage, bytes: u64 },
    /// Segments behind a cut went too.
    SegmentRemoved { path: PathBuf },
    /// Durable data is damaged; it was not touched.
    Damaged(Damage),
    /// A damaged tail, durable once, was moved to a file of its own.
    TailSetAside { path: PathBuf, bytes: u64 },
    /// Batches that were durable are not there: the log ends before its recovery point.
    TailMissing {
        end_offset: i64,
        recovery_point: i64,
    },
    /// An index was missing or damaged and was built again.
    IndexRebuilt { path: PathBuf, reason: String },
    /// A checkpoint file was ignored.
    CheckpointIgnored {
        path: PathBuf,
        fault: CheckpointFault,
    },
    /// A producer snapshot was ignored, and removed.
    SnapshotIgnored { path: PathBuf, reason: String },
    /// The checkpointed log start lies behind the log end.
    LogStartIgnored {
        log_start_offset: i64,
        log_end_offset: i64,
    },
    /// An index without its log was removed.
    OrphanRemoved { path: PathBuf },
}

pub(crate) struct Loader<'a> {
    pub environment: &'a Arc<Environment>,
    pub partition: &'a TopicPartition,
    pub dir: Arc<DirPath>,
    pub config: &'a Arc<LogConfig>,
    pub options: &'a OpenOptions,
    /// The log's directory was made just now, and is empty.
    pub is_fresh: bool,
    /// Nothing was ever appended: one segment, its files empty, no blocks reserved, and no file besides.
    pub is_untouched: bool,
    /// Of its files, those reserved behind their ends included.
    blocks: u64,
    /// `leader-epoch-checkpoint` was seen in the directory.
    has_epoch_file: bool,
    pub report: RecoveryReport,
}

impl Log {
    /// Opens the log of `partition` in `log_dir`, or begins it.
    pub fn open(
        environment: &Arc<Environment>,
        log_dir: &Arc<LogDir>,
        partition: &TopicPartition,
        config: Arc<LogConfig>,
        options: &OpenOptions,
    ) -> Result<(Arc<Log>, RecoveryReport), OpenError> {
        if !is_valid_topic(&partition.topic) || partition.partition < 0 {
            return Err(OpenError::InvalidName(partition.to_string()));
        }
        let name = options
            .dir_name
            .clone()
            .unwrap_or_else(|| dir_name(&partition.topic, partition.partition));
        let path = log_dir.path().join(name);
        let opened = open_in(environment, log_dir, partition, config, options, path);
        if let Err(OpenError::Storage(error)) = &opened
            && !error.is_full()
        {
            log_dir.fail(&error.to_string());
        }
        opened
    }
}

fn open_in(
    environment: &Arc<Environment>,
    log_dir: &Arc<LogDir>,
    partition: &TopicPartition,
    config: Arc<LogConfig>,
    options: &OpenOptions,
    path: PathBuf,
) -> Result<(Arc<Log>, RecoveryReport), OpenError> {
    // Making a directory locks the one that it is in, which others who load wait for, even if it is there.
    let is_fresh = !options.is_there && begin_dir(&path).context("create", &path)?;
    let mut loader = Loader {
        environment,
        partition,
        dir: DirPath::new(path),
        config: &config,
        options,
        is_fresh,
        is_untouched: false,
        blocks: 0,
        has_epoch_file: false,
        report: RecoveryReport::default(),
    };
    let loaded = loader.load();
    if is_fresh && loaded.is_err() {
        // What is half there would be taken for a log that lost something. It is empty; if it stays, nothing is lost.
        let _ = std::fs::remove_dir_all(&*loader.path());
    }
    let (topic_id, recovered) = loaded?;
    Ok(assemble(loader, log_dir, topic_id, recovered))
}

/// Makes a log's directory; returns whether there was none.
fn begin_dir(path: &Path) -> std::io::Result<bool> {
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) => std::fs::create_dir_all(path).map(|()| false),
    }
}

fn assemble(
    loader: Loader<'_>,
    log_dir: &Arc<LogDir>,
    topic_id: Option<Uuid>,
    recovered: Recovered,
) -> (Arc<Log>, RecoveryReport) {
    let Loader {
        environment,
        partition,
        dir,
        config,
        options,
        is_fresh: _,
        is_untouched: _,
        blocks: _,
        has_epoch_file,
        report,
    } = loader;
    // A file that names epochs without batches is not written anew at each start.
    let has_unwritten_epoch =
        recovered.is_epoch_file_wrong || (has_epoch_file && recovered.epochs.latest().is_none());
    let active = recovered.segments.last().expect("recovery gives a segment");
    let tail = Tail::new(active.base_offset, recovered.end_offset, active.size());
    let (base_offset, active_size) = (active.base_offset, active.size());
    let log = Arc::new_cyclic(|me| Log {
        me: me.clone(),
        partition: TopicPartition::new(partition.topic.detached(), partition.partition),
        environment: Arc::clone(environment),
        place: ArcSwap::from_pointee(Place {
            log_dir: Arc::clone(log_dir),
            dir,
        }),
        config: ArcSwap::new(Arc::clone(config)),
        topic_id: Mutex::new(topic_id),
        segments: ArcSwap::from_pointee(recovered.segments),
        spare: Spare::default(),
        tail,
        log_start_offset: AtomicI64::new(recovered.log_start_offset),
        high_watermark: AtomicI64::new(recovered.log_start_offset),
        first_unstable_offset: AtomicI64::new(i64::MAX),
        recovery_point: AtomicI64::new(recovered.recovery_point),
        unflushed_bytes: AtomicU64::new(recovered.unflushed_bytes),
        unflushed_since_ms: AtomicI64::new(options.now_ms),
        flush: FlushGate::default(),
        writer: Mutex::new(Writer {
            producers: recovered.producers,
            since_index_entry: recovered.since_index_entry,
            snapshots: recovered.snapshots,
            care: Care::new(active_size, options.now_ms),
            truncations: 0,
            roll_jitter_ms: 0,
        }),
        epochs: Mutex::new(recovered.epochs),
        has_unwritten_epoch: AtomicBool::new(has_unwritten_epoch),
        is_epoch_file_wrong: AtomicBool::new(recovered.is_epoch_file_wrong),
        has_unsynced_epochs: AtomicBool::new(false),
        marks: Marks::default(),
        is_closed: AtomicBool::new(false),
        is_broken: AtomicBool::new(false),
        is_listed_dirty: AtomicBool::new(false),
        snapshot_position: AtomicU64::new(0),
        cleaned_until: AtomicI64::new(-1),
        reshaping: Mutex::new(()),
    });
    let mut writer = log.writer();
    writer.roll_jitter_ms = log.roll_jitter(base_offset);
    log.publish_first_unstable(&writer);
    drop(writer);
    // A log that is not used keeps no file open.
    for segment in log.segments.load().iter() {
        segment.close_files();
    }
    if log.unflushed_bytes() > 0 {
        log.list_as_dirty();
    }
    if log.is_used() {
        log.list_in(List::Used);
    }
    if config.is_compact {
        log.list_in(List::Compacted);
    }
    (log, report)
}

impl Loader<'_> {
    fn load(&mut self) -> Result<(Option<Uuid>, Recovered), OpenError> {
        let topic_id = self.load_topic_id()?;
        let files = match self.is_fresh {
            true => Vec::new(),
            false => self.list_files()?,
        };
        let segments = self.load_segments(&files)?;
        let snapshots = self.snapshots(&files, &segments)?;
        let epochs = self.load_epochs(&segments)?;
        let recovered = recovery::recover(self, segments, snapshots, epochs)?;
        Ok((topic_id, recovered))
    }

    fn path(&self) -> Arc<PathBuf> {
        self.dir.path()
    }

    pub fn note(&mut self, note: RecoveryNote) {
        self.report.note(self.partition, note);
    }

    fn load_topic_id(&mut self) -> Result<Option<Uuid>, OpenError> {
        let path = self.path().join(PARTITION_METADATA);
        let wanted = self.options.topic_id.filter(|id| !id.is_zero());
        if self.is_fresh {
            if let Some(topic_id) = wanted {
                let text = checkpoint::format_partition_metadata(topic_id);
                self.environment
                    .disk()
                    .write_file(&path, text.as_bytes(), false)
                    .context("write", &path)?;
            }
            return Ok(wanted);
        }
        let loaded = checkpoint::read_partition_metadata(&path).context("read", &path)?;
        match (loaded, wanted) {
            (Loaded::Present(found), Some(expected)) if found != expected => {
                return Err(OpenError::InconsistentTopicId {
                    partition: self.partition.clone(),
                    path,
                    found: found.to_string(),
                    expected: expected.to_string(),
                });
            }
            (Loaded::Present(found), _) => return Ok(Some(found)),
            (Loaded::Damaged(fault), _) => {
                self.note(RecoveryNote::CheckpointIgnored {
                    path: path.clone(),
                    fault,
                });
            }
            (Loaded::Absent, _) => {}
        }
        if let Some(topic_id) = wanted {
            self.environment
                .disk()
                .replace_file_unsynced(
                    &path,
                    checkpoint::format_partition_metadata(topic_id).as_bytes(),
                )
                .context("write", &path)?;
        }
        Ok(wanted)
    }

    /// The files of the log, after those were removed (or took their place) that an interrupted change left.
    fn list_files(&mut self) -> Result<Vec<(ParsedName, u64)>, OpenError> {
        let found = self.read_dir()?;
        self.is_untouched = self.blocks == 0 && is_empty_segment(&found);
        if found.iter().all(|(name, _)| name.state == FileState::Live) {
            return Ok(found);
        }
        let first_cleaned = found
            .iter()
            .filter(|(name, _)| name.state == FileState::Cleaned)
            .map(|(name, _)| name.base_offset)
            .min();
        let mut swaps = Vec::new();
        for (name, _) in &found {
            match name.state {
                FileState::Live => {}
                FileState::Deleted | FileState::Cleaned => self.remove(name)?,
                // A swap at or behind a segment that was not finished belongs to a split that was not either.
                FileState::Swap if first_cleaned.is_some_and(|first| name.base_offset >= first) => {
                    self.remove(name)?;
                }
                FileState::Swap => swaps.push(*name),
            }
        }
        self.finish_swap(&found, &swaps)?;
        self.read_dir()
    }

    /// Lets compacted segments take the place of those they were made from.
    fn finish_swap(
        &mut self,
        found: &[(ParsedName, u64)],
        swaps: &[ParsedName],
    ) -> Result<(), OpenError> {
        let (mut first, mut end) = (i64::MAX, i64::MIN);
        for name in swaps.iter().filter(|name| name.kind == FileKind::Log) {
            first = first.min(name.base_offset);
            end = end.max(self.next_offset_of(name)?);
        }
        for (name, _) in found {
            let is_replaced = name.state == FileState::Live
                && name.base_offset >= first
                && name.base_offset < end;
            if is_replaced {
                self.remove(name)?;
            }
        }
        for name in swaps {
            let from = self.file_path(name);
            let to = self.dir.file(name.base_offset, name.kind);
            self.environment
                .disk()
                .rename(&from, &to)
                .context("rename", &from)?;
        }
        let dir = self.path();
        let disk = self.environment.disk();
        Ok(disk.sync_dir(&dir).context("sync", &*dir)?)
    }

    fn next_offset_of(&self, name: &ParsedName) -> Result<i64, StorageError> {
        let path = self.file_path(name);
        let file = self
            .environment
            .disk()
            .open(&path, false)
            .context("open", &path)?;
        let len = file.len().context("look at", &path)?;
        let mut scan = Scan::new(&file, 0, len, LARGE_WINDOW);
        let mut next_offset = name.base_offset;
        while let Ok(Some(batch)) = scan.next_header() {
            next_offset = batch.next_offset();
        }
        Ok(next_offset)
    }

    fn read_dir(&mut self) -> Result<Vec<(ParsedName, u64)>, OpenError> {
        let dir = self.path();
        self.blocks = 0;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&*dir).context("list", &*dir)? {
            let entry = entry.context("list", &*dir)?;
            let file_name = entry.file_name();
            self.has_epoch_file |= file_name == LEADER_EPOCH_CHECKPOINT;
            let Some(name) = file_name.to_str().and_then(parse_file_name) else {
                continue;
            };
            let metadata = entry.metadata().context("look at", entry.path())?;
            if metadata.is_file() {
                self.blocks += metadata.blocks();
                found.push((name, metadata.len()));
            }
        }
        found.sort_by_key(|(name, _)| (name.base_offset, name.kind));
        Ok(found)
    }

    fn file_path(&self, name: &ParsedName) -> PathBuf {
        self.dir.file_in(name.base_offset, name.kind, name.state)
    }

    fn remove(&self, name: &ParsedName) -> Result<(), StorageError> {
        let path = self.file_path(name);
        self.environment
            .disk()
            .remove_file_if_exists(&path)
            .map(|_| ())
            .context("remove", &path)
    }

    fn load_segments(
        &mut self,
        files: &[(ParsedName, u64)],
    ) -> Result<Vec<Arc<Segment>>, OpenError> {
        let mut by_base: BTreeMap<i64, Segment> = BTreeMap::new();
        for (name, len) in files.iter().filter(|(name, _)| name.kind == FileKind::Log) {
            let segment = Segment::new(
                &self.environment.files,
                &self.dir,
                name.base_offset,
                *len,
                self.options.now_ms,
            );
            by_base.insert(name.base_offset, segment);
        }
        for (name, _) in files {
            let is_index = !matches!(name.kind, FileKind::Log | FileKind::Snapshot);
            if is_index && !by_base.contains_key(&name.base_offset) {
                self.remove(name)?;
                let path = self.file_path(name);
                self.note(RecoveryNote::OrphanRemoved { path });
            }
        }
        let mut segments = Vec::with_capacity(by_base.len());
        for (_, segment) in by_base {
            let segment = Arc::new(segment);
            self.load_indexes(&segment, &IndexFiles::of(files, segment.base_offset))?;
            segments.push(segment);
        }
        Ok(segments)
    }

    /// Takes the indexes as they are, or builds those again that cannot be right.
    fn load_indexes(&mut self, segment: &Segment, files: &IndexFiles) -> Result<(), OpenError> {
        let reason = index_fault(segment, files)?;
        if let Some((path, reason)) = reason {
            // After a crash an index that was not flushed is as it may be.
            let was_durable =
                self.options.is_clean || segment.base_offset < self.options.recovery_point;
            if was_durable {
                self.note(RecoveryNote::IndexRebuilt { path, reason });
            }
            recovery::rebuild_indexes(self, segment)?;
        }
        if !files.has_aborted {
            return Ok(());
        }
        if let Err(fault) = segment
            .txn_index
            .load()
            .context_with("read", || segment.path(FileKind::TxnIndex))?
        {
            let path = segment.path(FileKind::TxnIndex);
            let reason = fault.to_string();
            self.note(RecoveryNote::IndexRebuilt { path, reason });
            recovery::rebuild_txn_index(self, segment)?;
        }
        Ok(())
    }

    /// The snapshots that are kept: one per segment, and those within the last segment.
    fn snapshots(
        &mut self,
        files: &[(ParsedName, u64)],
        segments: &[Arc<Segment>],
    ) -> Result<Vec<i64>, OpenError> {
        let all: Vec<i64> = files
            .iter()
            .filter(|(name, _)| name.kind == FileKind::Snapshot)
            .map(|(name, _)| name.base_offset)
            .collect();
        let last_base = segments.last().map_or(0, |segment| segment.base_offset);
        let mut kept = Vec::new();
        for offset in all {
            let has_segment = segments
                .binary_search_by_key(&offset, |segment| segment.base_offset)
                .is_ok();
            if has_segment || offset > last_base {
                kept.push(offset);
                continue;
            }
            let path = self.dir.file(offset, FileKind::Snapshot);
            self.environment
                .disk()
                .remove_file_if_exists(&path)
                .context("remove", &path)?;
        }
        Ok(kept)
    }

    /// The epochs as checkpointed; built from the batches if the file is damaged, or missing though there are some.
    fn load_epochs(&mut self, segments: &[Arc<Segment>]) -> Result<EpochCache, OpenError> {
        // Where there are no batches, an epoch says nothing that the next leader does not say again.
        let is_unused = self.is_untouched && segments.iter().all(|s| s.base_offset == 0);
        if self.is_fresh || is_unused {
            return Ok(EpochCache::default());
        }
        let path = self.path().join(LEADER_EPOCH_CHECKPOINT);
        match checkpoint::read_epochs(&path).context("read", &path)? {
            Loaded::Present(entries) => return Ok(EpochCache::from_entries(entries)),
            Loaded::Damaged(fault) => self.note(RecoveryNote::CheckpointIgnored { path, fault }),
            Loaded::Absent => {}
        }
        recovery::rebuild_epochs(self, segments)
    }

    pub fn note_snapshot(&mut self, path: &Path, fault: SnapshotFault) {
        self.note(RecoveryNote::SnapshotIgnored {
            path: path.to_path_buf(),
            reason: fault.to_string(),
        });
    }
}

/// One segment without a byte, with its indexes, and nothing else.
fn is_empty_segment(files: &[(ParsedName, u64)]) -> bool {
    let kinds = [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex];
    files.len() == kinds.len()
        && files.iter().zip(kinds).all(|((name, len), kind)| {
            *len == 0
                && name.kind == kind
                && name.state == FileState::Live
                && name.base_offset == files[0].0.base_offset
        })
}

/// Which index files of a segment have something in them: the others need not be opened.
struct IndexFiles {
    offset_len: Option<u64>,
    time_len: Option<u64>,
    has_aborted: bool,
}

impl IndexFiles {
    fn of(files: &[(ParsedName, u64)], base_offset: i64) -> IndexFiles {
        let len_of = |kind| {
            let at =
                files.binary_search_by_key(&(base_offset, kind), |(n, _)| (n.base_offset, n.kind));
            at.ok().map(|at| files[at].1)
        };
        IndexFiles {
            offset_len: len_of(FileKind::OffsetIndex),
            time_len: len_of(FileKind::TimeIndex),
            has_aborted: len_of(FileKind::TxnIndex).is_some_and(|len| len > 0),
        }
    }
}

/// The first index of a segment that cannot be used, and why.
fn index_fault(
    segment: &Segment,
    files: &IndexFiles,
) -> Result<Option<(PathBuf, String)>, StorageError> {
    if (files.offset_len, files.time_len) == (Some(0), Some(0)) {
        return Ok(None);
    }
    let size = segment.size();
    let path = segment.path(FileKind::OffsetIndex);
    let fault = match segment.offset_index.load() {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(fault.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("missing".to_owned()),
        Err(error) => return Err(StorageError::new("read", &path, error)),
    };
    let fault = fault.or_else(|| {
        let last = segment.offset_index.last()?;
        (u64::from(last.position) >= size || last.offset < segment.base_offset)
            .then(|| format!("its last entry {last:?} is not of this segment"))
    });
    if let Some(reason) = fault {
        return Ok(Some((path, reason)));
    }
    let path = segment.path(FileKind::TimeIndex);
    let fault = match segment.time_index.load() {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(fault.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("missing".to_owned()),
        Err(error) => return Err(StorageError::new("read", &path, error)),
    };
    let fault = fault.or_else(|| {
        let last = segment.time_index.last()?;
        (last.offset < segment.base_offset)
            .then(|| format!("its last entry {last:?} is not of this segment"))
    });
    Ok(fault.map(|reason| (path, reason)))
}

impl From<ReadError> for OpenError {
    /// Recovery handles damage where it meets it; what is left is the disk's.
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => OpenError::Storage(error),
            ReadError::Damaged(damage) => OpenError::Storage(StorageError::new(
                "read",
                damage.path.clone(),
                std::io::Error::new(std::io::ErrorKind::InvalidData, damage),
            )),
            ReadError::OffsetOutOfRange { partition, .. } => {
                OpenError::InvalidName(partition.to_string())
            }
        }
    }
}
