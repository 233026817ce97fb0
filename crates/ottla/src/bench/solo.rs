//! Runs whose connections are all tasks of one thread: the runtime, what they count, the progress.
//!
//! Used by `groups.rs`, `transactions.rs` and `partitions.rs`, whose work is many small requests of
//! many connections. Invariant: the first task that fails ends the run with its error.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::{JoinSet, LocalSet};

use super::meter::{Latencies, Run};
use crate::error::ToolError;

/// How often the progress line moves.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Tasks of a run; what is left of them ends when this is dropped.
pub type Tasks = JoinSet<Result<(), ToolError>>;

/// Runs `work` with all its tasks on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, ToolError>>) -> Result<T, ToolError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ToolError::Runtime)?;
    LocalSet::new().block_on(&runtime, work)
}

/// Waits for all tasks, or for the first that fails.
pub async fn finish(tasks: &mut Tasks) -> Result<(), ToolError> {
    while let Some(ended) = tasks.join_next().await {
        result_of(ended)?;
    }
    Ok(())
}

/// What a task came to; its panic is ours.
pub fn result_of(
    ended: Result<Result<(), ToolError>, tokio::task::JoinError>,
) -> Result<(), ToolError> {
    match ended {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Tasks are cancelled only when the run has failed already.
            Err(_cancelled) => Ok(()),
        },
    }
}

/// Latencies that all tasks of the thread add to.
#[derive(Clone)]
pub struct Tally(Rc<RefCell<Kept>>);

struct Kept {
    all: Latencies,
    /// From the schedule, since the progress line last moved.
    recent: Histogram<u64>,
}

impl Tally {
    pub fn new() -> Tally {
        let all = Latencies::new();
        let recent = Histogram::new_from(&all.scheduled);
        Tally(Rc::new(RefCell::new(Kept { all, recent })))
    }

    pub fn record(&self, intended: Instant, sent: Instant, now: Instant) {
        let mut kept = self.0.borrow_mut();
        kept.all.record(intended, sent, now);
        let micros = now.saturating_duration_since(intended).as_micros();
        kept.recent
            .saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
    }

    /// Hands out what was measured.
    pub fn take(&self) -> Latencies {
        std::mem::replace(&mut self.0.borrow_mut().all, Latencies::new())
    }

    /// In milliseconds, of what came since it was last asked for.
    fn recent_p99_ms(&self) -> f64 {
        const US_PER_MS: f64 = 1000.0;
        let recent = &mut self.0.borrow_mut().recent;
        let p99 = recent.value_at_percentile(99.0) as f64 / US_PER_MS;
        recent.reset();
        p99
    }
}

/// A line on standard error that moves while somebody looks at it.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn start(message: impl Into<String>) -> Progress {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let progress = Progress(bar);
        progress.say(message);
        progress
    }

    pub fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
        self.0.tick();
    }

    /// Shows how often per second `what` was done, until the run's tasks have ended.
    pub async fn follow(
        &self,
        what: &str,
        run: &Run,
        tally: &Tally,
        tasks: &mut Tasks,
    ) -> Result<(), ToolError> {
        let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
        let mut before = 0;
        let finish = finish(tasks);
        tokio::pin!(finish);
        loop {
            tokio::select! {
                result = &mut finish => return result,
                _ = tick.tick() => {
                    let done = run.requests.load(Ordering::Relaxed);
                    self.say(format!(
                        "{what}: {done}, {}/s, p99 {:.2} ms",
                        done.saturating_sub(before),
                        tally.recent_p99_ms(),
                    ));
                    before = done;
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
