//! Randomness from outside, for the core has none: the shell passes a real source, tests a seeded one.

use ottla_metadata::directory;
use ottla_protocol::Uuid;

/// A source of random bits.
pub trait Random {
    fn next_u64(&mut self) -> u64;
}

impl<F: FnMut() -> u64> Random for F {
    fn next_u64(&mut self) -> u64 {
        self()
    }
}

impl dyn Random + '_ {
    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The remainder's bias is far below anything that placement could show.
        usize::try_from(self.next_u64() % bound as u64).unwrap_or_default()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }

    /// A random id (version 4) that is not reserved, and whose text does not begin with a dash,
    /// which command lines would take for an option.
    pub(crate) fn uuid(&mut self) -> Uuid {
        loop {
            let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
            let id = Uuid::from_u128(bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62);
            if !directory::is_reserved(id) && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}

/// A random id as Kafka draws them for topics, directories, incarnations and clusters.
pub fn random_uuid(random: &mut dyn Random) -> Uuid {
    random.uuid()
}
