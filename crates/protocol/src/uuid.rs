//! Ids of topics, directories and incarnations, written as Kafka writes them.
//!
//! Kafka prints the sixteen bytes as URL-safe base64 without padding: 22 characters.
//! Drawing random ids is not done here, for this layer has no source of randomness.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

const TEXT_LENGTH: usize = 22;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a uuid: Kafka writes 22 characters of URL-safe base64")]
pub struct InvalidUuid;

impl Uuid {
    /// Stands for "none" wherever Kafka carries an id.
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// Kafka's reserved id of the metadata topic, `AAAAAAAAAAAAAAAAAAAAAQ`.
    pub const METADATA_TOPIC: Uuid = Uuid::from_u128(1);

    pub const fn from_u128(value: u128) -> Self {
        Uuid(value.to_be_bytes())
    }

    pub const fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Uuid(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub const fn is_zero(self) -> bool {
        self.as_u128() == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 128 bits in 22 sextets: the last one carries two bits and four zeroes.
        let bits = self.as_u128();
        let mut text = [0; TEXT_LENGTH];
        for (i, c) in text.iter_mut().enumerate() {
            let sextet = match i {
                0..21 => bits >> (122 - 6 * i),
                _ => bits << 4,
            };
            *c = ALPHABET[(sextet & 63) as usize];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    /// Takes what `Display` writes, with or without the two characters of padding.
    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        let text = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if text.len() != TEXT_LENGTH {
            return Err(InvalidUuid);
        }
        let mut bits: u128 = 0;
        for (i, c) in text.iter().enumerate() {
            let sextet = ALPHABET.iter().position(|a| a == c).ok_or(InvalidUuid)? as u128;
            bits = match i {
                0..21 => bits << 6 | sextet,
                _ => bits << 2 | sextet >> 4,
            };
        }
        Ok(Uuid::from_u128(bits))
    }
}
