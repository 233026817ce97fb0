//! Snappy in both shapes that Kafka's clients write: xerial framing (Java, sarama, kafka-go) and one raw block
//! (librdkafka and what builds on it).
//!
//! Invariant: a block's claimed length is believed only as far as its compressed bytes could really expand.
//! Called by the decompressor.
//!
//! ```text
//! xerial: 82 'SNAPPY' 00, version (4, big-endian), compatible version (4), then blocks: length (4), raw block
//!         a further header in place of a block starts a concatenated stream
//! raw:    one raw block to the end
//! ```

use super::{DecompressError, Reason, make_room, take};
use crate::batch::Codec;

pub(crate) const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
pub(crate) const XERIAL_VERSION: u32 = 1;
const XERIAL_HEADER_LEN: usize = 16;
const LENGTH_LEN: usize = size_of::<u32>();
/// A raw block expands at most by copies of 64 bytes, which take three bytes each; more than that is a lie.
const MAX_EXPANSION: usize = 22;

pub(super) struct SnappyBlocks<'a> {
    rest: &'a [u8],
    framing: Framing,
}

enum Framing {
    Xerial,
    Raw,
    Finished,
}

impl<'a> SnappyBlocks<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<SnappyBlocks<'a>, DecompressError> {
        if input.is_empty() {
            return Err(corrupt(Reason::Truncated));
        }
        let framing = if input.starts_with(&XERIAL_MAGIC) && input.len() >= XERIAL_HEADER_LEN {
            Framing::Xerial
        } else {
            Framing::Raw
        };
        Ok(SnappyBlocks {
            rest: input,
            framing,
        })
    }

    /// Decompresses the next block into the front of `buffer`; 0 means the end of the stream.
    pub(super) fn next_block(&mut self, buffer: &mut Vec<u8>) -> Result<usize, DecompressError> {
        match self.framing {
            Framing::Xerial => self.next_xerial_block(buffer),
            Framing::Raw => {
                self.framing = Framing::Finished;
                decompress_block(std::mem::take(&mut self.rest), buffer)
            }
            Framing::Finished => Ok(0),
        }
    }

    fn next_xerial_block(&mut self, buffer: &mut Vec<u8>) -> Result<usize, DecompressError> {
        while !self.rest.is_empty() {
            if self.rest.starts_with(&XERIAL_MAGIC) {
                self.skip_header()?;
                continue;
            }
            let length = take(&mut self.rest, LENGTH_LEN).ok_or(corrupt(Reason::Truncated))?;
            let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
            let block = take(&mut self.rest, length).ok_or(corrupt(Reason::Truncated))?;
            let written = decompress_block(block, buffer)?;
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }

    fn skip_header(&mut self) -> Result<(), DecompressError> {
        let header = take(&mut self.rest, XERIAL_HEADER_LEN).ok_or(corrupt(Reason::Truncated))?;
        let compatible = i32::from_be_bytes(header[12..].try_into().expect("four bytes"));
        // Readers refuse what was written for a version older than the one they know.
        if compatible < XERIAL_VERSION as i32 {
            return Err(corrupt(Reason::Version));
        }
        Ok(())
    }
}

fn decompress_block(block: &[u8], buffer: &mut Vec<u8>) -> Result<usize, DecompressError> {
    let claimed = snap::raw::decompress_len(block).map_err(|_| corrupt(Reason::Block))?;
    if claimed > block.len().saturating_mul(MAX_EXPANSION) {
        return Err(corrupt(Reason::Block));
    }
    snap::raw::Decoder::new()
        .decompress(block, make_room(buffer, claimed))
        .map_err(|_| corrupt(Reason::Block))
}

fn corrupt(reason: Reason) -> DecompressError {
    DecompressError::Corrupt {
        codec: Codec::Snappy,
        reason,
    }
}
