//! AlterConfigs: replaces everything that is set on a resource.

use ottla_controller::ConfigReplacement;
use ottla_metadata::{ConfigResource, ResourceType};
use ottla_protocol::messages::alter_configs_request::AlterConfigsResource;
use ottla_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use super::config_resources::{Asked, Decision, sort};
use super::failure::{Failure, fields};

pub async fn handle(context: &Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked: Vec<Asked<'_>> = request.resources.iter().map(asked).collect();
    let decisions = sort(&asked, false);
    let resources = request.resources.iter().zip(&decisions);
    let replacements = resources.filter(|(_, decision)| **decision == Decision::Controller).map(|(r, _)| replacement(r));
    let mut decided = alter(context, replacements.collect(), request.validate_only).await.into_iter();
    let mut responses = Vec::with_capacity(request.resources.len());
    for (resource, decision) in request.resources.iter().zip(decisions) {
        let outcome = match decision {
            Decision::Refused(failure) => Err(failure),
            Decision::Controller | Decision::Loggers => {
                decided.next().unwrap_or_else(|| Err(ErrorCode::UnknownServerError.into()))
            }
        };
        let (error_code, error_message) = fields(outcome);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        });
    }
    AlterConfigsResponse { responses, ..Default::default() }
}

/// Has the controller decide; one outcome for each replacement.
async fn alter(
    context: &Context,
    replacements: Vec<ConfigReplacement>,
    validate_only: bool,
) -> Vec<Result<(), Failure>> {
    let count = replacements.len();
    if count == 0 {
        return Vec::new();
    }
    let decided = context.control(move |controller, _| controller.alter_configs(&replacements, validate_only)).await;
    match decided {
        Ok(answers) => answers.into_iter().map(|(_, answer)| answer.map_err(Failure::from)).collect(),
        Err(failure) => vec![Err(failure); count],
    }
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
