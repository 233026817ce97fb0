//! DescribeLogDirs: the log directories, their space, and the replicas in them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_log::DirDescription;
use ottla_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::blocking;

/// Topics and partitions that a client asks for; none stands for all.
type Asked = Option<BTreeMap<Str, BTreeSet<i32>>>;

pub async fn handle(context: &Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let logs = std::sync::Arc::clone(&context.broker.logs);
    // The file system is asked for its space, and may take its time.
    match blocking::ADMINISTRATION.run(move || Ok(logs.describe())).await {
        Ok(dirs) => {
            let asked = asked(request.topics);
            let results = dirs.into_iter().map(|dir| result(dir, &asked));
            DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
        }
        Err(error) => DescribeLogDirsResponse { error_code: error.code(), ..Default::default() },
    }
}

fn asked(topics: Option<Vec<DescribableLogDirTopic>>) -> Asked {
    let mut asked: BTreeMap<Str, BTreeSet<i32>> = BTreeMap::new();
    for topic in topics? {
        asked.entry(topic.topic).or_default().extend(topic.partitions);
    }
    Some(asked)
}

fn result(dir: DirDescription, asked: &Asked) -> DescribeLogDirsResult {
    let log_dir = Str::from(dir.path.to_string_lossy().into_owned());
    if dir.is_offline {
        let error_code = ErrorCode::KafkaStorageError.code();
        return DescribeLogDirsResult { error_code, log_dir, ..Default::default() };
    }
    let is_asked = |topic: &Str, partition: i32| match asked {
        Some(asked) => asked.get(topic).is_some_and(|partitions| partitions.contains(&partition)),
        None => true,
    };
    let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in dir.logs {
        let (topic, partition_index) = (log.partition.topic, log.partition.partition);
        if is_asked(&topic, partition_index) {
            topics.entry(topic).or_default().push(DescribeLogDirsPartition {
                partition_index,
                partition_size: i64::try_from(log.size).unwrap_or(i64::MAX),
                offset_lag: log.offset_lag,
                is_future_key: log.is_future,
                ..Default::default()
            });
        }
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic { name, partitions, ..Default::default() }
    });
    DescribeLogDirsResult {
        log_dir,
        topics: topics.collect(),
        total_bytes: dir.total_bytes,
        usable_bytes: dir.usable_bytes,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
