//! The encoding of single records: varints, and the walk over a record that keeps nothing of it.
//!
//! Invariant: the walk consumes exactly the bytes that a record states, or fails; it allocates nothing, and its loops
//! are bounded by bytes that are there.
//! Called by validation (over slices and over decompressed chunks), record iteration and the builder.
//!
//! ```text
//! length (varint, of all that follows), attributes (1), timestamp delta (varlong), offset delta (varint),
//! key length (varint, negative: null), key, value length (varint, negative: null), value,
//! header count (varint), headers: key length (varint), key, value length (varint, negative: null), value
//! ```

use crate::decompress::{DecompressError, Decompressor};
use crate::record::RecordError;

const VARINT_BYTES_MAX: u32 = 5;
const VARLONG_BYTES_MAX: u32 = 10;
/// A header has at least the lengths of its key and its value.
const HEADER_BYTES_MIN: u64 = 2;

/// Where bytes of records come from.
pub(crate) trait Source {
    fn byte(&mut self) -> Result<u8, RecordError>;
    fn skip(&mut self, count: usize) -> Result<(), RecordError>;
    /// Bytes taken so far.
    fn position(&self) -> u64;
    fn is_at_end(&mut self) -> Result<bool, RecordError>;
}

#[derive(Debug, Clone)]
pub(crate) struct SliceSource<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> SliceSource<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> SliceSource<'a> {
        SliceSource { bytes, at: 0 }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let taken = self.bytes[self.at..]
            .get(..count)
            .ok_or(RecordError::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    /// A length and as many bytes, or `None` for a negative length.
    pub(crate) fn nullable(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match usize::try_from(varint(self)?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn since(&self, position: u64) -> &'a [u8] {
        &self.bytes[position as usize..self.at]
    }
}

impl Source for SliceSource<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = *self.bytes.get(self.at).ok_or(RecordError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        if count > self.bytes.len() - self.at {
            return Err(RecordError::Truncated);
        }
        self.at += count;
        Ok(())
    }

    #[inline]
    fn position(&self) -> u64 {
        self.at as u64
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.at == self.bytes.len())
    }
}

impl Source for Decompressor<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = *self.chunk()?.first().ok_or(RecordError::Truncated)?;
        self.consume(1);
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, mut count: usize) -> Result<(), RecordError> {
        while count > 0 {
            let here = self.chunk()?.len().min(count);
            if here == 0 {
                return Err(RecordError::Truncated);
            }
            self.consume(here);
            count -= here;
        }
        Ok(())
    }

    #[inline]
    fn position(&self) -> u64 {
        self.consumed()
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        let rest: Result<&[u8], DecompressError> = self.chunk();
        Ok(rest?.is_empty())
    }
}

/// What validation needs to know of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordShape {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) has_key: bool,
}

/// Walks over one record.
#[inline]
pub(crate) fn walk_record(source: &mut impl Source) -> Result<RecordShape, RecordError> {
    let frame = Frame::open(source)?;
    let shape = walk_prefix(source)?;
    skip_nullable(source)?;
    walk_headers(source, &frame)?;
    frame.close(source)?;
    Ok(shape)
}

/// The stated extent of a record.
pub(crate) struct Frame {
    stated: i32,
    start: u64,
}

impl Frame {
    #[inline]
    pub(crate) fn open(source: &mut impl Source) -> Result<Frame, RecordError> {
        let stated = varint(source)?;
        if stated < 0 {
            return Err(RecordError::NegativeSize(stated));
        }
        Ok(Frame {
            stated,
            start: source.position(),
        })
    }

    #[inline]
    pub(crate) fn close(self, source: &impl Source) -> Result<(), RecordError> {
        let actual = source.position() - self.start;
        if actual != self.stated as u64 {
            return Err(RecordError::SizeMismatch {
                stated: self.stated,
                actual,
            });
        }
        Ok(())
    }

    fn remaining(&self, source: &impl Source) -> u64 {
        (self.stated as u64).saturating_sub(source.position() - self.start)
    }
}

#[inline]
fn walk_prefix(source: &mut impl Source) -> Result<RecordShape, RecordError> {
    let _attributes = source.byte()?;
    let timestamp_delta = varlong(source)?;
    let offset_delta = varint(source)?;
    let has_key = skip_nullable(source)?;
    Ok(RecordShape {
        timestamp_delta,
        offset_delta,
        has_key,
    })
}

/// Walks over the headers of a record and returns how many there are.
#[inline]
pub(crate) fn walk_headers(source: &mut impl Source, frame: &Frame) -> Result<u32, RecordError> {
    let stated = varint(source)?;
    let count = u32::try_from(stated).map_err(|_| RecordError::HeaderCount(stated))?;
    if u64::from(count) * HEADER_BYTES_MIN > frame.remaining(source) {
        return Err(RecordError::HeaderCount(stated));
    }
    for _ in 0..count {
        let key_len = varint(source)?;
        source
            .skip(usize::try_from(key_len).map_err(|_| RecordError::HeaderKeyLength(key_len))?)?;
        skip_nullable(source)?;
    }
    Ok(count)
}

/// Skips a length and as many bytes; tells whether it was not null.
#[inline]
fn skip_nullable(source: &mut impl Source) -> Result<bool, RecordError> {
    match usize::try_from(varint(source)?) {
        Ok(len) => source.skip(len).map(|()| true),
        Err(_) => Ok(false),
    }
}

#[inline]
pub(crate) fn varint(source: &mut impl Source) -> Result<i32, RecordError> {
    let first = source.byte()?;
    if first < 0x80 {
        return Ok(zigzag_decode(u64::from(first)) as i32);
    }
    let raw = varint_rest(source, first, VARINT_BYTES_MAX)? as u32;
    Ok(zigzag_decode(u64::from(raw)) as i32)
}

#[inline]
pub(crate) fn varlong(source: &mut impl Source) -> Result<i64, RecordError> {
    let first = source.byte()?;
    if first < 0x80 {
        return Ok(zigzag_decode(u64::from(first)));
    }
    Ok(zigzag_decode(varint_rest(
        source,
        first,
        VARLONG_BYTES_MAX,
    )?))
}

#[inline]
fn varint_rest(source: &mut impl Source, first: u8, bytes_max: u32) -> Result<u64, RecordError> {
    let mut raw = u64::from(first & 0x7f);
    for index in 1..bytes_max {
        let byte = source.byte()?;
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(raw);
        }
    }
    Err(RecordError::Varint)
}

fn zigzag_decode(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

fn zigzag_encode(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag_encode(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

pub(crate) fn varlong_len(value: i64) -> usize {
    let bits = (u64::BITS - zigzag_encode(value).leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests;
