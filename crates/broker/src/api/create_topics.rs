//! CreateTopics: the controller decides; the answer leaves when the topics' logs are there.

use ottla_config::ConfigEntry;
use ottla_controller::{CreatedTopic, NewTopic};
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::controller::CommandError;

pub async fn handle(context: &Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics: Vec<NewTopic> = request.topics.into_iter().map(new_topic).collect();
    let validate_only = request.validate_only;
    let created = match context.broker.controller() {
        Ok(controller) => {
            let create = controller.run(move |controller, context| {
                controller.create_topics(context, &topics, validate_only)
            });
            create.await
        }
        Err(error) => Err(CommandError::Failed(error)),
    };
    let topics = match created {
        Ok(answers) => answers
            .into_iter()
            .map(|(name, answer)| match answer {
                Ok(created) => succeeded(name, created),
                Err(error) => failed(name, error.code(), error.to_string()),
            })
            .collect(),
        Err(error) => names.into_iter().map(|name| failed(name, error.code(), error.to_string())).collect(),
    };
    CreateTopicsResponse { topics, ..Default::default() }
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.detached(),
        partitions: topic.num_partitions,
        replication_factor: i32::from(topic.replication_factor),
        assignments: topic.assignments.into_iter().map(|a| (a.partition_index, a.broker_ids)).collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.detached(), config.value.as_ref().map(Str::detached)))
            .collect(),
    }
}

fn succeeded(name: Str, created: CreatedTopic) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        topic_id: created.id,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(created.configs.into_iter().map(config).collect()),
        ..Default::default()
    }
}

fn config(entry: ConfigEntry) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
        value: entry.value.map(Str::from),
        name: Str::from(entry.name),
        ..Default::default()
    }
}

fn failed(name: Str, error: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code(),
        error_message: Some(Str::from(message)),
        ..Default::default()
    }
}
