//! What a broker must bear: hostile clients, `kill -9`, damaged files, disks that fail.
//!
//! Every test drives the real binary as a child process over TCP, and judges it by what it
//! answers, what it prints, and what is on its disk. One test binary, so that it is linked once.

mod api_sweep;
mod apis;
mod client;
mod crash;
mod damage;
mod failed_dirs;
mod hanging;
mod history;
mod hostile;
mod process;
