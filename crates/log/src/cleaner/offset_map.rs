//! The last offset of each key in the part of a log that is to be cleaned, in memory of a fixed size.
//!
//! Keys are known by a keyed 128-bit digest (SipHash), so that an entry has 24 bytes whatever the key's length, and
//! nobody can make up two keys that are taken for one another without knowing the map's own secret.
//!
//! Invariant: the table never grows beyond what it was made with; a key that finds it as full as it may be is refused.
//! Called by the cleaner: filled from the dirty part, asked for each record.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Bytes of an entry: digest and offset.
pub(crate) const ENTRY_BYTES: usize = size_of::<Slot>();

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Slot {
    digest: [u64; 2],
    offset: i64,
}

const EMPTY: Slot = Slot {
    digest: [0; 2],
    offset: -1,
};

/// The table is as full as it may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    secret: [u8; 16],
    len: usize,
    len_max: usize,
    /// The last offset up to which all batches are in the map; -1 before the first.
    latest_offset: i64,
}

impl OffsetMap {
    /// A map of as many entries as `bytes` hold, filled up to `load_factor`.
    pub fn new(bytes: usize, load_factor: f64, secret: u128) -> OffsetMap {
        let slots = (bytes / ENTRY_BYTES).max(2);
        let len_max = ((slots as f64 * load_factor.clamp(0.0, 1.0)) as usize).clamp(1, slots - 1);
        OffsetMap {
            slots: vec![EMPTY; slots],
            secret: secret.to_le_bytes(),
            len: 0,
            len_max,
            latest_offset: -1,
        }
    }

    /// The bytes that a map needs for `keys` keys.
    pub fn bytes_for(keys: usize, load_factor: f64) -> usize {
        let slots = (keys as f64 / load_factor.clamp(f64::MIN_POSITIVE, 1.0)).ceil();
        // One slot stays empty, which ends every search.
        (slots as usize)
            .saturating_add(2)
            .saturating_mul(ENTRY_BYTES)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn utilization(&self) -> f64 {
        self.len as f64 / self.slots.len() as f64
    }

    pub fn latest_offset(&self) -> i64 {
        self.latest_offset
    }

    pub fn set_latest_offset(&mut self, offset: i64) {
        self.latest_offset = offset;
    }

    /// Notes that `key` has a record at `offset`; offsets come in order.
    ///
    /// Kafka refuses here too whatever the key, so that the end of a clean is the same.
    pub fn put(&mut self, key: &[u8], offset: i64) -> Result<(), Full> {
        if self.len >= self.len_max {
            return Err(Full);
        }
        let digest = self.digest(key);
        let at = self.find(digest);
        let slot = &mut self.slots[at];
        if slot.offset < 0 {
            self.len += 1;
        }
        *slot = Slot { digest, offset };
        Ok(())
    }

    /// The last offset of `key`, if it is in the map.
    pub fn get(&self, key: &[u8]) -> Option<i64> {
        if self.len == 0 {
            return None;
        }
        let slot = self.slots[self.find(self.digest(key))];
        (slot.offset >= 0).then_some(slot.offset)
    }

    /// The slot that has `digest`, or the empty one where it belongs.
    fn find(&self, digest: [u64; 2]) -> usize {
        // The high half of the product spreads the digest over any number of slots.
        let spread = u128::from(digest[0]) * self.slots.len() as u128;
        let mut at = (spread >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.offset < 0 || slot.digest == digest {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    fn digest(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(key);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_a_key_is_kept() {
        let mut map = OffsetMap::new(1 << 16, 0.9, 7);
        for offset in 0..1000i64 {
            map.put(format!("key {}", offset % 100).as_bytes(), offset)
                .unwrap();
        }
        assert_eq!(map.len(), 100);
        for key in 0..100 {
            assert_eq!(map.get(format!("key {key}").as_bytes()), Some(900 + key));
        }
        assert_eq!(map.get(b"another"), None);
        assert_eq!(map.get(b""), None);
    }

    #[test]
    fn a_full_map_refuses_and_keeps_what_it_has() {
        let bytes = OffsetMap::bytes_for(10, 0.5);
        let mut map = OffsetMap::new(bytes, 0.5, 1);
        let mut taken = 0;
        while map.put(&[taken], i64::from(taken)).is_ok() {
            taken += 1;
        }
        assert!((10..=12).contains(&taken), "{taken}");
        assert!(map.utilization() <= 0.5);
        for key in 0..taken {
            assert_eq!(map.get(&[key]), Some(i64::from(key)));
        }
        assert_eq!(map.put(&[0], 99), Err(Full));
    }

    #[test]
    fn a_map_that_may_be_full_to_the_brim_still_ends_its_searches() {
        let mut map = OffsetMap::new(4 * ENTRY_BYTES, 1.0, 1);
        for key in 0..3u8 {
            map.put(&[key], 1).unwrap();
        }
        assert_eq!(map.put(&[3], 1), Err(Full));
        assert_eq!(map.get(&[9]), None);
    }

    #[test]
    fn an_entry_has_the_size_that_the_documentation_says() {
        assert_eq!(ENTRY_BYTES, 24);
    }
}
