//! `ottla transactions`: list and describe transactions, find those that hang, and abort one.
//!
//! A transaction hangs in a partition when its records are there and no coordinator knows of them: nobody will ever
//! end it, and readers of committed records wait before it for good.

use std::collections::{BTreeMap, HashSet};

use clap::Subcommand;
use ottla_net::client::{Client, ClientError, OpenTransaction, TransactionFilter};
use ottla_protocol::ErrorCode;
use serde::Serialize;

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_list, print_text};
use crate::positions::age;
use crate::text::{format_time, now_ms};

/// Of a producer that has no marker in the partition: no leader's epoch is lower.
const UNKNOWN_COORDINATOR_EPOCH: i32 = 0;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the transactional ids that the brokers know.
    List {
        /// Those in this state (Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit,
        /// CompleteAbort); may be given several times.
        #[arg(long = "state", value_name = "STATE")]
        states: Vec<String>,
        /// Those of this producer; may be given several times.
        #[arg(long = "producer-id", value_name = "ID")]
        producer_ids: Vec<i64>,
        /// Those that have been open for longer than this, as in 90s, 15m, 2h.
        #[arg(long, value_name = "AGE", value_parser = parse_age)]
        longer_than: Option<i64>,
        /// Those whose id matches this regular expression as a whole.
        #[arg(long, value_name = "PATTERN")]
        id_pattern: Option<String>,
    },
    /// Show one transaction: its producer, its age, its partitions.
    Describe { transactional_id: String },
    /// Show who has written to a partition lately, and which transactions are open there.
    Producers {
        #[arg(long, short)]
        topic: String,
        #[arg(long, short)]
        partition: i32,
    },
    /// Find transactions that nobody will end.
    FindHanging {
        /// Only in this topic; in all of them if left out.
        #[arg(long, short)]
        topic: Option<String>,
        /// Only in this partition of the topic.
        #[arg(long, short, requires = "topic")]
        partition: Option<i32>,
        /// The longest that a transaction may take: transaction.max.timeout.ms of the brokers.
        #[arg(long, value_name = "AGE", default_value = "15m", value_parser = parse_age)]
        max_timeout: i64,
    },
    /// Abort a transaction that hangs in a partition: writes the marker that its coordinator does not.
    #[command(after_help = "\
Examples:
  ottla transactions abort --topic orders --partition 3 --start-offset 4211
  ottla transactions abort --topic orders --partition 3 --producer-id 9 --producer-epoch 0

A transaction that its coordinator knows of is ended with `ottla transactions terminate`.")]
    Abort {
        #[arg(long, short)]
        topic: String,
        #[arg(long, short)]
        partition: i32,
        /// Where the transaction begins, as `find-hanging` and `producers` show it.
        #[arg(
            long,
            required_unless_present = "producer_id",
            conflicts_with = "producer_id"
        )]
        start_offset: Option<i64>,
        /// The producer, where the broker does not tell where transactions begin.
        #[arg(long, requires = "producer_epoch")]
        producer_id: Option<i64>,
        #[arg(long, requires = "producer_id")]
        producer_epoch: Option<i16>,
        /// Of the last marker of this producer; left out if there was none.
        #[arg(long, requires = "producer_id", allow_hyphen_values = true)]
        coordinator_epoch: Option<i32>,
    },
    /// Fence the producer of a transactional id, and abort what it has open.
    Terminate { transactional_id: String },
}

fn parse_age(text: &str) -> Result<i64, String> {
    age(text).ok_or_else(|| "expected an age, as in 90s, 15m, 2h, 3d".to_owned())
}

pub async fn run(args: Args) -> Result<(), ToolError> {
    let client = args.cluster.connect().await?;
    let output = args.cluster.output;
    match args.command {
        Command::List {
            states,
            producer_ids,
            longer_than,
            id_pattern,
        } => {
            let filter = TransactionFilter {
                states,
                producer_ids,
                longer_than_ms: longer_than,
                id_pattern,
            };
            list(&client, output, &filter).await
        }
        Command::Describe { transactional_id } => {
            describe(&client, output, &transactional_id).await
        }
        Command::Producers { topic, partition } => {
            producers(&client, output, &topic, partition).await
        }
        Command::FindHanging {
            topic,
            partition,
            max_timeout,
        } => {
            let places = places(&client, topic.as_deref(), partition).await?;
            find_hanging(&client, output, places, max_timeout).await
        }
        Command::Abort {
            topic,
            partition,
            start_offset,
            producer_id,
            producer_epoch,
            coordinator_epoch,
        } => {
            let open = match (start_offset, producer_id, producer_epoch) {
                (Some(offset), ..) => open_at(&client, &topic, partition, offset).await?,
                (None, producer_id, producer_epoch) => OpenTransaction {
                    topic,
                    partition,
                    producer_id: producer_id.unwrap_or_default(),
                    producer_epoch: producer_epoch.unwrap_or_default(),
                    coordinator_epoch: known_epoch(coordinator_epoch.unwrap_or(-1)),
                },
            };
            abort(&client, &open).await
        }
        Command::Terminate { transactional_id } => {
            client.terminate_transaction(&transactional_id).await?;
            print_text(&format!("terminated {transactional_id}\n"))
        }
    }
}

#[derive(Serialize)]
struct Listed {
    transactional_id: String,
    coordinator: i32,
    producer_id: i64,
    state: String,
}

async fn list(
    client: &Client,
    output: Format,
    filter: &TransactionFilter,
) -> Result<(), ToolError> {
    let listed = client.list_transactions(filter).await?.into_iter();
    let listed: Vec<Listed> = listed
        .map(|(coordinator, transaction)| Listed {
            transactional_id: transaction.transactional_id.to_string(),
            coordinator,
            producer_id: transaction.producer_id,
            state: transaction.transaction_state.to_string(),
        })
        .collect();
    let row = |transaction: Listed| {
        vec![
            transaction.transactional_id,
            transaction.coordinator.to_string(),
            transaction.producer_id.to_string(),
            transaction.state,
        ]
    };
    print_list(
        output,
        listed,
        "No transactions.",
        &["TRANSACTIONAL-ID", "COORDINATOR", "PRODUCER-ID", "STATE"],
        row,
    )
}

#[derive(Serialize)]
struct Description {
    transactional_id: String,
    state: String,
    producer_id: i64,
    producer_epoch: i16,
    timeout_ms: i32,
    /// None while no transaction is open.
    started: Option<String>,
    duration_ms: Option<i64>,
    partitions: Vec<String>,
}

async fn describe(client: &Client, output: Format, id: &str) -> Result<(), ToolError> {
    let described = client.describe_transaction(id).await?;
    let start_ms = described.transaction_start_time_ms;
    let partitions = described.topics.iter().flat_map(|topic| {
        let each = topic.partitions.iter();
        each.map(|partition| format!("{}-{partition}", topic.topic))
    });
    let description = Description {
        transactional_id: id.to_owned(),
        state: described.transaction_state.to_string(),
        producer_id: described.producer_id,
        producer_epoch: described.producer_epoch,
        timeout_ms: described.transaction_timeout_ms,
        started: (start_ms >= 0).then(|| format_time(start_ms)),
        duration_ms: (start_ms >= 0).then(|| (now_ms() - start_ms).max(0)),
        partitions: partitions.collect(),
    };
    if output == Format::Json {
        return print_json(&description);
    }
    let mut text = format!(
        "Transactional id {id}: {}, producer {} with epoch {}, timeout {} ms\n",
        description.state,
        description.producer_id,
        description.producer_epoch,
        description.timeout_ms
    );
    if let (Some(started), Some(duration_ms)) = (&description.started, description.duration_ms) {
        text += &format!("Began {started}, {duration_ms} ms ago\n");
    }
    if !description.partitions.is_empty() {
        text += &format!("Partitions: {}\n", description.partitions.join(", "));
    }
    print_text(&text)
}

#[derive(Serialize)]
struct Producer {
    producer_id: i64,
    producer_epoch: i32,
    /// Of its last marker, if there was one.
    coordinator_epoch: Option<i32>,
    last_sequence: i32,
    last_time: String,
    /// Where its open transaction begins.
    open_since_offset: Option<i64>,
}

async fn producers(
    client: &Client,
    output: Format,
    topic: &str,
    partition: i32,
) -> Result<(), ToolError> {
    let producers = client.describe_producers(topic, partition).await?;
    let producers: Vec<Producer> = producers
        .into_iter()
        .map(|producer| Producer {
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            coordinator_epoch: (producer.coordinator_epoch >= 0)
                .then_some(producer.coordinator_epoch),
            last_sequence: producer.last_sequence,
            last_time: format_time(producer.last_timestamp),
            open_since_offset: (producer.current_txn_start_offset >= 0)
                .then_some(producer.current_txn_start_offset),
        })
        .collect();
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    let row = |producer: Producer| {
        vec![
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            number(producer.coordinator_epoch.map(i64::from)),
            producer.last_sequence.to_string(),
            producer.last_time,
            number(producer.open_since_offset),
        ]
    };
    let nothing = format!("No producers with an id have written to {topic}-{partition} lately.");
    let headings = [
        "PRODUCER-ID",
        "EPOCH",
        "COORDINATOR-EPOCH",
        "LAST-SEQUENCE",
        "LAST-TIME",
        "OPEN-SINCE-OFFSET",
    ];
    print_list(output, producers, &nothing, &headings, row)
}

/// The partitions to look into.
async fn places(
    client: &Client,
    topic: Option<&str>,
    partition: Option<i32>,
) -> Result<Vec<(String, i32)>, ClientError> {
    if let (Some(topic), Some(partition)) = (topic, partition) {
        return Ok(vec![(topic.to_owned(), partition)]);
    }
    let wanted = topic.map(|topic| vec![topic]);
    let cluster = client.cluster(wanted.as_deref()).await?;
    let names: Vec<String> = match topic {
        Some(topic) => vec![topic.to_owned()],
        None => cluster.topics.keys().map(|name| name.to_string()).collect(),
    };
    let mut places = Vec::new();
    for name in names {
        let partitions = cluster.partitions(&name)?;
        places.extend(
            partitions
                .into_iter()
                .map(|partition| (name.clone(), partition)),
        );
    }
    Ok(places)
}

#[derive(Serialize)]
struct Hanging {
    topic: String,
    partition: i32,
    producer_id: i64,
    producer_epoch: i32,
    start_offset: i64,
    last_time: String,
    idle_ms: i64,
}

async fn find_hanging(
    client: &Client,
    output: Format,
    places: Vec<(String, i32)>,
    max_timeout_ms: i64,
) -> Result<(), ToolError> {
    let mut hanging = Vec::new();
    let now_ms = now_ms();
    for (topic, partition) in places {
        for producer in client.describe_producers(&topic, partition).await? {
            let idle_ms = now_ms - producer.last_timestamp;
            if producer.current_txn_start_offset >= 0 && idle_ms > max_timeout_ms {
                hanging.push(Hanging {
                    topic: topic.clone(),
                    partition,
                    producer_id: producer.producer_id,
                    producer_epoch: producer.producer_epoch,
                    start_offset: producer.current_txn_start_offset,
                    last_time: format_time(producer.last_timestamp),
                    idle_ms,
                });
            }
        }
    }
    forget_known(client, &mut hanging).await?;
    let row = |found: Hanging| {
        vec![
            found.topic,
            found.partition.to_string(),
            found.producer_id.to_string(),
            found.producer_epoch.to_string(),
            found.start_offset.to_string(),
            found.last_time,
        ]
    };
    let headings = [
        "TOPIC",
        "PARTITION",
        "PRODUCER-ID",
        "EPOCH",
        "START-OFFSET",
        "LAST-TIME",
    ];
    print_list(output, hanging, "No hanging transactions.", &headings, row)
}

/// Leaves those of which no coordinator knows that the partition is part of an open transaction.
async fn forget_known(client: &Client, candidates: &mut Vec<Hanging>) -> Result<(), ClientError> {
    if candidates.is_empty() {
        return Ok(());
    }
    let producers: HashSet<i64> = candidates.iter().map(|found| found.producer_id).collect();
    let filter = TransactionFilter {
        producer_ids: producers.into_iter().collect(),
        ..TransactionFilter::default()
    };
    let mut known: BTreeMap<i64, HashSet<(String, i32)>> = BTreeMap::new();
    for (_, listed) in client.list_transactions(&filter).await? {
        let described = match client.describe_transaction(&listed.transactional_id).await {
            Ok(described) => described,
            // It expired in between.
            Err(error) if error.code() == Some(ErrorCode::TransactionalIdNotFound) => continue,
            Err(error) => return Err(error),
        };
        let places = known.entry(listed.producer_id).or_default();
        for topic in &described.topics {
            let each = topic.partitions.iter();
            places.extend(each.map(|partition| (topic.topic.to_string(), *partition)));
        }
    }
    candidates.retain(|found| {
        let place = (found.topic.clone(), found.partition);
        !known
            .get(&found.producer_id)
            .is_some_and(|places| places.contains(&place))
    });
    Ok(())
}

/// The transaction that begins at `start_offset`.
async fn open_at(
    client: &Client,
    topic: &str,
    partition: i32,
    start_offset: i64,
) -> Result<OpenTransaction, ToolError> {
    let producers = client.describe_producers(topic, partition).await?;
    let found = producers
        .into_iter()
        .find(|producer| producer.current_txn_start_offset == start_offset);
    let producer = found.ok_or_else(|| ToolError::NoTransactionAt {
        topic: topic.to_owned(),
        partition,
        start_offset,
    })?;
    Ok(OpenTransaction {
        topic: topic.to_owned(),
        partition,
        producer_id: producer.producer_id,
        producer_epoch: i16::try_from(producer.producer_epoch).unwrap_or(i16::MAX),
        coordinator_epoch: known_epoch(producer.coordinator_epoch),
    })
}

fn known_epoch(coordinator_epoch: i32) -> i32 {
    match coordinator_epoch {
        ..0 => UNKNOWN_COORDINATOR_EPOCH,
        known => known,
    }
}

async fn abort(client: &Client, open: &OpenTransaction) -> Result<(), ToolError> {
    client.abort_transaction(open).await?;
    let OpenTransaction {
        topic,
        partition,
        producer_id,
        ..
    } = open;
    print_text(&format!(
        "aborted the transaction of producer {producer_id} in {topic}-{partition}\n"
    ))
}
