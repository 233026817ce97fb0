//! Compression of a batch's records, in the shapes that every Kafka client reads.
//!
//! Invariant: what is written here, [`decompress`](crate::decompress) reads back, and so does the Java client: snappy
//! in xerial framing, LZ4 as one frame of independent blocks.
//! Called by the batch builder.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use crate::batch::Codec;
use crate::decompress::{XERIAL_MAGIC, XERIAL_VERSION};

/// Bytes of input per xerial block, the Java library's choice.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;
const GZIP_LEVEL_DEFAULT: u32 = 6;
const ZSTD_LEVEL_DEFAULT: i32 = 3;

/// A codec and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    pub codec: Codec,
    /// As in `compression.gzip.level` and its siblings; `None` is the codec's default. LZ4 has one level here: its
    /// slower levels have the same format, only the ratio differs.
    pub level: Option<i32>,
}

impl Compression {
    pub const NONE: Compression = Compression {
        codec: Codec::None,
        level: None,
    };

    pub fn new(codec: Codec) -> Compression {
        Compression { codec, level: None }
    }

    pub fn with_level(codec: Codec, level: i32) -> Compression {
        Compression {
            codec,
            level: Some(level),
        }
    }

    /// Appends the compressed `input` to `out`.
    pub(crate) fn compress(self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self.codec {
            Codec::None => out.extend_from_slice(input),
            Codec::Gzip => {
                let level = self
                    .level
                    .and_then(|level| u32::try_from(level).ok())
                    .unwrap_or(GZIP_LEVEL_DEFAULT);
                let level =
                    flate2::Compression::new(level.min(flate2::Compression::best().level()));
                let mut encoder = GzEncoder::new(out, level);
                encoder.write_all(input)?;
                encoder.finish()?;
            }
            Codec::Snappy => compress_xerial(input, out)?,
            Codec::Lz4 => {
                let info = FrameInfo::new()
                    .block_mode(BlockMode::Independent)
                    .block_size(BlockSize::Max64KB);
                let mut encoder = FrameEncoder::with_frame_info(info, out);
                encoder.write_all(input)?;
                encoder.finish().map_err(io::Error::from)?;
            }
            Codec::Zstd => {
                let level = self.level.unwrap_or(ZSTD_LEVEL_DEFAULT);
                let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
                encoder.set_pledged_src_size(Some(input.len() as u64))?;
                encoder.write_all(input)?;
                encoder.finish()?;
            }
        }
        Ok(())
    }
}

fn compress_xerial(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(SNAPPY_BLOCK_BYTES) {
        let length_at = out.len();
        let block_at = length_at + size_of::<u32>();
        out.resize(block_at + snap::raw::max_compress_len(block.len()), 0);
        let written = encoder.compress(block, &mut out[block_at..])?;
        out[length_at..block_at].copy_from_slice(&(written as u32).to_be_bytes());
        out.truncate(block_at + written);
    }
    Ok(())
}
