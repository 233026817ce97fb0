//! Reads the primitives of Kafka's protocol from bytes that nobody has checked.
//!
//! Invariant: every length is compared with what remains before it is believed, vectors grow as
//! their elements arrive, and the memory of decoded structs is bounded in proportion to the frame.
//! The generated messages call this; see `Message::decode`.

#[cfg(test)]
pub(crate) mod dice;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::{Records, Str, TaggedField, Uuid, Wire};

/// The most elements that one array may have (as Kafka 4.4 bounds them).
pub const MAX_ARRAY_ELEMENTS: usize = 1_000_000;
/// The most tagged fields that one struct may have (as Kafka 4.4 bounds them).
pub const MAX_TAGGED_FIELDS: usize = 10_000;
/// The longest string: a length of two bytes, and Kafka holds compact strings to the same.
pub const MAX_STRING_LENGTH: usize = i16::MAX as usize;
/// The memory that array elements of any one message may take in any case.
pub const MAX_DECODED_BYTES_BASE: usize = 64 << 20;
/// And what they may take besides for each byte of the frame. Elements of two bytes on the wire
/// can take more than a hundred in memory, which must not turn a frame into gigabytes.
pub const MAX_DECODED_BYTES_PER_BYTE: usize = 8;

/// A vector starts with room for no more than this, whatever length is claimed.
const MAX_INITIAL_CAPACITY: usize = 1024;
/// A varint of 32 bits takes at most this many bytes.
const MAX_VARINT_LENGTH: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{needed} bytes needed where {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("a length of {0} is not valid")]
    InvalidLength(i64),
    #[error("a string of {0} bytes is longer than {MAX_STRING_LENGTH}")]
    StringTooLong(usize),
    #[error("an array of {0} elements is longer than {MAX_ARRAY_ELEMENTS}")]
    TooManyElements(usize),
    #[error("{0} tagged fields are more than {MAX_TAGGED_FIELDS}")]
    TooManyTaggedFields(usize),
    #[error("the elements of this message would take more than {0} bytes")]
    TooMuchMemory(usize),
    #[error("null where null is not allowed")]
    UnexpectedNull,
    #[error("{field} may not be null in version {version}")]
    NullField { field: &'static str, version: i16 },
    #[error("a string is not UTF-8")]
    InvalidUtf8,
    #[error("a varint is longer than 32 bits")]
    InvalidVarint,
    #[error("tag {tag} is not valid in version {version}")]
    TagNotInVersion { tag: u32, version: i16 },
    #[error("tag {0} stands twice in one struct")]
    DuplicateTag(u32),
    #[error("tag {tag} claims {claimed} bytes and has {actual}")]
    TaggedFieldSize {
        tag: u32,
        claimed: usize,
        actual: usize,
    },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("a record with frame version {0}, where only 1 is known")]
    UnsupportedFrameVersion(u32),
    #[error("a record of unknown type {0}")]
    UnknownRecordType(i32),
    #[error("{0} bytes follow the end of a record")]
    TrailingBytes(usize),
}

type Result<T> = std::result::Result<T, DecodeError>;

/// A cursor over one frame.
#[derive(Debug)]
pub struct Decoder<'a> {
    source: Source<'a>,
    position: usize,
    /// What array elements may still take, see `MAX_DECODED_BYTES_PER_BYTE`.
    element_budget: usize,
    element_budget_at_start: usize,
    /// Makes values up instead of reading them, to test every message; see `dice`.
    #[cfg(test)]
    dice: Option<dice::Dice>,
}

#[derive(Debug)]
enum Source<'a> {
    /// Strings and bytes are slices that share this.
    Shared(Bytes),
    /// Strings and bytes are copied out.
    Borrowed(&'a [u8]),
}

impl Source<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Source::Shared(bytes) => bytes,
            Source::Borrowed(bytes) => bytes,
        }
    }
}

impl Decoder<'static> {
    /// Decodes without copying: what is read shares `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Decoder::over(Source::Shared(bytes))
    }
}

impl<'a> Decoder<'a> {
    /// Decodes from borrowed bytes, copying strings and byte fields.
    pub fn copying(bytes: &'a [u8]) -> Self {
        Decoder::over(Source::Borrowed(bytes))
    }

    fn over(source: Source<'a>) -> Self {
        let len = source.as_slice().len();
        let budget = len
            .saturating_mul(MAX_DECODED_BYTES_PER_BYTE)
            .saturating_add(MAX_DECODED_BYTES_BASE);
        Decoder {
            source,
            position: 0,
            element_budget: budget,
            element_budget_at_start: budget,
            #[cfg(test)]
            dice: None,
        }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.position
    }

    pub fn remaining(&self) -> usize {
        self.source.as_slice().len() - self.position
    }

    /// What has not been read, as one slice of the frame.
    pub fn rest(mut self) -> Bytes {
        let n = self.remaining();
        self.take(n).unwrap_or_default()
    }

    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.fixed::<1>()?[0] != 0)
    }

    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.fixed()?))
    }

    pub fn uuid(&mut self) -> Result<Uuid> {
        Ok(Uuid(self.fixed()?))
    }

    /// An unsigned varint of at most 32 bits.
    pub fn varint(&mut self) -> Result<u32> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.varint());
        }
        let mut value = 0;
        for i in 0..MAX_VARINT_LENGTH {
            let byte = self.fixed::<1>()?[0];
            if i == MAX_VARINT_LENGTH - 1 && byte > 0x0f {
                return Err(DecodeError::InvalidVarint);
            }
            value |= u32::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::InvalidVarint)
    }

    pub fn string(&mut self, flexible: bool) -> Result<Str> {
        #[cfg(test)]
        self.forbid_null();
        self.nullable_string(flexible)?
            .ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<Str>> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.string());
        }
        let len = if flexible {
            self.compact_length()?
        } else {
            let len = self.i16()?;
            checked_length(len.into())?
        };
        let Some(len) = len else { return Ok(None) };
        if len > MAX_STRING_LENGTH {
            return Err(DecodeError::StringTooLong(len));
        }
        let bytes = self.take(len)?;
        Str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| DecodeError::InvalidUtf8)
    }

    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes> {
        #[cfg(test)]
        self.forbid_null();
        self.nullable_bytes(flexible)?
            .ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.bytes());
        }
        match self.length(flexible)? {
            Some(len) => self.take(len).map(Some),
            None => Ok(None),
        }
    }

    pub fn records(&mut self, flexible: bool) -> Result<Option<Records>> {
        Ok(self.nullable_bytes(flexible)?.map(Records::Bytes))
    }

    pub fn array<T: Wire>(&mut self, version: i16, flexible: bool) -> Result<Vec<T>> {
        #[cfg(test)]
        self.forbid_null();
        self.nullable_array(version, flexible)?
            .ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_array<T: Wire>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Vec<T>>> {
        let Some(len) = self.array_length(flexible)? else {
            return Ok(None);
        };
        let mut elements = Vec::with_capacity(len.min(MAX_INITIAL_CAPACITY));
        for _ in 0..len {
            self.charge(size_of::<T>())?;
            elements.push(T::read(self, version, flexible)?);
        }
        Ok(Some(elements))
    }

    /// A struct that one byte before it can declare absent.
    pub fn nullable_struct<T: Wire>(&mut self, version: i16, flexible: bool) -> Result<Option<T>> {
        if self.i8()? < 0 {
            return Ok(None);
        }
        T::read(self, version, flexible).map(Some)
    }

    /// The same inside a tagged field, where the mark is a varint.
    pub fn tagged_nullable_struct<T: Wire>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Option<T>> {
        if self.varint()? == 0 {
            return Ok(None);
        }
        T::read(self, version, flexible).map(Some)
    }

    /// The tagged fields of a struct that knows none.
    pub fn unknown_tagged_fields(&mut self) -> Result<Vec<TaggedField>> {
        self.tagged_fields(&mut |_, _| Ok(false))
    }

    /// Offers each tagged field to `known`, which reads it or returns false; returns the others
    /// in the order of their tags.
    pub fn tagged_fields(
        &mut self,
        known: &mut dyn FnMut(&mut Self, u32) -> Result<bool>,
    ) -> Result<Vec<TaggedField>> {
        #[cfg(test)]
        if self.dice.is_some() {
            return dice::tagged_fields(self, known);
        }
        let count = self.varint()? as usize;
        if count > MAX_TAGGED_FIELDS {
            return Err(DecodeError::TooManyTaggedFields(count));
        }
        let mut unknown: Vec<TaggedField> = Vec::new();
        for _ in 0..count {
            let tag = self.varint()?;
            let claimed = self.varint()? as usize;
            if claimed > self.remaining() {
                return Err(self.truncated(claimed));
            }
            let start = self.position;
            if known(self, tag)? {
                let actual = self.position - start;
                if actual != claimed {
                    return Err(DecodeError::TaggedFieldSize {
                        tag,
                        claimed,
                        actual,
                    });
                }
            } else {
                self.charge(size_of::<TaggedField>())?;
                unknown.push(TaggedField {
                    tag,
                    data: self.take(claimed)?,
                });
            }
        }
        // Kafka's reader takes them in any order; its writer wants them sorted and single.
        unknown.sort_by_key(|field| field.tag);
        match unknown.windows(2).find(|pair| pair[0].tag == pair[1].tag) {
            Some(pair) => Err(DecodeError::DuplicateTag(pair[0].tag)),
            None => Ok(unknown),
        }
    }

    /// Refuses a null that `version` of the schema does not allow.
    pub fn check_null(
        &self,
        is_null: bool,
        allowed: bool,
        field: &'static str,
        version: i16,
    ) -> Result<()> {
        if is_null && !allowed {
            return Err(DecodeError::NullField { field, version });
        }
        Ok(())
    }

    /// The next `n` bytes: shared where the frame is shared, copied where it is borrowed.
    pub fn take(&mut self, n: usize) -> Result<Bytes> {
        if n > self.remaining() {
            return Err(self.truncated(n));
        }
        let range = self.position..self.position + n;
        self.position += n;
        Ok(match &self.source {
            Source::Shared(bytes) => bytes.slice(range),
            Source::Borrowed(bytes) => Bytes::copy_from_slice(&bytes[range]),
        })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.fixed());
        }
        let rest = &self.source.as_slice()[self.position..];
        match rest.first_chunk() {
            Some(chunk) => {
                let chunk = *chunk;
                self.position += N;
                Ok(chunk)
            }
            None => Err(self.truncated(N)),
        }
    }

    fn array_length(&mut self, flexible: bool) -> Result<Option<usize>> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.length());
        }
        let Some(len) = self.length(flexible)? else {
            return Ok(None);
        };
        if len > MAX_ARRAY_ELEMENTS {
            return Err(DecodeError::TooManyElements(len));
        }
        // Each element takes at least a byte, as Kafka's reader holds too.
        if len > self.remaining() {
            return Err(self.truncated(len));
        }
        Ok(Some(len))
    }

    fn length(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            self.compact_length()
        } else {
            let len = self.i32()?;
            checked_length(len.into())
        }
    }

    /// A varint that is one more than the length, and zero for null.
    fn compact_length(&mut self) -> Result<Option<usize>> {
        let len = i64::from(self.varint()?) - 1;
        if len > i64::from(i32::MAX) {
            return Err(DecodeError::InvalidLength(len));
        }
        checked_length(len)
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        match self.element_budget.checked_sub(bytes) {
            Some(rest) => {
                self.element_budget = rest;
                Ok(())
            }
            None => Err(DecodeError::TooMuchMemory(self.element_budget_at_start)),
        }
    }

    fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated {
            needed,
            remaining: self.remaining(),
        }
    }
}

fn checked_length(len: i64) -> Result<Option<usize>> {
    match len {
        -1 => Ok(None),
        _ => match usize::try_from(len) {
            Ok(len) => Ok(Some(len)),
            Err(_) => Err(DecodeError::InvalidLength(len)),
        },
    }
}
