//! `ottla bench latency`: how long records take from the moment they were due to a consumer's hands.
//!
//! Senders follow a schedule that was fixed in advance: whenever a connection is free it sends all
//! records that are due, each with its moment in its value. Consumers read the tail and compare.
//! With `--backlog` further consumers drain another topic at the same time, which shows what those
//! who catch up cost those who are at the tail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ottla_net::client::{ClientError, OffsetSpec};
use ottla_protocol::messages::ProduceRequest;
use ottla_records::{MAX_DECOMPRESSED_BYTES, RecordIter};
use serde::Serialize;

use super::backlog::BacklogArgs;
use super::consume::{self, Fetcher};
use super::load::{Shape, sleep_precisely, sleep_until, stamp};
use super::meter::{self, Latencies, Percentiles, Report, Run, Worker};
use super::pipe::{self, Inlet, Pipe};
use super::produce::{PRODUCE_VERSIONS, check};
use super::under_way::{self, Awaited, Room, Sent};
use super::{Place, ShapeArgs, TimeArgs, TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench latency --create --rate 10000 --seconds 30 --warmup 5
  ottla bench latency --rate 100000 --seconds 600 --connections 2 --consumers 2
  ottla bench latency --rate 10000 --seconds 60 --backlog old-topic     # while others catch up")]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Records per second of all connections.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Connections that send.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=super::CONNECTIONS_MAX))]
    connections: u32,
    /// Requests of one connection that may be under way.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// The most records of one request.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    request_records: u32,
    /// Consumers that share the partitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=super::CONNECTIONS_MAX))]
    consumers: u32,
    #[command(flatten)]
    backlog: BacklogArgs,
}

/// What is printed: the produce side, and the way to the consumer.
#[derive(Serialize)]
struct Answer {
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_to_end_latency_ms: Option<Percentiles>,
    received: u64,
    produce: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<Report>,
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let place = topic::prepare(&args.cluster, &args.topic)?;
    let starts = consume::offsets(&args.cluster, &place, OffsetSpec::Latest)?;
    let sides = Sides {
        produce: args.time.run(u64::from(args.shape.record_size), false),
        consume: args.time.run(1, false),
        backlog: args.time.run(1, false),
        all_sent: Arc::new(AtomicBool::new(false)),
        epoch: Instant::now(),
    };
    let consumers = consumers(args, &place, &starts, &sides)?;
    let catch_up = args.backlog.start(&args.cluster, &sides.backlog)?;
    let senders = senders(args, &place, &sides)?;
    let sent = meter::finish(&sides.produce, "sent", senders);
    sides.all_sent.store(true, Ordering::Relaxed);
    sides.backlog.stop();
    if sent.is_err() {
        sides.consume.stop();
    }
    let received = meter::finish(&sides.consume, "received", consumers);
    let caught_up = meter::finish(&sides.backlog, "caught up", catch_up);
    let (sent, received, caught_up) = (sent?, received?, caught_up?);
    let consumed = Report::of("consume", &sides.consume, &received);
    let answer = Answer {
        command: "latency",
        end_to_end_latency_ms: Percentiles::of(&received.scheduled),
        received: consumed.records,
        produce: Report::of("produce", &sides.produce, &sent),
        catch_up: args.backlog.report(&sides.backlog, &caught_up),
    };
    print(&args.cluster, &answer)
}

fn print(cluster: &ClusterArgs, answer: &Answer) -> Result<(), ToolError> {
    if cluster.output == Format::Json {
        return print_json(answer);
    }
    let mut text = answer.produce.text();
    let row = answer
        .end_to_end_latency_ms
        .map(|row| row.row("end to end"));
    text += &meter::percentile_table(row.into_iter());
    if let Some(catch_up) = &answer.catch_up {
        text += "catching up: ";
        text += &catch_up.text();
    }
    print_text(&text)
}

/// What the two sides of a run share.
struct Sides {
    produce: Arc<Run>,
    consume: Arc<Run>,
    backlog: Arc<Run>,
    all_sent: Arc<AtomicBool>,
    /// The moment that stamps count from.
    epoch: Instant,
}

fn consumers(
    args: &Args,
    place: &Place,
    starts: &BTreeMap<i32, i64>,
    sides: &Sides,
) -> Result<Vec<Worker>, ToolError> {
    let mut workers = Vec::new();
    for share in 0..args.consumers as usize {
        for (address, positions) in place.share(share, args.consumers as usize, starts) {
            let fetcher = Fetcher::open(address, &place.topic, positions)?;
            let (run, all_sent, epoch) = (
                Arc::clone(&sides.consume),
                Arc::clone(&sides.all_sent),
                sides.epoch,
            );
            workers.push(meter::work(&sides.consume, move || {
                receive(fetcher, &run, &all_sent, epoch)
            })?);
        }
    }
    Ok(workers)
}

/// Reads the tail until nothing comes after everything was sent.
fn receive(
    mut fetcher: Fetcher,
    run: &Run,
    all_sent: &AtomicBool,
    epoch: Instant,
) -> Result<Latencies, ToolError> {
    let mut latencies = Latencies::new();
    loop {
        let was_all = all_sent.load(Ordering::Relaxed);
        let Some(response) = fetcher.fetch()? else {
            break;
        };
        let now = Instant::now();
        let records = fetcher.take(response)?;
        if records.is_empty() && was_all {
            break;
        }
        for (partition, bytes) in records {
            let mut due = Vec::new();
            let topic = fetcher.topic.clone();
            fetcher.pass(partition, &bytes, false, |batch| {
                read_stamps(&batch, &mut due).map_err(|source| ClientError::Records {
                    subject: format!("{topic}-{partition}"),
                    offset: 0,
                    source,
                })
            })?;
            for due in due {
                let intended = epoch + due;
                // What was due before the run began to count, or after its end, does not.
                if run.count(intended, 1, 0) {
                    latencies.record(intended, intended, now);
                }
            }
        }
    }
    Ok(latencies)
}

fn read_stamps(
    batch: &bytes::Bytes,
    due: &mut Vec<Duration>,
) -> Result<(), ottla_records::RecordError> {
    for record in RecordIter::new(batch, MAX_DECOMPRESSED_BYTES)? {
        due.extend(record?.value.as_deref().and_then(stamp));
    }
    Ok(())
}

fn senders(args: &Args, place: &Place, sides: &Sides) -> Result<Vec<Worker>, ToolError> {
    let shape = args.shape.shape(&place.topic);
    let connections = f64::from(args.connections);
    let mut workers = Vec::new();
    for index in 0..args.connections {
        let address = &place.addresses[index as usize % place.addresses.len()];
        let pipe = Pipe::open(address)?;
        let interval = connections / args.rate;
        let sender = Sender {
            run: Arc::clone(&sides.produce),
            shape: shape.clone(),
            partitions: place.led_by(address),
            version: pipe.version::<ProduceRequest>(PRODUCE_VERSIONS)?,
            first: Instant::now()
                + Duration::from_secs_f64(interval * f64::from(index) / connections),
            interval,
            epoch: sides.epoch,
            request_records: u64::from(args.request_records),
        };
        let in_flight = args.in_flight as usize;
        workers.push(meter::work(&sides.produce, move || {
            sender.run(pipe, in_flight)
        })?);
    }
    Ok(workers)
}

/// One connection that sends what is due.
struct Sender {
    run: Arc<Run>,
    shape: Shape,
    partitions: Vec<i32>,
    version: i16,
    first: Instant,
    /// Seconds between two records.
    interval: f64,
    epoch: Instant,
    request_records: u64,
}

impl Sender {
    fn run(self, pipe: Pipe, in_flight: usize) -> Result<Latencies, ToolError> {
        let Pipe {
            mut outlet,
            mut inlet,
            ..
        } = pipe;
        let (room, awaited) = under_way::bounded(in_flight);
        sleep_precisely();
        std::thread::scope(|scope| {
            let sender = &self;
            let reader = scope.spawn(move || sender.read_answers(&mut inlet, &awaited));
            let written = self.write_requests(room, |frame| outlet.write(frame));
            let read = match reader.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            written?;
            read
        })
    }

    fn write_requests(
        &self,
        room: Room,
        mut write: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ToolError> {
        let (mut next, mut turn) = (0_u64, 0_usize);
        loop {
            sleep_until(self.due(next));
            if !room.wait() {
                return Ok(());
            }
            let now = Instant::now();
            let due = now.saturating_duration_since(self.first).as_secs_f64() / self.interval;
            let records = (due as u64 + 1)
                .saturating_sub(next)
                .clamp(1, self.request_records);
            if !self.run.take(records) {
                return Ok(());
            }
            let partition = self.partitions[turn % self.partitions.len()];
            let stamps = (next..next + records).map(|n| self.due(n) - self.epoch);
            let mut frame = self
                .shape
                .stamped(self.version, partition, stamps)?
                .to_vec();
            pipe::set_correlation_id(&mut frame, i32::try_from(turn % 1_000_000).unwrap_or(0));
            room.note(Sent {
                due: self.due(next),
                sent: now,
                records,
                bytes: records * self.shape.record_bytes as u64,
            });
            write(&frame)?;
            next += records;
            turn += 1;
        }
    }

    /// When a record is due.
    fn due(&self, record: u64) -> Instant {
        self.first + Duration::from_secs_f64(self.interval * record as f64)
    }

    fn read_answers(&self, inlet: &mut Inlet, awaited: &Awaited) -> Result<Latencies, ToolError> {
        let mut latencies = Latencies::new();
        while let Some(sent) = awaited.next() {
            let accepted = self.shape.acks == 0
                || self
                    .run
                    .tolerate(check(&inlet.read::<ProduceRequest>(self.version)?))?;
            if accepted {
                sent.count(&self.run, Instant::now(), &mut latencies);
            }
            awaited.answered();
        }
        Ok(latencies)
    }
}
