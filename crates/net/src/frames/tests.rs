use std::future::poll_fn;

use tokio::io::AsyncWriteExt;

use super::*;
use crate::testing::{framed, within};

const MAX: usize = 8 * 1024 * 1024;

struct Wire {
    reader: FrameReader,
    budget: Budget,
    near: tokio::io::DuplexStream,
    far: tokio::io::DuplexStream,
}

impl Wire {
    fn new(budget: usize) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        Wire {
            reader: FrameReader::new(MAX),
            budget: Budget::new(budget),
            near,
            far,
        }
    }

    async fn read(&mut self) -> Result<usize, ReadError> {
        within(poll_fn(|cx| {
            self.reader.poll_read(&mut self.near, &self.budget, cx)
        }))
        .await
    }

    /// Reads until a frame is ready or the stream is at its end.
    async fn next(&mut self) -> Option<Frame> {
        while self.reader.front().is_none() {
            if self.read().await.unwrap() == 0 {
                return None;
            }
        }
        self.reader.take()
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn many_small_frames_come_with_one_read() {
    let mut wire = Wire::new(MAX);
    let stream: Vec<u8> = (0..100).flat_map(|i| framed(&pattern(i + 1))).collect();
    wire.far.write_all(&stream).await.unwrap();

    assert_eq!(wire.read().await.unwrap(), stream.len());
    for i in 0..100 {
        assert_eq!(wire.reader.take().unwrap().bytes, pattern(i + 1));
    }
    assert!(wire.reader.take().is_none());
    assert!(!wire.reader.is_mid_frame());
}

#[tokio::test]
async fn frames_survive_any_cut() {
    let bodies = [1, 3, 4, 5, SCRATCH_BYTES - 4, SCRATCH_BYTES, 200_000].map(pattern);
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    for step in [1, 2, 3, 5, 7, 1021, 32 * 1024, 64 * 1024] {
        let mut wire = Wire::new(MAX);
        let mut arrived = Vec::new();
        // One byte at a time only as far as cuts within prefixes and small bodies go.
        let (slow, fast) = stream.split_at(if step < 8 { 4096 } else { stream.len() });
        for piece in slow.chunks(step).chain(fast.chunks(16 * 1024)) {
            wire.far.write_all(piece).await.unwrap();
            let mut left = piece.len();
            while left > 0 {
                left -= wire.read().await.unwrap();
                arrived.extend(std::iter::from_fn(|| wire.reader.take()));
            }
        }
        let arrived: Vec<_> = arrived.iter().map(|frame| frame.bytes.to_vec()).collect();
        assert!(arrived == bodies, "in pieces of {step}");
    }
}

#[tokio::test]
async fn a_claimed_length_costs_nothing_until_bytes_arrive() {
    let mut wire = Wire::new(MAX);
    wire.far
        .write_all(&(MAX as i32).to_be_bytes())
        .await
        .unwrap();
    wire.far.write_all(b"few").await.unwrap();
    assert_eq!(wire.read().await.unwrap(), 7);

    let partial = wire.reader.partial.as_ref().unwrap();
    assert!(partial.buffer.capacity() <= SCRATCH_BYTES);
    assert_eq!(wire.budget.available(), MAX);

    wire.far.write_all(b"more").await.unwrap();
    assert_eq!(wire.read().await.unwrap(), 4);
    let partial = wire.reader.partial.as_ref().unwrap();
    assert!(partial.buffer.capacity() <= SCRATCH_BYTES);
    assert_eq!(wire.budget.available(), MAX);
}

#[tokio::test]
async fn what_is_reserved_follows_what_has_arrived() {
    let mut wire = Wire::new(MAX);
    wire.far
        .write_all(&(MAX as i32).to_be_bytes())
        .await
        .unwrap();
    let mut arrived = 0;
    while arrived < 2_000_000 {
        wire.far.write_all(&[0; 10_000]).await.unwrap();
        let mut left = 10_000 + if arrived == 0 { PREFIX_LEN } else { 0 };
        while left > 0 {
            left -= wire.read().await.unwrap();
        }
        arrived += 10_000;
        let reserved = MAX - wire.budget.available();
        let most = arrived * 2 + FRAME_STEP_MIN_BYTES;
        assert!(reserved <= most, "{reserved} for {arrived}");
        assert!(reserved >= arrived || arrived <= SCRATCH_BYTES);
    }
}

#[tokio::test]
async fn a_large_frame_reserves_its_length_and_gives_it_back() {
    let body = pattern(3_000_000);
    let stream = framed(&body);
    let mut wire = Wire::new(MAX);
    let mut frame = None;
    for piece in stream.chunks(50_000) {
        wire.far.write_all(piece).await.unwrap();
        let mut left = piece.len();
        while left > 0 {
            left -= wire.read().await.unwrap();
        }
        frame = wire.reader.take();
    }
    let frame = frame.unwrap();
    assert!(frame.bytes == body);
    assert_eq!(wire.budget.available(), MAX - body.len());
    drop(frame);
    assert_eq!(wire.budget.available(), MAX);
}

#[tokio::test]
async fn an_empty_budget_stops_the_reading_of_a_large_frame() {
    let body = pattern(SCRATCH_BYTES + 10_000);
    let mut wire = Wire::new(body.len());
    let held = wire.budget.try_reserve(body.len()).unwrap();
    wire.far.write_all(&framed(&body)).await.unwrap();
    // As much as is free, and no more.
    assert_eq!(wire.read().await.unwrap(), SCRATCH_BYTES);
    assert_eq!(wire.read().await.unwrap(), PREFIX_LEN);
    let read = poll_fn(|cx| {
        Poll::Ready(
            wire.reader
                .poll_read(&mut wire.near, &wire.budget, cx)
                .is_pending(),
        )
    });
    assert!(read.await, "bytes were read without a reservation");

    drop(held);
    assert!(wire.next().await.unwrap().bytes == body);
}

#[tokio::test]
async fn lengths_out_of_bounds_are_refused_after_the_frames_before_them() {
    for (len, expected) in [
        (0, FrameError::NotPositive { len: 0 }),
        (-1, FrameError::NotPositive { len: -1 }),
        (i32::MIN, FrameError::NotPositive { len: i32::MIN }),
        (
            i32::MAX,
            FrameError::TooLarge {
                len: i32::MAX,
                max: MAX,
            },
        ),
        (
            MAX as i32 + 1,
            FrameError::TooLarge {
                len: MAX as i32 + 1,
                max: MAX,
            },
        ),
    ] {
        let mut wire = Wire::new(MAX);
        let mut stream = framed(b"good");
        stream.extend_from_slice(&len.to_be_bytes());
        wire.far.write_all(&stream).await.unwrap();
        assert_eq!(wire.next().await.unwrap().bytes, "good");
        match wire.read().await {
            Err(ReadError::Frame(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_foreign_protocol_is_recognised() {
    let len = i32::from_be_bytes([0x16, 0x03, 0x01, 0x02]);
    let error = FrameError::TooLarge { len, max: 100 };
    assert!(error.to_string().contains("TLS"), "{error}");
    let len = i32::from_be_bytes(*b"GET ");
    let error = FrameError::TooLarge { len, max: 100 };
    assert!(error.to_string().contains("HTTP"), "{error}");
}
