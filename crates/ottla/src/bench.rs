//! `ottla bench`: loads a broker and says how it bore it. Works with every Kafka broker.
//!
//! Bulk load comes from threads that block, one or two for each connection; many small clients are
//! tasks of one thread (`solo.rs`). On the machine that is measured the generator must cost little,
//! and wake up in time. Figures are taken by `meter.rs`.
//! `cargo xtask bench` runs these commands and reads their JSON.

mod alarm;
mod backlog;
mod calls;
mod compaction;
mod consume;
mod crowd;
mod groups;
mod latency;
mod load;
mod meter;
mod mixed;
mod partitions;
mod pipe;
mod produce;
mod solo;
mod topic;
mod transactions;
mod under_way;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use ottla_net::client::Acks;
use ottla_records::Compression;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};
use crate::produce::{AcksArg, CodecArg};
use crate::topics::parse_pair;

/// Connections of one run: each has a thread or two.
const CONNECTIONS_MAX: i64 = 5000;

#[derive(Subcommand)]
pub enum Command {
    /// Send records, as many as the broker takes or at a fixed rate.
    Produce(produce::Args),
    /// Read records, with consumers that share a topic or groups that each read all of it.
    Consume(consume::Args),
    /// Send records at a fixed rate and measure how long each takes to arrive at a consumer.
    Latency(latency::Args),
    /// Send and read at the same time, as much as the broker takes or at a fixed rate.
    Mixed(mixed::Args),
    /// Let many consumer groups gather, and every member commit at a fixed pace.
    Groups(groups::Args),
    /// Commit transactions, as many as the broker takes or at a fixed rate.
    Transactions(transactions::Args),
    /// Make many partitions, and wait until every one serves.
    Partitions(partitions::Args),
    /// Fill a compacted topic, have it cleaned, and watch its size while it is overwritten.
    Compaction(compaction::Args),
}

pub fn run(command: &Command) -> Result<(), ToolError> {
    raise_open_files();
    match command {
        Command::Produce(args) => produce::run(args),
        Command::Consume(args) => consume::run(args),
        Command::Latency(args) => latency::run(args),
        Command::Mixed(args) => mixed::run(args),
        Command::Groups(args) => groups::run(args),
        Command::Transactions(args) => transactions::run(args),
        Command::Partitions(args) => partitions::run(args),
        Command::Compaction(args) => compaction::run(args),
    }
}

/// Lets this process have as many connections as the system allows it, not as it begins with.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where this is refused, whoever lacks a descriptor says so.
    let _refused = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// Which topic, and whether to make it.
#[derive(clap::Args)]
struct TopicArgs {
    /// The topic to work on.
    #[arg(long, short, default_value = "bench")]
    topic: String,
    /// Make the topic first, if it is not there.
    #[arg(long)]
    create: bool,
    /// Partitions of a topic that is made.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Replicas of a topic that is made; without it, what the broker is configured for.
    #[arg(long)]
    replication_factor: Option<i16>,
    /// A configuration of a topic that is made; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    config: Vec<(String, String)>,
}

impl TopicArgs {
    /// A topic that must be there.
    fn existing(topic: &str) -> TopicArgs {
        TopicArgs {
            topic: topic.to_owned(),
            create: false,
            partitions: 1,
            replication_factor: None,
            config: Vec::new(),
        }
    }
}

/// What records look like.
#[derive(clap::Args)]
struct ShapeArgs {
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=64 * 1024 * 1024))]
    record_size: u32,
    /// Who must have a record before it counts as sent.
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,
    /// How to compress batches.
    #[arg(long, value_enum, default_value_t = CodecArg::None)]
    codec: CodecArg,
    /// Give every record a key.
    #[arg(long)]
    keyed: bool,
    /// Fill values with noise instead of one letter.
    #[arg(long)]
    random: bool,
}

impl ShapeArgs {
    fn shape(&self, topic: &str) -> load::Shape {
        load::Shape {
            topic: topic.to_owned(),
            acks: Acks::from(self.acks).code(),
            record_bytes: self.record_size as usize,
            keyed: self.keyed,
            compression: Compression::new(self.codec.into()),
            random: self.random,
        }
    }
}

/// How long a run goes on: a number of records, of bytes, or a time.
#[derive(clap::Args)]
struct TimeArgs {
    /// Stop after so many records.
    #[arg(long, conflicts_with_all = ["bytes", "seconds"])]
    records: Option<u64>,
    /// Stop after so many bytes of values.
    #[arg(long, conflicts_with = "seconds")]
    bytes: Option<u64>,
    /// Stop after so many seconds (10, if nothing else ends the run).
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds at the beginning that do not count.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
}

impl TimeArgs {
    const SECONDS_DEFAULT: f64 = 10.0;

    /// A run that ends with its time, or when it is told to.
    fn without_count(&self) -> Arc<meter::Run> {
        let of_time = TimeArgs {
            records: None,
            bytes: None,
            ..*self
        };
        let has_count = self.records.is_some() || self.bytes.is_some();
        of_time.run(1, has_count)
    }

    /// `has_end`: whether something beside these options ends the run.
    fn run(&self, record_bytes: u64, has_end: bool) -> Arc<meter::Run> {
        let records = self
            .records
            .or(self.bytes.map(|bytes| bytes.div_ceil(record_bytes.max(1))));
        let seconds = match records.is_some() || has_end {
            true => self.seconds,
            false => Some(self.seconds.unwrap_or(Self::SECONDS_DEFAULT)),
        };
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        meter::Run::new(duration(self.warmup), seconds.map(duration), records)
    }
}

/// A topic and who leads what of it.
struct Place {
    topic: String,
    /// Partition and the address of its leader.
    leaders: Vec<(i32, String)>,
    /// The leaders, each once.
    addresses: Vec<String>,
}

impl Place {
    fn led_by(&self, address: &str) -> Vec<i32> {
        let led = self.leaders.iter().filter(|(_, leader)| leader == address);
        led.map(|(partition, _)| *partition).collect()
    }

    /// Where one of `of` consumers that share the partitions begins, by the address of its leaders.
    fn share(
        &self,
        share: usize,
        of: usize,
        starts: &BTreeMap<i32, i64>,
    ) -> BTreeMap<&str, BTreeMap<i32, i64>> {
        let mut by_leader: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
        for address in &self.addresses {
            let mine = self.led_by(address).into_iter().enumerate();
            for (_, partition) in mine.filter(|(position, _)| position % of == share) {
                let start = starts.get(&partition).copied().unwrap_or(0);
                let positions = by_leader.entry(address).or_default();
                positions.insert(partition, start);
            }
        }
        by_leader
    }
}

/// How many consumers all groups have together.
fn consumers_of(consumers: u32, groups: u32) -> Result<u32, ToolError> {
    let all = u64::from(consumers) * u64::from(groups);
    match u32::try_from(all) {
        Ok(all) if i64::from(all) <= CONNECTIONS_MAX => Ok(all),
        _ => Err(ToolError::Argument {
            argument: "--consumers times --groups",
            value: all.to_string(),
            expected: "at most 5000 connections in one run",
        }),
    }
}

fn print(cluster: &ClusterArgs, report: &meter::Report) -> Result<(), ToolError> {
    match cluster.output {
        Format::Json => print_json(report),
        Format::Text => print_text(&report.text()),
    }
}
