//! Carrying a CRC-32C over bytes that follow, without reading them.
//!
//! A CRC is a remainder of polynomials over GF(2): that `n` more bytes follow multiplies it by x^(8n). The power is
//! put together from squares, so the cost grows with the number of bits in `n`: under a microsecond, where reading a
//! batch of a MiB takes twenty.
//! Called by the header patch.

/// The polynomial without its highest term, lowest power in the highest bit, as the CRC itself is kept.
const POLYNOMIAL: u32 = 0x82F6_3B78;
const ONE: u32 = 1 << 31;
const X_TO_THE_8: u32 = ONE >> 8;
const LENGTH_BITS: usize = usize::BITS as usize;

/// x^(8·2^k) for each bit k of a length.
const POWERS: [u32; LENGTH_BITS] = {
    let mut powers = [X_TO_THE_8; LENGTH_BITS];
    let mut bit = 1;
    while bit < LENGTH_BITS {
        powers[bit] = multiply(powers[bit - 1], powers[bit - 1]);
        bit += 1;
    }
    powers
};

/// What `crc` (or a difference of two) becomes when `len` bytes follow.
pub(super) fn over_bytes(crc: u32, len: usize) -> u32 {
    let is_set = |bit: &usize| len >> bit & 1 == 1;
    (0..LENGTH_BITS)
        .filter(is_set)
        .fold(crc, |shifted, bit| multiply(shifted, POWERS[bit]))
}

/// The product of two polynomials, modulo the CRC's.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut term = ONE;
    while term != 0 {
        if a & term != 0 {
            product ^= b;
        }
        b = if b & 1 == 1 {
            b >> 1 ^ POLYNOMIAL
        } else {
            b >> 1
        };
        term >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::crc32c;

    proptest! {
        #[test]
        fn a_difference_is_carried_over_what_follows(
            one in proptest::collection::vec(any::<u8>(), 40),
            other in proptest::collection::vec(any::<u8>(), 40),
            rest in proptest::collection::vec(any::<u8>(), 0..5000),
        ) {
            let whole = |front: &[u8]| crc32c(&[front, &rest].concat());
            let difference = crc32c(&one) ^ crc32c(&other);
            prop_assert_eq!(whole(&one) ^ over_bytes(difference, rest.len()), whole(&other));
        }
    }

    #[test]
    fn lengths_with_many_bits_agree_with_another_implementation() {
        for len in [1, 2, 255, 65_535, 1_048_575, 104_857_601, 2_147_483_646] {
            let expected = crc_fast::checksum_combine(
                crc_fast::CrcAlgorithm::Crc32Iscsi,
                0x1234_5678,
                0,
                len as u64,
            );
            assert_eq!(over_bytes(0x1234_5678, len), expected as u32, "{len}");
        }
    }
}
