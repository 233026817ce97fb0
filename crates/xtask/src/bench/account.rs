//! What the kernel says that a process cost: CPU seconds, memory, threads, files, bytes to and from disk.
//!
//! Invariant: only the process that is measured is counted, so a shared machine does not blur it; what the host took
//! of the machine stands beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::host;
use super::metrics::Metrics;

/// How often memory, threads and files are looked at for their peaks.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
const BYTES_PER_MB: f64 = 1e6;

/// Counters of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    user_ticks: u64,
    system_ticks: u64,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
}

impl Counters {
    pub fn read(process: u32) -> io::Result<Self> {
        let place = place(process);
        let (user_ticks, system_ticks) = ticks(&fs::read_to_string(place.join("stat"))?)
            .ok_or_else(|| io::Error::other("/proc/PID/stat has another form than expected"))?;
        // Not every kernel lets us see them.
        let io = fs::read_to_string(place.join("io")).unwrap_or_default();
        Ok(Self {
            user_ticks,
            system_ticks,
            disk_read_bytes: field(&io, "read_bytes:").unwrap_or(0),
            disk_written_bytes: field(&io, "write_bytes:").unwrap_or(0),
        })
    }
}

/// The user's and the system's ticks in the text of `/proc/PID/stat`, whose second field may hold anything.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The number behind a name that begins a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn place(process: u32) -> PathBuf {
    Path::new("/proc").join(process.to_string())
}

/// The highest that was seen of what goes up and down.
#[derive(Default)]
struct Peaks {
    memory_kib: AtomicU64,
    threads: AtomicU64,
    files: AtomicU64,
    over: AtomicBool,
}

impl Peaks {
    fn sample(&self, process: u32) {
        let status = fs::read_to_string(place(process).join("status")).unwrap_or_default();
        let raise = |peak: &AtomicU64, value: Option<u64>| {
            peak.fetch_max(value.unwrap_or(0), Ordering::Relaxed);
        };
        raise(&self.memory_kib, field(&status, "VmRSS:"));
        raise(&self.threads, field(&status, "Threads:"));
        let files = fs::read_dir(place(process).join("fd")).map(Iterator::count);
        raise(&self.files, files.ok().map(|count| count as u64));
    }
}

/// Watches a process from `begin` to `end`.
pub struct Watch {
    process: u32,
    began: Instant,
    before: Counters,
    machine: Option<host::Ticks>,
    peaks: Arc<Peaks>,
    sampler: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn begin(process: u32) -> io::Result<Self> {
        let peaks = Arc::new(Peaks::default());
        let shared = Arc::clone(&peaks);
        let sampler = thread::spawn(move || {
            while !shared.over.load(Ordering::Relaxed) {
                shared.sample(process);
                thread::park_timeout(SAMPLE_INTERVAL);
            }
        });
        Ok(Self {
            process,
            began: Instant::now(),
            before: Counters::read(process)?,
            machine: host::Ticks::now(),
            peaks,
            sampler: Some(sampler),
        })
    }

    /// What the process cost since `begin`.
    pub fn end(mut self) -> io::Result<Metrics> {
        let after = Counters::read(self.process)?;
        let seconds = self.began.elapsed().as_secs_f64();
        let machine = self.machine.zip(host::Ticks::now());
        self.stop();
        self.peaks.sample(self.process);
        let status = fs::read_to_string(place(self.process).join("status"))?;
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let cpu = |after: u64, before: u64| after.saturating_sub(before) as f64 / per_second;
        let user = cpu(after.user_ticks, self.before.user_ticks);
        let system = cpu(after.system_ticks, self.before.system_ticks);
        let mb = |after: u64, before: u64| after.saturating_sub(before) as f64 / BYTES_PER_MB;
        let peak = |value: &AtomicU64| value.load(Ordering::Relaxed) as f64;
        let memory_mb = |kib: f64| kib * 1024.0 / BYTES_PER_MB;
        let resident = field(&status, "VmRSS:").unwrap_or(0) as f64;
        let mut metrics = Metrics::from_iter([
            ("window_seconds", seconds),
            ("cpu_user_seconds", user),
            ("cpu_system_seconds", system),
            ("cpu_seconds", user + system),
            ("memory_mb", memory_mb(resident)),
            ("memory_peak_mb", memory_mb(peak(&self.peaks.memory_kib))),
            ("threads", peak(&self.peaks.threads)),
            ("open_files", peak(&self.peaks.files)),
            (
                "disk_read_mb",
                mb(after.disk_read_bytes, self.before.disk_read_bytes),
            ),
            (
                "disk_written_mb",
                mb(after.disk_written_bytes, self.before.disk_written_bytes),
            ),
        ]);
        if let Some((before, now)) = machine {
            metrics.set(host::STOLEN, before.stolen_percent(now));
        }
        Ok(metrics)
    }

    fn stop(&mut self) {
        self.peaks.over.store(true, Ordering::Relaxed);
        if let Some(sampler) = self.sampler.take() {
            sampler.thread().unpark();
            // The sampler does nothing that can fail.
            let _ = sampler.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
