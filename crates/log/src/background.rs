//! Work that no caller should wait for: syncing rolled segments, preallocation, writeback.
//!
//! Invariant: jobs start in the order in which they came, on a bounded number of threads, each of which is there from the
//! first job on that finds all others busy; the queue is bounded, and a job that finds it full runs on the caller's
//! thread, which slows the cause down.
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
    /// At most so many threads, whose names begin with `name`.
    pub fn threads(count_max: usize, name: &str) -> Background {
        Background::limited(count_max, name, Limit::all(count_max))
    }

    /// Threads of which no more work than `limit` allows.
    pub(crate) fn limited(count_max: usize, name: &str, limit: Limit) -> Background {
        Background::Threads(Threads::new(count_max, name, limit))
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

    /// As [`Background::run`], but forgets the job, and returns false, if too many wait.
    pub(crate) fn run_or_forget(&self, job: Job) -> bool {
        match self {
            Background::Inline => {
                job();
                true
            }
            Background::Threads(threads) => threads.try_add(job).is_ok(),
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
    name: String,
    count_max: usize,
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
    threads: Vec<JoinHandle<()>>,
    is_closed: bool,
}

impl Threads {
    fn new(count_max: usize, name: &str, limit: Limit) -> Threads {
        Threads {
            queue: Arc::new(Queue {
                waiting: Mutex::default(),
                arrived: Condvar::new(),
                limit,
            }),
            name: name.to_owned(),
            count_max: count_max.max(1),
        }
    }

    /// Gives the job back if too many wait, or if there is no thread and the system refuses one.
    fn try_add(&self, job: Job) -> Result<(), Job> {
        let mut waiting = self.queue.waiting();
        if waiting.jobs.len() >= QUEUED_MAX {
            return Err(job);
        }
        if self.needs_thread(&waiting) {
            match self.start_thread(waiting.threads.len()) {
                Ok(thread) => waiting.threads.push(thread),
                Err(error) if waiting.threads.is_empty() => {
                    tracing::warn!(name = self.name, %error, "no thread for background work");
                    return Err(job);
                }
                // Those that are there do it later.
                Err(_) => {}
            }
        }
        waiting.jobs.push_back(job);
        self.queue.wake_another(waiting);
        Ok(())
    }

    /// Whether one more job is one more than the threads that are there can begin.
    fn needs_thread(&self, waiting: &Waiting) -> bool {
        let (threads, queued) = (waiting.threads.len(), waiting.jobs.len() + 1);
        // One that was told of a job and has not come for it yet still counts as idle, one that starts as at work.
        queued > waiting.idle
            && threads < self.count_max
            && (self.queue.limit).allows_another(threads - waiting.idle, queued)
    }

    fn start_thread(&self, n: usize) -> std::io::Result<JoinHandle<()>> {
        let queue = Arc::clone(&self.queue);
        std::thread::Builder::new()
            .name(format!("{}-{n}", self.name))
            .spawn(move || queue.work())
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
        let mut waiting = self.queue.waiting();
        waiting.is_closed = true;
        let threads = std::mem::take(&mut waiting.threads);
        drop(waiting);
        self.queue.arrived.notify_all();
        let current = std::thread::current().id();
        for thread in threads {
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
            .field("name", &self.name)
            .field("count_max", &self.count_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
