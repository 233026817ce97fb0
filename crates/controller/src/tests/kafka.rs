//! The same decisions as Apache Kafka 4.3.1 made, whose log lies with the metadata crate: the controller
//! is brought to the state before a batch of Kafka's, and asked what Kafka's was asked.

use bytes::Bytes;
use ottla_metadata::{LogContent, read_batches};

use super::*;

const LOG: &[u8] = include_bytes!("../../../metadata/fixtures/cluster_metadata.log");
/// Where Kafka wrote what follows from a broker's wish to shut down.
const SHUTDOWN_OFFSET: i64 = 2_557;

fn record_batches() -> Vec<(i64, Vec<MetadataRecord>)> {
    let records = |batch: ottla_metadata::LogBatch| match batch.content {
        LogContent::Records(records) => Some((batch.base_offset, records)),
        LogContent::Control(_) => None,
    };
    read_batches(&Bytes::from_static(LOG))
        .filter_map(|batch| records(batch.unwrap()))
        .collect()
}

/// The cluster as it was before `offset`.
fn cluster_at(offset: i64) -> Cluster {
    let config = Arc::new(BrokerConfig::load(None, &[]).unwrap());
    let controller = Controller::new("test-cluster", config, MetadataImage::default(), 0);
    let mut cluster = Cluster {
        controller,
        log_end: offset,
        now_ms: 0,
        seed: 1,
    };
    for (base_offset, records) in record_batches()
        .into_iter()
        .filter(|(base, _)| *base < offset)
    {
        cluster.controller.replay(&records, base_offset).unwrap();
    }
    cluster
}

fn kafkas(offset: i64) -> Vec<MetadataRecord> {
    record_batches()
        .into_iter()
        .find(|(base, _)| *base == offset)
        .unwrap()
        .1
}

/// Kafka goes through its partitions in an order of its own.
fn sorted(mut records: Vec<MetadataRecord>) -> Vec<MetadataRecord> {
    records.sort_by_key(|record| match record {
        MetadataRecord::PartitionChange(r) => (1, r.topic_id, r.partition_id),
        _ => (0, Uuid::ZERO, 0),
    });
    records
}

fn heartbeat(cluster: &mut Cluster, set: impl FnOnce(&mut Heartbeat)) -> Vec<MetadataRecord> {
    let broker_epoch = cluster.epoch(1);
    let mut beat = Heartbeat {
        broker_id: 1,
        broker_epoch,
        metadata_offset: cluster.log_end - 1,
        ..Default::default()
    };
    set(&mut beat);
    let mut random = || 0u64;
    let context = Context {
        now_ms: 0,
        next_offset: cluster.log_end,
        random: &mut random,
    };
    cluster
        .controller
        .heartbeat(&context, &beat)
        .unwrap()
        .records
}

#[test]
fn activation_and_unfencing() {
    let blank = cluster_at(0);
    let activation = blank
        .controller
        .activate(bootstrap_records(MetadataVersion::LATEST_PRODUCTION));
    assert_eq!(activation.records, kafkas(1));
    let unfenced = heartbeat(&mut cluster_at(14), |beat| {
        beat.cordoned_log_dirs = Some(Vec::new())
    });
    assert_eq!(unfenced, kafkas(14));
}

#[test]
fn registration() {
    let mut cluster = cluster_at(11);
    let kafkas = kafkas(11);
    let MetadataRecord::RegisterBroker(record) = &kafkas[0] else {
        panic!("a registration")
    };
    let registration = Registration {
        broker_id: 1,
        cluster_id: "test-cluster".into(),
        incarnation_id: record.incarnation_id,
        endpoints: record
            .end_points
            .iter()
            .map(|e| Endpoint {
                listener: e.name.clone(),
                host: e.host.clone(),
                port: e.port,
                security_protocol: e.security_protocol,
            })
            .collect(),
        features: record
            .features
            .iter()
            .map(|f| {
                (
                    f.name.clone(),
                    LevelRange {
                        min: f.min_supported_version,
                        max: f.max_supported_version,
                    },
                )
            })
            .collect(),
        rack: record.rack.clone(),
        is_migrating_zk_broker: false,
        log_dirs: record.log_dirs.clone(),
        previous_broker_epoch: -1,
    };
    let mut random = || 0u64;
    let context = Context {
        now_ms: 0,
        next_offset: 11,
        random: &mut random,
    };
    let outcome = cluster
        .controller
        .register_broker(&context, &registration)
        .unwrap();
    let [MetadataRecord::RegisterBroker(ours)] = &outcome.records[..] else {
        panic!("one registration")
    };
    let mut ours = ours.clone();
    // Kafka keeps features in no order.
    ours.features
        .sort_by_key(|f| record.features.iter().position(|k| k.name == f.name));
    assert_eq!(&ours, record);
}

#[test]
fn controlled_shutdown_of_the_only_broker() {
    let mut cluster = cluster_at(SHUTDOWN_OFFSET);
    let ours = heartbeat(&mut cluster, |beat| beat.want_shutdown = true);
    let kafkas = kafkas(SHUTDOWN_OFFSET);
    assert_eq!(ours.len(), 298);
    assert_eq!(sorted(ours), sorted(kafkas));
}

#[test]
fn the_end_of_the_shutdown() {
    let mut cluster = cluster_at(2_855);
    let ours = heartbeat(&mut cluster, |beat| beat.want_shutdown = true);
    assert_eq!(ours, kafkas(2_855));
}
