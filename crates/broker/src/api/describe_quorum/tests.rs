use ottla_protocol::messages::describe_quorum_request::PartitionData as AskedPartition;

use super::*;

fn topic(name: &str, partitions: &[i32]) -> AskedTopic {
    let partition = |index: &i32| AskedPartition { partition_index: *index, ..Default::default() };
    AskedTopic {
        topic_name: Str::from(name),
        partitions: partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}

#[test]
fn only_the_metadata_log_has_a_quorum() {
    assert!(asks_for_metadata(&[topic(METADATA_TOPIC, &[0])]));
    let others = [
        vec![],
        vec![topic(METADATA_TOPIC, &[1])],
        vec![topic(METADATA_TOPIC, &[0, 1])],
        vec![topic(METADATA_TOPIC, &[])],
        vec![topic("orders", &[0])],
        vec![topic(METADATA_TOPIC, &[0]), topic("orders", &[0])],
    ];
    for topics in others {
        assert!(!asks_for_metadata(&topics), "{topics:?}");
        let asked: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
        let response = unknown_partitions(topics);
        let errors: Vec<i16> =
            response.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| p.error_code)).collect();
        assert_eq!(errors, vec![3; asked]);
    }
}
