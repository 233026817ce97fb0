//! DeleteTopics: by name, or by id from version 6 on.

use ottla_controller::TopicRef;
use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::Context;
use crate::controller::CommandError;

/// First version with a list that may name topics by id.
const TOPIC_STATES_VERSION: i16 = 6;

pub async fn handle(context: &Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let topics: Vec<TopicRef> = if context.version >= TOPIC_STATES_VERSION {
        let topics = request.topics.iter();
        topics.map(|t| TopicRef { name: t.name.as_ref().map(Str::detached), id: t.topic_id }).collect()
    } else {
        request.topic_names.iter().map(|name| TopicRef { name: Some(name.detached()), id: Uuid::ZERO }).collect()
    };
    let asked = topics.clone();
    let deleted = match context.broker.controller() {
        Ok(controller) => controller.run(move |controller, _| controller.delete_topics(&topics)).await,
        Err(error) => Err(CommandError::Failed(error)),
    };
    let responses = match deleted {
        Ok(answers) => answers
            .into_iter()
            .map(|topic| {
                let failure = topic.result.err().map(|error| (error.code(), error.to_string()));
                result(topic.name, topic.id, failure)
            })
            .collect(),
        Err(error) => {
            let failed = |topic: TopicRef| result(topic.name, topic.id, Some((error.code(), error.to_string())));
            asked.into_iter().map(failed).collect()
        }
    };
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn result(name: Option<Str>, topic_id: Uuid, failure: Option<(ErrorCode, String)>) -> DeletableTopicResult {
    let (error, message) = failure.map_or((ErrorCode::None, None), |(error, message)| (error, Some(message)));
    DeletableTopicResult {
        name,
        topic_id,
        error_code: error.code(),
        error_message: message.map(Str::from),
        ..Default::default()
    }
}
