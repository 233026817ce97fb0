//! `ottla topics`: list, create, describe, alter, delete.

use std::collections::BTreeMap;

use clap::Subcommand;
use ottla_net::client::{Client, ClientError, ConfigChange, NewTopic, OffsetSpec, Resource};
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;
use serde::Serialize;

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, list, print_descriptions, print_list, print_text, table};
use crate::text::format_bytes;

/// Where a value of a configuration is one that somebody set for this topic.
const DYNAMIC_TOPIC_CONFIG: i8 = 1;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show all topics.
    List {
        /// Also those that Kafka keeps for itself, such as __consumer_offsets.
        #[arg(long)]
        internal: bool,
    },
    /// Create topics.
    #[command(after_help = "\
Examples:
  ottla topics create orders
  ottla topics create orders --partitions 12 --config retention.ms=86400000
  ottla topics create orders --if-not-exists")]
    Create {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// How many partitions; the broker's num.partitions if left out.
        #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// How many replicas; the broker's default.replication.factor if left out.
        #[arg(long, short, value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A configuration of the topic; may be given several times.
        #[arg(long = "config", short = 'c', value_name = "KEY=VALUE", value_parser = parse_pair)]
        configs: Vec<(String, String)>,
        /// Do not complain about a topic that exists.
        #[arg(long)]
        if_not_exists: bool,
        /// Only ask whether it would work.
        #[arg(long)]
        validate_only: bool,
    },
    /// Show partitions, replicas, offsets, sizes and configuration.
    Describe {
        /// All but the internal topics if left out.
        #[arg(value_name = "TOPIC")]
        names: Vec<String>,
    },
    /// Add partitions to a topic, or change its configuration.
    #[command(after_help = "\
Examples:
  ottla topics alter orders --partitions 24
  ottla topics alter orders --config retention.ms=3600000
  ottla topics alter orders --delete-config retention.ms

Records with keys go to other partitions once their number has changed.")]
    Alter {
        #[arg(value_name = "TOPIC")]
        name: String,
        /// The new number of partitions; it can only grow.
        #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        #[arg(long = "config", short = 'c', value_name = "KEY=VALUE", value_parser = parse_pair)]
        configs: Vec<(String, String)>,
        /// Back to the default.
        #[arg(long = "delete-config", value_name = "KEY")]
        delete_configs: Vec<String>,
    },
    /// Delete topics and all their records.
    Delete {
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Do not complain about a topic that does not exist.
        #[arg(long)]
        if_exists: bool,
    },
}

/// Splits `KEY=VALUE`.
pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

pub async fn run(args: Args) -> Result<(), ToolError> {
    let client = args.cluster.connect().await?;
    let output = args.cluster.output;
    match args.command {
        Command::List { internal } => list_topics(&client, output, internal).await,
        Command::Create {
            names,
            partitions,
            replication_factor,
            configs,
            if_not_exists,
            validate_only,
        } => {
            let topics = names.into_iter().map(|name| NewTopic {
                name,
                partitions,
                replication_factor,
                configs: configs.clone(),
            });
            create(&client, topics, if_not_exists, validate_only).await
        }
        Command::Describe { names } => describe(&client, output, &names).await,
        Command::Alter {
            name,
            partitions,
            configs,
            delete_configs,
        } => alter(&client, &name, partitions, configs, delete_configs).await,
        Command::Delete { names, if_exists } => {
            each(names, async |name| match client.delete_topic(name).await {
                Ok(()) => Ok(Some(format!("deleted {name}"))),
                Err(error) if if_exists && error.is_unknown() => Ok(None),
                Err(error) => Err(error),
            })
            .await
        }
    }
}

/// Does something to each of several things; those that fail do not stop the others.
pub async fn each(
    names: Vec<String>,
    mut order: impl AsyncFnMut(&str) -> Result<Option<String>, ClientError>,
) -> Result<(), ToolError> {
    let total = names.len();
    let mut failed = 0;
    for name in &names {
        match order(name).await {
            Ok(Some(done)) => print_text(&format!("{done}\n"))?,
            Ok(None) => {}
            Err(error) if total == 1 => return Err(error.into()),
            Err(error) => {
                failed += 1;
                eprintln!("error: {error}");
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(ToolError::Partly { failed, total }),
    }
}

#[derive(Serialize)]
struct ListedTopic {
    name: String,
    id: String,
    partitions: usize,
    replication_factor: usize,
    internal: bool,
}

async fn list_topics(client: &Client, output: Format, internal: bool) -> Result<(), ToolError> {
    let cluster = client.cluster(None).await?;
    let topics: Vec<ListedTopic> = cluster
        .topics
        .iter()
        .filter(|(_, topic)| internal || !topic.is_internal)
        .map(|(name, topic)| ListedTopic {
            name: name.clone(),
            id: topic.topic_id.to_string(),
            partitions: topic.partitions.len(),
            replication_factor: replication_factor(topic),
            internal: topic.is_internal,
        })
        .collect();
    let row = |topic: ListedTopic| {
        vec![
            topic.name,
            topic.partitions.to_string(),
            topic.replication_factor.to_string(),
            topic.id,
        ]
    };
    print_list(
        output,
        topics,
        "No topics yet. `ottla topics create NAME` makes one.",
        &["TOPIC", "PARTITIONS", "REPLICAS", "ID"],
        row,
    )
}

fn replication_factor(topic: &MetadataResponseTopic) -> usize {
    let replicas = topic.partitions.iter().map(|p| p.replica_nodes.len());
    replicas.max().unwrap_or(0)
}

async fn create(
    client: &Client,
    topics: impl Iterator<Item = NewTopic>,
    if_not_exists: bool,
    validate_only: bool,
) -> Result<(), ToolError> {
    let topics: BTreeMap<String, NewTopic> =
        topics.map(|topic| (topic.name.clone(), topic)).collect();
    let names = topics.keys().cloned().collect();
    each(names, async |name| {
        match client.create_topic(&topics[name], validate_only).await {
            Ok(_) if validate_only => Ok(Some(format!("{name} could be created"))),
            // Before version 5 a broker does not tell.
            Ok((partitions @ 1.., replicas)) => Ok(Some(format!(
                "created {name} with {partitions} partition{} and {replicas} replica{}",
                if partitions == 1 { "" } else { "s" },
                if replicas == 1 { "" } else { "s" },
            ))),
            Ok(_) => Ok(Some(format!("created {name}"))),
            Err(error)
                if if_not_exists
                    && error.code() == Some(ottla_protocol::ErrorCode::TopicAlreadyExists) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    })
    .await
}

async fn alter(
    client: &Client,
    name: &str,
    partitions: Option<i32>,
    configs: Vec<(String, String)>,
    delete_configs: Vec<String>,
) -> Result<(), ToolError> {
    let set = configs
        .into_iter()
        .map(|(key, value)| ConfigChange::Set(key, value));
    let delete = delete_configs.into_iter().map(ConfigChange::Delete);
    let changes: Vec<ConfigChange> = set.chain(delete).collect();
    if partitions.is_none() && changes.is_empty() {
        return Err(ToolError::Argument {
            argument: "alter",
            value: name.to_owned(),
            expected: "say what to change: --partitions, --config or --delete-config",
        });
    }
    if !changes.is_empty() {
        let resource = Resource::Topic(name.to_owned());
        client.alter_configs(&resource, &changes, false).await?;
        print_text(&format!("changed the configuration of {name}\n"))?;
    }
    if let Some(count) = partitions {
        client.create_partitions(name, count).await?;
        print_text(&format!("{name} has {count} partitions\n"))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct DescribedTopic {
    name: String,
    id: String,
    internal: bool,
    replication_factor: usize,
    /// What was set for the topic; the rest are defaults.
    configs: BTreeMap<String, Option<String>>,
    partitions: Vec<DescribedPartition>,
}

#[derive(Serialize)]
struct DescribedPartition {
    partition: i32,
    /// `null` for a partition without one.
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    start_offset: Option<i64>,
    end_offset: Option<i64>,
    /// Of the leader's replica.
    bytes: Option<i64>,
}

/// Sizes of replicas by topic, partition and broker.
type Sizes = BTreeMap<(String, i32, i32), i64>;

async fn describe(client: &Client, output: Format, names: &[String]) -> Result<(), ToolError> {
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = names.is_empty();
    let cluster = client.cluster((!all).then_some(&wanted)).await?;
    let names: Vec<String> = match all {
        true => cluster
            .topics
            .iter()
            .filter(|(_, topic)| !topic.is_internal)
            .map(|(name, _)| name.clone())
            .collect(),
        false => names.to_vec(),
    };
    let sizes = sizes(client).await;
    let mut described = Vec::new();
    for name in &names {
        let topic = cluster.topic(name)?;
        described.push(describe_topic(client, name, topic, &sizes).await?);
    }
    print_descriptions(output, &described, render)
}

/// Sizes, as far as brokers tell them; a table without them is better than none.
async fn sizes(client: &Client) -> Sizes {
    let mut sizes = Sizes::new();
    for (broker, dirs) in client.log_dirs().await.unwrap_or_default() {
        for topic in dirs.iter().flat_map(|dir| &dir.topics) {
            for partition in topic.partitions.iter().filter(|p| !p.is_future_key) {
                let key = (topic.name.to_string(), partition.partition_index, broker);
                sizes.insert(key, partition.partition_size);
            }
        }
    }
    sizes
}

async fn describe_topic(
    client: &Client,
    name: &str,
    topic: &MetadataResponseTopic,
    sizes: &Sizes,
) -> Result<DescribedTopic, ToolError> {
    let led = topic.partitions.iter().filter(|p| p.leader_id >= 0);
    let ask = |spec| {
        led.clone()
            .map(|p| (name.to_owned(), p.partition_index, spec))
            .collect::<Vec<_>>()
    };
    let starts = client.list_offsets(&ask(OffsetSpec::Earliest)).await?;
    let ends = client.list_offsets(&ask(OffsetSpec::Latest)).await?;
    let resource = Resource::Topic(name.to_owned());
    let configs = client.describe_configs(&resource, false).await?;
    let configs = configs
        .into_iter()
        .filter(|config| config.config_source == DYNAMIC_TOPIC_CONFIG)
        .map(|config| (config.name.to_string(), config.value.map(String::from)));
    let mut partitions: Vec<DescribedPartition> = topic
        .partitions
        .iter()
        .map(|partition| {
            let key = (name.to_owned(), partition.partition_index);
            let size = (key.0.clone(), key.1, partition.leader_id);
            DescribedPartition {
                partition: partition.partition_index,
                leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
                in_sync: partition.isr_nodes.clone(),
                start_offset: starts.get(&key).copied(),
                end_offset: ends.get(&key).copied(),
                bytes: sizes.get(&size).copied(),
            }
        })
        .collect();
    partitions.sort_by_key(|partition| partition.partition);
    Ok(DescribedTopic {
        name: name.to_owned(),
        id: topic.topic_id.to_string(),
        internal: topic.is_internal,
        replication_factor: replication_factor(topic),
        configs: configs.collect(),
        partitions,
    })
}

fn render(topic: &DescribedTopic) -> String {
    let mut text = format!("Topic {}, id {}\n", topic.name, topic.id);
    for (key, value) in &topic.configs {
        text += &format!("  {key}={}\n", value.as_deref().unwrap_or("(hidden)"));
    }
    let dash = || "-".to_owned();
    let rows = topic.partitions.iter().map(|partition| {
        vec![
            partition.partition.to_string(),
            partition
                .leader
                .map_or_else(dash, |leader| leader.to_string()),
            list(&partition.replicas),
            list(&partition.in_sync),
            partition
                .start_offset
                .map_or_else(dash, |offset| offset.to_string()),
            partition
                .end_offset
                .map_or_else(dash, |offset| offset.to_string()),
            partition
                .bytes
                .map_or_else(dash, |bytes| format_bytes(bytes.unsigned_abs())),
        ]
    });
    let headings = [
        "PARTITION",
        "LEADER",
        "REPLICAS",
        "IN SYNC",
        "START",
        "END",
        "SIZE",
    ];
    text + &table(&headings, rows)
}

#[cfg(test)]
mod tests;
