//! Held against what Kafka's own hash library makes of the same words.

use ottla_protocol::{Str, Uuid};

use super::metadata_hash;
use crate::topics::{TopicCatalog, TopicInfo};

#[derive(Debug)]
struct Catalog;

impl TopicCatalog for Catalog {
    fn version(&self) -> i64 {
        1
    }

    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        let (id, partitions) = match name {
            "topic-é" => (0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, 2),
            "u" => (7, 1),
            _ => return None,
        };
        Some(TopicInfo {
            id: Uuid::from_u128(id),
            name: name.into(),
            partitions,
        })
    }

    fn by_id(&self, _id: Uuid) -> Option<TopicInfo> {
        None
    }

    fn for_each_name(&self, _visit: &mut dyn FnMut(&Str)) {}

    fn partition_racks(&self, id: Uuid, partition: i32) -> Vec<Str> {
        match (id.as_u128(), partition) {
            (7, _) => Vec::new(),
            // In no order.
            (_, 0) => vec!["rack-b".into(), "rack-a".into()],
            _ => vec!["rack-c".into()],
        }
    }
}

fn hash(names: &[&str]) -> i64 {
    let names: Vec<Str> = names.iter().map(|name| Str::from(*name)).collect();
    metadata_hash(&Catalog, names.iter())
}

#[test]
fn it_is_kafkas_hash() {
    assert_eq!(hash(&["topic-é", "u"]), 8_290_732_786_310_637_523);
}

#[test]
fn topics_that_do_not_exist_do_not_count() {
    assert_eq!(hash(&["gone"]), 0);
    assert_eq!(hash(&["gone", "u"]), hash(&["u"]));
}
