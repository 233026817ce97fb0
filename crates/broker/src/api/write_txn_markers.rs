//! WriteTxnMarkers: a transaction coordinator, or an administrator, ends transactions in partitions that lie here.

use ottla_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use ottla_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use ottla_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::Context;
use crate::transactions::markers::{Ending, write};

pub async fn handle(context: &Context, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut response = WriteTxnMarkersResponse::default();
    for marker in request.markers {
        response.markers.push(end(context, marker).await);
    }
    response
}

async fn end(context: &Context, marker: WritableTxnMarker) -> WritableTxnMarkerResult {
    let ending = Ending {
        producer_id: marker.producer_id,
        producer_epoch: marker.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        committed: marker.transaction_result,
        transaction_version: marker.transaction_version.into(),
    };
    let mut result = WritableTxnMarkerResult { producer_id: marker.producer_id, ..Default::default() };
    for topic in marker.topics {
        let writes = topic.partition_indexes.iter().map(|&partition_index| {
            let name = &topic.name;
            async move {
                let error = write(&context.broker, ending, name, partition_index).await;
                WritableTxnMarkerPartitionResult {
                    partition_index,
                    error_code: error.code(),
                    ..Default::default()
                }
            }
        });
        let partitions = futures_util::future::join_all(writes).await;
        let topic = WritableTxnMarkerTopicResult { name: topic.name, partitions, ..Default::default() };
        result.topics.push(topic);
    }
    result
}
