//! Reading a segment's batches through a buffer that grows only for a batch that is really there.
//!
//! Invariant: a batch is handed out whole, with its checksum verified and its offsets above those before. The buffer
//! has its configured size, or that of the largest batch met in the segment; what a header claims beyond the file's end
//! is damage.
//! Called by the cleaner for building the offset map and for cleaning.

use ottla_records::{BatchError, BatchHeader, HEADER_LEN, RawBatch, batches};

use super::CleanError;
use crate::error::{Context, DamageReason};
use crate::names::FileKind;
use crate::segment::Segment;

/// The smallest buffer; the configured one is divided among threads.
pub(crate) const BUFFER_BYTES_MIN: usize = 4 << 10;

#[derive(Debug)]
pub(crate) struct Source {
    buffer: Vec<u8>,
    buffer_bytes: usize,
}

impl Source {
    pub fn new(buffer_bytes: usize) -> Source {
        Source {
            buffer: Vec::new(),
            buffer_bytes: buffer_bytes.max(BUFFER_BYTES_MIN),
        }
    }

    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Hands each batch from `position` on to `take`, with its position, until that returns false. `on_read` hears of
    /// the bytes of each read before they are looked at.
    pub fn read(
        &mut self,
        segment: &Segment,
        mut position: u64,
        on_read: &mut dyn FnMut(u64) -> Result<(), CleanError>,
        take: &mut dyn FnMut(u64, RawBatch<'_>) -> Result<bool, CleanError>,
    ) -> Result<(), CleanError> {
        let file = segment.file()?;
        let end = segment.size();
        let mut expected = segment.base_offset;
        self.buffer.resize(self.buffer_bytes, 0);
        while position < end {
            let want = self.buffer.len().min((end - position) as usize);
            let buffer = &mut self.buffer[..want];
            file.read_exact_at(buffer, position)
                .context("read", segment.path(FileKind::Log))?;
            on_read(want as u64)?;
            let damaged = |at: u64, reason| CleanError::Damaged(segment.damage(at, reason));
            let mut at = position;
            for batch in batches(buffer) {
                let batch = batch.map_err(|error| damaged(at, error.into()))?;
                check(&batch, expected).map_err(|reason| damaged(at, reason))?;
                expected = batch.next_offset();
                if !take(at, batch)? {
                    return Ok(());
                }
                at += batch.size() as u64;
            }
            if at == position {
                let size = size_of_first(buffer).map_err(|error| damaged(at, error.into()))?;
                if size > end - position {
                    let available = end - position;
                    return Err(damaged(at, DamageReason::Torn { size, available }));
                }
                self.buffer.resize(size as usize, 0);
            }
            position = at;
        }
        self.buffer.truncate(self.buffer_bytes);
        self.buffer.shrink_to(self.buffer_bytes);
        Ok(())
    }
}

/// The size of the batch that begins the buffer and does not end in it.
fn size_of_first(buffer: &[u8]) -> Result<u64, BatchError> {
    Ok(BatchHeader::parse(buffer)?.map_or(HEADER_LEN as u64, |header| header.size() as u64))
}

fn check(batch: &RawBatch<'_>, expected: i64) -> Result<(), DamageReason> {
    batch.verify()?;
    batch.check_ranges()?;
    if batch.base_offset() < expected {
        return Err(DamageReason::OffsetGoesBack {
            found: batch.base_offset(),
            expected,
        });
    }
    Ok(())
}
