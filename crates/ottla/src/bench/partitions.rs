//! `ottla bench partitions`: makes many partitions, and waits until every one of them serves.
//!
//! Invariant: a partition serves when its leader has answered for it, not when the metadata name
//! it. With `--existing` nothing is made, so that the time of a restart can be measured.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_net::client::{ClientConfig, ClientError};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest,
};
use ottla_protocol::{ErrorCode, Str};
use serde::Serialize;

use super::calls::{Caller, address, check};
use super::meter::{Report, Run};
use super::pipe::PATIENCE;
use super::solo::{self, Progress, Tally};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};
use crate::topics::parse_pair;

/// Versions that name topics by name.
const CREATE_VERSIONS: RangeInclusive<i16> = 2..=7;
const DELETE_VERSIONS: RangeInclusive<i16> = 1..=5;
const METADATA_VERSIONS: RangeInclusive<i16> = 4..=12;
const LIST_OFFSETS_VERSIONS: RangeInclusive<i16> = 1..=7;
/// "Where will the next record go", as on the wire.
const LATEST: i64 = -1;
/// What is asked about in one request.
const TOPICS_PER_QUESTION: usize = 1000;
const PARTITIONS_PER_QUESTION: usize = 10_000;
/// What one run may make.
const PARTITIONS_MAX: u64 = 1_000_000;
/// How long all partitions together may take to serve.
const SERVE_PATIENCE: Duration = Duration::from_secs(600);
const BACKOFF: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench partitions --topics 10 --partitions 1000 --delete
  ottla bench partitions --topics 100 --partitions 100 --existing      # after a restart: until all serve")]
pub struct Args {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How many topics.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Partitions that one request makes; a topic is always made by one request.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Replicas of each; without it, what the broker is configured for.
    #[arg(long)]
    replication_factor: Option<i16>,
    /// A configuration of the topics; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    config: Vec<(String, String)>,
    /// What the topics' names begin with.
    #[arg(long, default_value = "bench-partitions")]
    prefix: String,
    /// Make nothing; wait for the broker and for the topics that are there.
    #[arg(long)]
    existing: bool,
    /// Delete the topics at the end.
    #[arg(long)]
    delete: bool,
}

#[derive(Serialize)]
struct Answer {
    /// Requests are those that make topics.
    #[serde(flatten)]
    report: Report,
    topics: u32,
    partitions: u64,
    create_seconds: f64,
    /// From the last answer to a creation until every partition had served.
    serve_seconds: f64,
    partitions_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_seconds: Option<f64>,
}

impl Answer {
    fn text(&self) -> String {
        let mut text = format!(
            "{} topics with {} partitions created in {:.2} s ({:.0} partitions/s), all served {:.2} s later\n",
            self.topics,
            self.partitions,
            self.create_seconds,
            self.partitions_per_second,
            self.serve_seconds,
        );
        if let Some(seconds) = self.delete_seconds {
            text += &format!("deleted in {seconds:.2} s\n");
        }
        text + &self.report.latencies_text()
    }
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let partitions = u64::from(args.topics) * u64::from(args.partitions.unsigned_abs());
    if partitions > PARTITIONS_MAX {
        return Err(ToolError::Argument {
            argument: "--topics times --partitions",
            value: partitions.to_string(),
            expected: "at most a million partitions in one run",
        });
    }
    let bootstrap = args.cluster.config()?;
    let answer = solo::block_on(measure(args, &bootstrap, partitions))?;
    match args.cluster.output {
        Format::Json => print_json(&answer),
        Format::Text => print_text(&answer.text()),
    }
}

async fn measure(
    args: &Args,
    bootstrap: &ClientConfig,
    partitions: u64,
) -> Result<Answer, ToolError> {
    let progress = Progress::start("connecting");
    let begun = Instant::now();
    let mut caller = connect(args, bootstrap).await?;
    let names: Vec<Str> = (0..args.topics)
        .map(|index| Str::from(format!("{}-{index}", args.prefix)))
        .collect();
    let (run, tally) = (Run::new(Duration::ZERO, None, None), Tally::new());
    if !args.existing {
        create(args, &names, &mut caller, &run, &tally, &progress).await?;
    }
    let created = match args.existing {
        // The time that it took the broker to come up counts.
        true => begun,
        false => Instant::now(),
    };
    serve(&names, args.partitions, &mut caller, &progress).await?;
    let serve_seconds = created.elapsed().as_secs_f64();
    let mut delete_seconds = None;
    if args.delete {
        let deleting = Instant::now();
        delete(&names, &mut caller, &progress).await?;
        delete_seconds = Some(deleting.elapsed().as_secs_f64());
    }
    let report = Report::of("partitions", &run, &tally.take());
    Ok(Answer {
        topics: args.topics,
        partitions,
        create_seconds: report.seconds,
        serve_seconds,
        partitions_per_second: report.records_per_second,
        delete_seconds,
        report,
    })
}

/// Connects to the first broker that answers. A broker that is being restarted is waited for.
async fn connect(args: &Args, config: &ClientConfig) -> Result<Caller, ClientError> {
    let deadline = Instant::now() + SERVE_PATIENCE;
    loop {
        let mut last = ClientError::InvalidAddress(String::new());
        for address in &config.bootstrap {
            match Caller::open(address).await {
                Ok(caller) => return Ok(caller),
                Err(error) => last = error,
            }
        }
        if !args.existing || !last.is_retriable() || Instant::now() > deadline {
            return Err(ClientError::NoBroker {
                bootstrap: config.bootstrap.join(","),
                last: Box::new(last),
            });
        }
        tokio::time::sleep(BACKOFF).await;
    }
}

async fn create(
    args: &Args,
    names: &[Str],
    caller: &mut Caller,
    run: &Arc<Run>,
    tally: &Tally,
    progress: &Progress,
) -> Result<(), ToolError> {
    let configs = args
        .config
        .iter()
        .map(|(name, value)| CreatableTopicConfig {
            name: Str::from(name),
            value: Some(Str::from(value)),
            ..CreatableTopicConfig::default()
        });
    let configs: Vec<_> = configs.collect();
    let per_request = (args.batch / args.partitions.unsigned_abs()).max(1) as usize;
    let mut done = 0;
    for names in names.chunks(per_request) {
        let topic = |name: &Str| CreatableTopic {
            name: name.clone(),
            num_partitions: args.partitions,
            replication_factor: args.replication_factor.unwrap_or(-1),
            configs: configs.clone(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: names.iter().map(topic).collect(),
            timeout_ms: i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX),
            ..CreateTopicsRequest::default()
        };
        let sent = Instant::now();
        let response = caller.call(&request, &CREATE_VERSIONS).await?;
        for topic in &response.topics {
            check(
                || format!("topic {}", &*topic.name),
                topic.error_code,
                topic.error_message.as_deref(),
            )?;
        }
        let now = Instant::now();
        let partitions = names.len() as u64 * u64::from(args.partitions.unsigned_abs());
        if run.count(now, partitions, 0) {
            tally.record(sent, sent, now);
        }
        done += partitions;
        progress.say(format!("created {done} partitions"));
    }
    Ok(())
}

/// Partitions that have not served yet, by topic.
type Waiting = BTreeMap<Str, BTreeSet<i32>>;

/// Asks until every partition has answered.
async fn serve(
    names: &[Str],
    partitions: i32,
    caller: &mut Caller,
    progress: &Progress,
) -> Result<(), ToolError> {
    let begun = Instant::now();
    let mut waiting: Waiting = names
        .iter()
        .map(|name| (name.clone(), (0..partitions).collect()))
        .collect();
    let total = names.len() as u64 * u64::from(partitions.unsigned_abs());
    let mut leaders: BTreeMap<String, Caller> = BTreeMap::new();
    loop {
        for (address, led) in find_leaders(caller, &waiting).await? {
            if !leaders.contains_key(&address) {
                leaders.insert(address.clone(), Caller::open(&address).await?);
            }
            if let Some(leader) = leaders.get_mut(&address) {
                ask(leader, led, &mut waiting).await?;
            }
        }
        let left: u64 = waiting
            .values()
            .map(|partitions| partitions.len() as u64)
            .sum();
        progress.say(format!("{} of {total} partitions serve", total - left));
        if left == 0 {
            return Ok(());
        }
        if begun.elapsed() > SERVE_PATIENCE {
            return Err(ToolError::NotReady {
                ready: total - left,
                total,
                what: "partitions",
                after: SERVE_PATIENCE,
            });
        }
        tokio::time::sleep(BACKOFF).await;
    }
}

/// Who leads what of `waiting`, as far as somebody does.
async fn find_leaders(
    caller: &mut Caller,
    waiting: &Waiting,
) -> Result<BTreeMap<String, Vec<(Str, i32)>>, ClientError> {
    let mut led: BTreeMap<String, Vec<(Str, i32)>> = BTreeMap::new();
    let names: Vec<&Str> = waiting.keys().collect();
    for names in names.chunks(TOPICS_PER_QUESTION) {
        let topic = |name: &&Str| MetadataRequestTopic {
            name: Some((*name).clone()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some(names.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = caller.call(&request, &METADATA_VERSIONS).await?;
        let brokers = response.brokers.iter();
        let brokers: BTreeMap<i32, String> = brokers
            .map(|broker| (broker.node_id, address(&broker.host, broker.port)))
            .collect();
        for topic in response.topics {
            let name = topic.name.unwrap_or_default();
            passing(&name, topic.error_code)?;
            let Some(missing) = waiting.get(&name) else {
                continue;
            };
            for partition in &topic.partitions {
                if missing.contains(&partition.partition_index)
                    && let Some(address) = brokers.get(&partition.leader_id)
                {
                    led.entry(address.clone())
                        .or_default()
                        .push((name.clone(), partition.partition_index));
                }
            }
        }
    }
    Ok(led)
}

/// Takes those out of `waiting` for which their leader answers.
async fn ask(
    leader: &mut Caller,
    led: Vec<(Str, i32)>,
    waiting: &mut Waiting,
) -> Result<(), ClientError> {
    for led in led.chunks(PARTITIONS_PER_QUESTION) {
        let mut topics: BTreeMap<&Str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (name, partition) in led {
            let partition = ListOffsetsPartition {
                partition_index: *partition,
                timestamp: LATEST,
                ..ListOffsetsPartition::default()
            };
            topics.entry(name).or_default().push(partition);
        }
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic {
                name: name.clone(),
                partitions,
                ..ListOffsetsTopic::default()
            });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: topics.collect(),
            ..ListOffsetsRequest::default()
        };
        let response = leader.call(&request, &LIST_OFFSETS_VERSIONS).await?;
        for topic in &response.topics {
            let Some(missing) = waiting.get_mut(&topic.name) else {
                continue;
            };
            for partition in &topic.partitions {
                if passing(&topic.name, partition.error_code)? {
                    missing.remove(&partition.partition_index);
                }
            }
        }
    }
    waiting.retain(|_, missing| !missing.is_empty());
    Ok(())
}

/// Whether all is well; an error if it will not be.
fn passing(topic: &Str, code: i16) -> Result<bool, ClientError> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(true),
        code if code.is_retriable() => Ok(false),
        _ => check(|| format!("topic {}", &**topic), code, None).map(|()| true),
    }
}

async fn delete(names: &[Str], caller: &mut Caller, progress: &Progress) -> Result<(), ToolError> {
    progress.say("deleting");
    for names in names.chunks(TOPICS_PER_QUESTION) {
        let request = DeleteTopicsRequest {
            topic_names: names.to_vec(),
            timeout_ms: i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX),
            ..DeleteTopicsRequest::default()
        };
        let response = caller.call(&request, &DELETE_VERSIONS).await?;
        for topic in &response.responses {
            let name = topic.name.as_deref().unwrap_or_default();
            check(
                || format!("topic {name}"),
                topic.error_code,
                topic.error_message.as_deref(),
            )?;
        }
    }
    Ok(())
}
