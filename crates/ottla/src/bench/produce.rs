//! `ottla bench produce`: requests made beforehand, sent by one thread for each connection, or by one for all that have
//! one request under way and no schedule.
//!
//! Invariant: a connection never has more than `--in-flight` requests under way. With `--rate` the
//! schedule is fixed in advance, and a request that could not leave in time is charged for it.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_net::client::ClientError;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};

use super::crowd::{self, Member};
use super::load::{Prepared, Shape, sleep_precisely, sleep_until};
use super::meter::{self, Latencies, Report, Run, Worker};
use super::pipe::{self, Inlet, Outlet, Pipe};
use super::under_way::{self, Awaited, Sent};
use super::{Place, ShapeArgs, TimeArgs, TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;

/// Half of `max.message.bytes`, so that what surrounds records of ten bytes has room as well.
const BATCH_BYTES: u32 = 500_000;
/// Versions of Produce that name topics by name.
pub const PRODUCE_VERSIONS: std::ops::RangeInclusive<i16> = 3..=12;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench produce --create --partitions 10 --bytes 1000000000
  ottla bench produce --rate 10000 --seconds 30 --batch-bytes 1024       # latency at a fixed rate
  ottla bench produce --connections 200 --in-flight 1 --record-size 100 --keyed --batch-bytes 100")]
pub struct Args {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    flow: FlowArgs,
}

/// How requests are sent.
#[derive(clap::Args)]
pub struct FlowArgs {
    /// Bytes of the keys and values of one batch.
    #[arg(long, default_value_t = BATCH_BYTES, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    batch_bytes: u32,
    /// Batches of one request, each for another partition.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    batches: u32,
    /// Connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=super::CONNECTIONS_MAX))]
    connections: u32,
    /// Requests of one connection that may be under way.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    in_flight: u32,
    /// Records per second of all connections; without it, as many as the broker takes.
    #[arg(long)]
    rate: Option<f64>,
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let place = topic::prepare(&args.cluster, &args.topic)?;
    let senders = Senders::prepare(&args.flow, &args.shape.shape(&place.topic), &place)?;
    let run = args.time.run(u64::from(args.shape.record_size), false);
    let latencies = meter::finish(&run, "produced", senders.start(&run)?)?;
    super::print(&args.cluster, &Report::of("produce", &run, &latencies))
}

/// Connections, each with the requests that it sends in turn.
pub struct Senders<'a> {
    flow: &'a FlowArgs,
    acks: i16,
    prepared: Vec<(Pipe, Vec<Prepared>)>,
}

impl<'a> Senders<'a> {
    /// Connects and makes the requests; nothing is sent yet.
    pub fn prepare(
        flow: &'a FlowArgs,
        shape: &Shape,
        place: &Place,
    ) -> Result<Senders<'a>, ClientError> {
        let mut prepared = Vec::new();
        for connection in 0..flow.connections as usize {
            let address = &place.addresses[connection % place.addresses.len()];
            let pipe = Pipe::open(address)?;
            let frames = frames(flow, place, shape, &pipe, connection)?;
            prepared.push((pipe, frames));
        }
        Ok(Senders {
            flow,
            acks: shape.acks,
            prepared,
        })
    }

    /// Starts to send, until the run is over.
    pub fn start(self, run: &Arc<Run>) -> Result<Vec<Worker>, ToolError> {
        let connections = f64::from(self.flow.connections);
        let in_flight = self.flow.in_flight as usize;
        let mut workers = Vec::new();
        let mut in_turn = Vec::new();
        for (index, (pipe, frames)) in self.prepared.into_iter().enumerate() {
            let pace = self.flow.rate.map(|rate| {
                let per_request = frames.first().map_or(1, |frame| frame.records) as f64;
                let interval = Duration::from_secs_f64(per_request * connections / rate);
                // Connections take turns.
                let first = interval.mul_f64(index as f64 / connections);
                Pace {
                    first: Instant::now() + first,
                    interval,
                }
            });
            let sender = Sender {
                run: Arc::clone(run),
                frames,
                pace,
                acks: self.acks,
            };
            if sender.pace.is_none() && self.acks != 0 && in_flight == 1 {
                in_turn.push(InTurn::new(sender, pipe)?);
            } else {
                workers.push(meter::work(run, move || sender.run(pipe, in_flight))?);
            }
        }
        if !in_turn.is_empty() {
            workers.push(meter::work(run, move || InTurn::run(in_turn))?);
        }
        Ok(workers)
    }
}

/// The requests that a connection sends in turn.
fn frames(
    flow: &FlowArgs,
    place: &Place,
    shape: &Shape,
    pipe: &Pipe,
    connection: usize,
) -> Result<Vec<Prepared>, ClientError> {
    let version = pipe.version::<ProduceRequest>(PRODUCE_VERSIONS)?;
    let address = &place.addresses[connection % place.addresses.len()];
    let led = place.led_by(address);
    let sharing = flow.connections as usize;
    // Each connection has partitions of its own while there are enough of them.
    let mut mine: Vec<i32> = led
        .iter()
        .copied()
        .enumerate()
        .filter(|(position, _)| position % sharing == connection % sharing)
        .map(|(_, partition)| partition)
        .collect();
    if mine.is_empty() {
        mine.extend(led.get(connection % led.len().max(1)));
    }
    mine.chunks(flow.batches as usize)
        .map(|partitions| shape.prepare(version, partitions, flow.batch_bytes as usize))
        .collect()
}

/// When requests are due.
struct Pace {
    first: Instant,
    interval: Duration,
}

impl Pace {
    fn due(&self, request: u64) -> Instant {
        self.first + self.interval.mul_f64(request as f64)
    }
}

/// One connection's work.
struct Sender {
    run: Arc<Run>,
    frames: Vec<Prepared>,
    pace: Option<Pace>,
    acks: i16,
}

impl Sender {
    fn run(mut self, pipe: Pipe, in_flight: usize) -> Result<Latencies, ToolError> {
        let version = pipe.version::<ProduceRequest>(PRODUCE_VERSIONS)?;
        sleep_precisely();
        let Pipe {
            mut outlet,
            mut inlet,
            ..
        } = pipe;
        if self.acks == 0 {
            return self.send_only(&mut outlet);
        }
        let (room, awaited) = under_way::bounded(in_flight);
        let run = Arc::clone(&self.run);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || read_answers(&run, &mut inlet, version, &awaited));
            let mut sequence = 0;
            while let Some(due) = self.next(sequence) {
                if !room.wait() {
                    break;
                }
                let frame = self.frame(sequence);
                room.note(frame.sent(due));
                outlet.write(&frame.frame)?;
                sequence += 1;
            }
            drop(room);
            match reader.join() {
                Ok(latencies) => latencies,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Requests without answers.
    fn send_only(&mut self, outlet: &mut Outlet) -> Result<Latencies, ToolError> {
        let mut latencies = Latencies::new();
        let mut sequence = 0;
        while let Some(due) = self.next(sequence) {
            let frame = self.frame(sequence);
            let sent = frame.sent(due);
            outlet.write(&frame.frame)?;
            sent.count(&self.run, Instant::now(), &mut latencies);
            sequence += 1;
        }
        Ok(latencies)
    }

    /// Waits until the next request is due; `None` at the end of the run.
    fn next(&self, sequence: u64) -> Option<Instant> {
        let frames = self.frames.len() as u64;
        let next = &self.frames[usize::try_from(sequence % frames).unwrap_or(0)];
        if !self.run.take(next.records) {
            return None;
        }
        match &self.pace {
            None => Some(Instant::now()),
            Some(pace) => {
                let due = pace.due(sequence);
                sleep_until(due);
                Some(due)
            }
        }
    }

    fn frame(&mut self, sequence: u64) -> &Prepared {
        let frames = self.frames.len() as u64;
        let frame = &mut self.frames[usize::try_from(sequence % frames).unwrap_or(0)];
        let id = i32::try_from(sequence % i32::MAX as u64).unwrap_or(0);
        pipe::set_correlation_id(&mut frame.frame, id);
        frame
    }
}

fn read_answers(
    run: &Run,
    inlet: &mut Inlet,
    version: i16,
    awaited: &Awaited,
) -> Result<Latencies, ToolError> {
    let mut latencies = Latencies::new();
    while let Some(sent) = awaited.next() {
        let accepted = run.tolerate(check(&inlet.read::<ProduceRequest>(version)?))?;
        if accepted {
            sent.count(run, Instant::now(), &mut latencies);
        }
        awaited.answered();
    }
    Ok(latencies)
}

/// A connection that sends when its last request was answered.
struct InTurn {
    sender: Sender,
    outlet: Outlet,
    inlet: Inlet,
    version: i16,
    sequence: u64,
    under_way: Option<Sent>,
    latencies: Latencies,
}

impl InTurn {
    fn new(sender: Sender, pipe: Pipe) -> Result<InTurn, ClientError> {
        Ok(InTurn {
            version: pipe.version::<ProduceRequest>(PRODUCE_VERSIONS)?,
            sender,
            outlet: pipe.outlet,
            inlet: pipe.inlet,
            sequence: 0,
            under_way: None,
            latencies: Latencies::new(),
        })
    }

    /// Serves all of them on this thread.
    fn run(mut all: Vec<InTurn>) -> Result<Latencies, ToolError> {
        crowd::serve(&mut all)?;
        let mut latencies = Latencies::new();
        for one in &all {
            latencies.merge(&one.latencies);
        }
        Ok(latencies)
    }
}

impl Member for InTurn {
    fn send(&mut self) -> Result<bool, ToolError> {
        let Some(due) = self.sender.next(self.sequence) else {
            return Ok(false);
        };
        let frame = self.sender.frame(self.sequence);
        self.under_way = Some(frame.sent(due));
        self.outlet.write(&frame.frame)?;
        self.sequence += 1;
        Ok(true)
    }

    fn receive(&mut self, now: Instant) -> Result<(), ToolError> {
        let answer = self.inlet.read::<ProduceRequest>(self.version)?;
        let accepted = self.sender.run.tolerate(check(&answer))?;
        if let Some(sent) = self.under_way.take().filter(|_| accepted) {
            sent.count(&self.sender.run, now, &mut self.latencies);
        }
        Ok(())
    }

    fn socket(&self) -> impl AsFd {
        self.inlet.socket()
    }

    fn address(&self) -> &str {
        self.inlet.address()
    }
}

/// The first partition that refused makes the request fail.
pub fn check(response: &ProduceResponse) -> Result<(), ClientError> {
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            let code = ErrorCode::from_code(partition.error_code);
            if code != ErrorCode::None {
                return Err(ClientError::Refused {
                    subject: format!("{}-{}", &*topic.name, partition.index),
                    code,
                    message: partition.error_message.as_deref().map(str::to_owned),
                });
            }
        }
    }
    Ok(())
}
