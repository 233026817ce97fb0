//! The last offset of each key in the part of a log that is to be cleaned, in bounded memory.
//!
//! Keys are known by 88 bits of a keyed digest (SipHash), so that an entry has 16 bytes whatever the key's length, and
//! nobody can make up two keys that are taken for one another without knowing the map's own secret. By chance two of
//! ten million keys are, in one clean of some 10^12.
//!
//! The table is divided into parts that grow one at a time: its memory follows the number of keys, and while a part
//! grows only that part is there twice.
//!
//! Invariant: the table never grows beyond what it was made with; a key that finds its part as full as it may be is
//! refused.
//! Called by the cleaner: filled from the dirty part, asked for each record.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Bytes of an entry: digest and offset.
pub(crate) const ENTRY_BYTES: usize = size_of::<Slot>();

/// A large table has this many parts, a small one is a single part.
const PARTS: usize = 256;
/// Parts have room for this many slots at least.
const SLOTS_OF_PART_MIN: usize = 1024;
/// What a part begins with.
const SLOTS_FIRST: usize = 64;
/// A part that may grow does so when it is fuller than this: searches stay short.
const COMFORTABLE_LOAD: f64 = 0.75;
/// Bits of the offset's distance from the first one, plus one; zero is an empty slot.
const DISTANCE_BITS: u32 = 40;
const DISTANCE_MASK: u64 = (1 << DISTANCE_BITS) - 1;

#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Slot {
    digest: u64,
    /// Above `DISTANCE_BITS` more of the digest.
    rest: u64,
}

impl Slot {
    fn is_empty(self) -> bool {
        self.rest & DISTANCE_MASK == 0
    }
}

/// What the map knows a key by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digest {
    high: u64,
    /// The bits below `DISTANCE_BITS` are not used.
    low: u64,
}

/// The table is as full as it may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug, Default)]
struct Part {
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Debug)]
pub(crate) struct OffsetMap {
    parts: Vec<Part>,
    slots_of_part_max: usize,
    load_factor: f64,
    secret: [u8; 16],
    len: usize,
    /// The first offset that was put in, from which the others count.
    first_offset: i64,
    /// The last offset up to which all batches are in the map; -1 before the first.
    latest_offset: i64,
}

impl OffsetMap {
    /// A map of at most as many entries as `bytes` hold, filled up to `load_factor`.
    pub fn new(bytes: usize, load_factor: f64, secret: u128) -> OffsetMap {
        let slots_max = (bytes / ENTRY_BYTES).max(2);
        let count = if slots_max >= PARTS * SLOTS_OF_PART_MIN {
            PARTS
        } else {
            1
        };
        let slots_of_part_max = slots_max / count;
        let part = || Part {
            slots: vec![Slot::default(); SLOTS_FIRST.min(slots_of_part_max)],
            len: 0,
        };
        OffsetMap {
            parts: (0..count).map(|_| part()).collect(),
            slots_of_part_max,
            load_factor: load_factor.clamp(0.0, 1.0),
            secret: secret.to_le_bytes(),
            len: 0,
            first_offset: -1,
            latest_offset: -1,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn utilization(&self) -> f64 {
        self.len as f64 / (self.slots_of_part_max * self.parts.len()) as f64
    }

    pub fn latest_offset(&self) -> i64 {
        self.latest_offset
    }

    pub fn set_latest_offset(&mut self, offset: i64) {
        self.latest_offset = offset;
    }

    pub fn digest(&self, key: &[u8]) -> Digest {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(key);
        let hash = hasher.finish128();
        Digest {
            high: hash.h1,
            low: hash.h2,
        }
    }

    /// Fetches the places of keys that are about to be put in or asked for: all at once, where one after the other
    /// would each wait for the memory.
    pub fn fetch(&self, digests: impl Iterator<Item = Digest>) {
        let mut fetched = 0;
        for digest in digests {
            let (part, at) = self.place(digest.high);
            fetched ^= self.parts[part].slots[at].rest;
        }
        std::hint::black_box(fetched);
    }

    /// Notes that the key has a record at `offset`; offsets come in order.
    ///
    /// A full part refuses whatever the key, as Kafka's table does.
    pub fn put(&mut self, digest: Digest, offset: i64) -> Result<(), Full> {
        if self.len == 0 {
            self.first_offset = offset;
        }
        debug_assert!(offset >= self.first_offset, "offsets come in order");
        let distance = offset.abs_diff(self.first_offset) + 1;
        if distance > DISTANCE_MASK {
            return Err(Full);
        }
        let (part, _) = self.place(digest.high);
        self.make_room(part)?;
        let (part, at) = self.find(digest);
        let part = &mut self.parts[part];
        if part.slots[at].is_empty() {
            part.len += 1;
            self.len += 1;
        }
        part.slots[at] = Slot {
            digest: digest.high,
            rest: digest.low & !DISTANCE_MASK | distance,
        };
        Ok(())
    }

    /// The last offset of the key, if it is in the map.
    pub fn get(&self, digest: Digest) -> Option<i64> {
        let (part, at) = self.find(digest);
        let slot = self.parts[part].slots[at];
        (!slot.is_empty()).then(|| self.first_offset + (slot.rest & DISTANCE_MASK) as i64 - 1)
    }

    /// The slot that has the digest, or the empty one where it belongs, with its part.
    fn find(&self, digest: Digest) -> (usize, usize) {
        let (part, mut at) = self.place(digest.high);
        let slots = &self.parts[part].slots;
        loop {
            let slot = slots[at];
            let is_found = slot.digest == digest.high && (slot.rest ^ digest.low) <= DISTANCE_MASK;
            if is_found || slot.is_empty() {
                return (part, at);
            }
            at += 1;
            if at == slots.len() {
                at = 0;
            }
        }
    }

    /// Where a digest's search begins: the high half of a product spreads it over any number of parts, the low half
    /// is what it has left for the slots of its part.
    fn place(&self, digest: u64) -> (usize, usize) {
        let spread = u128::from(digest) * self.parts.len() as u128;
        let part = (spread >> 64) as usize;
        (part, home(spread as u64, self.parts[part].slots.len()))
    }

    /// Lets a part grow that is too full for another key.
    fn make_room(&mut self, part: usize) -> Result<(), Full> {
        let (parts, max) = (self.parts.len() as u64, self.slots_of_part_max);
        let part = &mut self.parts[part];
        let slots = part.slots.len();
        if slots == max {
            return if part.len < len_max(max, self.load_factor) {
                Ok(())
            } else {
                Err(Full)
            };
        }
        if part.len < len_max(slots, self.load_factor.min(COMFORTABLE_LOAD)) {
            return Ok(());
        }
        let more = (slots + slots / 4 + SLOTS_FIRST).min(max);
        let old = std::mem::replace(&mut part.slots, vec![Slot::default(); more]);
        for slot in old.into_iter().filter(|slot| !slot.is_empty()) {
            let mut at = home(slot.digest.wrapping_mul(parts), more);
            while !part.slots[at].is_empty() {
                at += 1;
                if at == more {
                    at = 0;
                }
            }
            part.slots[at] = slot;
        }
        if part.len < len_max(more, self.load_factor) {
            Ok(())
        } else {
            Err(Full)
        }
    }
}

fn home(spread: u64, slots: usize) -> usize {
    ((u128::from(spread) * slots as u128) >> 64) as usize
}

/// How many entries so many slots take. One slot stays empty, which ends every search.
fn len_max(slots: usize, load_factor: f64) -> usize {
    ((slots as f64 * load_factor) as usize).clamp(1, slots - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(map: &mut OffsetMap, key: &[u8], offset: i64) -> Result<(), Full> {
        map.put(map.digest(key), offset)
    }

    fn get(map: &OffsetMap, key: &[u8]) -> Option<i64> {
        map.get(map.digest(key))
    }

    #[test]
    fn the_last_offset_of_a_key_is_kept() {
        let mut map = OffsetMap::new(1 << 16, 0.9, 7);
        for offset in 0..1000i64 {
            put(&mut map, format!("key {}", offset % 100).as_bytes(), offset).unwrap();
        }
        assert_eq!(map.len(), 100);
        for key in 0..100 {
            assert_eq!(get(&map, format!("key {key}").as_bytes()), Some(900 + key));
        }
        assert_eq!(get(&map, b"another"), None);
        assert_eq!(get(&map, b""), None);
    }

    #[test]
    fn a_table_grows_part_by_part_and_loses_nothing() {
        const KEYS: i64 = 300_000;
        let base = 1 << 60;
        let mut map = OffsetMap::new(PARTS * SLOTS_OF_PART_MIN * 2 * ENTRY_BYTES, 0.9, 3);
        assert_eq!(map.parts.len(), PARTS);
        for key in 0..KEYS {
            put(&mut map, &key.to_be_bytes(), base + key).unwrap();
            // Some come again at once.
            if key % 3 == 0 {
                put(&mut map, &key.to_be_bytes(), base + key).unwrap();
            }
        }
        assert_eq!(map.len(), KEYS as usize);
        for key in 0..KEYS {
            assert_eq!(get(&map, &key.to_be_bytes()), Some(base + key));
        }
        assert_eq!(get(&map, &KEYS.to_be_bytes()), None);
        let slots: usize = map.parts.iter().map(|part| part.slots.len()).sum();
        assert!(slots < KEYS as usize * 2, "{slots}");
    }

    #[test]
    fn a_full_map_refuses_and_keeps_what_it_has() {
        let mut map = OffsetMap::new(20 * ENTRY_BYTES, 0.5, 1);
        let mut taken = 0;
        while put(&mut map, &[taken], i64::from(taken)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 10);
        assert!(map.utilization() <= 0.5);
        for key in 0..taken {
            assert_eq!(get(&map, &[key]), Some(i64::from(key)));
        }
        assert_eq!(put(&mut map, &[0], 99), Err(Full));
    }

    #[test]
    fn a_large_map_is_filled_nearly_up_to_its_load() {
        let slots = PARTS * SLOTS_OF_PART_MIN;
        let mut map = OffsetMap::new(slots * ENTRY_BYTES, 0.9, 5);
        let mut taken = 0i64;
        while put(&mut map, &taken.to_be_bytes(), taken).is_ok() {
            taken += 1;
        }
        let load = map.len() as f64 / slots as f64;
        assert!((0.8..=0.9).contains(&load), "{load}");
        for key in 0..taken {
            assert_eq!(get(&map, &key.to_be_bytes()), Some(key));
        }
    }

    #[test]
    fn a_map_that_may_be_full_to_the_brim_still_ends_its_searches() {
        let mut map = OffsetMap::new(4 * ENTRY_BYTES, 1.0, 1);
        for key in 0..3u8 {
            put(&mut map, &[key], 1).unwrap();
        }
        assert_eq!(put(&mut map, &[3], 1), Err(Full));
        assert_eq!(get(&map, &[9]), None);
    }

    #[test]
    fn an_offset_too_far_from_the_first_is_refused() {
        let mut map = OffsetMap::new(1 << 16, 0.9, 1);
        put(&mut map, b"a", 5).unwrap();
        let last = 5 + (1 << DISTANCE_BITS) - 2;
        put(&mut map, b"b", last).unwrap();
        assert_eq!(put(&mut map, b"c", last + 1), Err(Full));
        assert_eq!((get(&map, b"a"), get(&map, b"b")), (Some(5), Some(last)));
    }

    #[test]
    fn an_entry_has_the_size_that_the_documentation_says() {
        assert_eq!(ENTRY_BYTES, 16);
    }
}
