use proptest::prelude::*;

use super::*;
use crate::compress::Compression;

const LIMIT: usize = 4 << 20;

fn compressed(codec: Codec, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compression::new(codec).compress(input, &mut out).unwrap();
    out
}

fn decompress(codec: Codec, input: &[u8]) -> Result<Vec<u8>, DecompressError> {
    Decompressor::new(codec, input, LIMIT)?.gather()
}

fn text(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| b"the quick brown fox "[at % 20].wrapping_add((at / 977) as u8))
        .collect()
}

proptest! {
    #[test]
    fn what_is_compressed_decompresses(
        bytes in proptest::collection::vec(any::<u8>(), 0..100_000),
        codec in proptest::sample::select(Codec::ALL.to_vec()),
    ) {
        prop_assert_eq!(decompress(codec, &compressed(codec, &bytes)).unwrap(), bytes);
    }

    #[test]
    fn garbage_is_an_error_or_bounded(
        bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        codec in proptest::sample::select(Codec::ALL.to_vec()),
    ) {
        if let Ok(out) = decompress(codec, &bytes) {
            prop_assert!(out.len() <= LIMIT);
        }
    }
}

#[test]
fn large_and_repetitive_input_survives() {
    let input = text(1 << 20);
    for codec in Codec::ALL {
        let packed = compressed(codec, &input);
        assert!(
            codec == Codec::None || packed.len() < input.len() / 2,
            "{codec:?}"
        );
        assert_eq!(decompress(codec, &packed).unwrap(), input, "{codec:?}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let input = text(3000);
    for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
        let packed = compressed(codec, &input);
        for len in 0..packed.len() {
            // Xerial framing has no end mark: it can end after any block, and after its header.
            let is_end = codec == Codec::Snappy && len == 16;
            assert_eq!(
                decompress(codec, &packed[..len]).is_ok(),
                is_end,
                "{codec:?} {len}"
            );
        }
    }
}

#[test]
fn flipped_bits_never_panic_and_checksums_find_them() {
    let input = text(2000);
    for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
        let packed = compressed(codec, &input);
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let result = decompress(codec, &damaged);
            // Padding bits of the last byte mean nothing; whatever means something is under gzip's checksum.
            let is_wrong_answer = result.is_ok_and(|out| out != input);
            assert!(
                codec != Codec::Gzip || !is_wrong_answer,
                "gzip has a checksum, bit {bit}"
            );
        }
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    for codec in Codec::ALL {
        let packed = compressed(codec, &zeros);
        assert_eq!(
            decompress(codec, &packed),
            Err(DecompressError::TooLarge { limit: LIMIT }),
            "{codec:?}"
        );
    }
}

#[test]
fn the_limit_is_exact() {
    let input = text(50_000);
    for codec in Codec::ALL {
        let packed = compressed(codec, &input);
        let within = |limit| Decompressor::new(codec, &packed, limit).unwrap().gather();
        assert_eq!(within(input.len()).unwrap().len(), input.len(), "{codec:?}");
        assert_eq!(
            within(input.len() - 1),
            Err(DecompressError::TooLarge {
                limit: input.len() - 1
            }),
            "{codec:?}"
        );
    }
}

#[test]
fn snappy_reads_raw_and_concatenated_streams() {
    let input = text(5000);
    let raw = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw).unwrap(), input);

    let framed = compressed(Codec::Snappy, &input);
    let twice = [framed.clone(), framed.clone()].concat();
    assert_eq!(
        decompress(Codec::Snappy, &twice).unwrap(),
        [input.clone(), input].concat()
    );

    let mut old = framed;
    old[12..16].copy_from_slice(&0i32.to_be_bytes());
    assert_eq!(
        decompress(Codec::Snappy, &old),
        Err(corrupt(Codec::Snappy, Reason::Version))
    );
}

#[test]
fn snappy_does_not_believe_a_claimed_length() {
    // A varint of 2^31 and nothing behind it.
    assert_eq!(
        decompress(Codec::Snappy, &[0x80, 0x80, 0x80, 0x80, 0x08, 0x00]),
        Err(corrupt(Codec::Snappy, Reason::Block))
    );
    // The densest that snappy can be stays within the bound.
    let dense = snap::raw::Encoder::new()
        .compress_vec(&vec![7; 60_000])
        .unwrap();
    assert_eq!(decompress(Codec::Snappy, &dense).unwrap().len(), 60_000);
}

#[test]
fn lz4_accepts_checksums_and_sizes_and_refuses_what_java_refuses() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let input = text(300_000);
    let frame = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        std::io::Write::write_all(&mut encoder, &input).unwrap();
        encoder.finish().unwrap()
    };
    let independent = || FrameInfo::new().block_mode(BlockMode::Independent);
    for info in [
        independent().block_checksums(true),
        independent().content_checksum(true),
        independent().content_size(Some(input.len() as u64)),
        independent()
            .block_size(BlockSize::Max4MB)
            .block_checksums(true),
    ] {
        assert_eq!(decompress(Codec::Lz4, &frame(info)).unwrap(), input);
    }
    let linked = frame(FrameInfo::new().block_mode(BlockMode::Linked));
    assert_eq!(
        decompress(Codec::Lz4, &linked),
        Err(corrupt(Codec::Lz4, Reason::FrameHeader))
    );

    let mut damaged = frame(independent().block_checksums(true));
    let last_data_byte = damaged.len() - 9;
    damaged[last_data_byte] ^= 1;
    assert_eq!(
        decompress(Codec::Lz4, &damaged),
        Err(corrupt(Codec::Lz4, Reason::Checksum))
    );
}

#[test]
fn gzip_and_zstd_read_concatenated_streams() {
    let input = text(1000);
    for codec in [Codec::Gzip, Codec::Zstd] {
        let packed = compressed(codec, &input);
        let twice = [packed.clone(), packed].concat();
        assert_eq!(
            decompress(codec, &twice).unwrap(),
            [input.clone(), input.clone()].concat()
        );
    }
}

fn corrupt(codec: Codec, reason: Reason) -> DecompressError {
    DecompressError::Corrupt { codec, reason }
}
