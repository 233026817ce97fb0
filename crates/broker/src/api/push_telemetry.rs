//! PushTelemetry (KIP-714): a client's metrics, as it was asked for them.

use ottla_protocol::messages::{PushTelemetryRequest, PushTelemetryResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::Context;
use crate::telemetry::{Push, Sink};

pub async fn handle(context: &Context, request: PushTelemetryRequest) -> PushTelemetryResponse {
    let error_code = match accept(context, &request) {
        Ok(()) => ErrorCode::None,
        Err(error) => error,
    };
    PushTelemetryResponse { error_code: error_code.code(), ..Default::default() }
}

fn accept(context: &Context, request: &PushTelemetryRequest) -> Result<(), ErrorCode> {
    if [Uuid::ZERO, Uuid::METADATA_TOPIC].contains(&request.client_instance_id) {
        return Err(ErrorCode::InvalidRequest);
    }
    let push = Push {
        instance_id: request.client_instance_id,
        subscription_id: request.subscription_id,
        is_terminating: request.terminating,
        codec: request.compression_type,
        bytes: request.metrics.len(),
    };
    let telemetry = &context.broker.telemetry;
    let client_id = context.client_id.as_deref();
    let push_interval_ms = context
        .connection
        .with_telemetry(client_id, |client, lease| telemetry.accept(&push, client, lease, context.broker.now_ms()))?;
    if request.metrics.is_empty() {
        return Ok(());
    }
    let sink = Sink {
        instance_id: push.instance_id,
        client_id: client_id.unwrap_or_default(),
        push_interval_ms,
        bytes_max: telemetry.bytes_max(),
    };
    sink.take(push.codec, &request.metrics).inspect_err(|_| telemetry.note_unreadable(push.instance_id))
}
