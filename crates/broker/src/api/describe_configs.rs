//! DescribeConfigs: every key of a resource, its value, and where the value comes from.

use ottla_config::{ConfigEntry, ConfigSource, ConfigSynonym, ResourceType};
use ottla_controller::validate_topic_name;
use ottla_metadata::ConfigResource;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use super::failure::Failure;
use crate::broker::Broker;
use crate::broker::settings::overrides;

pub async fn handle(context: &Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let shown = Shown { synonyms: request.include_synonyms, documentation: request.include_documentation };
    // One kind that nobody knows makes Kafka refuse the request as a whole.
    let is_known = |resource: &DescribeConfigsResource| ResourceType::from_code(resource.resource_type).is_some();
    let known = request.resources.iter().all(is_known);
    let results = request.resources.into_iter().map(|resource| {
        let described = if known {
            describe(&context.broker, &resource)
        } else {
            Err(Failure { code: ErrorCode::InvalidRequest, message: Some(ErrorCode::InvalidRequest.message().into()) })
        };
        let result = match described {
            Ok(entries) => DescribeConfigsResult {
                configs: entries.into_iter().map(|entry| shown.entry(entry)).collect(),
                ..Default::default()
            },
            Err(failure) => DescribeConfigsResult {
                error_code: failure.code.code(),
                error_message: failure.message,
                ..Default::default()
            },
        };
        DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..result
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn describe(broker: &Broker, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, Failure> {
    let name = &resource.resource_name;
    let keys: Option<Vec<&str>> =
        resource.configuration_keys.as_ref().map(|keys| keys.iter().map(Str::as_str).collect());
    let keys = keys.as_deref();
    let config = broker.config();
    let own = |kind: ottla_metadata::ResourceType| overrides(&broker.image(), &ConfigResource::new(kind, name.clone()));
    let not_empty = |message: &str| if name.is_empty() { Err(Failure::invalid_request(message)) } else { Ok(()) };
    match ResourceType::from_code(resource.resource_type) {
        Some(ResourceType::Topic) => {
            validate_topic_name(name)?;
            if broker.image().topic(name).is_none() {
                return Err(Failure { code: ErrorCode::UnknownTopicOrPartition, message: Some(Str::default()) });
            }
            Ok(ottla_config::describe_topic(&config, &own(ottla_metadata::ResourceType::TOPIC), keys))
        }
        Some(ResourceType::Broker) if name.is_empty() => Ok(ottla_config::describe_broker_defaults(&config, keys)),
        Some(ResourceType::Broker) => {
            check_own_id(broker.node_id, name, " or empty string,")?;
            Ok(ottla_config::describe_broker(&config, keys))
        }
        Some(ResourceType::BrokerLogger) => {
            not_empty("Broker id must not be empty")?;
            check_own_id(broker.node_id, name, "")?;
            let levels = broker.loggers.levels().into_iter();
            let asked = levels.filter(|(name, _)| keys.is_none_or(|keys| keys.is_empty() || keys.contains(name)));
            Ok(asked.map(|(name, level)| level_entry(name, level)).collect())
        }
        Some(ResourceType::ClientMetrics) => {
            not_empty("Client metrics subscription name must not be empty")?;
            Ok(ottla_config::describe_client_metrics(&own(ottla_metadata::ResourceType::CLIENT_METRICS), keys))
        }
        Some(ResourceType::Group) => {
            not_empty("Group name must not be empty")?;
            Ok(ottla_config::describe_group(&config, &own(ottla_metadata::ResourceType::GROUP), keys))
        }
        None => Err(ErrorCode::InvalidRequest.into()),
    }
}

/// A broker answers for itself alone.
fn check_own_id(node_id: i32, name: &str, alternative: &str) -> Result<(), Failure> {
    match name.parse::<i32>() {
        Ok(id) if id == node_id => Ok(()),
        Ok(_) => {
            let message = format!("Unexpected broker id, expected {node_id}{alternative} but received {name}");
            Err(Failure::invalid_request(&message))
        }
        Err(_) => Err(Failure::invalid_request(&format!("Broker id must be an integer, but it is: {name}"))),
    }
}

fn level_entry(logger: &str, level: &str) -> ConfigEntry {
    ConfigEntry {
        name: logger.to_string(),
        value: Some(level.to_string()),
        source: ConfigSource::DynamicBrokerLogger,
        sensitive: false,
        read_only: false,
        kind: None,
        documentation: None,
        synonyms: Vec::new(),
    }
}

/// What a client wants to see besides values.
#[derive(Clone, Copy)]
struct Shown {
    synonyms: bool,
    documentation: bool,
}

impl Shown {
    fn entry(self, entry: ConfigEntry) -> DescribeConfigsResourceResult {
        let synonyms = if self.synonyms { entry.synonyms.iter().map(synonym).collect() } else { Vec::new() };
        let documentation = entry.documentation.filter(|_| self.documentation);
        let documentation = match entry.source {
            // A logger has none to leave out.
            ConfigSource::DynamicBrokerLogger => Some(Str::default()),
            _ => documentation.map(Str::from_static),
        };
        DescribeConfigsResourceResult {
            config_source: entry.source.code(),
            config_type: entry.kind_code(),
            read_only: entry.read_only,
            is_sensitive: entry.sensitive,
            name: Str::from(entry.name),
            value: entry.value.map(Str::from),
            synonyms,
            documentation,
            ..Default::default()
        }
    }
}

fn synonym(synonym: &ConfigSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym {
        name: Str::from(synonym.name.as_str()),
        value: synonym.value.as_deref().map(Str::from),
        source: synonym.source.code(),
        ..Default::default()
    }
}
