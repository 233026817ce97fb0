use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ottla_config::BrokerConfig;
use ottla_log::{
    Background, Disk, Environment, Faults, LogDirs, LogManager, ManagerSettings, WriteFault,
};
use ottla_protocol::metadata_records::{
    MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::*;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::coordinators::homes::Maker;
use crate::topics::OFFSETS_TOPIC;

const NODE: i32 = 1;

/// A disk that is full while the flag is set.
#[derive(Debug, Default)]
struct Full(AtomicBool);

impl Faults for Full {
    fn before_write(&self, _: &Path, _: u64, _: usize) -> WriteFault {
        match self.0.load(Ordering::Relaxed) {
            true => WriteFault::Short(0, io::ErrorKind::StorageFull.into()),
            false => WriteFault::None,
        }
    }

    fn before_sync(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct Node {
    disk: Arc<Full>,
    broker: Arc<Broker>,
    publisher: Publisher,
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Node {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(Full::default());
        let faulty = Disk::with_faults(Arc::clone(&disk) as Arc<dyn Faults>);
        let environment = Environment::new(faulty, 100, Background::Inline);
        let dirs = LogDirs::open(environment, &[root.path().to_path_buf()], NODE, None).unwrap();
        let settings = ManagerSettings::default();
        let (logs, _) = LogManager::start(dirs, settings, &|_| Arc::default(), 0).unwrap();
        let config = BrokerConfig::load(None, &[format!("node.id={NODE}")]).unwrap();
        let broker = Arc::new(Broker::new("c".into(), Arc::new(config), logs, Clock));
        Node {
            publisher: Publisher::new(Arc::clone(&broker)),
            disk,
            broker,
            root,
        }
    }

    fn follow(&mut self, records: &[MetadataRecord]) {
        let (image, delta) = self.broker.image().apply(records).unwrap();
        self.publisher.publish(image, &delta);
    }

    fn fill(&self, is_full: bool) {
        self.disk.0.store(is_full, Ordering::Relaxed);
    }

    /// What lies in the log directory, besides the directory's own files.
    fn logs(&self) -> Vec<String> {
        let found = std::fs::read_dir(self.root.path()).unwrap();
        let found = found.map(|entry| entry.unwrap());
        let dirs = found.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut names: Vec<String> = dirs
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn topic(name: &str, id: u128, partitions: i32) -> Vec<MetadataRecord> {
    let topic_id = Uuid::from_u128(id);
    let topic = TopicRecord {
        name: name.into(),
        topic_id,
        ..Default::default()
    };
    let partition = |partition_id| PartitionRecord {
        topic_id,
        partition_id,
        replicas: vec![NODE],
        isr: vec![NODE],
        leader: NODE,
        ..Default::default()
    };
    let mut records = vec![topic.into()];
    records.extend((0..partitions).map(|index| partition(index).into()));
    records
}

#[tokio::test]
async fn a_partition_that_found_no_room_begins_when_there_is() {
    let mut node = Node::new();
    node.fill(true);
    node.follow(&topic("t", 1000, 3));
    node.follow(&topic(OFFSETS_TOPIC, 1001, 2));
    node.follow(&topic("gone", 1002, 1));
    let gone = RemoveTopicRecord {
        topic_id: Uuid::from_u128(1002),
        ..Default::default()
    };
    node.follow(&[gone.into()]);
    let is_there = |node: &Node, topic, index| node.broker.topics.partition(topic, index).is_some();
    assert!(!is_there(&node, "t", 0));
    // Retriable, where an unknown partition might be taken for a mistake.
    assert_eq!(
        node.broker.why_missing("t", 0),
        ErrorCode::KafkaStorageError
    );
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(node.broker.why_missing("t", 3), unknown);
    assert_eq!(node.logs(), [""; 0], "nothing half made is left");

    node.publisher.begin_waiting();
    assert!(node.broker.has_waiting_logs.load(Ordering::Relaxed));
    assert!(!is_there(&node, "t", 0));

    node.fill(false);
    node.publisher.begin_waiting();
    assert!(!node.broker.has_waiting_logs.load(Ordering::Relaxed));
    for index in 0..3 {
        assert!(is_there(&node, "t", index));
    }
    assert!(is_there(&node, OFFSETS_TOPIC, 1));
    let homes = node.broker.groups.homes().partition_of("group").unwrap();
    assert!((0..2).contains(&homes), "coordinators begin, too");
    let names = [
        "__consumer_offsets-0",
        "__consumer_offsets-1",
        "t-0",
        "t-1",
        "t-2",
    ];
    assert_eq!(node.logs(), names);
}
