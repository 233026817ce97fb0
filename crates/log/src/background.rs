//! Work that no caller should wait for: syncing rolled segments, preallocation, writeback.
//!
//! Invariant: jobs run in the order in which they came, on a fixed number of threads; the queue is bounded, and a job
//! that finds it full runs on the caller's thread, which slows the cause down.
//! Called by logs through their [`Environment`](crate::Environment).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Jobs that may wait.
const QUEUED_MAX: usize = 4096;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Where background work runs.
#[derive(Debug)]
pub enum Background {
    /// At once, on the thread that causes it: for tests and tools.
    Inline,
    Threads(Threads),
}

impl Background {
    /// Threads whose names begin with `name`.
    pub fn threads(count: usize, name: &str) -> std::io::Result<Background> {
        Threads::start(count, name, Limit::all(count)).map(Background::Threads)
    }

    /// Threads of which no more work than `limit` allows.
    pub(crate) fn limited(count: usize, name: &str, limit: Limit) -> std::io::Result<Background> {
        Threads::start(count, name, limit).map(Background::Threads)
    }

    pub(crate) fn run(&self, job: Job) {
        match self {
            Background::Inline => job(),
            Background::Threads(threads) => {
                if let Err(job) = threads.try_add(job) {
                    job();
                }
            }
        }
    }

    /// Runs the job after those that wait already; returns false, and forgets the job, if none waits (or too many):
    /// a thread that has more to do may then go on.
    pub(crate) fn run_after_others(&self, job: Job) -> bool {
        match self {
            Background::Inline => false,
            Background::Threads(threads) => threads.queue.add_behind(job),
        }
    }

    /// As [`Background::run`], but forgets the job if too many wait.
    pub(crate) fn run_or_forget(&self, job: Job) {
        match self {
            Background::Inline => job(),
            Background::Threads(threads) => {
                let _ = threads.try_add(job);
            }
        }
    }
}

/// How many threads may work at a time: `at_least` so many, and one for each `jobs_per_thread` that wait or are worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub at_least: usize,
    pub jobs_per_thread: usize,
}

impl Limit {
    fn all(threads: usize) -> Limit {
        Limit {
            at_least: threads.max(1),
            jobs_per_thread: 1,
        }
    }

    fn allows_another(self, busy: usize, queued: usize) -> bool {
        queued > 0 && busy < self.at_least.max((busy + queued) / self.jobs_per_thread)
    }
}

/// A few threads and a queue; they end when this is dropped, after the jobs that wait.
pub struct Threads {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    limit: Limit,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    idle: usize,
    busy: usize,
    is_closed: bool,
}

impl Threads {
    fn start(count: usize, name: &str, limit: Limit) -> std::io::Result<Threads> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            limit,
        });
        let threads = (0..count.max(1))
            .map(|n| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new()
                    .name(format!("{name}-{n}"))
                    .spawn(move || queue.work())
            })
            .collect::<Result<_, _>>()?;
        Ok(Threads { queue, threads })
    }

    /// Gives the job back if too many wait.
    fn try_add(&self, job: Job) -> Result<(), Job> {
        let mut waiting = self.queue.waiting();
        if waiting.jobs.len() >= QUEUED_MAX {
            return Err(job);
        }
        waiting.jobs.push_back(job);
        self.queue.wake_another(waiting);
        Ok(())
    }
}

impl Queue {
    /// Called by a thread that is about to look for its next job.
    fn add_behind(&self, job: Job) -> bool {
        let mut waiting = self.waiting();
        if waiting.jobs.is_empty() || waiting.jobs.len() >= QUEUED_MAX {
            return false;
        }
        waiting.jobs.push_back(job);
        self.wake_another(waiting);
        true
    }

    /// Wakes a thread for what waits, if there is one that may work.
    fn wake_another(&self, waiting: MutexGuard<'_, Waiting>) {
        let is_wanted = waiting.idle > 0 && self.is_wanted(&waiting);
        drop(waiting);
        if is_wanted {
            self.arrived.notify_one();
        }
    }

    fn is_wanted(&self, waiting: &Waiting) -> bool {
        self.limit.allows_another(waiting.busy, waiting.jobs.len())
    }

    fn work(&self) {
        let mut waiting = self.waiting();
        loop {
            if self.is_wanted(&waiting)
                && let Some(job) = waiting.jobs.pop_front()
            {
                waiting.busy += 1;
                drop(waiting);
                job();
                waiting = self.waiting();
                waiting.busy -= 1;
            } else if waiting.is_closed {
                // What waits is left to the threads that are at work, who look again.
                return;
            } else {
                waiting.idle += 1;
                waiting = self.arrived.wait(waiting).expect("job queue poisoned");
                waiting.idle -= 1;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("job queue poisoned")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.waiting().is_closed = true;
        self.queue.arrived.notify_all();
        let current = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last owner may be one of these threads itself.
            if thread.thread().id() != current {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads")
            .field("count", &self.threads.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
