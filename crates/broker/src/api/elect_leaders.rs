//! ElectLeaders: the controller elects where a client asks, or everywhere.

use ottla_controller::{ElectionAnswer, ElectionKind};
use ottla_protocol::Str;
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::Context;
use super::failure::{Failure, fields};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub async fn handle(context: &Context, request: ElectLeadersRequest) -> ElectLeadersResponse {
    match elect(context, &request).await {
        Ok(answers) => {
            // Who asks for all partitions is told of all topics, those that needed nothing included.
            let named = match request.topic_partitions {
                Some(_) => Vec::new(),
                None => context.broker.image().topics().map(|topic| topic.name.clone()).collect(),
            };
            ElectLeadersResponse { replica_election_results: by_topic(named, answers), ..Default::default() }
        }
        Err(failure) => failed(&request, &failure),
    }
}

async fn elect(context: &Context, request: &ElectLeadersRequest) -> Result<Vec<ElectionAnswer>, Failure> {
    let kind = match request.election_type {
        PREFERRED => ElectionKind::Preferred,
        UNCLEAN => ElectionKind::Unclean,
        unknown => return Err(Failure::invalid_request(&format!("Unknown election type {unknown}"))),
    };
    let named = |topic: &TopicPartitions| (topic.topic.detached(), topic.partitions.clone());
    let partitions: Option<Vec<(Str, Vec<i32>)>> =
        request.topic_partitions.as_ref().map(|topics| topics.iter().map(named).collect());
    context.control(move |controller, _| controller.elect_leaders(kind, partitions.as_deref())).await
}

/// The answers, of which those of one topic follow each other, below their topics.
fn by_topic(named: Vec<Str>, answers: Vec<ElectionAnswer>) -> Vec<ReplicaElectionResult> {
    let empty = |topic| ReplicaElectionResult { topic, ..Default::default() };
    let mut results: Vec<ReplicaElectionResult> = named.into_iter().map(empty).collect();
    let mut at = 0;
    for answer in answers {
        let known = results.iter().skip(at).position(|result| result.topic == answer.topic);
        at = match known {
            Some(ahead) => at + ahead,
            None => {
                results.push(empty(answer.topic));
                results.len() - 1
            }
        };
        let (error_code, error_message) = fields(answer.result.map_err(Failure::from));
        let partition_id = answer.partition;
        let result = PartitionResult { partition_id, error_code, error_message, ..Default::default() };
        results[at].partition_result.push(result);
    }
    results
}

/// The one error for every partition that was asked for.
fn failed(request: &ElectLeadersRequest, failure: &Failure) -> ElectLeadersResponse {
    let partition = |partition_id: &i32| PartitionResult {
        partition_id: *partition_id,
        error_code: failure.code.code(),
        error_message: failure.message.clone(),
        ..Default::default()
    };
    let topics = request.topic_partitions.iter().flatten().map(|topic| ReplicaElectionResult {
        topic: topic.topic.clone(),
        partition_result: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    });
    ElectLeadersResponse {
        error_code: failure.code.code(),
        replica_election_results: topics.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
