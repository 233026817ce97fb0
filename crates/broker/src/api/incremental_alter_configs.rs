//! IncrementalAlterConfigs: changes what is named and leaves the rest. Log levels change here and now, and are
//! forgotten with the process; everything else goes through the metadata log.

use ottla_controller::{ConfigAlteration, ConfigOp};
use ottla_metadata::{ConfigResource, ResourceType};
use ottla_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use ottla_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use ottla_protocol::Str;

use super::Context;
use super::config_resources::{Asked, Decision, answers, decide, sort};
use super::failure::Failure;
use crate::loggers::LevelChange;

/// The operation that needs no value.
const DELETE: i8 = 1;

pub async fn handle(context: &Context, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let asked: Vec<Asked<'_>> = request.resources.iter().map(asked).collect();
    let decisions = sort(&asked, true);
    let resources = request.resources.iter().zip(&decisions);
    let alterations = resources.filter(|(_, decision)| **decision == Decision::Controller).map(|(r, _)| alteration(r));
    let validate_only = request.validate_only;
    let decided = decide(context, alterations.collect(), move |controller, alterations| {
        controller.incremental_alter_configs(alterations, validate_only)
    });
    let loggers = |at: usize| alter_loggers(context, &request.resources[at], validate_only);
    let answers = answers(decisions, decided.await, loggers);
    let responses = request.resources.iter().zip(answers).map(|(resource, (error_code, error_message))| {
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn alter_loggers(context: &Context, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Failure> {
    let node_id = context.broker.node_id;
    match resource.resource_name.parse::<i32>() {
        Ok(id) if id == node_id => {}
        Ok(id) => {
            let message = format!("Unexpected node id. Expected {node_id}, but received {id}");
            return Err(Failure::invalid_request(&message));
        }
        Err(_) => {
            let message = format!("Node id must be an integer, but it is: {}", resource.resource_name);
            return Err(Failure::invalid_request(&message));
        }
    }
    let changes = resource.configs.iter().map(|config| LevelChange {
        logger: &config.name,
        operation: config.config_operation,
        level: config.value.as_deref(),
    });
    let changes: Vec<LevelChange<'_>> = changes.collect();
    let altered = context.broker.loggers.alter(&changes, validate_only);
    altered.map_err(|error| Failure::new(error.code(), &error.to_string()))
}

fn asked(resource: &AlterConfigsResource) -> Asked<'_> {
    let nulls = resource.configs.iter().filter(|config| config.value.is_none() && config.config_operation != DELETE);
    Asked {
        kind: resource.resource_type,
        name: &resource.resource_name,
        keys: resource.configs.iter().map(|config| config.name.as_str()).collect(),
        nulls: nulls.map(|config| config.name.as_str()).collect(),
    }
}

fn alteration(resource: &AlterConfigsResource) -> ConfigAlteration {
    let ops = resource.configs.iter().map(|config| ConfigOp {
        key: config.name.detached(),
        operation: config.config_operation,
        value: config.value.as_ref().map(Str::detached),
    });
    ConfigAlteration {
        resource: ConfigResource::new(ResourceType(resource.resource_type), resource.resource_name.detached()),
        ops: ops.collect(),
    }
}
