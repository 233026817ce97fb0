//! What writes to a compacted topic: one thread and one connection for each partition.
//!
//! Invariant: a key is always written to the same partition, and a connection has at most `IN_FLIGHT` requests under
//! way. With a rate the schedule is fixed in advance. Answers are read when the next request wants their place, so that
//! nothing is said of latencies.
//! Used by `compaction.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_protocol::messages::ProduceRequest;

use super::super::Place;
use super::super::load::{Shape, sleep_precisely, sleep_until};
use super::super::meter::{self, Latencies, Run, Worker};
use super::super::pipe::{self, Pipe};
use super::super::produce::{PRODUCE_VERSIONS, check};
use super::Args;
use crate::error::ToolError;

/// Requests of a partition that may be under way.
const IN_FLIGHT: usize = 5;

/// Starts the writers. Without a rate they write each key in order and then random ones, as fast as the broker takes
/// them.
pub fn start(
    args: &Args,
    place: &Place,
    run: &Arc<Run>,
    rate: Option<f64>,
) -> Result<Vec<Worker>, ToolError> {
    let partitions = place.leaders.len() as u64;
    let shape = args.shape();
    let per_batch = shape.records_in(args.batch_bytes as usize) as u64;
    let interval = rate.map(|rate| super::duration((per_batch * partitions) as f64 / rate));
    let mut workers = Vec::new();
    for (number, (partition, address)) in (0..).zip(&place.leaders) {
        let count = args.keys.saturating_sub(number).div_ceil(partitions);
        if count == 0 {
            continue;
        }
        let writer = Writer {
            run: Arc::clone(run),
            partition: *partition,
            per_batch,
            interval,
            keys: Keys {
                first: number,
                step: partitions,
                count,
                next: rate.is_none().then_some(0),
                random: fastrand::Rng::with_seed(number),
            },
            shape: shape.clone(),
        };
        let pipe = Pipe::open(address)?;
        workers.push(meter::work(run, move || writer.run(pipe))?);
    }
    Ok(workers)
}

/// Writes one record to each partition.
pub fn write_one_each(args: &Args, place: &Place) -> Result<(), ToolError> {
    let shape = args.shape();
    for (number, (partition, address)) in (0..).zip(&place.leaders) {
        let mut pipe = Pipe::open(address)?;
        let version = pipe.version::<ProduceRequest>(PRODUCE_VERSIONS)?;
        let mut noise = fastrand::Rng::with_seed(number);
        let batch = shape.batch_of(std::iter::once(u128::from(number)), &mut noise)?;
        pipe.outlet
            .write(&shape.request(version, vec![(*partition, batch)])?)?;
        check(&pipe.inlet.read::<ProduceRequest>(version)?)?;
    }
    Ok(())
}

/// The keys of one partition: every `step`th from the first on.
struct Keys {
    first: u64,
    step: u64,
    count: u64,
    /// Which comes next, as long as they come in order.
    next: Option<u64>,
    random: fastrand::Rng,
}

impl Keys {
    fn take(&mut self) -> u128 {
        let index = match self.next {
            Some(next) => {
                self.next = Some(next + 1).filter(|next| *next < self.count);
                next
            }
            None => self.random.u64(..self.count),
        };
        u128::from(self.first + index * self.step)
    }
}

struct Writer {
    run: Arc<Run>,
    partition: i32,
    per_batch: u64,
    interval: Option<Duration>,
    keys: Keys,
    shape: Shape,
}

impl Writer {
    fn run(mut self, mut pipe: Pipe) -> Result<Latencies, ToolError> {
        let version = pipe.version::<ProduceRequest>(PRODUCE_VERSIONS)?;
        sleep_precisely();
        let begun = Instant::now();
        let mut under_way = 0;
        let mut noise = fastrand::Rng::with_seed(self.keys.first);
        for sequence in 0..u32::MAX {
            if !self.run.take(self.per_batch) {
                break;
            }
            if under_way == IN_FLIGHT {
                self.read_answer(&mut pipe, version)?;
                under_way -= 1;
            }
            let frame = self.frame(version, sequence, &mut noise)?;
            if let Some(interval) = self.interval {
                sleep_until(begun + interval * sequence);
            }
            pipe.outlet.write(&frame)?;
            under_way += 1;
        }
        for _ in 0..under_way {
            self.read_answer(&mut pipe, version)?;
        }
        Ok(Latencies::new())
    }

    fn frame(
        &mut self,
        version: i16,
        sequence: u32,
        noise: &mut fastrand::Rng,
    ) -> Result<Vec<u8>, ToolError> {
        let keys = (0..self.per_batch).map(|_| self.keys.take());
        let batch = self.shape.batch_of(keys, noise)?;
        let request = self.shape.request(version, vec![(self.partition, batch)])?;
        let mut frame = request.to_vec();
        pipe::set_correlation_id(&mut frame, sequence.cast_signed());
        Ok(frame)
    }

    fn read_answer(&self, pipe: &mut Pipe, version: i16) -> Result<(), ToolError> {
        let answer = pipe.inlet.read::<ProduceRequest>(version)?;
        let bytes = self.per_batch * self.shape.bytes_of_record() as u64;
        if self.run.tolerate(check(&answer))? {
            self.run.count(Instant::now(), self.per_batch, bytes);
        }
        Ok(())
    }
}
