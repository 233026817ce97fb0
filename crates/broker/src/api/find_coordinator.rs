//! FindCoordinator: which broker coordinates a group, a transaction or a share partition.

use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::coordinators::{CoordinatorKind, find};

/// First version that asks for several keys.
const KEYS_VERSION: i16 = 4;

pub async fn handle(context: &Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if context.version < KEYS_VERSION {
        let found = answer(context, request.key_type, request.key).await;
        let message = match ErrorCode::from_code(found.error_code) {
            ErrorCode::None => Some(Str::from_static("NONE")),
            error => Some(Str::from_static(error.message())),
        };
        return FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..Default::default()
        };
    }
    let mut response = FindCoordinatorResponse::default();
    for key in request.coordinator_keys {
        response.coordinators.push(answer(context, request.key_type, key).await);
    }
    response
}

async fn answer(context: &Context, key_type: i8, key: Str) -> Coordinator {
    let found = match CoordinatorKind::from_key_type(key_type) {
        Some(kind) => find(&context.broker, kind, &key, context.connection.listener()).await,
        None => Err(ErrorCode::InvalidRequest),
    };
    match found {
        Ok(node) => Coordinator { key, node_id: node.id, host: node.host, port: node.port, ..Default::default() },
        Err(error) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code(),
            error_message: Some(Str::from_static(error.message())),
            ..Default::default()
        },
    }
}
