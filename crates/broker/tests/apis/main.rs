//! The broker as its clients see it: a broker in this process, requests over a socket.
//!
//! One test binary, so that it is linked once.

mod admin;
mod client;
mod running;
mod settings;
mod transactions;

use std::path::Path;

use client::Client;
use running::with_broker;

/// As [`with_broker`] with the broker's own settings and its logs in `dir`, for a test that needs one client.
fn with_client(dir: &Path, test: impl FnOnce(&mut Client)) {
    with_broker(&[dir], &[], |address| test(&mut Client::connect(address)));
}
