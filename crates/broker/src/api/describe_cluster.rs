//! DescribeCluster: the brokers, and who controls them.

use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use ottla_protocol::{ErrorCode, Str};

use super::{Context, authorized_operations};

/// The endpoint type of brokers; the other is that of controllers, which have listeners of their own.
const BROKERS: i8 = 1;

pub async fn handle(context: &Context, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let mut response = DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: context.broker.cluster_id.clone(),
        controller_id: context.broker.node_id,
        ..Default::default()
    };
    if request.endpoint_type != BROKERS {
        response.error_code = ErrorCode::MismatchedEndpointType.code();
        response.error_message = Some(Str::from_static("this is a broker listener: ask for endpoint type 1"));
        return response;
    }
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized_operations::CLUSTER;
    }
    let image = context.broker.image();
    let shown = image.brokers.values().filter(|broker| request.include_fenced_brokers || !broker.fenced);
    let brokers = shown.filter_map(|broker| {
        let endpoint = broker.endpoint(context.connection.listener())?;
        Some(DescribeClusterBroker {
            broker_id: broker.id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
            is_fenced: broker.fenced,
            ..Default::default()
        })
    });
    response.brokers = brokers.collect();
    response
}
