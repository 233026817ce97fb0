//! Work that no caller should wait for: syncing rolled segments, preallocation, writeback.
//!
//! Invariant: jobs run in the order in which they came, on a fixed number of threads; the queue is bounded, and a job
//! that finds it full runs on the caller's thread, which slows the cause down.
//! Called by logs through their [`Environment`](crate::Environment).

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
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
    pub fn threads(count: usize) -> std::io::Result<Background> {
        Threads::start(count).map(Background::Threads)
    }

    pub(crate) fn run(&self, job: Job) {
        match self {
            Background::Inline => job(),
            Background::Threads(threads) => threads.run(job),
        }
    }

    /// As [`Background::run`], but forgets the job if too many wait.
    pub(crate) fn run_or_forget(&self, job: Job) {
        match self {
            Background::Inline => job(),
            Background::Threads(threads) => {
                let _ = threads.queue().try_send(job);
            }
        }
    }
}

/// A few threads and a queue; they end when this is dropped, after the jobs that wait.
pub struct Threads {
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(count: usize) -> std::io::Result<Threads> {
        let (queue, jobs) = sync_channel::<Job>(QUEUED_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = (0..count.max(1))
            .map(|n| {
                let jobs = Arc::clone(&jobs);
                std::thread::Builder::new()
                    .name(format!("log-background-{n}"))
                    .spawn(move || work(&jobs))
            })
            .collect::<Result<_, _>>()?;
        Ok(Threads {
            queue: Some(queue),
            threads,
        })
    }

    fn queue(&self) -> &SyncSender<Job> {
        self.queue.as_ref().expect("the queue lives until drop")
    }

    fn run(&self, job: Job) {
        match self.queue().try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job(),
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().expect("job queue poisoned").recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue = None;
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
