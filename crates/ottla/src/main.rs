//! The binary: `ottla` starts a broker; its subcommands are the tools.
//!
//! Invariant: nothing but the answer goes to standard output; errors say what happened, to what,
//! and what to do, on standard error. Exit codes: 0 done, 1 refused or failed, 2 wrong usage,
//! 3 no broker reached.

mod bench;
mod broker;
mod cluster;
mod configs;
mod consume;
mod error;
mod groups;
mod log_dump;
mod output;
mod positions;
mod produce;
mod text;
mod topics;
mod transactions;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::ToolError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka-compatible broker, and the tools to work with one.
///
/// Without a subcommand, `ottla` starts a broker on 127.0.0.1:9092 that keeps its data in
/// ./ottla-data. The tools speak Kafka's protocol: they work with Apache Kafka as well.
#[derive(Parser)]
#[command(
    name = "ottla",
    version,
    after_help = "\
First steps, with a broker running in another terminal:
  ottla topics create greetings --partitions 3
  echo hello | ottla produce greetings
  ottla consume greetings --from earliest --max 1

Every command explains itself: `ottla topics create --help`."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Start a broker.
    Broker(broker::Args),
    /// List, create, describe, alter and delete topics.
    Topics(topics::Args),
    /// Send lines to a topic.
    Produce(produce::Args),
    /// Print the records of topics, and follow them.
    Consume(consume::Args),
    /// List and describe consumer groups, delete them, move their offsets.
    Groups(groups::Args),
    /// List and describe transactions, find those that hang, end one.
    Transactions(transactions::Args),
    /// Show and change configurations of topics, brokers and groups.
    Configs(configs::Args),
    /// Load a broker and measure how it bears it.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Look into the files of a log directory.
    Log(log_dump::Args),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match command.unwrap_or_else(|| Command::Broker(broker::Args::default())) {
        Command::Broker(args) => broker::run(&args),
        Command::Topics(args) => run_tool(topics::run(args)),
        Command::Produce(args) => run_tool(produce::run(args)),
        Command::Consume(args) => run_tool(consume::run(args)),
        Command::Groups(args) => run_tool(groups::run(args)),
        Command::Transactions(args) => run_tool(transactions::run(args)),
        Command::Configs(args) => run_tool(configs::run(args)),
        Command::Bench(command) => finish(bench::run(&command)),
        Command::Log(args) => finish(log_dump::run(args)),
    }
}

/// Runs a tool on one thread and reports how it went.
fn run_tool(tool: impl Future<Output = Result<(), ToolError>>) -> ExitCode {
    start_logging();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    finish(match runtime {
        Ok(runtime) => runtime.block_on(tool),
        Err(source) => Err(ToolError::Runtime(source)),
    })
}

/// Warnings of the client go to standard error; `RUST_LOG` shows more.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn finish(result: Result<(), ToolError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough, as `head` does.
        Err(error) if error.is_closed_output() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
