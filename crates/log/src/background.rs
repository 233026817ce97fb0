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
        Threads::start(count, name).map(Background::Threads)
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

/// A few threads and a queue; they end when this is dropped, after the jobs that wait.
pub struct Threads {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    idle: usize,
    is_closed: bool,
}

impl Threads {
    fn start(count: usize, name: &str) -> std::io::Result<Threads> {
        let queue = Arc::<Queue>::default();
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
        let is_wanted = waiting.idle > 0;
        drop(waiting);
        if is_wanted {
            self.queue.arrived.notify_one();
        }
        Ok(())
    }
}

impl Queue {
    fn work(&self) {
        let mut waiting = self.waiting();
        loop {
            match waiting.jobs.pop_front() {
                Some(job) => {
                    drop(waiting);
                    job();
                    waiting = self.waiting();
                }
                None if waiting.is_closed => return,
                None => {
                    waiting.idle += 1;
                    waiting = self.arrived.wait(waiting).expect("job queue poisoned");
                    waiting.idle -= 1;
                }
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
