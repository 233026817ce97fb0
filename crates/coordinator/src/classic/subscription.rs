//! The topics inside a consumer's subscription metadata.
//!
//! Layout (all versions begin so; what follows the topics is not needed here):
//!
//! ```text
//! version: i16 | topic count: i32 | (length: i16, UTF-8 bytes)* | user data length: i32, bytes | …
//! ```
//!
//! Invariant: never panics on and never allocates by what a client claims.

use std::collections::BTreeSet;

use ottla_protocol::Str;

/// Adds the topics of `metadata` to `topics`; `None` if it is malformed.
pub(super) fn collect_topics(metadata: &[u8], topics: &mut BTreeSet<Str>) -> Option<()> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    for _ in 0..u32::try_from(i32::from_be_bytes(*count)).ok()? {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.insert(Str::from(str::from_utf8(name).ok()?));
        rest = after;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    match i32::from_be_bytes(*length) {
        -1 => Some(()),
        length => rest.get(..usize::try_from(length).ok()?).map(|_| ()),
    }
}
