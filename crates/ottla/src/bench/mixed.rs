//! `ottla bench mixed`: producers and consumers at the same time, as fast as the broker lets them.
//!
//! Producers send as with `ottla bench produce`; consumers follow at the tail until they have what was sent in the
//! run. With `--backlog` others read an older topic meanwhile. How long a record takes is what `ottla bench latency`
//! measures: here the requests are made beforehand, so that broker and disk are the bottleneck.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ottla_net::client::OffsetSpec;
use serde::Serialize;

use super::backlog::BacklogArgs;
use super::consume::{self, Fetcher};
use super::meter::{self, Latencies, Report, Run, Worker};
use super::produce::{FlowArgs, Senders};
use super::{Place, ShapeArgs, TimeArgs, TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench mixed --create --bytes 1000000000             # one producer, one consumer
  ottla bench mixed --connections 4 --consumers 4 --groups 3 --seconds 30
  ottla bench mixed --rate 50000 --seconds 60 --backlog old-topic")]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    flow: FlowArgs,
    /// Consumers that share the partitions, each with a connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=super::CONNECTIONS_MAX))]
    consumers: u32,
    /// How often all of it is read, at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    groups: u32,
    #[command(flatten)]
    backlog: BacklogArgs,
}

/// What is printed: both sides, and those who read the backlog.
#[derive(Serialize)]
struct Answer {
    command: &'static str,
    produce: Report,
    /// Of all groups together.
    consume: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<Report>,
}

impl Answer {
    fn text(&self) -> String {
        let mut text = format!("sent: {}", self.produce.text());
        text += &format!("received: {}", self.consume.text());
        if let Some(catch_up) = &self.catch_up {
            text += &format!("catching up: {}", catch_up.text());
        }
        text
    }
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let count = super::consumers_of(args.consumers, args.groups)?;
    let place = topic::prepare(&args.cluster, &args.topic)?;
    let senders = Senders::prepare(&args.flow, &args.shape.shape(&place.topic), &place)?;
    let starts = consume::offsets(&args.cluster, &place, OffsetSpec::Latest)?;
    let produce = args.time.run(u64::from(args.shape.record_size), false);
    // The others go on until everything was sent, however much that is.
    let (consume, backlog) = (args.time.without_count(), args.time.without_count());
    let all_sent = Arc::new(AtomicBool::new(false));
    let consumers = consumers(count, args, &place, &starts, &consume, &all_sent)?;
    let catch_up = args.backlog.start(&args.cluster, &backlog)?;
    let sent = meter::finish(&produce, "sent", senders.start(&produce)?);
    all_sent.store(true, Ordering::Relaxed);
    backlog.stop();
    if sent.is_err() {
        consume.stop();
    }
    let received = meter::finish(&consume, "received", consumers);
    let caught_up = meter::finish(&backlog, "caught up", catch_up);
    let (sent, received, caught_up) = (sent?, received?, caught_up?);
    let answer = Answer {
        command: "mixed",
        produce: Report::of("produce", &produce, &sent),
        consume: Report::of("consume", &consume, &received),
        catch_up: args.backlog.report(&backlog, &caught_up),
    };
    match args.cluster.output {
        Format::Json => print_json(&answer),
        Format::Text => print_text(&answer.text()),
    }
}

fn consumers(
    count: u32,
    args: &Args,
    place: &Place,
    starts: &BTreeMap<i32, i64>,
    run: &Arc<Run>,
    all_sent: &Arc<AtomicBool>,
) -> Result<Vec<Worker>, ToolError> {
    let mut workers = Vec::new();
    for consumer in 0..count {
        let share = (consumer % args.consumers) as usize;
        for (address, positions) in place.share(share, args.consumers as usize, starts) {
            let fetcher = Fetcher::open(address, &place.topic, positions)?;
            let (of, all_sent) = (Arc::clone(run), Arc::clone(all_sent));
            workers.push(meter::work(run, move || follow(fetcher, &of, &all_sent))?);
        }
    }
    Ok(workers)
}

/// Reads the tail until nothing comes after everything was sent.
fn follow(mut fetcher: Fetcher, run: &Run, all_sent: &AtomicBool) -> Result<Latencies, ToolError> {
    while !run.is_stopped() {
        let was_all = all_sent.load(Ordering::Relaxed);
        let Some(response) = fetcher.fetch()? else {
            break;
        };
        let records = fetcher.take(response)?;
        if records.is_empty() && was_all {
            break;
        }
        for (partition, bytes) in records {
            let (count, size) = fetcher.pass(partition, &bytes, false, |_| Ok(()))?;
            run.count(Instant::now(), count, size);
        }
    }
    Ok(Latencies::new())
}
