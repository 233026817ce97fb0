//! Writes the primitives of Kafka's protocol.
//!
//! Invariant: what is written in a version can be read back in it; a value that the version cannot
//! carry is an error, never silently lost unless the schema calls it ignorable.
//! The generated messages call this; see `Message::encode`.

#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{MAX_STRING_LENGTH, Records, TaggedField, Uuid, Wire};

/// Lengths are signed and of 32 bits.
const MAX_LENGTH: usize = i32::MAX as usize - 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("{field} is set, and version {version} cannot carry it")]
    FieldNotInVersion { field: &'static str, version: i16 },
    #[error("{field} may not be null in version {version}")]
    NullField { field: &'static str, version: i16 },
    #[error("a length of {len} is more than {max}")]
    TooLong { len: usize, max: usize },
    #[error("unknown tag {0} is out of order, or one that the schema knows")]
    TagOrder(u32),
    #[error("tagged fields are set in a version without them")]
    TagsNotInVersion,
    #[error("the message has {0} splices where it must be whole")]
    UnexpectedSplices(usize),
}

type Result<T> = std::result::Result<T, EncodeError>;

/// A place in an encoded message where bytes from elsewhere belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// How much of [`Encoded::buf`] goes out before.
    pub at: usize,
    /// What the message's author called the bytes.
    pub token: u32,
    pub len: usize,
}

/// A message as it goes out: `buf`, interrupted by the splices, which are in order of `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub buf: Bytes,
    pub splices: Vec<Splice>,
}

impl Encoded {
    /// Bytes on the wire, those of the splices included.
    pub fn len(&self) -> usize {
        self.buf.len() + self.splices.iter().map(|splice| splice.len).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a message without splices.
    pub fn into_bytes(self) -> Result<Bytes> {
        match self.splices.len() {
            0 => Ok(self.buf),
            n => Err(EncodeError::UnexpectedSplices(n)),
        }
    }
}

#[derive(Debug, Default)]
pub struct Encoder {
    buf: BytesMut,
    splices: Vec<Splice>,
}

/// The tagged fields of one struct while they are written; see [`Encoder::begin_tags`].
#[derive(Debug)]
pub struct Tags<'a> {
    count_at: usize,
    count: usize,
    unknown: &'a [TaggedField],
    last_tag: Option<u32>,
}

impl Encoder {
    pub fn new() -> Self {
        Encoder::default()
    }

    pub fn with_capacity(bytes: usize) -> Self {
        Encoder {
            buf: BytesMut::with_capacity(bytes),
            splices: Vec::new(),
        }
    }

    /// Appends to a buffer that the caller reuses or has begun.
    pub fn over(buf: BytesMut) -> Self {
        Encoder {
            buf,
            splices: Vec::new(),
        }
    }

    pub fn finish(self) -> Encoded {
        Encoded {
            buf: self.buf.freeze(),
            splices: self.splices,
        }
    }

    /// What `finish` gives, with the buffer still open to changes.
    pub(crate) fn into_parts(self) -> (BytesMut, Vec<Splice>) {
        (self.buf, self.splices)
    }

    /// Bytes on the wire so far, those of the splices included.
    pub fn len(&self) -> usize {
        self.buf.len() + self.splices.iter().map(|splice| splice.len).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bool(&mut self, value: bool) {
        self.buf.put_u8(value.into());
    }

    pub fn i8(&mut self, value: i8) {
        self.buf.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.buf.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.buf.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.buf.put_i64(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.buf.put_u16(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.buf.put_u32(value);
    }

    pub fn f64(&mut self, value: f64) {
        self.buf.put_f64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.buf.put_slice(&value.0);
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.put_slice(bytes);
    }

    pub fn varint(&mut self, value: u32) {
        let (bytes, len) = varint_bytes(value);
        self.buf.put_slice(&bytes[..len]);
    }

    pub fn string(&mut self, value: &str, flexible: bool) -> Result<()> {
        check_length(value.len(), MAX_STRING_LENGTH)?;
        if flexible {
            self.varint(value.len() as u32 + 1);
        } else {
            self.i16(value.len() as i16);
        }
        self.buf.put_slice(value.as_bytes());
        Ok(())
    }

    pub fn nullable_string(&mut self, value: Option<&str>, flexible: bool) -> Result<()> {
        match value {
            Some(value) => return self.string(value, flexible),
            None if flexible => self.varint(0),
            None => self.i16(-1),
        }
        Ok(())
    }

    pub fn bytes(&mut self, value: &[u8], flexible: bool) -> Result<()> {
        self.length(value.len(), flexible)?;
        self.buf.put_slice(value);
        Ok(())
    }

    pub fn nullable_bytes(&mut self, value: Option<&Bytes>, flexible: bool) -> Result<()> {
        match value {
            Some(value) => self.bytes(value, flexible),
            None => self.null_length(flexible),
        }
    }

    pub fn records(&mut self, value: Option<&Records>, flexible: bool) -> Result<()> {
        match value {
            Some(Records::Bytes(bytes)) => self.bytes(bytes, flexible),
            Some(&Records::External { token, len }) => {
                self.length(len, flexible)?;
                self.splices.push(Splice {
                    at: self.buf.len(),
                    token,
                    len,
                });
                Ok(())
            }
            None => self.null_length(flexible),
        }
    }

    pub fn array<T: Wire>(&mut self, value: &[T], version: i16, flexible: bool) -> Result<()> {
        self.length(value.len(), flexible)?;
        value
            .iter()
            .try_for_each(|element| element.write(self, version, flexible))
    }

    pub fn nullable_array<T: Wire>(
        &mut self,
        value: Option<&Vec<T>>,
        version: i16,
        flexible: bool,
    ) -> Result<()> {
        match value {
            Some(value) => self.array(value, version, flexible),
            None => self.null_length(flexible),
        }
    }

    pub fn nullable_struct<T: Wire>(
        &mut self,
        value: Option<&T>,
        version: i16,
        flexible: bool,
    ) -> Result<()> {
        let Some(value) = value else {
            self.i8(-1);
            return Ok(());
        };
        self.i8(1);
        value.write(self, version, flexible)
    }

    /// The same inside a tagged field, where the mark is a varint.
    pub fn tagged_nullable_struct<T: Wire>(
        &mut self,
        value: Option<&T>,
        version: i16,
        flexible: bool,
    ) -> Result<()> {
        let Some(value) = value else {
            self.varint(0);
            return Ok(());
        };
        self.varint(1);
        value.write(self, version, flexible)
    }

    /// Starts the tagged fields of a struct: known ones follow in the order of their tags by
    /// [`Encoder::tag`], and `unknown` ones are written between them.
    pub fn begin_tags<'a>(&mut self, unknown: &'a [TaggedField]) -> Tags<'a> {
        let count_at = self.buf.len();
        // Most structs have few tags: room for a count of one byte, widened by `end_tags`.
        self.buf.put_u8(0);
        Tags {
            count_at,
            count: 0,
            unknown,
            last_tag: None,
        }
    }

    /// Writes one known tagged field by `write`.
    pub fn tag(
        &mut self,
        tags: &mut Tags<'_>,
        tag: u32,
        write: &mut dyn FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.unknown_tags_before(tags, Some(tag))?;
        tags.admit(tag)?;
        self.varint(tag);
        let size_at = self.buf.len();
        self.buf.put_u8(0);
        write(self)?;
        let size = self.buf.len() - size_at - 1;
        self.replace_byte_by_varint(size_at, size)
    }

    pub fn end_tags(&mut self, mut tags: Tags<'_>) -> Result<()> {
        self.unknown_tags_before(&mut tags, None)?;
        self.replace_byte_by_varint(tags.count_at, tags.count)
    }

    /// All tagged fields of a struct that knows none.
    pub fn unknown_tags(&mut self, unknown: &[TaggedField], flexible: bool) -> Result<()> {
        if !flexible {
            return self.no_tags(unknown);
        }
        if unknown.is_empty() {
            self.buf.put_u8(0);
            return Ok(());
        }
        let tags = self.begin_tags(unknown);
        self.end_tags(tags)
    }

    /// Refuses tagged fields in a version that has no place for them.
    pub fn no_tags(&self, unknown: &[TaggedField]) -> Result<()> {
        match unknown {
            [] => Ok(()),
            _ => Err(EncodeError::TagsNotInVersion),
        }
    }

    /// Refuses a value that `version` cannot carry.
    pub fn check_absent(&self, is_default: bool, field: &'static str, version: i16) -> Result<()> {
        if is_default {
            Ok(())
        } else {
            Err(EncodeError::FieldNotInVersion { field, version })
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
            return Err(EncodeError::NullField { field, version });
        }
        Ok(())
    }

    fn unknown_tags_before(&mut self, tags: &mut Tags<'_>, bound: Option<u32>) -> Result<()> {
        while let [field, rest @ ..] = tags.unknown {
            if bound.is_some_and(|bound| field.tag > bound) {
                break;
            }
            if bound == Some(field.tag) {
                return Err(EncodeError::TagOrder(field.tag));
            }
            tags.admit(field.tag)?;
            tags.unknown = rest;
            check_length(field.data.len(), MAX_LENGTH)?;
            self.varint(field.tag);
            self.varint(field.data.len() as u32);
            self.buf.put_slice(&field.data);
        }
        Ok(())
    }

    /// Widens the placeholder at `at` to the varint of `value`, moving what follows.
    fn replace_byte_by_varint(&mut self, at: usize, value: usize) -> Result<()> {
        check_length(value, MAX_LENGTH)?;
        let (bytes, len) = varint_bytes(value as u32);
        let end = self.buf.len();
        let shift = len - 1;
        if shift > 0 {
            self.buf.put_bytes(0, shift);
            self.buf.copy_within(at + 1..end, at + len);
            for splice in self
                .splices
                .iter_mut()
                .rev()
                .take_while(|splice| splice.at > at)
            {
                splice.at += shift;
            }
        }
        self.buf[at..at + len].copy_from_slice(&bytes[..len]);
        Ok(())
    }

    fn length(&mut self, len: usize, flexible: bool) -> Result<()> {
        check_length(len, MAX_LENGTH)?;
        if flexible {
            self.varint(len as u32 + 1);
        } else {
            self.i32(len as i32);
        }
        Ok(())
    }

    fn null_length(&mut self, flexible: bool) -> Result<()> {
        if flexible {
            self.varint(0);
        } else {
            self.i32(-1);
        }
        Ok(())
    }
}

impl Tags<'_> {
    fn admit(&mut self, tag: u32) -> Result<()> {
        if self.last_tag.is_some_and(|last| tag <= last) {
            return Err(EncodeError::TagOrder(tag));
        }
        self.last_tag = Some(tag);
        self.count += 1;
        Ok(())
    }
}

fn check_length(len: usize, max: usize) -> Result<()> {
    if len > max {
        Err(EncodeError::TooLong { len, max })
    } else {
        Ok(())
    }
}

fn varint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    (bytes, len + 1)
}
