//! What a look-up in the image costs, which every request does: `cargo bench -p ottla-metadata`.

use divan::{Bencher, black_box};
use ottla_metadata::MetadataImage;
use ottla_protocol::metadata_records::{MetadataRecord, PartitionRecord, TopicRecord};
use ottla_protocol::{Str, Uuid};

const TOPICS: [u32; 3] = [10, 1000, 10_000];
const PARTITIONS: i32 = 10;

fn main() {
    divan::main();
}

fn name(topic: u32) -> String {
    format!("topic-{topic}")
}

fn id(topic: u32) -> Uuid {
    // Ids are random in life: neighbours in time are not neighbours in the map.
    Uuid::from_u128(u128::from(topic + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn image(topics: u32) -> MetadataImage {
    let mut records = Vec::new();
    for topic in 0..topics {
        records.push(MetadataRecord::Topic(TopicRecord {
            name: Str::from(name(topic)),
            topic_id: id(topic),
            ..TopicRecord::default()
        }));
        for partition in 0..PARTITIONS {
            records.push(MetadataRecord::Partition(PartitionRecord {
                partition_id: partition,
                topic_id: id(topic),
                replicas: vec![1],
                isr: vec![1],
                leader: 1,
                ..PartitionRecord::default()
            }));
        }
    }
    MetadataImage::default().apply(&records).unwrap().0
}

#[divan::bench(args = TOPICS)]
fn partition_by_name(bencher: Bencher<'_, '_>, topics: u32) {
    let image = image(topics);
    let names: Vec<String> = (0..topics).map(name).collect();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 7919) % names.len();
        image.partition(black_box(&names[at]), 3).is_some()
    });
}

#[divan::bench(args = TOPICS)]
fn topic_by_id(bencher: Bencher<'_, '_>, topics: u32) {
    let image = image(topics);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 7919) % topics;
        image.topic_by_id(black_box(id(at))).is_some()
    });
}

/// What one change costs in an image of that size.
#[divan::bench(args = TOPICS)]
fn apply_one_topic(bencher: Bencher<'_, '_>, topics: u32) {
    let image = image(topics);
    let record = MetadataRecord::Topic(TopicRecord {
        name: Str::from_static("another"),
        topic_id: Uuid::from_u128(7),
        ..TopicRecord::default()
    });
    bencher.bench(|| black_box(&image).apply([&record]).unwrap());
}
