use proptest::prelude::*;

use super::*;
use crate::disk::Disk;
use crate::file_cache::{DirPath, FileCache};
use crate::names::FileKind;

fn slot(dir: &std::path::Path, kind: FileKind, base: i64) -> Arc<FileSlot> {
    let cache = FileCache::new(Disk::new(), 8);
    FileSlot::new(
        &cache,
        &DirPath::new(dir.to_path_buf()),
        base,
        kind,
        FileState::Live,
    )
}

fn offset_index(dir: &std::path::Path, base: i64) -> SparseIndex<OffsetEntry> {
    SparseIndex::new(slot(dir, FileKind::OffsetIndex, base), base)
}

#[test]
fn the_bytes_are_kafkas() {
    let dir = tempfile::tempdir().unwrap();
    let index = offset_index(dir.path(), 100);
    index
        .append(OffsetEntry {
            offset: 107,
            position: 4200,
        })
        .unwrap();
    index.flush().unwrap();
    let path = dir.path().join("00000000000000000100.index");
    assert_eq!(std::fs::read(path).unwrap(), [0, 0, 0, 7, 0, 0, 0x10, 0x68]);

    let times: SparseIndex<TimeEntry> =
        SparseIndex::new(slot(dir.path(), FileKind::TimeIndex, 100), 100);
    times
        .append(TimeEntry {
            timestamp: 0x0102_0304_0506_0708,
            offset: 356,
        })
        .unwrap();
    times.flush().unwrap();
    let path = dir.path().join("00000000000000000100.timeindex");
    assert_eq!(
        std::fs::read(path).unwrap(),
        [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 1, 0]
    );
}

#[test]
fn padding_that_kafka_left_is_no_entry_and_garbage_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000000000000000000.index");
    let mut bytes = Vec::new();
    for n in 1..=3u8 {
        bytes.extend_from_slice(&[0, 0, 0, n, 0, 0, n, 0]);
    }
    bytes.resize(800, 0);
    std::fs::write(&path, &bytes).unwrap();
    let index = offset_index(dir.path(), 0);
    index.load().unwrap().unwrap();
    assert_eq!(index.entries(), 3);
    assert_eq!(index.last().unwrap().offset, 3);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 24);

    bytes[300] = 9;
    std::fs::write(&path, &bytes).unwrap();
    let index = offset_index(dir.path(), 0);
    assert_eq!(index.load().unwrap(), Err(IndexFault::Order(3)));
    std::fs::write(&path, &bytes[..17]).unwrap();
    let index = offset_index(dir.path(), 0);
    assert_eq!(index.load().unwrap(), Err(IndexFault::Length(17)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever part of the entries is in the file, look-ups and truncation see one sequence.
    #[test]
    fn file_and_memory_are_one_sequence(
        steps in prop::collection::vec((1u32..50, 1u32..500), 0..1200),
        flush_every in 1usize..400,
        probes in prop::collection::vec(0i64..60_000, 20),
        cut in 0i64..60_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let base = 1_000;
        let index = offset_index(dir.path(), base);
        let mut model: Vec<OffsetEntry> = Vec::new();
        let (mut offset, mut position) = (base, 0);
        for (n, (offset_step, position_step)) in steps.into_iter().enumerate() {
            offset += i64::from(offset_step);
            position += position_step;
            let entry = OffsetEntry { offset, position };
            model.push(entry);
            index.append(entry).unwrap();
            if n % flush_every == 0 {
                index.flush().unwrap();
            }
        }
        let check = |index: &SparseIndex<OffsetEntry>, model: &[OffsetEntry]| {
            prop_assert_eq!(index.entries() as usize, model.len());
            prop_assert_eq!(index.last(), model.last().copied());
            for &probe in &probes {
                let target = base + probe;
                let at = model.partition_point(|entry| entry.offset <= target);
                let floor = index.floor(|entry| entry.offset <= target).unwrap();
                prop_assert_eq!(floor, at.checked_sub(1).map(|at| model[at]));
                let ceiling = index.ceiling(|entry| entry.offset <= target).unwrap();
                prop_assert_eq!(ceiling, model.get(at).copied());
            }
            Ok(())
        };
        check(&index, &model)?;
        index.truncate(|entry| entry.offset < base + cut).unwrap();
        model.retain(|entry| entry.offset < base + cut);
        check(&index, &model)?;
        index.sync().unwrap();
        let reopened = offset_index(dir.path(), base);
        reopened.load().unwrap().unwrap();
        check(&reopened, &model)?;
    }
}
