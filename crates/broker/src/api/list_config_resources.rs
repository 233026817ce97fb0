//! ListConfigResources: what has, or can have, a configuration.

use ottla_config::ResourceType;
use ottla_protocol::messages::list_config_resources_response::ConfigResource;
use ottla_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

/// The version that knew client metrics alone, and its name for the API.
const CLIENT_METRICS_ONLY_VERSION: i16 = 0;

/// In the order in which they are listed.
const KINDS: &[ResourceType] = &[
    ResourceType::Group,
    ResourceType::ClientMetrics,
    ResourceType::BrokerLogger,
    ResourceType::Broker,
    ResourceType::Topic,
];

pub async fn handle(context: &Context, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let supported: &[ResourceType] = match context.version {
        CLIENT_METRICS_ONLY_VERSION => &[ResourceType::ClientMetrics],
        _ => KINDS,
    };
    let is_supported = |code: &i8| supported.iter().any(|kind| kind.code() == *code);
    if !request.resource_types.iter().all(is_supported) {
        return ListConfigResourcesResponse { error_code: ErrorCode::UnsupportedVersion.code(), ..Default::default() };
    }
    let is_wanted = |kind: &&ResourceType| {
        request.resource_types.is_empty() || request.resource_types.contains(&kind.code())
    };
    let mut response = ListConfigResourcesResponse::default();
    for kind in supported.iter().filter(is_wanted) {
        let resources = names(context, *kind).into_iter().map(|resource_name| ConfigResource {
            resource_name,
            resource_type: kind.code(),
            ..Default::default()
        });
        response.config_resources.extend(resources);
    }
    response
}

fn names(context: &Context, kind: ResourceType) -> Vec<Str> {
    let image = context.broker.image();
    match kind {
        ResourceType::Topic => image.topics().map(|topic| topic.name.clone()).collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => {
            let listener = context.connection.listener();
            let reachable = image.brokers.values().filter(|broker| broker.endpoint(listener).is_some());
            reachable.map(|broker| Str::from(broker.id.to_string())).collect()
        }
        ResourceType::Group | ResourceType::ClientMetrics => {
            let of_kind = image.configs().filter(|(resource, _)| resource.kind.0 == kind.code());
            of_kind.map(|(resource, _)| resource.name.clone()).collect()
        }
    }
}
