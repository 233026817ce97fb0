//! UnregisterBroker: the cluster forgets a broker that will not come back.

use ottla_protocol::Str;
use ottla_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::Context;

pub async fn handle(context: &Context, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let broker_id = request.broker_id;
    match context.control(move |controller, _| controller.unregister_broker(broker_id)).await {
        Ok(()) => UnregisterBrokerResponse { error_message: Some(Str::default()), ..Default::default() },
        Err(failure) => UnregisterBrokerResponse {
            error_code: failure.code.code(),
            error_message: Some(failure.text()),
            ..Default::default()
        },
    }
}
