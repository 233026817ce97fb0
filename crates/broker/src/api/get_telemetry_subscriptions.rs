//! GetTelemetrySubscriptions (KIP-714): which metrics this client is to push, and how often.

use ottla_protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::Context;
use crate::telemetry::ACCEPTED_CODECS;

pub async fn handle(context: &Context, request: GetTelemetrySubscriptionsRequest) -> GetTelemetrySubscriptionsResponse {
    let instance_id = match request.client_instance_id {
        Uuid::ZERO => new_instance_id(),
        known => known,
    };
    let telemetry = &context.broker.telemetry;
    let granted = context.connection.with_telemetry(context.client_id.as_deref(), |client, lease| {
        telemetry.subscribe(instance_id, client, lease, context.broker.now_ms())
    });
    match granted {
        Ok(granted) => GetTelemetrySubscriptionsResponse {
            error_code: ErrorCode::None.code(),
            client_instance_id: instance_id,
            subscription_id: granted.subscription_id,
            accepted_compression_types: ACCEPTED_CODECS.iter().map(|codec| codec.id() as i8).collect(),
            push_interval_ms: granted.push_interval_ms,
            telemetry_max_bytes: i32::try_from(telemetry.bytes_max()).unwrap_or(i32::MAX),
            delta_temporality: true,
            requested_metrics: granted.metrics,
            ..Default::default()
        },
        Err(error) => GetTelemetrySubscriptionsResponse { error_code: error.code(), ..Default::default() },
    }
}

/// An id that is neither of those that stand for something else.
fn new_instance_id() -> Uuid {
    Uuid::from_u128(fastrand::u128(Uuid::METADATA_TOPIC.as_u128() + 1..))
}
