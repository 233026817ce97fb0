//! Which partition a record goes to: by its key as the Java client does, or in turns without one.
//!
//! Invariant: a key goes where every other Kafka client sends it, or order by key breaks between
//! producers. Called by `producer.rs`.

/// Chooses partitions for the records of one topic.
#[derive(Debug)]
pub(crate) struct Partitioner {
    partitions: Vec<i32>,
    /// Where records without a key go until a batch is full.
    current: usize,
}

impl Partitioner {
    /// `partitions` in ascending order, and not empty.
    pub(crate) fn new(partitions: Vec<i32>, start: usize) -> Self {
        Partitioner {
            current: start % partitions.len().max(1),
            partitions,
        }
    }

    pub(crate) fn choose(&self, key: Option<&[u8]>) -> Option<i32> {
        let index = match key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) as usize % self.partitions.len().max(1),
            None => self.current,
        };
        self.partitions.get(index).copied()
    }

    /// Goes to the next partition: few full batches beat many small ones.
    pub(crate) fn batch_is_full(&mut self) {
        self.current = (self.current + 1) % self.partitions.len().max(1);
    }
}

/// The 32-bit MurmurHash2 with the seed of Kafka's Java client.
pub(crate) fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests;
