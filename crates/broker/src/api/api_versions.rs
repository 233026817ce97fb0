//! ApiVersions: what this broker speaks, and which features the cluster has finalized.

use ottla_metadata::{FEATURES, Feature, KRAFT_VERSION_FEATURE};
use ottla_net::Outcome;
use ottla_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ApiKey, ErrorCode, Str};

use super::{Context, reply, served};

/// First version in which a client says what it is.
const CLIENT_SOFTWARE_VERSION: i16 = 3;
/// First version in which a supported feature may have 0 as its lowest level.
const LEVEL_ZERO_VERSION: i16 = 4;

pub fn handle(context: &Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if context.version >= CLIENT_SOFTWARE_VERSION {
        let named = [
            &request.client_software_name,
            &request.client_software_version,
        ];
        if named.iter().any(|name| !is_software_name(name)) {
            return ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..Default::default()
            };
        }
        context.connection.set_software(
            &request.client_software_name,
            &request.client_software_version,
        );
    }
    let image = context.broker.image();
    let served = FEATURES.iter().filter(|feature| feature.is_served());
    let supported = served.filter_map(|feature| {
        let min_version = match context.version {
            // Older clients refuse a range that begins with 0, so such features are kept from them (KIP-1022).
            version if version < LEVEL_ZERO_VERSION && feature.level_min < 1 => return None,
            _ => feature.level_min,
        };
        Some(SupportedFeatureKey {
            name: Str::from_static(feature.name),
            min_version,
            max_version: match feature.name {
                // Only the quorum could raise it, and ours lists no voters in its log.
                KRAFT_VERSION_FEATURE => image.features.kraft_version,
                _ => feature.level_max,
            },
            ..Default::default()
        })
    });
    let finalized = image.features.finalized().into_iter();
    let finalized = finalized
        .filter(|(name, _)| Feature::find(name).is_some_and(Feature::is_served))
        .map(|(name, level)| FinalizedFeatureKey {
            name,
            max_version_level: level,
            min_version_level: level,
            ..Default::default()
        });
    ApiVersionsResponse {
        api_keys: api_keys(),
        supported_features: supported.collect(),
        finalized_features_epoch: image.provenance.offset,
        finalized_features: finalized.collect(),
        ..Default::default()
    }
}

/// The answer to a version that we do not speak: in version 0, which every client reads, with what we speak.
pub fn refuse_version(context: &Context) -> Outcome {
    let context = Context {
        version: 0,
        ..context.clone()
    };
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![api_key(ApiKey::ApiVersions)],
        ..Default::default()
    };
    reply(&context, ApiKey::ApiVersions, &response)
}

fn api_keys() -> Vec<ApiVersion> {
    let mut keys: Vec<ApiVersion> = served().map(api_key).collect();
    keys.sort_by_key(|key| key.api_key);
    keys
}

/// Old librdkafkas compress only for brokers that name these versions of Produce, which then nobody asks for; Kafka
/// names them for the same reason.
const PRODUCE_VERSION_NAMED_MIN: i16 = 0;

fn api_key(key: ApiKey) -> ApiVersion {
    let versions = key.valid_versions();
    let min_version = match key {
        ApiKey::Produce => PRODUCE_VERSION_NAMED_MIN,
        _ => *versions.start(),
    };
    ApiVersion {
        api_key: key.code(),
        min_version,
        max_version: *versions.end(),
        ..Default::default()
    }
}

/// Letters, digits, dots and dashes, neither first nor last a punctuation mark (KIP-511).
fn is_software_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let outer = |c: char| c.is_ascii_alphanumeric();
    name.chars().all(inner) && name.starts_with(outer) && name.ends_with(outer)
}
