//! `ottla bench transactions`: producers that each begin, send some records and commit, in a loop.
//!
//! Invariant: the steps are those of a Java producer against the same cluster: with
//! transaction.version 2 (KIP-890) partitions join a transaction by being written to and every
//! transaction has a producer epoch of its own; before, partitions are added by a request.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_net::client::ClientError;
use ottla_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnRequest, InitProducerIdRequest,
    ProduceRequest,
};
use ottla_protocol::{Records, Str};
use ottla_records::{BatchBuilder, Compression};
use serde::Serialize;

use super::alarm::Alarm;
use super::calls::{self, Attempt, Caller, Coordinated, Retries, check};
use super::meter::{Percentiles, Report, Run};
use super::pipe::PATIENCE;
use super::solo::{self, Progress, Tally, Tasks};
use super::{Place, TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};

const INIT_VERSIONS: RangeInclusive<i16> = 0..=4;
/// Versions in which a client adds partitions; later ones are for brokers.
const ADD_VERSIONS: RangeInclusive<i16> = 0..=3;
/// The feature whose level 2 is KIP-890's second part, and what speaks it.
const FEATURE: &str = "transaction.version";
const FEATURE_LEVEL: i16 = 2;
const IMPLICIT: Versions = Versions {
    produce: 12..=12,
    end: 5..=5,
};
const EXPLICIT: Versions = Versions {
    produce: 3..=11,
    end: 0..=4,
};
/// A broker that still ends the last transaction is asked again so soon. The Java producer waits
/// 20 ms, which would measure the wait.
const CONCURRENT_BACKOFF: Duration = Duration::from_millis(1);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench transactions --create --producers 10 --records-per-transaction 100
  ottla bench transactions --producers 50 --rate 500 --abort-ratio 0.1 --seconds 30")]
pub struct Args {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    topic: TopicArgs,
    /// Producers, each with a transactional id and connections of its own.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=5000))]
    producers: u32,
    /// Records of one transaction.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    records_per_transaction: u32,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1024 * 1024))]
    record_size: u32,
    /// Partitions that a transaction writes to, in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    spread: u32,
    /// Which part of the transactions is aborted, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    abort_ratio: f64,
    /// Transactions per second of all producers; without it, one begins when the last has ended.
    #[arg(long)]
    rate: Option<f64>,
    /// Stop after so many transactions.
    #[arg(long, conflicts_with = "seconds")]
    transactions: Option<u64>,
    /// Stop after so many seconds (10, if nothing else ends the run).
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds at the beginning that do not count.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// What the transactional ids begin with.
    #[arg(long, default_value = "bench")]
    prefix: String,
}

impl Args {
    const SECONDS_DEFAULT: f64 = 10.0;

    fn run(&self) -> Arc<Run> {
        let seconds = match self.transactions {
            Some(_) => self.seconds,
            None => Some(self.seconds.unwrap_or(Self::SECONDS_DEFAULT)),
        };
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Run::new(
            duration(self.warmup),
            seconds.map(duration),
            self.transactions,
        )
    }

    fn check(&self) -> Result<(), ToolError> {
        let wrong = |argument, value: f64, expected| ToolError::Argument {
            argument,
            value: value.to_string(),
            expected,
        };
        match self.rate {
            Some(rate) if !(rate.is_finite() && rate > 0.0) => {
                Err(wrong("--rate", rate, "transactions per second, above 0"))
            }
            _ if !(0.0..=1.0).contains(&self.abort_ratio) => Err(wrong(
                "--abort-ratio",
                self.abort_ratio,
                "a number from 0 to 1",
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Answer {
    /// Latencies are those of commits.
    #[serde(flatten)]
    report: Report,
    producers: u32,
    transactions: u64,
    aborted: u64,
    transactions_per_second: f64,
    /// How often a request had to be made again, as the last transaction was still being ended.
    retries: u64,
    /// From when a transaction was due to begin until it had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_latency_ms: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_service_latency_ms: Option<Percentiles>,
    /// 2 where partitions are added by being written to.
    transaction_version: i16,
}

impl Answer {
    fn text(&self) -> String {
        let rows = [
            ("commit", self.report.latency_ms),
            ("whole, from schedule", self.transaction_latency_ms),
            ("whole, from beginning", self.transaction_service_latency_ms),
        ];
        let rows = rows.map(|(name, row)| row.map(|row| row.row(name)));
        format!(
            "{} transactions ({} aborted) with {} records in {:.2} s: {:.0} transactions/s, {:.0} records/s; {} retries\n{}",
            self.transactions,
            self.aborted,
            self.report.records,
            self.report.seconds,
            self.transactions_per_second,
            self.report.records_per_second,
            self.retries,
            super::meter::percentile_table(rows.into_iter().flatten()),
        )
    }
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    args.check()?;
    let place = topic::prepare(&args.cluster, &args.topic)?;
    let answer = solo::block_on(measure(args, place))?;
    match args.cluster.output {
        Format::Json => print_json(&answer),
        Format::Text => print_text(&answer.text()),
    }
}

async fn measure(args: &Args, place: Place) -> Result<Answer, ToolError> {
    let progress = Progress::start("connecting");
    let mut asking = Caller::open(&place.addresses[0]).await?;
    let version = asking.feature(FEATURE).max(1);
    let shared = Rc::new(Shared {
        topic: Str::from(place.topic.as_str()),
        leaders: place.leaders,
        versions: match version >= FEATURE_LEVEL {
            true => IMPLICIT,
            false => EXPLICIT,
        },
        is_implicit: version >= FEATURE_LEVEL,
        records: args.records_per_transaction,
        value: vec![b'x'; args.record_size as usize],
        spread: args.spread as usize,
        abort_ratio: args.abort_ratio,
        commits: Tally::new(),
        whole: Tally::new(),
        aborted: Cell::new(0),
        retries: Cell::new(0),
        alarm: Alarm::start().map_err(ToolError::Runtime)?,
    });
    let mut producers = Vec::new();
    for index in 0..args.producers {
        let id = format!("{}-{index}", args.prefix);
        progress.say(format!("producer {id}"));
        let coordinator = calls::coordinator(&mut asking, Coordinated::Transaction, &id).await?;
        let first = index as usize * shared.spread;
        producers.push(Producer::open(&shared, id, &coordinator, first).await?);
    }

    let run = args.run();
    let mut tasks = Tasks::new();
    let count = f64::from(args.producers);
    for (index, producer) in producers.into_iter().enumerate() {
        let pace = args.rate.map(|rate| {
            let interval = Duration::from_secs_f64(count / rate);
            // Producers take turns.
            (
                Instant::now() + interval.mul_f64(index as f64 / count),
                interval,
            )
        });
        tasks.spawn_local(producer.live(Arc::clone(&run), pace));
    }
    progress
        .follow("transactions", &run, &shared.whole, &mut tasks)
        .await?;
    let report = Report::of("transactions", &run, &shared.commits.take());
    let whole = shared.whole.take();
    Ok(Answer {
        producers: args.producers,
        transactions: report.requests,
        aborted: shared.aborted.get(),
        transactions_per_second: report.requests_per_second,
        retries: shared.retries.get(),
        transaction_latency_ms: Percentiles::of(&whole.scheduled),
        transaction_service_latency_ms: Percentiles::of(&whole.service),
        transaction_version: version,
        report,
    })
}

/// Which versions of requests a transaction is made of.
struct Versions {
    produce: RangeInclusive<i16>,
    end: RangeInclusive<i16>,
}

struct Shared {
    topic: Str,
    /// Partition and the address of its leader.
    leaders: Vec<(i32, String)>,
    versions: Versions,
    is_implicit: bool,
    records: u32,
    value: Vec<u8>,
    spread: usize,
    abort_ratio: f64,
    commits: Tally,
    whole: Tally,
    aborted: Cell<u64>,
    retries: Cell<u64>,
    alarm: Rc<Alarm>,
}

struct Producer {
    shared: Rc<Shared>,
    transactional_id: Str,
    coordinator: Caller,
    /// By the leaders' addresses.
    leaders: BTreeMap<String, Caller>,
    id: i64,
    epoch: i16,
    /// The next sequence of each partition in this epoch.
    sequences: BTreeMap<i32, i32>,
    /// Where the next transaction begins among the partitions.
    next: usize,
}

impl Producer {
    async fn open(
        shared: &Rc<Shared>,
        transactional_id: String,
        coordinator: &str,
        next: usize,
    ) -> Result<Producer, ClientError> {
        let mut leaders = BTreeMap::new();
        for (_, address) in &shared.leaders {
            if !leaders.contains_key(address) {
                leaders.insert(address.clone(), Caller::open(address).await?);
            }
        }
        let mut producer = Producer {
            shared: Rc::clone(shared),
            transactional_id: Str::from(transactional_id),
            coordinator: Caller::open(coordinator).await?,
            leaders,
            id: -1,
            epoch: -1,
            sequences: BTreeMap::new(),
            next,
        };
        producer.init().await?;
        Ok(producer)
    }

    async fn init(&mut self) -> Result<(), ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.clone()),
            transaction_timeout_ms: i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX),
            ..InitProducerIdRequest::default()
        };
        let mut retries = Retries::new();
        loop {
            let response = self.coordinator.call(&request, &INIT_VERSIONS).await?;
            let checked = check(|| self.subject(), response.error_code, None);
            match Attempt::of(checked)? {
                Attempt::Done(()) => {
                    self.id = response.producer_id;
                    self.epoch = response.producer_epoch;
                    return Ok(());
                }
                Attempt::Later(reason) => retries.wait(reason).await?,
            }
        }
    }

    async fn live(
        mut self,
        run: Arc<Run>,
        pace: Option<(Instant, Duration)>,
    ) -> Result<(), ToolError> {
        let mut due = pace.map(|(first, _)| first);
        let mut chance = fastrand::Rng::with_seed(self.next as u64);
        while run.take(1) {
            if let Some(due) = due {
                if run.ends_before(due) {
                    break;
                }
                self.shared.alarm.sleep_until(due).await;
            }
            let begun = Instant::now();
            self.write().await?;
            let commits = chance.f64() >= self.shared.abort_ratio;
            let ending = Instant::now();
            self.end(commits).await?;
            let now = Instant::now();
            let records = u64::from(self.shared.records);
            if run.count(now, records, records * self.shared.value.len() as u64) {
                match commits {
                    true => self.shared.commits.record(ending, ending, now),
                    false => self.shared.aborted.update(|count| count + 1),
                }
                self.shared.whole.record(due.unwrap_or(begun), begun, now);
            }
            due = due.zip(pace).map(|(due, (_, interval))| due + interval);
        }
        Ok(())
    }

    /// Sends the records of one transaction, to each leader what it leads.
    async fn write(&mut self) -> Result<(), ClientError> {
        let shared = Rc::clone(&self.shared);
        let all = shared.leaders.len();
        let count = shared.spread.min(all);
        let chosen: Vec<_> = (0..count)
            .map(|place| &shared.leaders[(self.next + place) % all])
            .collect();
        self.next += count;
        if !shared.is_implicit {
            self.add(chosen.iter().map(|(partition, _)| *partition).collect())
                .await?;
        }
        let mut batches: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
        let share = shared.records as usize / count;
        let rest = shared.records as usize % count;
        for (place, (partition, address)) in chosen.into_iter().enumerate() {
            let records = share + usize::from(place < rest);
            if records > 0 {
                let data = PartitionProduceData {
                    index: *partition,
                    records: Some(Records::Bytes(self.batch(*partition, records)?)),
                    ..PartitionProduceData::default()
                };
                batches.entry(address).or_default().push(data);
            }
        }
        for (address, data) in batches {
            self.produce(address, data).await?;
        }
        Ok(())
    }

    fn batch(&mut self, partition: i32, records: usize) -> Result<Bytes, ClientError> {
        let sequence = self.sequences.entry(partition).or_insert(0);
        let mut builder = BatchBuilder::new(Compression::NONE)
            .producer(ottla_records::Producer {
                id: self.id,
                epoch: self.epoch,
                base_sequence: *sequence,
            })
            .transactional(true);
        let now = crate::text::now_ms();
        for _ in 0..records {
            builder.append(now, None, Some(&self.shared.value));
        }
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        // Sequences begin again at 0 after the largest number.
        let next = (i64::from(*sequence) + records) % (i64::from(i32::MAX) + 1);
        *sequence = i32::try_from(next).unwrap_or(0);
        builder.build().map_err(|source| ClientError::Batch {
            subject: self.subject(),
            source,
        })
    }

    async fn add(&mut self, partitions: Vec<i32>) -> Result<(), ClientError> {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: self.shared.topic.clone(),
                partitions,
                ..AddPartitionsToTxnTopic::default()
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let mut retries = Retries::new();
        loop {
            let response = self.coordinator.call(&request, &ADD_VERSIONS).await?;
            let checked = first_refusal(&response)
                .map_or(Ok(()), |code| check(|| self.subject(), code, None));
            match Attempt::of(checked)? {
                Attempt::Done(()) => return Ok(()),
                Attempt::Later(reason) => self.wait(&mut retries, reason).await?,
            }
        }
    }

    async fn produce(
        &mut self,
        address: &str,
        partition_data: Vec<PartitionProduceData>,
    ) -> Result<(), ClientError> {
        let request = ProduceRequest {
            transactional_id: Some(self.transactional_id.clone()),
            acks: -1,
            timeout_ms: i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: self.shared.topic.clone(),
                partition_data,
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        let mut retries = Retries::new();
        loop {
            let Some(leader) = self.leaders.get_mut(address) else {
                unreachable!("a connection to every leader was opened");
            };
            let response = leader.call(&request, &self.shared.versions.produce).await?;
            match Attempt::of(super::produce::check(&response))? {
                Attempt::Done(()) => return Ok(()),
                // A partition that took its batch finds the repetition by its sequence.
                Attempt::Later(reason) => self.wait(&mut retries, reason).await?,
            }
        }
    }

    async fn end(&mut self, committed: bool) -> Result<(), ClientError> {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..EndTxnRequest::default()
        };
        let mut retries = Retries::new();
        loop {
            let versions = &self.shared.versions.end;
            let response = self.coordinator.call(&request, versions).await?;
            let checked = check(|| self.subject(), response.error_code, None);
            match Attempt::of(checked)? {
                Attempt::Done(()) => {
                    if self.shared.is_implicit {
                        self.id = response.producer_id;
                        self.epoch = response.producer_epoch;
                        self.sequences.clear();
                    }
                    return Ok(());
                }
                Attempt::Later(reason) => self.wait(&mut retries, reason).await?,
            }
        }
    }

    async fn wait(&self, retries: &mut Retries, reason: ClientError) -> Result<(), ClientError> {
        self.shared.retries.update(|count| count + 1);
        retries.wait_for(CONCURRENT_BACKOFF, reason).await
    }

    fn subject(&self) -> String {
        format!("transactional id {}", &*self.transactional_id)
    }
}

fn first_refusal(response: &AddPartitionsToTxnResponse) -> Option<i16> {
    response
        .results_by_topic_v3_and_below
        .iter()
        .flat_map(|topic| &topic.results_by_partition)
        .map(|partition| partition.partition_error_code)
        .find(|code| *code != 0)
}
