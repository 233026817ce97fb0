//! Against files that Apache Kafka 4.3.1 wrote (`fixtures`): a bootstrap checkpoint, and a metadata log
//! of one node that many clients used, from which runs of NoOpRecords are cut out.

use expect_test::expect;
use ottla_protocol::log_records::voters_record;
use ottla_protocol::metadata_records::{FeatureLevelRecord, TopicRecord};
use proptest::prelude::*;

use super::*;
use crate::loader::Loader;
use crate::{FEATURES, KRAFT_VERSION_FEATURE, METADATA_VERSION_FEATURE};

const BOOTSTRAP: &[u8] = include_bytes!("../../fixtures/bootstrap.checkpoint");
const LOG: &[u8] = include_bytes!("../../fixtures/cluster_metadata.log");

fn features() -> Vec<MetadataRecord> {
    let version = MetadataVersion::LATEST_PRODUCTION;
    let record = |name: &'static str| {
        let feature_level = FEATURES
            .iter()
            .find(|f| f.name == name)
            .unwrap()
            .default_level(version);
        FeatureLevelRecord {
            name: name.into(),
            feature_level,
            ..Default::default()
        }
        .into()
    };
    let others = FEATURES
        .iter()
        .map(|f| f.name)
        .filter(|n| ![METADATA_VERSION_FEATURE, KRAFT_VERSION_FEATURE].contains(n));
    std::iter::once(METADATA_VERSION_FEATURE)
        .chain(others)
        .map(record)
        .collect()
}

/// Batches that differ in their timestamps alone, and thus in their CRCs, are made equal.
fn without_timestamps(mut bytes: Vec<u8>) -> Vec<u8> {
    let sizes: Vec<usize> = batches(&bytes.clone()).map(|b| b.unwrap().size()).collect();
    let mut at = 0;
    for size in sizes {
        bytes[at + 17..at + 21].fill(0);
        bytes[at + 27..at + 43].fill(0);
        at += size;
    }
    bytes
}

#[test]
fn a_bootstrap_checkpoint_is_what_kafka_writes() {
    let ours = bootstrap_checkpoint(
        MetadataVersion::LATEST_PRODUCTION,
        &features(),
        1_795_498_380_000,
    )
    .unwrap();
    assert_eq!(
        without_timestamps(ours.to_vec()),
        without_timestamps(BOOTSTRAP.to_vec())
    );
}

fn load(bytes: &Bytes) -> Loader {
    let mut loader = Loader::default();
    for batch in read_batches(bytes) {
        loader.on_log_batch(batch.unwrap()).unwrap();
    }
    loader
}

#[test]
fn a_log_of_kafka_replays_and_its_records_are_written_as_they_were() {
    let bytes = Bytes::from_static(LOG);
    let mut records = 0;
    for (batch, raw) in read_batches(&bytes).zip(batches(LOG)) {
        let (batch, raw) = (batch.unwrap(), raw.unwrap());
        let position = BatchPosition {
            base_offset: batch.base_offset,
            leader_epoch: batch.provenance.epoch,
            timestamp_ms: batch.provenance.timestamp_ms,
        };
        let again = match &batch.content {
            LogContent::Records(list) => {
                records += list.len();
                record_batch(position, MetadataVersion::LATEST_PRODUCTION, list).unwrap()
            }
            LogContent::Control(list) => control_batch(position, list).unwrap(),
        };
        assert_eq!(
            again,
            raw.as_bytes(),
            "the batch at offset {}",
            batch.base_offset
        );
    }
    let loader = load(&bytes);
    let image = loader.image();
    let broker = image.broker(1).unwrap();
    let offsets = image.topic("__consumer_offsets").unwrap();
    let partition = offsets.partition(0).unwrap();
    let text = format!(
        "{records} records to offset {}\n{:?}\n{} topics\nbroker epoch {} fenced {} in {} directories\n\
         offsets: {} partitions, {:?}\nproducer ids from {:?}, transaction open: {}\n",
        image.provenance.offset,
        image.features.finalized(),
        image.topic_count(),
        broker.epoch,
        broker.fenced,
        broker.log_dirs.len(),
        offsets.partitions.len(),
        image.config(&crate::ConfigResource::topic("__consumer_offsets")),
        image.next_producer_id,
        loader.in_transaction(),
    );
    expect![[r#"
        823 records to offset 2855
        [("metadata.version", 30), ("eligible.leader.replicas.version", 1), ("group.version", 1), ("share.version", 1), ("streams.version", 1), ("transaction.version", 2)]
        151 topics
        broker epoch 11 fenced true in 1 directories
        offsets: 50 partitions, {"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"}
        producer ids from Some(1000), transaction open: false
    "#]].assert_eq(&text);
    assert_eq!(
        (partition.leader, &partition.replicas[..]),
        (None, &[1][..]),
        "the broker was shut down"
    );
}

#[test]
fn a_snapshot_holds_the_image_and_the_quorum() {
    let mut loader = load(&Bytes::from_static(LOG));
    loader.set_kraft_version(1);
    let image = loader.image();
    let voter = voters_record::Voter {
        voter_id: 1,
        ..Default::default()
    };
    let options = SnapshotOptions {
        epoch: 7,
        now_ms: 99,
        last_contained_log_timestamp_ms: 88,
        voters: Some(VotersRecord {
            version: 0,
            voters: vec![voter],
            ..Default::default()
        }),
    };
    let bytes = snapshot(image, &options).unwrap();
    let kinds: Vec<String> = read_batches(&bytes)
        .map(|batch| match batch.unwrap().content {
            LogContent::Control(list) => list.iter().map(|r| format!("{:?} ", r.kind())).collect(),
            LogContent::Records(list) => format!("{} records", list.len()),
        })
        .collect();
    expect![[r#"
        [
            "SnapshotHeader KRaftVersion KRaftVoters ",
            "472 records",
            "SnapshotFooter ",
        ]"#]]
    .assert_eq(&format!("{kinds:#?}"));
    let mut again = load(&bytes).image().clone();
    again.provenance = image.provenance;
    assert_eq!(&again, image);
}

#[test]
fn large_snapshots_have_many_batches_with_running_offsets() {
    let topics: Vec<MetadataRecord> = (0..30_000u128)
        .map(|n| {
            let topic_id = ottla_protocol::Uuid::from_u128((n + 1) << 64);
            TopicRecord {
                name: format!("topic-with-a-long-name-{n}").into(),
                topic_id,
                ..Default::default()
            }
            .into()
        })
        .collect();
    let (image, _) = MetadataImage::default().apply(&topics).unwrap();
    let options = SnapshotOptions {
        epoch: 1,
        now_ms: 5,
        last_contained_log_timestamp_ms: 4,
        voters: None,
    };
    let bytes = snapshot(&image, &options).unwrap();
    let read: Vec<LogBatch> = read_batches(&bytes).collect::<Result<_, _>>().unwrap();
    assert!(read.len() > 3);
    assert!(
        read.windows(2)
            .all(|w| w[0].provenance.offset + 1 == w[1].base_offset)
    );
    assert_eq!(load(&bytes).image().topic_count(), 30_000);
}

#[test]
fn names_of_snapshots() {
    let id = SnapshotId {
        end_offset: 42,
        epoch: 3,
    };
    assert_eq!(id.file_name(), "00000000000000000042-0000000003.checkpoint");
    assert_eq!(SnapshotId::from_file_name(&id.file_name()), Some(id));
    for other in [
        "bootstrap.checkpoint",
        "00000000000000000042.log",
        "1-2.checkpoint.part",
        "x-y.checkpoint",
    ] {
        assert_eq!(SnapshotId::from_file_name(other), None, "{other}");
    }
}

#[test]
fn a_leader_begins_its_epoch_as_in_kafka() {
    let bytes = Bytes::from_static(LOG);
    let first = read_batches(&bytes).next().unwrap().unwrap();
    assert_eq!(
        first.content,
        LogContent::Control(vec![leader_change(1, &[1], &[1])])
    );
}

#[test]
fn leaders_of_quorums_with_listed_voters_name_their_directories() {
    let voter = Voter {
        voter_id: 1,
        voter_directory_id: ottla_protocol::Uuid::from_u128(u128::MAX / 3),
        ..Default::default()
    };
    let record = ControlRecord::LeaderChange(LeaderChangeMessage {
        version: 1,
        leader_id: 1,
        voters: vec![voter.clone()],
        granting_voters: vec![voter],
        ..Default::default()
    });
    let position = BatchPosition {
        base_offset: 3,
        leader_epoch: 2,
        timestamp_ms: 1,
    };
    let bytes = control_batch(position, std::slice::from_ref(&record)).unwrap();
    let read = read_batches(&bytes).next().unwrap().unwrap();
    assert_eq!(read.content, LogContent::Control(vec![record]));
}

proptest! {
    #[test]
    fn damage_is_an_error_or_the_end_and_never_a_panic(at in 0..LOG.len(), bit in 0u8..8, cut in 0..LOG.len()) {
        let mut bytes = LOG.to_vec();
        bytes[at] ^= 1 << bit;
        bytes.truncate(bytes.len() - cut / 4);
        let bytes = Bytes::from(bytes);
        let whole: Vec<LogBatch> = read_batches(&Bytes::from_static(LOG)).map(Result::unwrap).collect();
        for (batch, original) in read_batches(&bytes).map_while(Result::ok).zip(&whole) {
            // Base offset and leader epoch are not under the CRC.
            prop_assert_eq!(&batch.content, &original.content);
        }
    }
}
