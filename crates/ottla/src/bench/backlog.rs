//! Consumers that read another topic from its beginning, over and over, beside the work that is measured.
//!
//! Used by `latency.rs` and `mixed.rs`.

use std::sync::Arc;
use std::time::Instant;

use ottla_net::client::OffsetSpec;

use super::consume::{self, Fetcher};
use super::meter::{self, Latencies, Report, Run, Worker};
use super::{TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;

#[derive(clap::Args)]
pub struct BacklogArgs {
    /// A topic that further consumers read from its beginning meanwhile, over and over.
    #[arg(long, value_name = "TOPIC")]
    backlog: Option<String>,
    /// How many of them there are.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=super::CONNECTIONS_MAX))]
    backlog_consumers: u32,
    /// Bytes per second that all of them read together, at most; as fast as they can without it.
    #[arg(long, value_name = "BYTES_PER_SECOND", requires = "backlog", value_parser = clap::value_parser!(u64).range(1..))]
    backlog_rate: Option<u64>,
}

impl BacklogArgs {
    /// Lets them read until the run is over; none without a topic.
    pub fn start(&self, cluster: &ClusterArgs, run: &Arc<Run>) -> Result<Vec<Worker>, ToolError> {
        let Some(backlog) = &self.backlog else {
            return Ok(Vec::new());
        };
        let place = topic::prepare(cluster, &TopicArgs::existing(backlog))?;
        let starts = consume::offsets(cluster, &place, OffsetSpec::Earliest)?;
        let ends = consume::offsets(cluster, &place, OffsetSpec::Latest)?;
        let consumers = self.backlog_consumers as usize;
        let rate = self.backlog_rate.map(|rate| rate as f64 / consumers as f64);
        let mut workers = Vec::new();
        for share in 0..consumers {
            for (leader, positions) in place.share(share, consumers, &starts) {
                let mut fetcher = Fetcher::open(leader, &place.topic, positions.clone())?;
                let (of, ends) = (Arc::clone(run), ends.clone());
                workers.push(meter::work(run, move || {
                    let mut pace = rate.map(|rate| consume::Pace::new(rate, Instant::now()));
                    while !of.is_over() {
                        fetcher.positions = positions.clone();
                        fetcher.ends = Some(ends.clone());
                        consume::drain(&mut fetcher, &of, false, pace.as_mut())?;
                    }
                    Ok(Latencies::new())
                })?);
            }
        }
        Ok(workers)
    }

    /// What they read.
    pub fn report(&self, run: &Run, latencies: &Latencies) -> Option<Report> {
        let report = || Report::of("consume", run, latencies);
        self.backlog.as_ref().map(|_| report())
    }
}
