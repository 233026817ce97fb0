//! AlterPartitionReassignments: moves replicas to other brokers, or takes such a move back.

use ottla_controller::{Reassignment, ReassignmentAnswer};
use ottla_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use super::Context;
use super::failure::{Failure, fields};

pub async fn handle(
    context: &Context,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let wanted: Vec<Reassignment> = request
        .topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|partition| Reassignment {
                topic: topic.name.detached(),
                partition: partition.partition_index,
                replicas: partition.replicas.clone(),
            })
        })
        .collect();
    let allow = request.allow_replication_factor_change;
    let decided = context.control(move |controller, _| controller.alter_partition_reassignments(&wanted, allow)).await;
    let mut response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: allow,
        error_message: None,
        ..Default::default()
    };
    let mut answers: Box<dyn Iterator<Item = Result<(), Failure>> + Send> = match decided {
        Ok(answers) => Box::new(answers.into_iter().map(|answer: ReassignmentAnswer| Ok(answer.result?))),
        Err(failure) => {
            response.error_code = failure.code.code();
            response.error_message = failure.message.clone();
            Box::new(std::iter::repeat_with(move || Err(failure.clone())))
        }
    };
    // The controller answers for each partition in the order of the request.
    for topic in request.topics {
        let partitions = topic.partitions.iter().zip(&mut answers).map(|(partition, outcome)| {
            let (error_code, error_message) = fields(outcome);
            ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code,
                error_message,
                ..Default::default()
            }
        });
        let partitions = partitions.collect();
        response.responses.push(ReassignableTopicResponse { name: topic.name, partitions, ..Default::default() });
    }
    response
}
