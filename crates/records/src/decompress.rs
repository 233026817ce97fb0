//! Decompression of a batch's records, chunk by chunk, under a limit.
//!
//! Invariant: memory grows with what was really decompressed, never with a length that the input claims; output beyond
//! the limit is an error. The zstd window is the library's, reserved but untouched until output fills it.
//! Called by validation, which walks the chunks without keeping them, and by record iteration, which gathers them.

mod lz4;
mod snappy;
mod zstd_frames;

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use self::lz4::Lz4Frame;
use self::snappy::SnappyBlocks;
pub(crate) use self::snappy::{XERIAL_MAGIC, XERIAL_VERSION};
use self::zstd_frames::ZstdFrames;
use crate::batch::Codec;

/// Default for how far one batch may decompress. A batch that clients send is a few MiB at most by
/// `message.max.bytes`; what expands further is a bomb, and would burden each consumer just the same.
pub const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

/// Bytes decompressed at a time where the codec has no blocks of its own.
const CHUNK_BYTES: usize = 32 << 10;
/// Why compressed records could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    #[error("{} data is corrupt: {reason}", codec.name())]
    Corrupt { codec: Codec, reason: Reason },
    #[error("records decompress to more than {limit} bytes")]
    TooLarge { limit: usize },
}

/// What is wrong with compressed data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("it ends too early")]
    Truncated,
    #[error("invalid frame header")]
    FrameHeader,
    #[error("unsupported framing version")]
    Version,
    #[error("checksum mismatch")]
    Checksum,
    #[error("invalid block")]
    Block,
    #[error("{0}")]
    Stream(String),
}

/// Decompresses `input` whole; more than `limit` bytes are an error.
pub fn decompress(codec: Codec, input: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    Decompressor::new(codec, input, limit)?.gather()
}

/// A pull decoder: [`chunk`](Decompressor::chunk) shows what is decompressed and not yet consumed.
pub(crate) struct Decompressor<'a> {
    decoder: Decoder<'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes consumed before the current chunk.
    consumed_before: u64,
    /// Bytes that may still be produced.
    allowance: usize,
    limit: usize,
}

enum Decoder<'a> {
    /// The input itself, handed out once.
    None(&'a [u8]),
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(SnappyBlocks<'a>),
    Lz4(Lz4Frame<'a>),
    Zstd(ZstdFrames<'a>),
}

impl<'a> Decompressor<'a> {
    pub(crate) fn new(
        codec: Codec,
        input: &'a [u8],
        limit: usize,
    ) -> Result<Decompressor<'a>, DecompressError> {
        let decoder = match codec {
            Codec::None => Decoder::None(input),
            Codec::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            Codec::Snappy => Decoder::Snappy(SnappyBlocks::new(input)?),
            Codec::Lz4 => Decoder::Lz4(Lz4Frame::new(input)?),
            Codec::Zstd => Decoder::Zstd(ZstdFrames::new(input)?),
        };
        Ok(Decompressor {
            decoder,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            consumed_before: 0,
            allowance: limit,
            limit,
        })
    }

    /// Bytes that were decompressed and not consumed; empty only at the end of the stream.
    #[inline]
    pub(crate) fn chunk(&mut self) -> Result<&[u8], DecompressError> {
        if self.start == self.end {
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Takes `count` bytes off the current chunk, which must have them.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.consumed_before + self.start as u64
    }

    /// Decompresses everything that is left.
    pub(crate) fn gather(mut self) -> Result<Vec<u8>, DecompressError> {
        let mut all = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(chunk);
            self.start = self.end;
        }
    }

    #[cold]
    fn refill(&mut self) -> Result<(), DecompressError> {
        self.consumed_before += self.start as u64;
        self.start = 0;
        self.end = 0;
        let buffer = &mut self.buffer;
        self.end = match &mut self.decoder {
            Decoder::None(input) => {
                buffer.clear();
                buffer.extend_from_slice(input);
                std::mem::take(input).len()
            }
            Decoder::Gzip(gzip) => read_gzip(gzip, buffer)?,
            Decoder::Snappy(blocks) => blocks.next_block(buffer)?,
            Decoder::Lz4(frame) => frame.next_block(buffer)?,
            Decoder::Zstd(frames) => frames.next_chunk(buffer)?,
        };
        self.allowance = self
            .allowance
            .checked_sub(self.end)
            .ok_or(DecompressError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

fn read_gzip(reader: &mut impl Read, buffer: &mut Vec<u8>) -> Result<usize, DecompressError> {
    let room = make_room(buffer, CHUNK_BYTES);
    let mut end = 0;
    // Full chunks keep the walker's fast path long.
    while end < room.len() {
        match reader
            .read(&mut room[end..])
            .map_err(|error| gzip_error(&error))?
        {
            0 => break,
            count => end += count,
        }
    }
    Ok(end)
}

fn gzip_error(error: &io::Error) -> DecompressError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::Truncated,
        _ => Reason::Stream(error.to_string()),
    };
    DecompressError::Corrupt {
        codec: Codec::Gzip,
        reason,
    }
}

/// Makes room for `len` bytes of output without clearing what the buffer holds from before.
fn make_room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Splits `count` bytes off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, back) = rest.split_at_checked(count)?;
    *rest = back;
    Some(front)
}

#[cfg(test)]
mod tests;
