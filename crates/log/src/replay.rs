//! Rebuilding producer state from a snapshot and the batches after it.
//!
//! Invariant: the result is the state at `end`, or as near to it as the files allow; what could not be used is told.
//! Called by recovery and truncation.

use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{Damage, ReadError, StorageError};
use crate::file_cache::DirPath;
use crate::names::FileKind;
use crate::producer_state::snapshot::{self, SnapshotFault};
use crate::producer_state::{EndTxnMarker, MARKER_LEN_MAX, ProducerState};
use crate::scan::{LARGE_WINDOW, Scan, ScannedBatch};
use crate::segment::Segment;

/// Loads the latest usable snapshot of those at `offsets` (in order) that is not after `end`; removes those that cannot
/// be used. Without one the state is empty and begins at `start`.
pub(crate) fn load_snapshot(
    disk: &Disk,
    dir: &DirPath,
    offsets: &mut Vec<i64>,
    (start, end): (i64, i64),
    (now_ms, expiration_ms): (i64, i64),
    mut on_fault: impl FnMut(&Path, SnapshotFault),
) -> Result<ProducerState, StorageError> {
    let mut at = offsets.partition_point(|&offset| offset <= end);
    while at > 0 {
        at -= 1;
        let offset = offsets[at];
        let path = dir.file(offset, FileKind::Snapshot);
        if offset < start {
            break;
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                offsets.remove(at);
                continue;
            }
            Err(error) => return Err(StorageError::new("read", &path, error)),
        };
        match snapshot::decode(&bytes) {
            Ok(entries) => {
                return Ok(ProducerState::from_entries(
                    entries,
                    offset,
                    now_ms,
                    expiration_ms,
                ));
            }
            Err(fault) => {
                on_fault(&path, fault);
                disk.remove_file_if_exists(&path)
                    .map_err(|error| StorageError::new("remove", &path, error))?;
                offsets.remove(at);
            }
        }
    }
    Ok(ProducerState::starting_at(start))
}

/// Replays the batches from the state's end to `end`, reading headers only. Damage ends the replay of its segment.
pub(crate) fn replay(
    segments: &[Arc<Segment>],
    state: &mut ProducerState,
    end: i64,
    mut on_damage: impl FnMut(Damage),
) -> Result<(), StorageError> {
    let first = segments
        .partition_point(|segment| segment.base_offset <= state.end_offset)
        .saturating_sub(1);
    for segment in &segments[first..] {
        if segment.base_offset >= end || state.end_offset >= end {
            break;
        }
        match replay_segment(segment, state, end) {
            Ok(()) => {}
            Err(ReadError::Damaged(damage)) => on_damage(damage),
            Err(ReadError::Storage(error)) => return Err(error),
            Err(ReadError::OffsetOutOfRange { .. }) => {}
        }
    }
    state.end_offset = end;
    Ok(())
}

fn replay_segment(segment: &Segment, state: &mut ProducerState, end: i64) -> Result<(), ReadError> {
    let size = segment.size();
    let Some(first) = segment.locate(state.end_offset, size, None)? else {
        return Ok(());
    };
    let file = segment.file()?;
    let mut scan = Scan::new(&file, first.position, size, LARGE_WINDOW);
    loop {
        match scan.next_header() {
            Ok(Some(batch)) if batch.base_offset < end => {
                let marker =
                    read_marker(&scan, &batch).map_err(|error| segment.scan_error(error.into()))?;
                state.replay(&batch, marker);
            }
            Ok(_) => return Ok(()),
            Err(error) => return Err(segment.scan_error(error)),
        }
    }
}

/// The transaction marker in a control batch.
pub(crate) fn read_marker(
    scan: &Scan<'_>,
    batch: &ScannedBatch,
) -> Result<Option<EndTxnMarker>, std::io::Error> {
    if !batch.is_control || batch.producer_id < 0 {
        return Ok(None);
    }
    let payload = scan.payload(batch, MARKER_LEN_MAX)?;
    Ok(payload.as_deref().and_then(EndTxnMarker::parse))
}
