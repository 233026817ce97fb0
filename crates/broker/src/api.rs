//! The one place where a request's key leads to its handler, and its answer to bytes.
//!
//! Step 2 of the produce and of the fetch path: `net/connection.rs` hands a frame to [`serve`], which decodes
//! header and body, calls the API's file below `api/`, and encodes the answer.
//!
//! Invariant: what ApiVersions advertises is the table in this file, which is also the dispatch.

use std::sync::Arc;

use bytes::Bytes;
use ottla_net::{Outcome, Part, Reply};
use ottla_protocol::{
    ApiKey, Decoder, EncodeError, Encoded, Encoder, Message, Request, RequestHeader,
    ResponseHeader, Str,
};

use crate::broker::Broker;
use crate::connection::Connection;

mod api_versions;
mod authorized_operations;
mod commit_topics;
mod config_resources;
mod control;
mod failure;
mod fetch;
mod produce;

/// Room that is made for an answer at once; most are shorter.
const ANSWER_BYTES_USUAL: usize = 256;

/// What a handler knows of the request besides its body.
#[derive(Clone)]
pub struct Context {
    pub broker: Arc<Broker>,
    pub connection: Arc<Connection>,
    pub version: i16,
    pub client_id: Option<Str>,
    correlation_id: i32,
}

/// Declares the APIs that answer in one common way: the key, and the module below `api/` whose
/// `async fn handle(&Context, Request) -> Response` serves it.
macro_rules! served {
    ($($key:ident => $module:ident,)*) => {
        $(mod $module;)*

        const COMMON: &[ApiKey] = &[$(ApiKey::$key),*];

        async fn serve_common(context: &Context, key: ApiKey, body: &mut Decoder<'_>) -> Outcome {
            match key {
                $(ApiKey::$key => match decode(key, body, context.version) {
                    // Boxed, so that the future of a produce or a fetch is not as large as the largest handler's.
                    Ok(request) => {
                        let response = Box::pin($module::handle(context, request)).await;
                        reply(context, key, &response)
                    }
                    Err(outcome) => outcome,
                },)*
                _ => Outcome::Close(not_served(key, context.version).into()),
            }
        }
    };
}

served! {
    AddOffsetsToTxn => add_offsets_to_txn,
    AddPartitionsToTxn => add_partitions_to_txn,
    AlterClientQuotas => alter_client_quotas,
    AlterConfigs => alter_configs,
    AlterPartitionReassignments => alter_partition_reassignments,
    AlterReplicaLogDirs => alter_replica_log_dirs,
    ConsumerGroupDescribe => consumer_group_describe,
    ConsumerGroupHeartbeat => consumer_group_heartbeat,
    CreatePartitions => create_partitions,
    CreateTopics => create_topics,
    DeleteGroups => delete_groups,
    DeleteRecords => delete_records,
    DeleteTopics => delete_topics,
    DescribeClientQuotas => describe_client_quotas,
    DescribeCluster => describe_cluster,
    DescribeConfigs => describe_configs,
    DescribeGroups => describe_groups,
    DescribeLogDirs => describe_log_dirs,
    DescribeProducers => describe_producers,
    DescribeQuorum => describe_quorum,
    DescribeTopicPartitions => describe_topic_partitions,
    DescribeTransactions => describe_transactions,
    ElectLeaders => elect_leaders,
    EndTxn => end_txn,
    FindCoordinator => find_coordinator,
    GetTelemetrySubscriptions => get_telemetry_subscriptions,
    Heartbeat => heartbeat,
    IncrementalAlterConfigs => incremental_alter_configs,
    InitProducerId => init_producer_id,
    JoinGroup => join_group,
    LeaveGroup => leave_group,
    ListConfigResources => list_config_resources,
    ListGroups => list_groups,
    ListOffsets => list_offsets,
    ListPartitionReassignments => list_partition_reassignments,
    ListTransactions => list_transactions,
    Metadata => metadata,
    OffsetCommit => offset_commit,
    OffsetDelete => offset_delete,
    OffsetFetch => offset_fetch,
    OffsetForLeaderEpoch => offset_for_leader_epoch,
    PushTelemetry => push_telemetry,
    SyncGroup => sync_group,
    TxnOffsetCommit => txn_offset_commit,
    UnregisterBroker => unregister_broker,
    UpdateFeatures => update_features,
    WriteTxnMarkers => write_txn_markers,
}

/// Every API that this broker serves, for ApiVersions.
pub fn served() -> impl Iterator<Item = ApiKey> {
    [ApiKey::Produce, ApiKey::Fetch, ApiKey::ApiVersions]
        .into_iter()
        .chain(COMMON.iter().copied())
}

/// Serves one frame: request header, body, answer.
pub async fn serve(broker: Arc<Broker>, connection: Arc<Connection>, frame: Bytes) -> Outcome {
    let mut decoder = Decoder::new(frame);
    let (key, header) = match RequestHeader::decode(&mut decoder) {
        Ok((header, key)) => (key, header),
        Err(error) => return Outcome::Close(error.into()),
    };
    let context = Context {
        broker,
        connection,
        version: header.api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
    };
    if !key.valid_versions().contains(&context.version) {
        return match key {
            // The one request with which a client learns what we speak is answered in any case (KIP-511).
            ApiKey::ApiVersions => api_versions::refuse_version(&context),
            // Kafka, too, closes the connection: there is no version in which to answer.
            _ => Outcome::Close(not_served(key, context.version).into()),
        };
    }
    match key {
        ApiKey::Produce => match decode(key, &mut decoder, context.version) {
            Ok(request) => produce::handle(&context, request).await,
            Err(outcome) => outcome,
        },
        ApiKey::Fetch => match decode(key, &mut decoder, context.version) {
            Ok(request) => fetch::handle(&context, request).await,
            Err(outcome) => outcome,
        },
        ApiKey::ApiVersions => match decode(key, &mut decoder, context.version) {
            Ok(request) => reply(&context, key, &api_versions::handle(&context, request)),
            Err(outcome) => outcome,
        },
        _ => serve_common(&context, key, &mut decoder).await,
    }
}

fn not_served(key: ApiKey, version: i16) -> String {
    format!("{} version {version} is not served", key.name())
}

/// Decodes a request's body; a body that cannot be read costs the connection, as in Kafka.
fn decode<R: Request>(key: ApiKey, body: &mut Decoder<'_>, version: i16) -> Result<R, Outcome> {
    R::decode(body, version).map_err(|error| {
        Outcome::Close(format!("{} version {version}: {error}", key.name()).into())
    })
}

fn reply<M: Message>(context: &Context, key: ApiKey, response: &M) -> Outcome {
    reply_with_files(context, key, response, Vec::new())
}

/// Encodes an answer in which `Records::External` tokens are indexes into `files`.
fn reply_with_files<M: Message>(
    context: &Context,
    key: ApiKey,
    response: &M,
    files: Vec<Part>,
) -> Outcome {
    match encode(context, key, response) {
        Ok(encoded) => Outcome::Reply(interleave(encoded, files)),
        // Nothing a client sends should get here: the answer does not fit the version that it asked for.
        Err(error) => {
            tracing::error!(api = key.name(), version = context.version, %error, "cannot encode the answer");
            Outcome::Close(error.into())
        }
    }
}

fn encode<M: Message>(
    context: &Context,
    key: ApiKey,
    response: &M,
) -> Result<Encoded, EncodeError> {
    let mut encoder = Encoder::with_capacity(ANSWER_BYTES_USUAL);
    let header = ResponseHeader::new(context.correlation_id);
    header.encode(&mut encoder, key.response_header_version(context.version))?;
    response.encode(&mut encoder, context.version)?;
    Ok(encoder.finish())
}

/// Puts each file where the encoder left a place for it.
fn interleave(encoded: Encoded, files: Vec<Part>) -> Reply {
    let mut parts = Vec::with_capacity(2 * files.len() + 1);
    let mut rest = encoded.buf;
    let mut sent = 0;
    for (splice, file) in encoded.splices.iter().zip(files) {
        parts.push(Part::Bytes(rest.split_to(splice.at - sent)));
        parts.push(file);
        sent = splice.at;
    }
    parts.push(Part::Bytes(rest));
    Reply { parts }
}
