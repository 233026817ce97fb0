//! `ottla consume`: prints records, alone or as a member of a group.
//!
//! Invariant: as a member of a group, only what was printed is committed.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use ottla_net::client::{
    Client, ClientError, Consumer, ConsumerConfig, Fetched, GroupConfig, GroupConsumer, OffsetSpec,
    Position,
};

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::Format;
use crate::positions::parse_position;

mod render;

pub use render::insert_bytes;
use render::{Renderer, Template};

/// How long to wait for records before looking at anything else.
const POLL: Duration = Duration::from_millis(250);

const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla consume orders                              # follow what comes
  ottla consume orders --from earliest --exit-at-end
  ottla consume orders --from -10                   # the last ten of each partition, then follow
  ottla consume orders --from 2h --partition 0
  ottla consume orders --group billing --from earliest
  ottla consume orders --format '{partition}:{offset} {key}={value}'
  ottla consume orders --from earliest --output json | jq .value")]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where to begin: earliest, latest, an offset (42), the last so many (-10), a time
    /// (2026-11-24T05:21:00Z, @1795497660000) or an age (15m, 2h, 3d). A group begins where it
    /// left off, and here only where it has never been.
    #[arg(long, default_value = "latest", value_parser = parse_position, allow_hyphen_values = true)]
    from: Position,
    /// Only these partitions; may be given several times.
    #[arg(long = "partition", short, conflicts_with = "group", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Share the partitions with the other members of this group, and commit.
    #[arg(long, short)]
    group: Option<String>,
    /// Stop after so many records.
    #[arg(long, short)]
    max: Option<u64>,
    /// Stop at what was the end when the command started.
    #[arg(long, conflicts_with = "group")]
    exit_at_end: bool,
    /// Stop when no record has come for so many seconds.
    #[arg(long, value_name = "SECONDS")]
    idle_exit: Option<u64>,
    /// How to print a record: text with {topic}, {partition}, {offset}, {timestamp} (milliseconds),
    /// {time}, {key}, {value}, {headers}; \n, \t, \0 as in C. Nothing is added after it.
    #[arg(long, default_value = "{value}\\n")]
    format: String,
    /// Also print records of transactions that are not committed.
    #[arg(long)]
    read_uncommitted: bool,
}

pub async fn run(args: Args) -> Result<(), ToolError> {
    let template = Template::parse(&args.format).ok_or_else(|| ToolError::Argument {
        argument: "--format",
        value: args.format.clone(),
        expected: "text with {topic}, {partition}, {offset}, {timestamp}, {time}, {key}, {value} \
                   or {headers}; {{ and }} for braces",
    })?;
    let renderer = match args.cluster.output {
        Format::Text => Renderer::Text(template),
        Format::Json => Renderer::JsonLines,
    };
    let client = args.cluster.connect().await?;
    let mut printer = Printer {
        renderer,
        out: BufWriter::new(io::stdout()),
        left: args.max,
        idle: Duration::ZERO,
        idle_exit: args.idle_exit.map(Duration::from_secs),
    };
    let config = ConsumerConfig {
        read_committed: !args.read_uncommitted,
        ..ConsumerConfig::default()
    };
    match &args.group {
        Some(group) => consume_in_group(client, group, &args, config, &mut printer).await,
        None => consume_alone(client, &args, config, &mut printer).await,
    }
}

async fn consume_alone(
    client: Client,
    args: &Args,
    config: ConsumerConfig,
    printer: &mut Printer,
) -> Result<(), ToolError> {
    let partitions = partitions(&client, args).await?;
    let mut ends = match args.exit_at_end {
        true => Some(ends(&client, &partitions).await?),
        false => None,
    };
    let mut consumer = Consumer::new(client, config);
    let positions = partitions
        .into_iter()
        .map(|(topic, partition)| (topic, partition, args.from));
    consumer.assign(positions.collect()).await?;
    // One for the whole run: an interruption while records are printed counts as well.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        if let Some(ends) = &mut ends {
            for (topic, partition, offset) in consumer.delivered() {
                let key = (topic.to_owned(), partition);
                if ends.get(&key).is_some_and(|end| offset >= *end) {
                    ends.remove(&key);
                }
            }
            if ends.is_empty() {
                return printer.flush();
            }
        }
        let fetched = tokio::select! {
            fetched = consumer.poll(POLL) => fetched?,
            _ = &mut interrupted => return printer.flush(),
        };
        let Some(mut fetched) = fetched else {
            printer.idle += POLL;
            if printer.is_done() {
                return printer.flush();
            }
            continue;
        };
        if let Some(ends) = &ends {
            // What came after the command started is not part of the answer.
            let end = ends.get(&(fetched.topic.clone(), fetched.partition));
            let end = end.copied().unwrap_or(0);
            fetched.records.retain(|record| record.offset < end);
        }
        printer.print(&fetched)?;
        if printer.is_done() {
            return printer.flush();
        }
    }
}

async fn consume_in_group(
    client: Client,
    group: &str,
    args: &Args,
    config: ConsumerConfig,
    printer: &mut Printer,
) -> Result<(), ToolError> {
    // A topic that is misspelt should not be waited for.
    partitions(&client, args).await?;
    let group = GroupConfig {
        initial: args.from,
        ..GroupConfig::new(group, args.topics.clone())
    };
    let mut consumer = GroupConsumer::new(client, group, config);
    let mut last_commit = Instant::now();
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let fetched = tokio::select! {
            fetched = consumer.poll(POLL) => fetched?,
            _ = &mut interrupted => break,
        };
        if let Some(fetched) = fetched {
            let next_offset = match printer.print(&fetched) {
                Ok(next_offset) => next_offset,
                Err(error) => {
                    // Nobody has seen it, so nobody has consumed it.
                    let first = fetched.records.first().map(|record| record.offset);
                    let first = first.unwrap_or(fetched.next_offset);
                    consumer.set_delivered(&fetched.topic, fetched.partition, first);
                    consumer.close().await?;
                    return Err(error);
                }
            };
            consumer.set_delivered(&fetched.topic, fetched.partition, next_offset);
        } else {
            // The time that it took to join does not count.
            printer.idle += POLL;
        }
        if printer.is_done() {
            break;
        }
        if last_commit.elapsed() >= COMMIT_INTERVAL {
            consumer.commit().await?;
            last_commit = Instant::now();
        }
    }
    printer.flush()?;
    consumer.close().await?;
    Ok(())
}

/// The partitions that are asked for.
async fn partitions(client: &Client, args: &Args) -> Result<Vec<(String, i32)>, ClientError> {
    let names: Vec<&str> = args.topics.iter().map(String::as_str).collect();
    let cluster = client.cluster(Some(&names)).await?;
    let mut partitions = Vec::new();
    for name in names {
        for partition in cluster.partitions(name)? {
            if args.partitions.is_empty() || args.partitions.contains(&partition) {
                partitions.push((name.to_owned(), partition));
            }
        }
        for wanted in &args.partitions {
            // Reports a partition that does not exist.
            cluster.leader(name, *wanted)?;
        }
    }
    Ok(partitions)
}

/// Ends of the partitions that have something to read before them.
async fn ends(
    client: &Client,
    partitions: &[(String, i32)],
) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
    let ask: Vec<_> = partitions
        .iter()
        .map(|(topic, partition)| (topic.clone(), *partition, OffsetSpec::Latest))
        .collect();
    client.list_offsets(&ask).await
}

/// Prints records until there have been enough.
struct Printer {
    renderer: Renderer,
    out: BufWriter<io::Stdout>,
    left: Option<u64>,
    /// How long nothing has come while something could have.
    idle: Duration,
    idle_exit: Option<Duration>,
}

impl Printer {
    /// Prints as many records as are still wanted; returns the offset behind them.
    fn print(&mut self, fetched: &Fetched) -> Result<i64, ToolError> {
        let count = fetched.records.len();
        let wanted = match self.left {
            None => count,
            Some(left) => count.min(usize::try_from(left).unwrap_or(usize::MAX)),
        };
        let mut text = Vec::new();
        for record in &fetched.records[..wanted] {
            text.clear();
            self.renderer
                .render(&fetched.topic, fetched.partition, record, &mut text)?;
            self.out.write_all(&text).map_err(ToolError::Output)?;
        }
        if wanted > 0 {
            self.idle = Duration::ZERO;
        }
        if let Some(left) = &mut self.left {
            *left -= wanted as u64;
        }
        // Who follows wants to see what has come.
        self.flush()?;
        Ok(match fetched.records.get(wanted) {
            Some(first_unprinted) => first_unprinted.offset,
            None => fetched.next_offset,
        })
    }

    fn is_done(&self) -> bool {
        self.left == Some(0) || self.idle_exit.is_some_and(|idle| self.idle >= idle)
    }

    fn flush(&mut self) -> Result<(), ToolError> {
        self.out.flush().map_err(ToolError::Output)
    }
}
