//! CreatePartitions: adds partitions to topics.

use ottla_controller::MorePartitions;
use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::controller::CommandError;

pub async fn handle(context: &Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics: Vec<MorePartitions> = request
        .topics
        .into_iter()
        .map(|topic| MorePartitions {
            topic: topic.name.detached(),
            count: topic.count,
            assignments: topic.assignments.map(|all| all.into_iter().map(|one| one.broker_ids).collect()),
        })
        .collect();
    let validate_only = request.validate_only;
    let created = match context.broker.controller() {
        Ok(controller) => {
            let create = controller.run(move |controller, context| {
                controller.create_partitions(context, &topics, validate_only)
            });
            create.await
        }
        Err(error) => Err(CommandError::Failed(error)),
    };
    let results = match created {
        Ok(answers) => answers
            .into_iter()
            .map(|(name, answer)| result(name, answer.err().map(|error| (error.code(), error.to_string()))))
            .collect(),
        Err(error) => {
            names.into_iter().map(|name| result(name, Some((error.code(), error.to_string())))).collect()
        }
    };
    CreatePartitionsResponse { results, ..Default::default() }
}

fn result(name: Str, failure: Option<(ErrorCode, String)>) -> CreatePartitionsTopicResult {
    let (error, message) = failure.map_or((ErrorCode::None, None), |(error, message)| (error, Some(message)));
    CreatePartitionsTopicResult {
        name,
        error_code: error.code(),
        error_message: message.map(Str::from),
        ..Default::default()
    }
}
