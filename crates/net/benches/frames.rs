//! What cutting a stream into frames costs: `cargo bench -p ottla-net --bench frames`.

use std::future::poll_fn;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ottla_net::{Budget, FrameReader};

const FRAME_BYTES_MAX: usize = 100 << 20;
/// So many bytes of frames are read in one turn.
const STREAM_BYTES: usize = 4 << 20;

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 16 << 10, 1 << 20])]
fn read(bencher: Bencher<'_, '_>, frame_bytes: usize) {
    let count = STREAM_BYTES / frame_bytes;
    let length = u32::try_from(frame_bytes).unwrap().to_be_bytes();
    let frame: Vec<u8> = length.into_iter().chain(vec![7; frame_bytes]).collect();
    let stream = frame.repeat(count);
    let budget = Budget::new(FRAME_BYTES_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    bencher
        .counter(BytesCount::new(stream.len()))
        .counter(ItemsCount::new(count))
        .bench_local(|| {
            let mut stream = black_box(stream.as_slice());
            let mut reader = FrameReader::new(FRAME_BYTES_MAX);
            let mut frames = 0;
            while frames < count {
                let read = poll_fn(|cx| reader.poll_read(&mut stream, &budget, cx));
                assert!(runtime.block_on(read).is_ok());
                while let Some(frame) = reader.take() {
                    black_box(frame.bytes);
                    frames += 1;
                }
            }
        });
}
