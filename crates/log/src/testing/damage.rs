//! Files that were cut or changed anywhere: the log opens, keeps what lies before the damage, and can be written to.

use ottla_records::{BatchHeader, Producer, RawBatch};

use super::{Fixture, append, batch_of, marker};
use crate::{LeaderAppend, Log, LogConfig, OpenOptions, ReadError};

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1200,
        index_interval_bytes: 150,
        is_transaction_verified: false,
        ..LogConfig::default()
    }
}

/// A log with several segments, producers, an aborted transaction and two epochs, closed cleanly.
fn build() -> (Fixture, i64) {
    let fixture = Fixture::new(config());
    let log = fixture.fresh();
    let producer = |id, base_sequence| Producer {
        id,
        epoch: 0,
        base_sequence,
    };
    let send = |bytes, epoch| {
        let how = LeaderAppend::client(epoch);
        log.append_as_leader(&[bytes], &how, 0).unwrap();
    };
    for n in 0..12 {
        send(batch_of(&[n], producer(1, n as i32), false), 0);
        send(batch_of(&[n, n], producer(2, 2 * n as i32), true), 0);
        if n % 4 == 3 {
            let how = LeaderAppend {
                transaction_version: 0,
                ..LeaderAppend::coordinator(0)
            };
            log.append_as_leader(&[marker(2, 0, true)], &how, 0)
                .unwrap();
        }
    }
    for n in 12..20 {
        send(batch_of(&[n, n, n], Producer::NONE, false), 1);
    }
    assert!(log.segment_count() >= 3);
    log.close().unwrap();
    (fixture, log.log_end_offset())
}

/// Base offsets of the batches that can be read by a consumer that steps over what it cannot use.
fn readable(log: &Log) -> Vec<i64> {
    let mut found = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let range = match log.read(offset, 1 << 20, true, i64::MAX) {
            Ok(range) if range.is_empty() => break,
            Ok(range) => range,
            Err(ReadError::Damaged(_)) => {
                offset += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let bytes = range.read().unwrap();
        let mut at = 0;
        let mut next = offset;
        while let Ok(Some(batch)) = RawBatch::first(&bytes[at..])
            && batch.verify().is_ok()
        {
            found.push(batch.base_offset());
            if batch.next_offset() <= range.end_offset {
                next = next.max(batch.next_offset());
            }
            at += batch.size();
        }
        offset = if at == bytes.len() {
            range.end_offset
        } else {
            next + 1
        };
    }
    found.dedup();
    found
}

/// Position, base offset and size of the batches in a log file.
fn layout(bytes: &[u8]) -> Vec<(usize, i64, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(Some(header)) = BatchHeader::parse(&bytes[at..]) {
        found.push((at, header.base_offset(), header.size()));
        at += header.size();
    }
    found
}

fn options(end: i64, is_clean: bool, recovery_point: i64) -> OpenOptions {
    OpenOptions {
        recovery_point: if is_clean { end } else { recovery_point },
        is_clean,
        ..OpenOptions::fresh(None, 0)
    }
}

/// Damages copies of every file whose name ends with `suffix`, and hands each to `check`.
fn for_each_damage(suffix: &str, mut check: impl FnMut(&Fixture, i64, &str, usize, &[u8])) {
    let (fixture, end) = build();
    let mut random = fastrand::Rng::with_seed(7);
    let names = fixture.files();
    let originals: Vec<(String, Vec<u8>)> = names
        .iter()
        .map(|name| (name.clone(), std::fs::read(fixture.path(name)).unwrap()))
        .collect();
    let restore = || {
        for name in fixture.files() {
            std::fs::remove_file(fixture.path(&name)).unwrap();
        }
        for (name, bytes) in &originals {
            std::fs::write(fixture.path(name), bytes).unwrap();
        }
    };
    for (name, bytes) in originals.iter().filter(|(name, _)| name.ends_with(suffix)) {
        let step = (bytes.len() / 40).max(1);
        for at in (0..bytes.len()).step_by(step) {
            for kind in 0..3 {
                restore();
                let at = (at + random.usize(0..step)).min(bytes.len() - 1);
                let mut damaged = bytes.clone();
                match kind {
                    0 => damaged[at] ^= 1 << random.u8(0..8),
                    1 => damaged.truncate(at),
                    _ => damaged[at..].fill(0),
                }
                let Some(at) = first_difference(bytes, &damaged) else {
                    continue;
                };
                std::fs::write(fixture.path(name), &damaged).unwrap();
                check(&fixture, end, name, at, bytes);
            }
        }
        restore();
        std::fs::remove_file(fixture.path(name)).unwrap();
        check(&fixture, end, name, 0, bytes);
    }
}

fn first_difference(original: &[u8], damaged: &[u8]) -> Option<usize> {
    let at = original.iter().zip(damaged).position(|(a, b)| a != b);
    at.or((damaged.len() < original.len()).then_some(damaged.len()))
}

#[test]
fn a_damaged_log_file_costs_only_what_lies_in_the_damage() {
    let (fixture, end) = build();
    let (log, _) = fixture.open(options(end, true, end));
    let all = readable(&log);
    drop(log);
    for is_clean in [true, false] {
        for_each_damage(".log", |fixture, end, name, at, original| {
            let base: i64 = name[..20].parse().unwrap();
            let (log, report) = fixture.open(options(end, is_clean, end));
            let found = readable(&log);
            let batches = layout(original);
            let is_missing = !fixture.path(name).exists()
                || std::fs::read(fixture.path(name)).unwrap().is_empty();
            let is_gone = |offset: &i64| {
                let hit = batches.iter().find(|(_, first, _)| first == offset);
                match hit {
                    Some((position, _, size)) => is_missing || position + size > at,
                    // Another segment's: only those behind can be hurt, and only by their segment's loss.
                    None => false,
                }
            };
            let kept: Vec<_> = all.iter().filter(|offset| !is_gone(offset)).collect();
            for offset in &kept {
                assert!(
                    found.contains(offset),
                    "{name} at {at}, clean {is_clean}: batch {offset} is lost; base {base}, found {found:?}"
                );
            }
            if log.log_end_offset() < end {
                assert_ne!(report.notes, [], "what is lost is told");
            }
            let info = append(&log, &[1]);
            assert!(
                readable(&log).contains(&info.first_offset),
                "{name} at {at}, clean {is_clean}: {:?}",
                report.notes
            );
        });
    }
}

#[test]
fn an_unflushed_log_is_cut_at_the_damage_and_goes_on_there() {
    for_each_damage(".log", |fixture, end, name, at, original| {
        let (log, report) = fixture.open(options(end, false, 0));
        let is_missing = !fixture.path(name).exists();
        let batches = layout(original);
        let hit = batches
            .iter()
            .find(|(position, _, size)| position + size > at)
            .unwrap();
        let in_head = at - hit.0;
        // Neither the base offset nor the leader epoch is under the checksum.
        let is_seen = !(0..8).contains(&in_head) && !(12..16).contains(&in_head);
        if is_seen && !is_missing {
            let damaged = std::fs::read(fixture.path(name)).unwrap_or_default();
            assert!(damaged.len() <= original.len());
            assert_eq!(
                log.log_end_offset(),
                hit.1,
                "{name} at {at}: {:?}",
                report.notes
            );
        }
        assert!(log.log_end_offset() <= end);
        assert_eq!(
            append(&log, &[1]).bytes,
            log.read(log.log_end_offset() - 1, 1, true, i64::MAX)
                .unwrap()
                .len as u64
        );
    });
}

#[test]
fn damaged_indexes_and_checkpoints_cost_nothing() {
    let (fixture, end) = build();
    let (log, _) = fixture.open(options(end, true, end));
    let all = readable(&log);
    drop(log);
    for suffix in [
        ".index",
        ".timeindex",
        ".snapshot",
        "-checkpoint",
        "partition.metadata",
    ] {
        for is_clean in [true, false] {
            for_each_damage(suffix, |fixture, end, name, at, _| {
                let (log, _) = fixture.open(options(end, is_clean, end / 2));
                let place = format!("{name} at {at}, clean {is_clean}");
                assert_eq!(log.log_end_offset(), end, "{place}");
                assert_eq!(readable(&log), all, "{place}");
                for offset in 0..end {
                    let range = log.read(offset, 1, true, i64::MAX).unwrap();
                    assert!(
                        range.first_offset <= offset && range.end_offset > offset,
                        "{place}"
                    );
                }
                log.offset_for_timestamp(15).unwrap();
                append(&log, &[1]);
            });
        }
    }
}

#[test]
fn a_damaged_transaction_index_is_built_again() {
    let (fixture, end) = build();
    let (log, _) = fixture.open(options(end, true, end));
    let aborted = log.aborted_transactions(0, end).unwrap();
    assert_eq!(aborted.len(), 3);
    drop(log);
    let names: Vec<String> = fixture
        .files()
        .into_iter()
        .filter(|name| name.ends_with(".txnindex"))
        .collect();
    for name in names {
        let path = fixture.path(&name);
        let bytes = std::fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        damaged[0] = 9;
        std::fs::write(&path, &damaged).unwrap();
        let (log, report) = fixture.open(options(end, true, end));
        assert_eq!(report.notes.len(), 1);
        assert_eq!(log.aborted_transactions(0, end).unwrap(), aborted);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
