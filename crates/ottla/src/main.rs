//! The `ottla` command: a broker, and the tools to use one.

mod broker;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A message broker that speaks Apache Kafka's protocol. Without a command it runs a broker.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Broker(broker::Args),
}

fn main() -> ExitCode {
    match Cli::parse()
        .command
        .unwrap_or_else(|| Command::Broker(broker::Args::default()))
    {
        Command::Broker(args) => broker::run(&args),
    }
}
