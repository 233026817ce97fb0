use ottla_log::LogDescription;
use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

use super::*;

fn log(topic: &str, partition: i32) -> LogDescription {
    let partition = TopicPartition { topic: Str::from(topic), partition };
    LogDescription { partition, size: 10, offset_lag: 3, is_future: true }
}

fn dir(is_offline: bool) -> DirDescription {
    DirDescription {
        path: "/data".into(),
        directory_id: Uuid::from_u128(7),
        is_offline,
        total_bytes: 100,
        usable_bytes: 50,
        logs: vec![log("b", 1), log("a", 0), log("b", 0)],
    }
}

fn described(request: Option<Vec<DescribableLogDirTopic>>) -> Vec<(String, Vec<i32>)> {
    let topics = result(dir(false), &asked(request)).topics.into_iter();
    topics
        .map(|topic| (topic.name.to_string(), topic.partitions.iter().map(|p| p.partition_index).collect()))
        .collect()
}

#[test]
fn what_is_asked_for_stands_below_its_topic() {
    let topic = |name: &str, partitions: &[i32]| DescribableLogDirTopic {
        topic: Str::from(name),
        partitions: partitions.to_vec(),
        ..Default::default()
    };
    assert_eq!(described(None), [("a".to_string(), vec![0]), ("b".to_string(), vec![0, 1])]);
    let request = vec![topic("b", &[1, 5]), topic("none", &[0])];
    assert_eq!(described(Some(request)), [("b".to_string(), vec![1])]);
    assert_eq!(described(Some(Vec::new())), []);
}

#[test]
fn a_directory_that_failed_is_named_with_its_error() {
    let result = result(dir(true), &None);
    assert_eq!((result.error_code, &*result.log_dir), (56, "/data"));
    assert_eq!((result.topics.len(), result.total_bytes, result.usable_bytes), (0, -1, -1));
}
