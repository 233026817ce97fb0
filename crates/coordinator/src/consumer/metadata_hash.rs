//! The hash that tells whether a group's topics changed.
//!
//! Invariant: the same value as Kafka's for the same metadata, so that a group whose coordinator moves
//! between Kafka and Ottla is not rebalanced for nothing: XXH3 (64 bits) over
//!
//! ```text
//! topic:  0: u8 | id: two u64 | name: UTF-16 units, length: u32 | partitions: u32
//!         then for each partition: index: u32 | for each rack, sorted: length: u32, UTF-16 units, length: u32
//! group:  the topics' hashes: u64 each, by topic name
//! ```
//!
//! all little-endian. A group without topics has the hash 0.

use ottla_protocol::Str;
use xxhash_rust::xxh3::xxh3_64;

use crate::topics::{TopicCatalog, TopicInfo};

const MAGIC: u8 = 0;

pub(super) fn metadata_hash<'a>(
    topics: &dyn TopicCatalog,
    names: impl Iterator<Item = &'a Str>,
) -> i64 {
    let hashes: Vec<u8> = names
        .filter_map(|name| topics.by_name(name))
        .flat_map(|topic| topic_hash(topics, &topic).to_le_bytes())
        .collect();
    if hashes.is_empty() {
        0
    } else {
        xxh3_64(&hashes).cast_signed()
    }
}

fn topic_hash(topics: &dyn TopicCatalog, topic: &TopicInfo) -> u64 {
    let mut bytes = vec![MAGIC];
    let id = topic.id.as_u128();
    bytes.extend(((id >> 64) as u64).to_le_bytes());
    bytes.extend((id as u64).to_le_bytes());
    put_string(&mut bytes, &topic.name);
    bytes.extend(topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend(partition.to_le_bytes());
        let mut racks = topics.partition_racks(topic.id, partition);
        racks.sort();
        for rack in racks {
            bytes.extend((rack.encode_utf16().count() as u32).to_le_bytes());
            put_string(&mut bytes, &rack);
        }
    }
    xxh3_64(&bytes)
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    let mut units = 0u32;
    for unit in text.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
        units += 1;
    }
    bytes.extend(units.to_le_bytes());
}

#[cfg(test)]
mod tests;
