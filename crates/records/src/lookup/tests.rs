use super::*;
use crate::batch::batches;
use crate::builder::BatchBuilder;
use crate::compress::Compression;

const LIMIT: usize = 1 << 20;

/// Records with the given timestamps at offsets 100, 102, 104, …
fn batch(
    compression: Compression,
    log_append_time: Option<i64>,
    timestamps: &[i64],
) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(compression).base_offset(100);
    if let Some(now_ms) = log_append_time {
        builder = builder.log_append_time(now_ms);
    }
    for (offset, timestamp) in (100..).step_by(2).zip(timestamps) {
        builder.append_at(
            offset,
            *timestamp,
            Some(b"key"),
            Some(b"value"),
            std::iter::empty(),
        );
    }
    builder.build().unwrap()
}

#[test]
fn the_first_record_that_is_late_enough_is_found() {
    for codec in Codec::ALL {
        let bytes = batch(Compression::new(codec), None, &[5, 30, 20, 40, 40]);
        let batch = batches(&bytes).next().unwrap().unwrap();
        let find = |timestamp, min_offset| {
            let found = batch
                .first_at_or_after(timestamp, min_offset, LIMIT)
                .unwrap();
            found.map(|found| (found.timestamp, found.offset))
        };
        assert_eq!(find(0, 0), Some((5, 100)), "{codec:?}");
        assert_eq!(find(6, 0), Some((30, 102)));
        assert_eq!(find(6, 103), Some((20, 104)));
        assert_eq!(find(40, 0), Some((40, 106)));
        assert_eq!(find(40, 107), Some((40, 108)));
        assert_eq!(find(41, 0), None);
        assert_eq!(find(0, 109), None);
        let max = batch.offset_of_max_timestamp(LIMIT).unwrap();
        assert_eq!(
            max,
            Some(TimestampOffset {
                timestamp: 40,
                offset: 106
            })
        );
    }
}

#[test]
fn log_append_time_counts_for_every_record() {
    let bytes = batch(Compression::NONE, Some(77), &[5, 30]);
    let batch = batches(&bytes).next().unwrap().unwrap();
    let first = Some(TimestampOffset {
        timestamp: 77,
        offset: 100,
    });
    assert_eq!(batch.first_at_or_after(50, 0, LIMIT), Ok(first));
    assert_eq!(batch.offset_of_max_timestamp(LIMIT), Ok(first));
    assert_eq!(batch.first_at_or_after(78, 0, LIMIT), Ok(None));
}

#[test]
fn the_earliest_batch_with_the_max_timestamp_counts() {
    let mut max = TimestampOffset::NONE;
    for timestamps in [&[-1][..], &[10, 50], &[50, 50, 50], &[20]] {
        let bytes = batch(Compression::NONE, None, timestamps);
        max.observe(batches(&bytes).next().unwrap().unwrap().header());
    }
    assert_eq!(
        max,
        TimestampOffset {
            timestamp: 50,
            offset: 102
        }
    );
}
