//! Walking over the batches of a segment file.
//!
//! Invariant: a scan never goes beyond the end it was given, never trusts a length without checking it against that
//! end, and needs a buffer of fixed size whatever the batches claim.
//! Called by reads (a few headers), by recovery (everything, with checksums) and by timestamp look-ups.

use std::io;

use crc_fast::{CrcAlgorithm, Digest};
use ottla_records::{BatchError, BatchHeader, HEADER_LEN};

use crate::disk::DiskFile;
use crate::error::DamageReason;

/// Window of a scan that looks at a few headers.
pub(crate) const SMALL_WINDOW: usize = 4 << 10;
/// Window of a scan that reads everything.
pub(crate) const LARGE_WINDOW: usize = 256 << 10;
/// Where the checksummed part of a batch begins.
const CRC_FROM: u64 = 21;

/// What a scan knows about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScannedBatch {
    pub position: u64,
    pub size: u64,
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp: i64,
    pub leader_epoch: i32,
    pub crc: u32,
    pub is_control: bool,
    pub is_transactional: bool,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub last_sequence: i32,
    pub record_count: i32,
}

impl ScannedBatch {
    pub fn of(header: BatchHeader<'_>, position: u64) -> ScannedBatch {
        ScannedBatch {
            position,
            size: header.size() as u64,
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp(),
            leader_epoch: header.partition_leader_epoch(),
            crc: header.crc(),
            is_control: header.is_control(),
            is_transactional: header.is_transactional(),
            producer_id: header.producer_id(),
            producer_epoch: header.producer_epoch(),
            base_sequence: header.base_sequence(),
            last_sequence: header.last_sequence(),
            record_count: header.record_count(),
        }
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset.saturating_add(1)
    }

    /// The same batch, `by` bytes further on.
    pub fn moved_by(mut self, by: u64) -> ScannedBatch {
        self.position += by;
        self
    }

    pub fn end(&self) -> u64 {
        self.position + self.size
    }
}

#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    Damaged { position: u64, reason: DamageReason },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// A walk from `position` to `end`.
#[derive(Debug)]
pub(crate) struct Scan<'f> {
    file: &'f DiskFile,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    window_len: usize,
    /// Offsets below this would go back.
    expected_offset: i64,
}

impl<'f> Scan<'f> {
    pub fn new(file: &'f DiskFile, position: u64, end: u64, window: usize) -> Scan<'f> {
        debug_assert!(window > HEADER_LEN);
        Scan {
            file,
            position,
            end,
            window: vec![0; window],
            window_start: 0,
            window_len: 0,
            expected_offset: 0,
        }
    }

    /// Refuses a first batch with offsets below `offset`.
    pub fn expecting(mut self, offset: i64) -> Self {
        self.expected_offset = offset;
        self
    }

    /// Where the next batch would be.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at `position`, with whatever offset is there.
    pub fn resume_at(&mut self, position: u64, expected_offset: i64) {
        self.position = position;
        self.expected_offset = expected_offset;
    }

    /// The next batch by its header; its checksum is not looked at.
    pub fn next_header(&mut self) -> Result<Option<ScannedBatch>, ScanError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let available = self.end - position;
        self.fill(position, HEADER_LEN)?;
        let bytes = self.from(position);
        let damaged = |reason| ScanError::Damaged { position, reason };
        let header = match BatchHeader::parse(bytes) {
            Ok(Some(header)) => header,
            Ok(None) => {
                return Err(damaged(DamageReason::Torn {
                    size: HEADER_LEN as u64,
                    available,
                }));
            }
            Err(error) => return Err(damaged(error.into())),
        };
        let batch = ScannedBatch::of(header, position);
        header
            .check_ranges()
            .map_err(|error| damaged(error.into()))?;
        if batch.size > available {
            return Err(damaged(DamageReason::Torn {
                size: batch.size,
                available,
            }));
        }
        if batch.base_offset < self.expected_offset {
            return Err(damaged(DamageReason::OffsetGoesBack {
                found: batch.base_offset,
                expected: self.expected_offset,
            }));
        }
        self.position = batch.end();
        self.expected_offset = batch.next_offset();
        Ok(Some(batch))
    }

    /// The next batch, its checksum checked. On damage the scan stays where the batch begins.
    pub fn next_checked(&mut self) -> Result<Option<ScannedBatch>, ScanError> {
        let before = (self.position, self.expected_offset);
        let Some(batch) = self.next_header()? else {
            return Ok(None);
        };
        let computed = self.checksum(&batch)?;
        if computed != batch.crc {
            (self.position, self.expected_offset) = before;
            return Err(ScanError::Damaged {
                position: batch.position,
                reason: DamageReason::Batch(BatchError::Checksum {
                    stored: batch.crc,
                    computed,
                }),
            });
        }
        Ok(Some(batch))
    }

    fn checksum(&mut self, batch: &ScannedBatch) -> Result<u32, ScanError> {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut at = batch.position + CRC_FROM;
        while at < batch.end() {
            self.fill(at, 1)?;
            let want = (batch.end() - at) as usize;
            let window = self.from(at);
            let part = &window[..window.len().min(want)];
            digest.update(part);
            at += part.len() as u64;
        }
        Ok(digest.finalize() as u32)
    }

    /// The payload of a batch, if it is no larger than `max`.
    pub fn payload(&self, batch: &ScannedBatch, max: usize) -> io::Result<Option<Vec<u8>>> {
        let len = batch.size as usize - HEADER_LEN;
        if len > max {
            return Ok(None);
        }
        let mut payload = vec![0; len];
        self.file
            .read_exact_at(&mut payload, batch.position + HEADER_LEN as u64)?;
        Ok(Some(payload))
    }

    /// Has the window hold `min` bytes from `position` on, or as many as there are before the end.
    fn fill(&mut self, position: u64, min: usize) -> io::Result<()> {
        let want = min.min((self.end - position) as usize) as u64;
        let window_end = self.window_start + self.window_len as u64;
        if position >= self.window_start && position + want <= window_end {
            return Ok(());
        }
        let most = self.window.len().min((self.end - position) as usize);
        self.window_len = self.file.read_at_most(&mut self.window[..most], position)?;
        self.window_start = position;
        if (self.window_len as u64) < want {
            // The file was cut while it was read.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn from(&self, position: u64) -> &[u8] {
        &self.window[(position - self.window_start) as usize..self.window_len]
    }
}
