//! The LZ4 frame format as Kafka's clients read it: one frame of independent blocks.
//!
//! Invariant: whatever is accepted here, the Java client can read too, which is why linked blocks and a wrong header
//! checksum are refused although the format itself is richer.
//! Called by the decompressor.
//!
//! ```text
//! magic 04 22 4d 18, FLG, BD, [content size: 8 bytes], header checksum
//! blocks: size (top bit: stored as it is), data, [block checksum: 4 bytes]
//! end mark: size 0, [content checksum: 4 bytes]
//! ```

use twox_hash::XxHash32;

use super::{DecompressError, Reason, make_room, take};
use crate::batch::Codec;

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
const STORED_BIT: u32 = 1 << 31;
const CHECKSUM_SEED: u32 = 0;
/// One byte of LZ4 input makes at most this many of output (a byte of a match length).
const MAX_EXPANSION: usize = 255;

pub(super) struct Lz4Frame<'a> {
    rest: &'a [u8],
    block_bytes_max: usize,
    has_block_checksums: bool,
    finished: bool,
}

impl<'a> Lz4Frame<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Lz4Frame<'a>, DecompressError> {
        let mut rest = input;
        let magic = take(&mut rest, MAGIC.len()).ok_or(corrupt(Reason::Truncated))?;
        let &[flags, block_descriptor, ..] = rest else {
            return Err(corrupt(Reason::Truncated));
        };
        let version = flags >> 6;
        let has_independent_blocks = flags & 0x20 != 0;
        let has_content_size = flags & 0x08 != 0;
        let reserved = flags & 0x03 | block_descriptor & 0x8f;
        let block_size_code = block_descriptor >> 4 & 0x07;
        if magic != MAGIC || !has_independent_blocks || reserved != 0 || block_size_code < 4 {
            return Err(corrupt(Reason::FrameHeader));
        }
        if version != 1 {
            return Err(corrupt(Reason::Version));
        }
        let descriptor_len = if has_content_size { 10 } else { 2 };
        let descriptor = take(&mut rest, descriptor_len).ok_or(corrupt(Reason::Truncated))?;
        let stated = take(&mut rest, 1).ok_or(corrupt(Reason::Truncated))?;
        if stated[0] != (XxHash32::oneshot(CHECKSUM_SEED, descriptor) >> 8) as u8 {
            return Err(corrupt(Reason::Checksum));
        }
        Ok(Lz4Frame {
            rest,
            block_bytes_max: 1 << (2 * block_size_code + 8),
            has_block_checksums: flags & 0x10 != 0,
            finished: false,
        })
    }

    /// Decompresses the next block into the front of `buffer`; 0 means the end of the frame.
    ///
    /// A frame must end with its end mark: a client that waits for it would fail. What follows it is ignored, as is
    /// the content checksum, because no reader of Kafka's looks at them.
    pub(super) fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<usize, DecompressError> {
        // Blocks may be empty, and an empty answer means the end.
        while !self.finished {
            let size =
                u32::from_le_bytes(*self.rest.first_chunk().ok_or(corrupt(Reason::Truncated))?);
            self.rest = &self.rest[size_of::<u32>()..];
            let len = (size & !STORED_BIT) as usize;
            if len == 0 {
                self.finished = true;
                break;
            }
            if len > self.block_bytes_max {
                return Err(corrupt(Reason::Block));
            }
            let block = take(&mut self.rest, len).ok_or(corrupt(Reason::Truncated))?;
            if self.has_block_checksums {
                let stated =
                    take(&mut self.rest, size_of::<u32>()).ok_or(corrupt(Reason::Truncated))?;
                if stated != XxHash32::oneshot(CHECKSUM_SEED, block).to_le_bytes() {
                    return Err(corrupt(Reason::Checksum));
                }
            }
            let written = if size & STORED_BIT != 0 {
                make_room(buffer, len).copy_from_slice(block);
                len
            } else {
                let room = self.block_bytes_max.min(len.saturating_mul(MAX_EXPANSION));
                lz4_flex::block::decompress_into(block, make_room(buffer, room))
                    .map_err(|_| corrupt(Reason::Block))?
            };
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

fn corrupt(reason: Reason) -> DecompressError {
    DecompressError::Corrupt {
        codec: Codec::Lz4,
        reason,
    }
}
