//! The record bytes of a produce or fetch, in memory or still elsewhere.

use bytes::Bytes;

/// Record batches as a message carries them.
///
/// Decoding yields `Bytes`, a slice of the frame. An answer may instead name bytes that the sender
/// supplies while the frame goes out, such as a range of a log file: the encoder writes only their
/// length, and notes a [`crate::Splice`] at the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    Bytes(Bytes),
    External { token: u32, len: usize },
}

impl Records {
    pub fn len(&self) -> usize {
        match self {
            Records::Bytes(bytes) => bytes.len(),
            Records::External { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are in memory.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Records::Bytes(bytes) => Some(bytes),
            Records::External { .. } => None,
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Records::Bytes(bytes)
    }
}
