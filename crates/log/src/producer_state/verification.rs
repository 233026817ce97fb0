//! Proof that a transaction coordinator knows of a transaction before its first batch is written (KIP-890).
//!
//! Invariant: a guard is given out once; a transaction that ended in between leaves a guard that fits nothing.
//! Called by [`ProducerState`](super::ProducerState).

/// What an append must show to begin a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerificationGuard(u64);

impl VerificationGuard {
    /// Shows nothing; enough where no transaction begins.
    pub const NONE: VerificationGuard = VerificationGuard(0);
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Verification {
    pub guard: VerificationGuard,
    pub producer_epoch: i16,
    pub created_ms: i64,
    pub supports_epoch_bump: bool,
    lowest_sequence: i32,
}

impl Verification {
    pub fn new(
        guard: u64,
        sequence: i32,
        producer_epoch: i16,
        supports_epoch_bump: bool,
        created_ms: i64,
    ) -> Verification {
        Verification {
            guard: VerificationGuard(guard),
            producer_epoch,
            created_ms,
            supports_epoch_bump,
            lowest_sequence: sequence,
        }
    }

    pub fn lowest_sequence(&self) -> i32 {
        self.lowest_sequence
    }

    /// Another request of the same transaction waits too.
    pub fn note(&mut self, sequence: i32, producer_epoch: i16) {
        if producer_epoch == self.producer_epoch {
            self.lowest_sequence = self.lowest_sequence.min(sequence);
        }
        if producer_epoch > self.producer_epoch {
            self.producer_epoch = producer_epoch;
            self.lowest_sequence = sequence;
        }
    }
}
