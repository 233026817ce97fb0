//! What validation of a produced batch costs: `cargo bench -p ottla-records`.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ottla_records::{
    BatchBuilder, Codec, Compression, HeaderPatch, RawBatch, TimestampType, ValidationRules,
    batches, validate_produce,
};

const BATCH_BYTES: usize = 1 << 20;
const NOW_MS: i64 = 1 << 40;
const PRODUCE_VERSION: i16 = 13;

fn main() {
    divan::main();
}

/// About 1 MiB of records whose values compress like text.
fn batch(codec: Codec, value_bytes: usize) -> Bytes {
    let words: Vec<u8> = (0..value_bytes + 4096)
        .map(|at| b"the quick brown fox jumps "[at * at / 7 % 26])
        .collect();
    let mut builder = BatchBuilder::new(Compression::new(codec));
    let mut count = 0usize;
    while builder.uncompressed_size() + value_bytes + 64 < BATCH_BYTES {
        let from = count * 37 % 4096;
        builder.append(
            NOW_MS,
            Some(&count.to_be_bytes()),
            Some(&words[from..from + value_bytes]),
        );
        count += 1;
    }
    builder.build().unwrap()
}

fn rules() -> ValidationRules {
    ValidationRules {
        batch_bytes_max: 2 * BATCH_BYTES,
        ..ValidationRules::default()
    }
}

#[divan::bench(args = [10, 100, 1000, 10_000, 1_000_000])]
fn uncompressed(bencher: Bencher<'_, '_>, value_bytes: usize) {
    let bytes = batch(Codec::None, value_bytes);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| validate_produce(black_box(&bytes), &rules(), PRODUCE_VERSION, NOW_MS).unwrap());
}

/// Counted in decompressed bytes.
#[divan::bench(args = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd])]
fn compressed(bencher: Bencher<'_, '_>, codec: Codec) {
    let bytes = batch(codec, 1000);
    bencher
        .counter(BytesCount::new(BATCH_BYTES))
        .bench(|| validate_produce(black_box(&bytes), &rules(), PRODUCE_VERSION, NOW_MS).unwrap());
}

/// A single small record, where fixed costs show.
#[divan::bench(args = Codec::ALL)]
fn one_record(bencher: Bencher<'_, '_>, codec: Codec) {
    let mut builder = BatchBuilder::new(Compression::new(codec));
    builder.append(NOW_MS, None, Some(&[b'x'; 200]));
    let bytes = builder.build().unwrap();
    bencher
        .bench(|| validate_produce(black_box(&bytes), &rules(), PRODUCE_VERSION, NOW_MS).unwrap());
}

#[divan::bench]
fn checksum_only(bencher: Bencher<'_, '_>) {
    let bytes = batch(Codec::None, 1000);
    let batch = RawBatch::first(&bytes).unwrap().unwrap();
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| black_box(batch).check_crc().unwrap());
}

#[divan::bench]
fn patch_with_log_append_time(bencher: Bencher<'_, '_>) {
    let bytes = batch(Codec::None, 1000);
    let batch = batches(&bytes).next().unwrap().unwrap();
    bencher.bench(|| {
        HeaderPatch::new(black_box(batch))
            .base_offset(7)
            .timestamps(TimestampType::LogAppendTime, NOW_MS)
    });
}
