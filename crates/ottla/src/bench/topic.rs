//! The topic that a run works on: found, or made first, and who leads its partitions.

use ottla_net::client::{Client, ClientError, NewTopic};
use ottla_protocol::ErrorCode;

use super::{Place, TopicArgs};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;

/// Makes the topic if that was asked for, and waits until every partition has a leader.
pub fn prepare(cluster: &ClusterArgs, args: &TopicArgs) -> Result<Place, ToolError> {
    block_on(async {
        let client = cluster.connect().await?;
        if args.create {
            let topic = NewTopic {
                name: args.topic.clone(),
                partitions: Some(args.partitions),
                replication_factor: args.replication_factor,
                configs: args.config.clone(),
            };
            match client.create_topic(&topic, false).await {
                Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
                result => drop(result?),
            }
        }
        Ok(find(&client, &args.topic).await?)
    })
}

async fn find(client: &Client, topic: &str) -> Result<Place, ClientError> {
    client
        .retry(|| async {
            let cluster = client.cluster(Some(&[topic])).await?;
            let mut leaders = Vec::new();
            for partition in cluster.partitions(topic)? {
                let leader = cluster.leader(topic, partition)?;
                let broker = cluster.brokers.get(&leader);
                let broker = broker.ok_or(ClientError::UnknownBroker { broker: leader })?;
                leaders.push((partition, broker.address()));
            }
            let mut addresses: Vec<_> =
                leaders.iter().map(|(_, address)| address.clone()).collect();
            addresses.sort();
            addresses.dedup();
            Ok(Place {
                topic: topic.to_owned(),
                leaders,
                addresses,
            })
        })
        .await
}

/// Runs what needs the client of the tools.
pub fn block_on<T>(work: impl Future<Output = Result<T, ToolError>>) -> Result<T, ToolError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ToolError::Runtime)?
        .block_on(work)
}
