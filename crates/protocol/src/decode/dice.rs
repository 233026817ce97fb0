//! A decoder that makes values up instead of reading them.
//!
//! The generated readers know the shape of every message; let loose on dice they yield random
//! messages that fit their version, without a generator of their own. Tests only.

use bytes::Bytes;

use super::{DecodeError, Decoder, Result, Source};
use crate::{Str, TaggedField};

/// Tags up to this one are tried; the schemas use fewer.
const TAGS: u32 = 8;
const MAX_ELEMENTS: u64 = 3;
const MAX_TEXT: u64 = 9;

/// A small generator (SplitMix64), so that a seed names a message for good.
#[derive(Debug)]
pub(crate) struct Dice {
    state: u64,
    null_forbidden: bool,
}

impl Decoder<'static> {
    pub(crate) fn with_dice(seed: u64) -> Self {
        let mut d = Decoder::over(Source::Borrowed(&[]));
        d.dice = Some(Dice {
            state: seed,
            null_forbidden: false,
        });
        d
    }
}

impl Decoder<'_> {
    /// The next length must not be that of null.
    pub(super) fn forbid_null(&mut self) {
        if let Some(dice) = &mut self.dice {
            dice.null_forbidden = true;
        }
    }
}

impl Dice {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn is_null(&mut self) -> bool {
        let forbidden = std::mem::take(&mut self.null_forbidden);
        self.below(5) == 0 && !forbidden
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> [u8; N] {
        let small = self.below(3) == 0;
        let mut bytes = [0; N];
        for (i, byte) in bytes.iter_mut().rev().enumerate() {
            *byte = if small && i > 0 { 0 } else { self.next() as u8 };
        }
        bytes
    }

    pub(super) fn varint(&mut self) -> u32 {
        self.below(2) as u32
    }

    pub(super) fn length(&mut self) -> Option<usize> {
        if self.is_null() {
            None
        } else {
            Some(self.below(MAX_ELEMENTS + 1) as usize)
        }
    }

    pub(super) fn string(&mut self) -> Option<Str> {
        if self.is_null() {
            return None;
        }
        let letters = ['a', 'b', 'Z', '0', '-', '.', 'é', '語', '𝄞'];
        let len = self.below(MAX_TEXT);
        let text: String = (0..len)
            .map(|_| letters[self.below(letters.len() as u64) as usize])
            .collect();
        Some(text.into())
    }

    pub(super) fn bytes(&mut self) -> Option<Bytes> {
        if self.is_null() {
            return None;
        }
        let len = self.below(MAX_TEXT);
        Some((0..len).map(|_| self.next() as u8).collect())
    }
}

pub(super) fn tagged_fields<'a>(
    d: &mut Decoder<'a>,
    known: &mut dyn FnMut(&mut Decoder<'a>, u32) -> Result<bool>,
) -> Result<Vec<TaggedField>> {
    let mut unknown = Vec::new();
    for tag in 0..TAGS {
        let roll = d.dice.as_mut().map_or(0, |dice| dice.below(8));
        if roll > 3 {
            continue;
        }
        match known(d, tag) {
            Ok(true) | Err(DecodeError::TagNotInVersion { .. }) => {}
            Ok(false) if roll == 0 => {
                let data = d.dice.as_mut().and_then(Dice::bytes).unwrap_or_default();
                unknown.push(TaggedField { tag, data });
            }
            Ok(false) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(unknown)
}
