//! `ottla bench consume`: reads as fast as the broker sends, and counts what arrived.
//!
//! Records are counted in the headers of their batches, and not unpacked. Consumers share the
//! partitions; each of `--groups` groups of consumers reads all of them. No coordinator is asked:
//! `ottla bench groups` is for that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_net::client::{ClientError, OffsetSpec};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use ottla_protocol::{ApiKey, ErrorCode, Records, Str};
use ottla_records::batches;

use super::load::sleep_until;
use super::meter::{self, Latencies, Report, Run};
use super::pipe::Pipe;
use super::{Place, TimeArgs, TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;

/// Versions of Fetch that name topics by name.
const FETCH_VERSIONS: std::ops::RangeInclusive<i16> = 4..=12;
/// How long a fetch may wait for data, so that the end of the run is seen.
const WAIT_MS: i32 = 500;
/// Kafka's consumer's defaults.
const PARTITION_BYTES: i32 = 1024 * 1024;
const FETCH_BYTES: i32 = 50 * 1024 * 1024;
/// How often a reader that is held to a rate looks whether the run is over.
const PACE_LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench consume --to-end                     # everything that is there, once
  ottla bench consume --consumers 10 --to-end
  ottla bench consume --groups 10 --to-end
  ottla bench consume --from latest --seconds 30   # what others produce meanwhile")]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Where to begin.
    #[arg(long, value_enum, default_value_t = From::Earliest)]
    from: From,
    /// Stop at what was the end when the command started.
    #[arg(long)]
    to_end: bool,
    /// Consumers that share the partitions, each with a connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=super::CONNECTIONS_MAX))]
    consumers: u32,
    /// How often all of it is read, at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    groups: u32,
    /// The most that one partition may give to an answer.
    #[arg(long, default_value_t = PARTITION_BYTES, value_parser = clap::value_parser!(i32).range(1..))]
    partition_bytes: i32,
    /// The most that an answer may hold.
    #[arg(long, default_value_t = FETCH_BYTES, value_parser = clap::value_parser!(i32).range(1..))]
    max_bytes: i32,
    /// Check the checksum of every batch.
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    Earliest,
    Latest,
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let consumers = super::consumers_of(args.consumers, args.groups)?;
    let place = topic::prepare(&args.cluster, &args.topic)?;
    let (starts, ends) = bounds(args, &place)?;
    let run = args.time.run(1, args.to_end);
    let mut workers = Vec::new();
    for consumer in 0..consumers {
        let share = (consumer % args.consumers) as usize;
        for (address, positions) in place.share(share, args.consumers as usize, &starts) {
            let mut fetcher = Fetcher {
                ends: args.to_end.then(|| ends.clone()),
                partition_bytes: args.partition_bytes,
                max_bytes: args.max_bytes,
                ..Fetcher::open(address, &place.topic, positions)?
            };
            let (run, verify) = (Arc::clone(&run), args.verify);
            workers.push(meter::work(&Arc::clone(&run), move || {
                drain(&mut fetcher, &run, verify, None)
            })?);
        }
    }
    let latencies = meter::finish(&run, "consumed", workers)?;
    super::print(&args.cluster, &Report::of("consume", &run, &latencies))
}

/// Holds a reader to a rate. One that fell behind does not make up for it with a burst.
pub struct Pace {
    bytes_per_second: f64,
    /// When the next request is due.
    due: Instant,
}

impl Pace {
    pub fn new(bytes_per_second: f64, now: Instant) -> Self {
        Pace {
            bytes_per_second,
            due: now,
        }
    }

    /// When more may be asked for after `bytes`, which were asked for at `begun`.
    fn next(&mut self, begun: Instant, bytes: u64) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        self.due = self.due.max(begun) + takes;
        self.due
    }
}

/// Reads until the end of the run, or until everything was read.
pub fn drain(
    fetcher: &mut Fetcher,
    run: &Run,
    verify: bool,
    mut pace: Option<&mut Pace>,
) -> Result<Latencies, ToolError> {
    while !run.is_over() && !run.has_all() {
        let begun = Instant::now();
        let Some(response) = fetcher.fetch()? else {
            break;
        };
        let mut read = 0;
        for (partition, records) in fetcher.take(response)? {
            let (count, bytes) = fetcher.pass(partition, &records, verify, |_| Ok(()))?;
            run.count(Instant::now(), count, bytes);
            run.take(count);
            read += bytes;
        }
        if let Some(pace) = &mut pace {
            let due = pace.next(begun, read);
            while !run.is_over() && Instant::now() < due {
                sleep_until(due.min(Instant::now() + PACE_LOOK));
            }
        }
    }
    Ok(Latencies::new())
}

/// Where each partition begins for this run, and where it ends now.
type Bounds = (BTreeMap<i32, i64>, BTreeMap<i32, i64>);

fn bounds(args: &Args, place: &Place) -> Result<Bounds, ToolError> {
    let ends = offsets(&args.cluster, place, OffsetSpec::Latest)?;
    let starts = match args.from {
        From::Latest => ends.clone(),
        From::Earliest => offsets(&args.cluster, place, OffsetSpec::Earliest)?,
    };
    Ok((starts, ends))
}

/// Offsets of all partitions of the topic.
pub fn offsets(
    cluster: &ClusterArgs,
    place: &Place,
    spec: OffsetSpec,
) -> Result<BTreeMap<i32, i64>, ToolError> {
    let ask: Vec<_> = place
        .leaders
        .iter()
        .map(|(partition, _)| (place.topic.clone(), *partition, spec))
        .collect();
    topic::block_on(async {
        let offsets = cluster.connect().await?.list_offsets(&ask).await?;
        Ok(offsets
            .into_iter()
            .map(|((_, partition), offset)| (partition, offset))
            .collect())
    })
}

/// One connection that reads some partitions.
pub struct Fetcher {
    pub pipe: Pipe,
    pub topic: String,
    /// The next offset of each partition.
    pub positions: BTreeMap<i32, i64>,
    /// Partitions are left where they end, if there is an end.
    pub ends: Option<BTreeMap<i32, i64>>,
    pub partition_bytes: i32,
    pub max_bytes: i32,
    pub min_bytes: i32,
}

impl Fetcher {
    /// Connects, and reads from `positions` on as Kafka's consumer does by default.
    pub fn open(
        address: &str,
        topic: &str,
        positions: BTreeMap<i32, i64>,
    ) -> Result<Fetcher, ClientError> {
        Ok(Fetcher {
            pipe: Pipe::open(address)?,
            topic: topic.to_owned(),
            positions,
            ends: None,
            partition_bytes: PARTITION_BYTES,
            max_bytes: FETCH_BYTES,
            min_bytes: 1,
        })
    }

    /// Asks for what comes next; `None` if nothing more is wanted.
    pub fn fetch(&mut self) -> Result<Option<FetchResponse>, ClientError> {
        if let Some(ends) = &self.ends {
            self.positions
                .retain(|partition, next| *next < ends.get(partition).copied().unwrap_or(0));
        }
        if self.positions.is_empty() {
            return Ok(None);
        }
        let partitions = self
            .positions
            .iter()
            .map(|(partition, next)| FetchPartition {
                partition: *partition,
                fetch_offset: *next,
                partition_max_bytes: self.partition_bytes,
                ..FetchPartition::default()
            });
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            session_epoch: NO_SESSION,
            topics: vec![FetchTopic {
                topic: Str::from(self.topic.as_str()),
                partitions: partitions.collect(),
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let version = self.pipe.version::<FetchRequest>(FETCH_VERSIONS)?;
        self.pipe.call(&request, version).map(Some)
    }

    /// The records of an answer by partition.
    pub fn take(&self, response: FetchResponse) -> Result<Vec<(i32, Bytes)>, ClientError> {
        self.check(&self.topic, response.error_code)?;
        let mut records = Vec::new();
        for topic in response.responses {
            for partition in topic.partitions {
                let subject = format!("{}-{}", self.topic, partition.partition_index);
                self.check(&subject, partition.error_code)?;
                if let Some(Records::Bytes(bytes)) = partition.records
                    && !bytes.is_empty()
                {
                    records.push((partition.partition_index, bytes));
                }
            }
        }
        Ok(records)
    }

    /// Goes through the batches of a partition and moves its position behind them; says how many
    /// records there were, and how many bytes.
    pub fn pass(
        &mut self,
        partition: i32,
        bytes: &Bytes,
        verify: bool,
        mut each: impl FnMut(Bytes) -> Result<(), ClientError>,
    ) -> Result<(u64, u64), ClientError> {
        let subject = || format!("{}-{partition}", self.topic);
        let next = self.positions.get(&partition).copied().unwrap_or(0);
        let unreadable = |source: ottla_records::BatchError| ClientError::Records {
            subject: subject(),
            offset: next,
            source: source.into(),
        };
        let (mut records, mut size, mut position) = (0, 0, next);
        for batch in batches(bytes) {
            let batch = batch.map_err(unreadable)?;
            if verify {
                batch.check_crc().map_err(unreadable)?;
            }
            let header = batch.header();
            if !header.is_control() {
                records += u64::from(header.record_count().unsigned_abs());
            }
            size += batch.as_bytes().len() as u64;
            position = position.max(header.next_offset());
            each(bytes.slice_ref(batch.as_bytes()))?;
        }
        self.positions.insert(partition, position);
        Ok((records, size))
    }

    fn check(&self, subject: &str, code: i16) -> Result<(), ClientError> {
        match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(()),
            code => Err(ClientError::Refused {
                subject: subject.to_owned(),
                code,
                message: Some(format!("in the answer to {}", ApiKey::Fetch)),
            }),
        }
    }
}

/// The epoch of a fetch that wants no session.
const NO_SESSION: i32 = -1;

#[cfg(test)]
mod tests;
