//! The project's own commands, run as `cargo xtask COMMAND`.

mod bench;
mod clients;
mod codegen;
mod compat;
mod test;
mod tidy;
mod toml_file;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the messages of crates/protocol from Kafka's published schemas
    Codegen(codegen::Args),
    /// Write COMPATIBILITY.md from the tables that the broker works by
    Compat(compat::Args),
    /// Check formatting, lints, generated code, Rust tests and the real clients
    Test(test::Options),
    /// Run Kafka Streams, Connect and MirrorMaker while their brokers crash
    Frameworks(test::Frameworks),
    /// Hold the crates against layers.toml and the files against the rules of the house
    Tidy,
    /// Measure Ottla and Apache Kafka side by side, and write bench/RESULTS.md
    Bench(bench::Options),
    /// The servers that `bench` compares with
    #[command(hide = true)]
    Floor(bench::floor::Options),
    /// Start a pinned Apache Kafka in the foreground, on loopback and with empty data
    Kafka(clients::kafka::Options),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Codegen(args) => codegen::run(&args)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Command::Compat(args) => compat::run(&args)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Command::Test(options) => Ok(test::run(&options)),
        Command::Frameworks(options) => Ok(test::run(&options.into())),
        Command::Tidy => tidy::run(&tidy::root())
            .map(|tidy| {
                if tidy {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            })
            .map_err(|error| error.to_string()),
        Command::Bench(options) => bench::run(&options).map_err(|error| error.to_string()),
        Command::Floor(options) => bench::floor::serve(&options)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Command::Kafka(options) => clients::kafka::run(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
