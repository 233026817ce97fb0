//! Damage in the middle of the metadata log, found before the log is opened.
//!
//! Opening a log cuts it at the first batch that is not whole, which is right for a tail that a crash tore. Acknowledged
//! changes that follow a damaged batch must not go that way: with the topics they made, their partitions would go.
//!
//! Invariant: nothing is written here. Called when the metadata log is opened.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use ottla_records::{LOG_OVERHEAD, RawBatch};

use super::QuorumError;

/// Refuses a log in which a valid batch follows a damaged one, and after a clean stop any damage.
pub fn check(dir: &Path, is_clean: bool) -> Result<(), QuorumError> {
    let mut segments = segments(dir).map_err(|source| unreadable(dir, source))?;
    segments.sort();
    let last = segments.pop();
    for path in segments {
        check_segment(&path, false)?;
    }
    match last {
        Some(path) => check_segment(&path, !is_clean),
        None => Ok(()),
    }
}

fn segments(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    Ok(found)
}

fn check_segment(path: &Path, may_be_torn: bool) -> Result<(), QuorumError> {
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut file = BufReader::new(file);
    let (mut buffer, mut position) = (Vec::new(), 0);
    loop {
        let is_whole =
            next_batch(&mut file, &mut buffer).map_err(|source| unreadable(path, source))?;
        if buffer.is_empty() {
            return Ok(());
        }
        if is_whole && is_batch(&buffer) {
            position += buffer.len() as u64;
            continue;
        }
        // A damaged length may have led too far: what follows is searched from behind the batch's first byte.
        file.read_to_end(&mut buffer)
            .map_err(|source| unreadable(path, source))?;
        let is_followed = (1..buffer.len()).any(|at| is_batch(&buffer[at..]));
        return match may_be_torn && !is_followed {
            true => Ok(()),
            false => Err(QuorumError::Damaged {
                path: path.display().to_string(),
                position,
            }),
        };
    }
}

/// Reads one batch into `buffer`; false if the file ends within it. Memory grows with what is there.
fn next_batch(file: &mut impl Read, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    buffer.clear();
    file.take(LOG_OVERHEAD as u64).read_to_end(buffer)?;
    let Some(length) = buffer.get(LOG_OVERHEAD - 4..LOG_OVERHEAD) else {
        return Ok(false);
    };
    let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    let Ok(length) = u64::try_from(length) else {
        return Ok(false);
    };
    Ok(file.take(length).read_to_end(buffer)? as u64 == length)
}

/// Whether the bytes begin with a batch whose checksum is right.
fn is_batch(bytes: &[u8]) -> bool {
    matches!(RawBatch::first(bytes), Ok(Some(batch)) if batch.verify().is_ok())
}

fn unreadable(path: &Path, source: std::io::Error) -> QuorumError {
    QuorumError::Io {
        path: path.display().to_string(),
        source,
    }
}
