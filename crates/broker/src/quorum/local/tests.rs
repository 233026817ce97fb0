use ottla_log::Disk;
use ottla_protocol::metadata_records::{FeatureLevelRecord, NoOpRecord};

use super::*;

fn no_ops(count: usize) -> Vec<MetadataRecord> {
    vec![NoOpRecord::default().into(); count]
}

fn open(dir: &Path) -> Result<(LocalQuorum, MetadataImage), QuorumError> {
    let config = LocalQuorumConfig {
        node_id: 1,
        log: LogConfig::default(),
        snapshot_after_bytes: u64::MAX,
        snapshot_interval_ms: None,
    };
    let environment = Environment::inline(Disk::new());
    LocalQuorum::open(&environment, &LogDir::new(dir), config, 0)
}

/// Records of each batch in the log.
fn batches(quorum: &LocalQuorum) -> Vec<usize> {
    let end = quorum.log.log_end_offset();
    let bytes = quorum.log.read(0, 1 << 30, true, end).unwrap();
    read_batches(&bytes.read().unwrap())
        .map(|batch| match batch.unwrap().content {
            LogContent::Records(records) => records.len(),
            LogContent::Control(_) => 0,
        })
        .collect()
}

#[test]
fn decisions_that_are_committed_together_are_one_batch() {
    let root = tempfile::tempdir().unwrap();
    let (mut quorum, _) = open(root.path()).unwrap();
    assert_eq!(quorum.next_offset(), 1);
    for count in [1, 2, 3] {
        quorum.append(no_ops(count), 0).unwrap();
    }
    assert_eq!(quorum.next_offset(), 7);
    assert_eq!(quorum.state().log_end_offset, 1);
    quorum.commit(0).unwrap();
    assert_eq!(quorum.state().high_watermark, 7);
    quorum.commit(0).unwrap();
    assert_eq!(batches(&quorum), [0, 6]);
}

#[test]
fn a_batch_holds_whole_decisions_and_only_those_that_are_too_large_are_cut() {
    let max = RECORDS_PER_BATCH_MAX;
    let sizes = |decisions: &[usize]| {
        let mut pending = Pending::default();
        for count in decisions {
            pending.add(no_ops(*count));
        }
        let sizes: Vec<usize> = pending.batches().iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), decisions.iter().sum::<usize>());
        sizes
    };
    assert_eq!(sizes(&[]), [0; 0]);
    assert_eq!(sizes(&[max]), [max]);
    assert_eq!(sizes(&[max - 1, 1, 1]), [max, 1]);
    assert_eq!(sizes(&[max - 1, 2]), [max - 1, 2]);
    assert_eq!(sizes(&[1, max, max, 5]), [1, max, max, 5]);
    assert_eq!(sizes(&[3, 2 * max + 1, 4]), [3, max, max, 5]);
}

#[test]
fn what_was_decided_before_another_metadata_version_is_written_before_it() {
    let root = tempfile::tempdir().unwrap();
    let (mut quorum, _) = open(root.path()).unwrap();
    quorum.append(no_ops(2), 0).unwrap();
    let other = MetadataVersion::DIRECTORIES;
    assert_ne!(quorum.metadata_version, other);
    let feature = FeatureLevelRecord {
        name: Str::from_static(ottla_metadata::METADATA_VERSION_FEATURE),
        feature_level: other.level(),
        ..Default::default()
    };
    quorum.append(vec![feature.into()], 0).unwrap();
    quorum.append(no_ops(1), 0).unwrap();
    quorum.commit(0).unwrap();
    assert_eq!(batches(&quorum), [0, 2, 2]);
}

/// As after a power cut: batches are written one by one, so that only the last can be torn, and nobody was told of it.
#[test]
fn a_torn_last_batch_is_cut_and_one_before_another_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (mut quorum, _) = open(root.path()).unwrap();
    for _ in 0..2 {
        quorum.append(no_ops(3), 0).unwrap();
        quorum.commit(0).unwrap();
    }
    let path = quorum.log.dir().join("00000000000000000000.log");
    drop(quorum);
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    let last = torn.len() - 1;
    torn[last] ^= 1;
    std::fs::write(&path, &torn).unwrap();
    let (quorum, _) = open(root.path()).unwrap();
    assert_eq!(batches(&quorum), [0, 3, 0]);
    drop(quorum);

    let mut damaged = whole;
    let second_batch = damaged.len() / 2;
    damaged[second_batch] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(
        open(root.path()),
        Err(QuorumError::Damaged { .. })
    ));
}
