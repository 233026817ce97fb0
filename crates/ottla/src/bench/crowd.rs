//! Many connections of one request each, served by one thread that looks which of them have answers.
//!
//! With a thread for each connection every answer wakes a thread, and on a small machine the load
//! costs more than the broker that it measures. Invariant: a connection is read only when it has
//! something to read, so that no connection makes another wait for the broker.
//! Used by `produce.rs`.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use ottla_net::client::ClientError;
use rustix::event::{Timespec, epoll};

use super::pipe::PATIENCE;
use crate::error::ToolError;

/// Connections that are looked at in one turn.
const TURN: usize = 256;

/// One of the connections.
pub trait Member {
    /// Sends the next request; false if there is none.
    fn send(&mut self) -> Result<bool, ToolError>;
    /// Reads the answer, the first bytes of which are there.
    fn receive(&mut self, now: Instant) -> Result<(), ToolError>;
    fn socket(&self) -> impl AsFd;
    fn address(&self) -> &str;
}

/// Serves the members until none has anything to send.
pub fn serve(members: &mut [impl Member]) -> Result<(), ToolError> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(runtime)?;
    let mut under_way = 0_usize;
    for (index, member) in members.iter_mut().enumerate() {
        if member.send()? {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&poll, member.socket(), data, epoll::EventFlags::IN).map_err(runtime)?;
            under_way += 1;
        }
    }
    let mut ready = [MaybeUninit::uninit(); TURN];
    while under_way > 0 {
        let indexes = wait(&poll, &mut ready)?;
        if indexes.is_empty() {
            return Err(silence(members));
        }
        for index in indexes {
            let member = &mut members[index];
            member.receive(Instant::now())?;
            if !member.send()? {
                epoll::delete(&poll, member.socket()).map_err(runtime)?;
                under_way -= 1;
            }
        }
    }
    Ok(())
}

/// The members that have something to read; none if that takes too long.
fn wait(
    poll: &OwnedFd,
    ready: &mut [MaybeUninit<epoll::Event>; TURN],
) -> Result<Vec<usize>, ToolError> {
    let timeout = Timespec::try_from(PATIENCE).ok();
    loop {
        match epoll::wait(poll, &mut ready[..], timeout.as_ref()) {
            Ok((events, _)) => {
                let indexes = events.iter().map(|event| event.data.u64() as usize);
                return Ok(indexes.collect());
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(runtime(error)),
        }
    }
}

fn silence(members: &[impl Member]) -> ToolError {
    let address = members.first().map_or("", |member| member.address());
    ClientError::Timeout {
        api: ottla_protocol::ApiKey::Produce,
        address: address.to_owned(),
        after: PATIENCE,
    }
    .into()
}

fn runtime(error: rustix::io::Errno) -> ToolError {
    ToolError::Runtime(error.into())
}
