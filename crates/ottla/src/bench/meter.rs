//! What a run has done: counters that every worker adds to, latencies that each keeps for itself.
//!
//! A latency is taken twice: from the moment at which the schedule wanted the request to be sent
//! (`latency_ms`), so that a broker that stalls is charged for everything that waited behind the
//! stall, and from the moment at which it really was sent (`service_latency_ms`).
//! Used by every command of `bench`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use ottla_net::client::ClientError;
use serde::Serialize;

use crate::error::ToolError;
use crate::text::format_bytes;

/// Latencies are kept in microseconds, to two digits, up to an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;
const LATENCY_DIGITS: u8 = 2;
/// How often the progress line moves.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// When a run begins and ends, and what it has done.
pub struct Run {
    /// The moment from which things count: after the warm-up.
    begin: Instant,
    end: Option<Instant>,
    /// Records that may still be asked for; `i64::MAX` without a bound.
    left: AtomicI64,
    stopped: AtomicBool,
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub requests: AtomicU64,
    pub errors: AtomicU64,
    /// When the last thing that counts was done, in nanoseconds since `begin`.
    last: AtomicU64,
}

impl Run {
    pub fn new(warmup: Duration, length: Option<Duration>, records: Option<u64>) -> Arc<Run> {
        let begin = Instant::now() + warmup;
        Arc::new(Run {
            begin,
            end: length.map(|length| begin + length),
            left: AtomicI64::new(
                records.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX)),
            ),
            stopped: AtomicBool::new(false),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            last: AtomicU64::new(0),
        })
    }

    pub fn is_over(&self) -> bool {
        self.is_stopped() || self.end.is_some_and(|end| Instant::now() >= end)
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether all records were taken that the run is to have.
    pub fn has_all(&self) -> bool {
        self.left.load(Ordering::Relaxed) <= 0
    }

    /// Whether the run is over before `moment`, when something is due.
    pub fn ends_before(&self, moment: Instant) -> bool {
        self.is_over() || self.end.is_some_and(|end| moment >= end)
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Takes `records` out of what is left to do; false when there is no more, or no more time.
    pub fn take(&self, records: u64) -> bool {
        if self.is_over() {
            return false;
        }
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.left.load(Ordering::Relaxed) == i64::MAX
            || self.left.fetch_sub(records, Ordering::Relaxed) > 0
    }

    /// Counts something that was done now. False while the run warms up, and after its end.
    pub fn count(&self, now: Instant, records: u64, bytes: u64) -> bool {
        if now < self.begin || self.end.is_some_and(|end| now > end) {
            return false;
        }
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let since = now.duration_since(self.begin).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.last.fetch_max(since, Ordering::Relaxed);
        true
    }

    /// Counts a refusal that may pass, and goes on; false then. Another one ends the run.
    pub fn tolerate(&self, result: Result<(), ClientError>) -> Result<bool, ClientError> {
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.code().is_some() && error.is_retriable() => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// How long the run took: to its end if that was reached, or to the last thing that was done.
    fn seconds(&self) -> f64 {
        match self.end {
            Some(end) if Instant::now() >= end => end.duration_since(self.begin).as_secs_f64(),
            _ => Duration::from_nanos(self.last.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

/// The latencies that one worker has seen.
pub struct Latencies {
    pub scheduled: Histogram<u64>,
    pub service: Histogram<u64>,
}

impl Latencies {
    pub fn new() -> Latencies {
        // The bounds are constants that the crate accepts.
        let histogram = || {
            Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS)
                .unwrap_or_else(|_| unreachable!("the bounds are valid"))
        };
        Latencies {
            scheduled: histogram(),
            service: histogram(),
        }
    }

    pub fn record(&mut self, intended: Instant, sent: Instant, now: Instant) {
        self.scheduled
            .saturating_record(micros(now.saturating_duration_since(intended)));
        self.service
            .saturating_record(micros(now.saturating_duration_since(sent)));
    }

    pub fn merge(&mut self, other: &Latencies) {
        // Both have the same bounds, so nothing is lost.
        let _same = self.scheduled.add(&other.scheduled);
        let _same = self.service.add(&other.service);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(LATENCY_MAX_US)
        .max(1)
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub p99_99: f64,
    pub max: f64,
    pub mean: f64,
}

impl Percentiles {
    /// `None` if nothing was measured.
    pub fn of(histogram: &Histogram<u64>) -> Option<Percentiles> {
        const MS: f64 = 1000.0;
        let at = |percentile| histogram.value_at_percentile(percentile) as f64 / MS;
        (!histogram.is_empty()).then(|| Percentiles {
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p99_9: at(99.9),
            p99_99: at(99.99),
            max: histogram.max() as f64 / MS,
            mean: histogram.mean() / MS,
        })
    }

    pub fn row(&self, name: &str) -> Vec<String> {
        let values = [
            self.p50,
            self.p90,
            self.p99,
            self.p99_9,
            self.p99_99,
            self.max,
        ];
        let mut row = vec![name.to_owned()];
        row.extend(values.map(|value| format!("{value:.3}")));
        row
    }
}

/// The answer of a command.
#[derive(Debug, Serialize)]
pub struct Report {
    pub command: &'static str,
    pub seconds: f64,
    pub records: u64,
    pub bytes: u64,
    pub requests: u64,
    pub errors: u64,
    pub records_per_second: f64,
    pub bytes_per_second: f64,
    pub requests_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_latency_ms: Option<Percentiles>,
    pub client_cpu_seconds: f64,
}

impl Report {
    pub fn of(command: &'static str, run: &Run, latencies: &Latencies) -> Report {
        let seconds = run.seconds();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rate = |count: u64| match seconds > 0.0 {
            true => count as f64 / seconds,
            false => 0.0,
        };
        let (records, bytes, requests) =
            (load(&run.records), load(&run.bytes), load(&run.requests));
        Report {
            command,
            seconds,
            records,
            bytes,
            requests,
            errors: load(&run.errors),
            records_per_second: rate(records),
            bytes_per_second: rate(bytes),
            requests_per_second: rate(requests),
            latency_ms: Percentiles::of(&latencies.scheduled),
            service_latency_ms: Percentiles::of(&latencies.service),
            client_cpu_seconds: cpu_seconds(),
        }
    }

    /// What a person wants to read.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} records, {} in {:.2} s: {:.0} records/s, {}/s, {:.0} requests/s; {} errors\n",
            self.records,
            format_bytes(self.bytes),
            self.seconds,
            self.records_per_second,
            format_bytes(self.bytes_per_second as u64),
            self.requests_per_second,
            self.errors,
        );
        text += &self.latencies_text();
        text
    }

    pub fn latencies_text(&self) -> String {
        let rows = [
            ("from schedule", self.latency_ms),
            ("from sending", self.service_latency_ms),
        ];
        let rows = rows.map(|(name, row)| row.map(|row| row.row(name)));
        percentile_table(rows.into_iter().flatten())
    }
}

/// Rows of percentiles under their headings; nothing if there are none.
pub fn percentile_table(rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = rows.collect();
    match rows.is_empty() {
        true => String::new(),
        false => crate::output::table(
            &["latency, ms", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
            rows,
        ),
    }
}

/// CPU time of this process, user and system.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A thread that works for a run.
pub type Worker = JoinHandle<Result<Latencies, ToolError>>;

/// Starts a worker; one that fails ends the run for all.
pub fn work(
    run: &Arc<Run>,
    job: impl FnOnce() -> Result<Latencies, ToolError> + Send + 'static,
) -> Result<Worker, ToolError> {
    let run = Arc::clone(run);
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let result = job();
            if result.is_err() {
                run.stop();
            }
            result
        })
        .map_err(ToolError::Runtime)
}

/// Enough for a worker, so that a thousand of them are cheap.
const STACK_BYTES: usize = 256 * 1024;

/// Waits for all workers and shows what happens meanwhile; the first error is the run's.
pub fn finish(run: &Run, what: &str, workers: Vec<Worker>) -> Result<Latencies, ToolError> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let mut shown = (Instant::now(), 0, 0);
    while !workers.iter().all(JoinHandle::is_finished) {
        std::thread::park_timeout(PROGRESS_INTERVAL);
        let records = run.records.load(Ordering::Relaxed);
        let bytes = run.bytes.load(Ordering::Relaxed);
        let seconds = shown.0.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!(
            "{what}: {records} records, {:.0}/s, {}/s",
            records.saturating_sub(shown.1) as f64 / seconds,
            format_bytes((bytes.saturating_sub(shown.2) as f64 / seconds) as u64),
        ));
        bar.tick();
        shown = (Instant::now(), records, bytes);
    }
    bar.finish_and_clear();
    let mut all = Latencies::new();
    let mut first = None;
    for worker in workers {
        match worker.join() {
            Ok(Ok(latencies)) => all.merge(&latencies),
            Ok(Err(error)) => first = first.or(Some(error)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    match first {
        None => Ok(all),
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
