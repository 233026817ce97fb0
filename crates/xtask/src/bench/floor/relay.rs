//! The floor of latency: a server of one thread that writes each record to a file, answers its sender
//! and passes it on to its reader.
//!
//! Invariant: no protocol, no second thread, no queue; what its slowest records wait for is the machine.
//! The other end (`measure`) sends by a schedule that is fixed in advance and measures from the moment
//! when a record was due, as `ottla bench latency` does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::super::metrics::Metrics;
use super::super::stop;
use super::Error;

/// What the server takes with one call.
const TURN_BYTES: usize = 1 << 20;
/// A record begins with the moment when it was due: nanoseconds since the run began.
const STAMP_BYTES: usize = 8;
/// One for each turn of the server; nobody reads what it says.
const ANSWER: [u8; 8] = [0; 8];
const DIGITS: u8 = 3;
const NANOS_PER_MS: f64 = 1e6;

/// Serves one sender, which comes first, and one reader, until the sender has no more.
pub fn serve(listener: &TcpListener, files: &mut [File], record_bytes: usize) -> io::Result<()> {
    let (mut sender, _) = listener.accept()?;
    let (mut reader, _) = listener.accept()?;
    sender.set_nodelay(true)?;
    reader.set_nodelay(true)?;
    let mut buffer = vec![0; TURN_BYTES.max(record_bytes)];
    let (mut filled, mut turn) = (0, 0);
    loop {
        let count = sender.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let whole = filled - filled % record_bytes;
        if whole == 0 {
            continue;
        }
        let place = turn % files.len();
        files[place].write_all(&buffer[..whole])?;
        sender.write_all(&ANSWER)?;
        reader.write_all(&buffer[..whole])?;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        turn += 1;
    }
}

/// The schedule of the other end.
pub struct Schedule {
    pub records_per_second: u64,
    pub record_bytes: usize,
    pub seconds: u64,
}

impl Schedule {
    fn records(&self) -> u64 {
        self.records_per_second * self.seconds
    }

    /// When a record is due, since the run began.
    fn due(&self, record: u64) -> Duration {
        Duration::from_secs_f64(record as f64 / self.records_per_second as f64)
    }

    /// Whether records have room for their moment, and follow each other in a time that has an end.
    pub fn is_possible(&self) -> bool {
        self.records_per_second > 0 && self.record_bytes >= STAMP_BYTES
    }
}

/// Sends by the schedule, which is a possible one, to the server at `port`, and says how long records took to the reader.
pub fn measure(port: u16, schedule: &Schedule) -> Result<Metrics, Error> {
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    let (sender, reader) = (connect()?, connect()?);
    let began = Instant::now();
    let latencies = thread::scope(|scope| -> io::Result<_> {
        let answers = sender.try_clone()?;
        let answered = scope.spawn(move || drain(answers));
        let received = scope.spawn(move || receive(reader, schedule.record_bytes, began));
        let sent = send(&sender, schedule, began);
        sender.shutdown(Shutdown::Write)?;
        sent?;
        join(answered)?;
        join(received)
    })?;
    if stop::is_asked() {
        return Err(Error::Interrupted);
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut metrics = Metrics::from_iter([
        ("seconds", seconds),
        ("records", latencies.len() as f64),
        ("records_per_second", latencies.len() as f64 / seconds),
        (
            "bytes",
            latencies.len() as f64 * schedule.record_bytes as f64,
        ),
    ]);
    for (name, percentile) in [
        ("p50", 50.0),
        ("p90", 90.0),
        ("p99", 99.0),
        ("p99_9", 99.9),
        ("p99_99", 99.99),
        ("max", 100.0),
    ] {
        let nanos = latencies.value_at_percentile(percentile) as f64;
        metrics.set(
            &format!("end_to_end_latency_ms.{name}"),
            nanos / NANOS_PER_MS,
        );
    }
    Ok(metrics)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn send(mut stream: &TcpStream, schedule: &Schedule, began: Instant) -> io::Result<()> {
    // Refused only by kernels that have no such thing; sleeps are then a little longer.
    let _refused = rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN));
    let mut next = 0;
    let mut bytes = Vec::new();
    while next < schedule.records() && !stop::is_asked() {
        thread::sleep(schedule.due(next).saturating_sub(began.elapsed()));
        bytes.clear();
        let now = began.elapsed();
        // All that is due by now, and the one that was slept for.
        loop {
            let due = u64::try_from(schedule.due(next).as_nanos()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&due.to_be_bytes());
            bytes.resize(bytes.len() + schedule.record_bytes - STAMP_BYTES, b'x');
            next += 1;
            if next >= schedule.records() || schedule.due(next) > now || bytes.len() >= TURN_BYTES {
                break;
            }
        }
        stream.write_all(&bytes)?;
    }
    Ok(())
}

fn drain(mut stream: TcpStream) -> io::Result<()> {
    let mut answers = [0; 4096];
    while stream.read(&mut answers)? > 0 {}
    Ok(())
}

fn receive(
    mut stream: TcpStream,
    record_bytes: usize,
    began: Instant,
) -> io::Result<Histogram<u64>> {
    let mut latencies = Histogram::new(DIGITS).map_err(io::Error::other)?;
    let mut buffer = vec![0; TURN_BYTES.max(record_bytes)];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(latencies);
        }
        let now = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        filled += count;
        let whole = filled - filled % record_bytes;
        for record in buffer[..whole].chunks_exact(record_bytes) {
            let stamp = record.first_chunk().map(|stamp| u64::from_be_bytes(*stamp));
            let due = stamp.unwrap_or(now);
            let late = now.saturating_sub(due);
            latencies.record(late).map_err(io::Error::other)?;
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

#[cfg(test)]
mod tests;
