//! Metadata: the brokers, and where the partitions of topics are; makes a topic that is missing if it may.

use std::collections::BTreeSet;

use ottla_metadata::{Broker as Registration, MetadataImage, Partition, Topic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::{Context, authorized_operations};
use crate::topics::is_internal;

/// First version in which a topic may be named by its id alone.
const TOPIC_ID_VERSION: i16 = 12;
/// First version that lists offline replicas as a listener's problem and not as the leader's.
const LISTENER_ERROR_VERSION: i16 = 6;

pub async fn handle(context: &Context, request: MetadataRequest) -> MetadataResponse {
    let topics = match &request.topics {
        None => None,
        // Version 0 has no null; there, an empty list asks for all topics.
        Some(topics) if topics.is_empty() && context.version == 0 => None,
        Some(topics) => Some(topics),
    };
    if let Some(error) = topics.and_then(|topics| refusal(context.version, topics)) {
        return failed(context, topics.into_iter().flatten(), error);
    }
    let mut answers = match topics {
        None => {
            let image = context.broker.image();
            image.topics().map(|topic| describe(context, &image, topic)).collect()
        }
        Some(topics) => {
            let may_create = request.allow_auto_topic_creation && context.broker.config().topics.auto_create;
            named(context, topics, may_create).await
        }
    };
    if request.include_topic_authorized_operations {
        for topic in answers.iter_mut().filter(|topic| topic.error_code == ErrorCode::None.code()) {
            topic.topic_authorized_operations = authorized_operations::TOPIC;
        }
    }
    let mut response = MetadataResponse { topics: answers, ..cluster(context) };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized_operations::CLUSTER;
    }
    response
}

/// Versions 10 and 11 have a field for topic ids that may not be used yet, and names that may not be null.
fn refusal(version: i16, topics: &[MetadataRequestTopic]) -> Option<ErrorCode> {
    let wrong = |topic: &MetadataRequestTopic| topic.name.is_none() || topic.topic_id != Uuid::ZERO;
    (version < TOPIC_ID_VERSION && topics.iter().any(wrong)).then_some(ErrorCode::InvalidRequest)
}

async fn named(context: &Context, topics: &[MetadataRequestTopic], may_create: bool) -> Vec<MetadataResponseTopic> {
    let image = context.broker.image();
    let by_id: BTreeSet<Uuid> = topics.iter().map(|topic| topic.topic_id).filter(|id| *id != Uuid::ZERO).collect();
    if !by_id.is_empty() {
        // As in Kafka, a request with ids is about these only.
        let describe = |id| match image.topic_by_id(id) {
            Some(topic) => describe(context, &image, topic),
            None => MetadataResponseTopic { topic_id: id, ..unknown(None, ErrorCode::UnknownTopicId) },
        };
        return by_id.into_iter().map(describe).collect();
    }
    let names: BTreeSet<Str> = topics.iter().filter_map(|topic| topic.name.clone()).collect();
    let missing: Vec<Str> = names.iter().filter(|name| image.topic(name).is_none()).cloned().collect();
    let errors = match missing.is_empty() {
        true => Default::default(),
        false => context.broker.auto_create_topics(missing, may_create).await,
    };
    // Created topics are in the image that stands after the creation.
    let image = context.broker.image();
    let describe = |name: Str| match image.topic(&name) {
        Some(topic) => describe(context, &image, topic),
        None => {
            let error = errors.get(&name).copied().unwrap_or(ErrorCode::UnknownTopicOrPartition);
            unknown(Some(name), error)
        }
    };
    names.into_iter().map(describe).collect()
}

fn unknown(name: Option<Str>, error: ErrorCode) -> MetadataResponseTopic {
    let is_internal = name.as_deref().is_some_and(is_internal);
    MetadataResponseTopic { error_code: error.code(), name, is_internal, ..Default::default() }
}

fn describe(context: &Context, image: &MetadataImage, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().map(|(index, partition)| {
        let leader = partition_leader(context, image, partition);
        MetadataResponsePartition {
            error_code: leader.err().map_or(0, ErrorCode::code),
            partition_index: *index,
            leader_id: leader.unwrap_or(-1),
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            offline_replicas: offline_replicas(image, partition),
            ..Default::default()
        }
    });
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

/// The leader, if it is alive and the client can reach it on the listener that it came by.
fn partition_leader(context: &Context, image: &MetadataImage, partition: &Partition) -> Result<i32, ErrorCode> {
    let leader = partition.leader.ok_or(ErrorCode::LeaderNotAvailable)?;
    let registration = image.broker(leader).filter(|broker| !broker.fenced).ok_or(ErrorCode::LeaderNotAvailable)?;
    match registration.endpoint(context.connection.listener()) {
        Some(_) => Ok(leader),
        None if context.version >= LISTENER_ERROR_VERSION => Err(ErrorCode::ListenerNotFound),
        None => Err(ErrorCode::LeaderNotAvailable),
    }
}

/// Replicas whose broker or log directory is away.
pub fn offline_replicas(image: &MetadataImage, partition: &Partition) -> Vec<i32> {
    let is_offline = |replica: i32, directory: Uuid| {
        image.broker(replica).is_none_or(|broker| broker.fenced || !broker.has_online_dir(directory))
    };
    let replicas = partition.replicas.iter().zip(&partition.directories);
    replicas.filter(|(replica, directory)| is_offline(**replica, **directory)).map(|(replica, _)| *replica).collect()
}

/// Everything of an answer but its topics.
fn cluster(context: &Context) -> MetadataResponse {
    let image = context.broker.image();
    let alive = image.brokers.values().filter(|broker| !broker.fenced);
    let brokers = alive.filter_map(|broker| broker_entry(context, broker));
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(context.broker.cluster_id.clone()),
        controller_id: context.broker.node_id,
        ..Default::default()
    }
}

fn broker_entry(context: &Context, broker: &Registration) -> Option<MetadataResponseBroker> {
    let endpoint = broker.endpoint(context.connection.listener())?;
    Some(MetadataResponseBroker {
        node_id: broker.id,
        host: endpoint.host.clone(),
        port: i32::from(endpoint.port),
        rack: broker.rack.clone(),
        ..Default::default()
    })
}

/// The answer to a request that is refused as a whole.
fn failed<'a>(
    context: &Context,
    topics: impl Iterator<Item = &'a MetadataRequestTopic>,
    error: ErrorCode,
) -> MetadataResponse {
    let topics = topics.map(|topic| MetadataResponseTopic {
        topic_id: topic.topic_id,
        // A name that the version cannot leave out is empty.
        ..unknown(Some(topic.name.clone().unwrap_or_default()), error)
    });
    MetadataResponse { topics: topics.collect(), error_code: error.code(), ..cluster(context) }
}
