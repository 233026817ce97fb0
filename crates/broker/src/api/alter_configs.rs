//! AlterConfigs: replaces everything that is set on a resource.

use ottla_controller::ConfigReplacement;
use ottla_metadata::{ConfigResource, ResourceType};
use ottla_protocol::messages::alter_configs_request::AlterConfigsResource;
use ottla_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use super::config_resources::{Asked, Decision, answers, decide, sort};

pub async fn handle(context: &Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked: Vec<Asked<'_>> = request.resources.iter().map(asked).collect();
    let decisions = sort(&asked, false);
    let resources = request.resources.iter().zip(&decisions);
    let replacements = resources.filter(|(_, decision)| **decision == Decision::Controller).map(|(r, _)| replacement(r));
    let validate_only = request.validate_only;
    let decided = decide(context, replacements.collect(), move |controller, replacements| {
        controller.alter_configs(replacements, validate_only)
    });
    // Loggers were refused above.
    let answers = answers(decisions, decided.await, |_| Err(ErrorCode::InvalidRequest.into()));
    let responses = request.resources.iter().zip(answers).map(|(resource, (error_code, error_message))| {
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn asked(resource: &AlterConfigsResource) -> Asked<'_> {
    let nulls = resource.configs.iter().filter(|config| config.value.is_none());
    Asked {
        kind: resource.resource_type,
        name: &resource.resource_name,
        keys: resource.configs.iter().map(|config| config.name.as_str()).collect(),
        nulls: nulls.map(|config| config.name.as_str()).collect(),
    }
}

fn replacement(resource: &AlterConfigsResource) -> ConfigReplacement {
    let configs = resource.configs.iter();
    ConfigReplacement {
        resource: ConfigResource::new(ResourceType(resource.resource_type), resource.resource_name.detached()),
        values: configs.map(|c| (c.name.detached(), c.value.as_ref().map(Str::detached))).collect(),
    }
}
