//! AlterReplicaLogDirs: replicas go to other log directories of this broker (KIP-113), in the background.

use std::path::Path;

use ottla_log::AlterDirError;
use ottla_protocol::ids::TopicPartition;
use ottla_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use ottla_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::blocking;
use crate::broker::Broker;

pub async fn handle(context: &Context, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
    for dir in request.dirs {
        for topic in dir.topics {
            let broker = context.broker.clone();
            let (path, name, asked) = (dir.path.clone(), topic.name.clone(), topic.partitions.clone());
            // What is looked at is in memory, but a switch to another directory may be waited for.
            let altered = blocking::ADMINISTRATION.run(move || {
                let alter = |&index: &i32| alter(&broker, &path, &name, index).err();
                Ok(asked.iter().map(alter).collect::<Vec<_>>())
            });
            let errors = altered.await.unwrap_or_else(|code| vec![Some(code); topic.partitions.len()]);
            let partitions = topic.partitions.iter().zip(errors).map(|(&partition_index, error)| {
                let error_code = error.map_or(0, ErrorCode::code);
                AlterReplicaLogDirPartitionResult { partition_index, error_code, ..Default::default() }
            });
            match results.iter_mut().find(|result| result.topic_name == topic.name) {
                Some(result) => result.partitions.extend(partitions),
                None => results.push(AlterReplicaLogDirTopicResult {
                    topic_name: topic.name,
                    partitions: partitions.collect(),
                    ..Default::default()
                }),
            }
        }
    }
    AlterReplicaLogDirsResponse { results, ..Default::default() }
}

fn alter(broker: &Broker, path: &str, topic: &Str, index: i32) -> Result<(), ErrorCode> {
    let partition = TopicPartition { topic: topic.detached(), partition: index };
    let altered = broker.logs.alter_log_dir(&partition, Path::new(path));
    altered.map_err(|error| {
        tracing::info!(%partition, %error, "a replica is not moved");
        match error {
            AlterDirError::UnknownDirectory(_) => ErrorCode::LogDirNotFound,
            AlterDirError::DirectoryOffline(_) | AlterDirError::MayBeOffline(_) => ErrorCode::KafkaStorageError,
            AlterDirError::NameTooLong(_) => ErrorCode::InvalidTopicException,
            AlterDirError::NoLog(_) => without_log(broker, topic, index),
        }
    })
}

/// What is wrong with a partition of which there is no log here.
fn without_log(broker: &Broker, topic: &str, index: i32) -> ErrorCode {
    let image = broker.image();
    let known = image.topic(topic).and_then(|topic| topic.partition(index));
    match known {
        None => ErrorCode::UnknownTopicOrPartition,
        // Its directory failed, or may be one that failed.
        Some(known) if known.replicas.contains(&broker.node_id) && broker.logs.has_offline_dir() => {
            ErrorCode::KafkaStorageError
        }
        Some(_) => ErrorCode::ReplicaNotAvailable,
    }
}
