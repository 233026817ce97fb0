//! UpdateFeatures: finalizes levels of features, all that are asked for or none.

use std::collections::BTreeMap;

use ottla_controller::{FeatureUpdate, UpgradeType};
use ottla_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_protocol::messages::update_features_response::UpdatableFeatureResult;
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;

/// Last version that answers for each feature, too.
const RESULT_PER_FEATURE_VERSION_MAX: i16 = 1;

pub async fn handle(context: &Context, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let updates = updates(&request.feature_updates);
    let validate_only = request.validate_only;
    let updated = context.control(move |controller, _| controller.update_features(&updates, validate_only)).await;
    match updated {
        Ok(()) => {
            let per_feature = context.version <= RESULT_PER_FEATURE_VERSION_MAX;
            let results = request.feature_updates.into_iter().filter(|_| per_feature).map(|update| {
                UpdatableFeatureResult {
                    feature: update.feature,
                    error_message: Some(Str::from_static("NONE")),
                    ..Default::default()
                }
            });
            UpdateFeaturesResponse { error_message: None, results: results.collect(), ..Default::default() }
        }
        Err(failure) => {
            let message = match failure.code {
                ErrorCode::NotController | ErrorCode::KafkaStorageError => failure.text(),
                _ => Str::from(format!(
                    "The update failed for all features since the following feature had an error: {}",
                    failure.text()
                )),
            };
            UpdateFeaturesResponse {
                error_code: failure.code.code(),
                error_message: Some(message),
                ..Default::default()
            }
        }
    }
}

/// What is asked of each feature; of several for one feature the last counts.
fn updates(asked: &[FeatureUpdateKey]) -> Vec<FeatureUpdate> {
    let update = |asked: &FeatureUpdateKey| FeatureUpdate {
        feature: asked.feature.detached(),
        level: asked.max_version_level,
        upgrade_type: UpgradeType::from_code(asked.upgrade_type),
    };
    let last: BTreeMap<&str, &FeatureUpdateKey> = asked.iter().map(|asked| (asked.feature.as_str(), asked)).collect();
    last.into_values().map(update).collect()
}
