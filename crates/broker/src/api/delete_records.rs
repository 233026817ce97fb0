//! DeleteRecords: everything before an offset goes; the log starts there from then on.

use ottla_log::AdvanceError;
use ottla_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use crate::blocking;
use crate::topics::is_internal;

/// "Everything that consumers may see."
const HIGH_WATERMARK: i64 = -1;

pub async fn handle(context: &Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let deleted = delete(context, &topic.name, asked.partition_index, asked.offset).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark: deleted.unwrap_or(-1),
                error_code: deleted.err().map_or(0, ErrorCode::code),
                ..Default::default()
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions, ..Default::default() });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

/// Moves the log start; returns the low watermark, which on a cluster of one is the log start.
async fn delete(context: &Context, topic: &Str, index: i32, offset: i64) -> Result<i64, ErrorCode> {
    let replica = context.broker.topics.partition(topic, index);
    let replica = replica.ok_or_else(|| context.broker.why_missing(topic, index))?;
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !replica.configs().cleanup_delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let offset = if offset == HIGH_WATERMARK { replica.high_watermark() } else { offset };
    if offset < 0 {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    blocking::ADMINISTRATION.run(move || match replica.log.advance_log_start_offset(offset) {
        Ok(_) => Ok(replica.log.log_start_offset()),
        Err(AdvanceError::BeyondHighWatermark { .. }) => Err(ErrorCode::OffsetOutOfRange),
        Err(AdvanceError::Storage(error)) => {
            tracing::error!(%error, "cannot delete records");
            Err(ErrorCode::KafkaStorageError)
        }
    })
    .await
}
