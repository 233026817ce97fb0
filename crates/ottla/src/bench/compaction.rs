//! `ottla bench compaction`: fills a compacted topic, has it cleaned, and watches its size while it is overwritten.
//!
//! Every record has one of `--keys` keys. `fill` writes each key once, in order, and then random ones, while the
//! cleaner is told to leave the topic alone; `clean` lets it begin and waits until the size settles; `keep` overwrites
//! at a fixed rate and looks at the size all the time. Invariant: nothing is asked of the broker that Kafka does not
//! answer: sizes come from DescribeLogDirs, and the ideal is what the keys take in full batches.

mod writer;

use std::time::{Duration, Instant};

use clap::ValueEnum;
use ottla_net::client::{Acks, Client, ClientError, ConfigChange, Resource};
use ottla_records::Compression;
use serde::Serialize;

use super::load::Shape;
use super::meter::{self, Report, Run};
use super::solo::Progress;
use super::{Place, TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};
use crate::produce::CodecArg;
use crate::text::format_bytes;

/// How often the size is asked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// From the answer to a change of the topic's configuration until every broker surely follows it.
const CONFIG_PATIENCE: Duration = Duration::from_secs(1);
/// With this part of the log dirty at least, it is not cleaned.
const RATIO_NEVER: &str = "1";
/// With a little of the log dirty it is cleaned.
const RATIO_AT_ONCE: &str = "0.01";
const RATIO: &str = "min.cleanable.dirty.ratio";
const ROLL: &str = "segment.ms";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    /// Write the keys while the cleaner leaves the topic alone.
    Fill,
    /// Have the topic cleaned, and wait until its size settles.
    Clean,
    /// Overwrite keys at a fixed rate and watch the size.
    Keep,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench compaction fill --create --partitions 1 --keys 1000000 --overwrites 3
  ottla bench compaction clean --keys 1000000
  ottla bench compaction keep --keys 1000000 --rate 50000 --seconds 60")]
pub struct Args {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[arg(value_enum)]
    phase: Phase,
    #[command(flatten)]
    topic: TopicArgs,
    /// How many keys there are, in all partitions together.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    keys: u64,
    /// How many random records `fill` writes for each key, beside the first one.
    #[arg(long, default_value_t = 3)]
    overwrites: u64,
    /// Bytes of a record's value; a key has 16.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    record_size: u32,
    /// How to compress batches.
    #[arg(long, value_enum, default_value_t = CodecArg::None)]
    codec: CodecArg,
    /// Bytes of the records of one batch.
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch_bytes: u32,
    /// Records per second that `keep` writes.
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// How long `keep` goes on.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// For so long the size must stay as it is before `clean` takes it for settled.
    #[arg(long, default_value_t = 3.0)]
    settle_seconds: f64,
    /// For so long `clean` waits for the size to change.
    #[arg(long, default_value_t = 300.0)]
    patience_seconds: f64,
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let place = topic::prepare(&args.cluster, &args.topic)?;
    match args.phase {
        Phase::Fill => fill(args, &place),
        Phase::Clean => clean(args, &place),
        Phase::Keep => keep(args, &place),
    }
}

impl Args {
    fn shape(&self) -> Shape {
        Shape {
            topic: self.topic.topic.clone(),
            acks: Acks::All.code(),
            record_bytes: self.record_size as usize,
            keyed: true,
            compression: Compression::new(self.codec.into()),
            random: true,
        }
    }

    fn print(&self, answer: &impl Serialize, text: &str) -> Result<(), ToolError> {
        match self.cluster.output {
            Format::Json => print_json(answer),
            Format::Text => print_text(text),
        }
    }

    /// What the keys would take if each were there once, in batches as they are written.
    fn ideal_bytes(&self) -> Result<u64, ToolError> {
        let shape = self.shape();
        let per_batch = shape.records_in(self.batch_bytes as usize) as u64;
        let batch = shape.batch_of(
            (0..per_batch).map(u128::from),
            &mut fastrand::Rng::with_seed(1),
        )?;
        Ok((batch.len() as f64 * self.keys as f64 / per_batch as f64) as u64)
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Sets and unsets configurations of the topic.
async fn configure(
    client: &Client,
    topic: &str,
    changes: &[ConfigChange],
) -> Result<(), ClientError> {
    let resource = Resource::Topic(topic.to_owned());
    client.alter_configs(&resource, changes, false).await
}

fn set(name: &str, value: &str) -> ConfigChange {
    ConfigChange::Set(name.to_owned(), value.to_owned())
}

/// Bytes of all partitions of the topic.
async fn size(client: &Client, topic: &str) -> Result<u64, ClientError> {
    let dirs = client.log_dirs().await?;
    let topics = dirs.values().flatten().flat_map(|dir| &dir.topics);
    let partitions = topics
        .filter(|found| *found.name == *topic)
        .flat_map(|topic| &topic.partitions);
    Ok(partitions
        .filter(|partition| !partition.is_future_key)
        .map(|partition| u64::try_from(partition.partition_size).unwrap_or(0))
        .sum())
}

fn fill(args: &Args, place: &Place) -> Result<(), ToolError> {
    topic::block_on(async {
        let client = args.cluster.connect().await?;
        let changes = [set("cleanup.policy", "compact"), set(RATIO, RATIO_NEVER)];
        configure(&client, &place.topic, &changes).await?;
        tokio::time::sleep(CONFIG_PATIENCE).await;
        Ok(())
    })?;
    let records = args.keys.saturating_mul(args.overwrites.saturating_add(1));
    let run = Run::new(Duration::ZERO, None, Some(records));
    let workers = writer::start(args, place, &run, None)?;
    let latencies = meter::finish(&run, "written", workers)?;
    super::print(&args.cluster, &Report::of("compaction", &run, &latencies))
}

#[derive(Serialize)]
struct Cleaned {
    command: &'static str,
    phase: Phase,
    keys: u64,
    /// From the cleaner's permission to the last change of the size.
    seconds: f64,
    /// Bytes of the log that the cleaner went through.
    bytes: u64,
    bytes_per_second: f64,
    bytes_after: u64,
    ideal_bytes: u64,
    /// What is left against what the keys take.
    size_ratio: f64,
}

impl Cleaned {
    fn text(&self) -> String {
        format!(
            "{} cleaned to {} in {:.2} s, {}/s; {} keys take {} at least, which is exceeded by {:.1} %\n",
            format_bytes(self.bytes),
            format_bytes(self.bytes_after),
            self.seconds,
            format_bytes(self.bytes_per_second as u64),
            self.keys,
            format_bytes(self.ideal_bytes),
            (self.size_ratio - 1.0) * 100.0,
        )
    }
}

fn clean(args: &Args, place: &Place) -> Result<(), ToolError> {
    roll(args, place)?;
    let (bytes, settled) = topic::block_on(async {
        let client = args.cluster.connect().await?;
        let bytes = size(&client, &place.topic).await?;
        let changes = [
            set(RATIO, RATIO_AT_ONCE),
            ConfigChange::Delete(ROLL.to_owned()),
        ];
        configure(&client, &place.topic, &changes).await?;
        let settled = settle(args, &client, &place.topic, bytes).await?;
        Ok((bytes, settled))
    })?;
    let ideal_bytes = args.ideal_bytes()?;
    let seconds = settled.after.as_secs_f64();
    let cleaned = Cleaned {
        command: "compaction",
        phase: args.phase,
        keys: args.keys,
        seconds,
        bytes,
        bytes_per_second: bytes as f64 / seconds,
        bytes_after: settled.bytes,
        ideal_bytes,
        size_ratio: settled.bytes as f64 / ideal_bytes as f64,
    };
    args.print(&cleaned, &cleaned.text())
}

/// Has every partition begin another segment, since the active one is never cleaned.
fn roll(args: &Args, place: &Place) -> Result<(), ToolError> {
    topic::block_on(async {
        let client = args.cluster.connect().await?;
        configure(&client, &place.topic, &[set(ROLL, "1")]).await?;
        tokio::time::sleep(CONFIG_PATIENCE).await;
        Ok(())
    })?;
    writer::write_one_each(args, place)
}

/// A size, and when it was reached.
struct Settled {
    bytes: u64,
    after: Duration,
}

/// Waits until the size is below `before` and stays what it is.
async fn settle(
    args: &Args,
    client: &Client,
    topic: &str,
    before: u64,
) -> Result<Settled, ToolError> {
    let progress = Progress::start("cleaning");
    let begun = Instant::now();
    let (stays, patience) = (
        duration(args.settle_seconds),
        duration(args.patience_seconds),
    );
    let mut settled = Settled {
        bytes: before,
        after: Duration::ZERO,
    };
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let bytes = size(client, topic).await?;
        let now = begun.elapsed();
        if bytes != settled.bytes {
            settled = Settled { bytes, after: now };
            progress.say(format!("{} left", format_bytes(bytes)));
        }
        let unchanged = now - settled.after;
        if settled.bytes < before && unchanged >= stays {
            return Ok(settled);
        }
        if unchanged >= patience {
            return Err(ToolError::NotCleaned { after: patience });
        }
    }
}

#[derive(Serialize)]
struct Kept {
    #[serde(flatten)]
    report: Report,
    phase: Phase,
    keys: u64,
    ideal_bytes: u64,
    /// What the log takes against what the keys take: on average, and at worst.
    size_ratio: f64,
    size_ratio_max: f64,
}

impl Kept {
    fn text(&self) -> String {
        format!(
            "{}the log took {:.2} times what {} keys take ({}), and {:.2} times at most\n",
            self.report.text(),
            self.size_ratio,
            self.keys,
            format_bytes(self.ideal_bytes),
            self.size_ratio_max,
        )
    }
}

fn keep(args: &Args, place: &Place) -> Result<(), ToolError> {
    topic::block_on(async {
        let client = args.cluster.connect().await?;
        let changes = [RATIO, ROLL].map(|name| ConfigChange::Delete(name.to_owned()));
        Ok(configure(&client, &place.topic, &changes).await?)
    })?;
    let run = Run::new(Duration::ZERO, Some(duration(args.seconds)), None);
    let workers = writer::start(args, place, &run, Some(args.rate))?;
    let sizes = topic::block_on(async {
        let client = args.cluster.connect().await?;
        let mut sizes = Vec::new();
        while !run.is_over() {
            sizes.push(size(&client, &place.topic).await?);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(sizes)
    });
    if sizes.is_err() {
        run.stop();
    }
    let latencies = meter::finish(&run, "written", workers)?;
    let sizes = sizes?;
    let ideal_bytes = args.ideal_bytes()?;
    let mean = sizes.iter().sum::<u64>() as f64 / sizes.len().max(1) as f64;
    let most = sizes.iter().copied().max().unwrap_or(0) as f64;
    let kept = Kept {
        report: Report::of("compaction", &run, &latencies),
        phase: args.phase,
        keys: args.keys,
        ideal_bytes,
        size_ratio: mean / ideal_bytes as f64,
        size_ratio_max: most / ideal_bytes as f64,
    };
    args.print(&kept, &kept.text())
}
