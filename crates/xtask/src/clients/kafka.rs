//! Apache Kafka from its Maven artifacts: one process that is broker and controller, for comparison.
//!
//! That every suite passes against it is how we know that a failure against Ottla is Ottla's.
//! Called by `cargo xtask kafka`, and by `cargo xtask test --broker kafka`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use super::broker::{Broker, Error, Kind};
use super::install::{self, Toolchain};
use super::{Places, process};

/// What Kafka's own start script sets, with its default heap.
const FLAGS: &[&str] = &[
    "-server",
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
const START_SECONDS_MAX: u64 = 120;
/// Kafka wants sixteen bytes in its own base64; one cluster on loopback needs no other.
const CLUSTER_ID: &str = "b3R0bGEtY29tcGFyZXMtMQ";

#[derive(clap::Args)]
pub struct Options {
    /// The port it listens on.
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// Its directory; what lies there is removed first.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// Starts it and waits until it ends.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let places = Places::new(&crate::test::workspace_root());
    install::set_up(Toolchain::Java, &places).map_err(|missing| missing.to_string())?;
    let home = options
        .home
        .clone()
        .unwrap_or_else(|| places.made("run").join("kafka"));
    let limit = Duration::from_secs(START_SECONDS_MAX);
    let broker = Broker::start(Kind::Kafka, Some(options.port), &home, &places, limit)
        .map_err(|error| error.to_string())?;
    println!(
        "Apache Kafka is ready at {}; data and log: {}",
        broker.bootstrap(),
        home.display()
    );
    let status = broker.wait().map_err(|error| error.to_string())?;
    println!("Apache Kafka ended, {status}");
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Formats the storage in `home` and returns the command that starts the broker.
pub fn command(port: u16, controller: u16, home: &Path, places: &Places) -> Result<Command, Error> {
    let properties = home.join("server.properties");
    fs::write(&properties, settings(port, controller, home))
        .map_err(Error::io(properties.display()))?;
    let log = home.join("format.log");
    let status = install::java(places, "kafka.tools.StorageTool", FLAGS)
        .args(["format", "--cluster-id", CLUSTER_ID, "--config"])
        .arg(&properties)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(process::create(&log)?)
        .status()
        .map_err(Error::io("java"))?;
    if !status.success() {
        return Err(Error::Format { status, log });
    }
    let mut broker = install::java(places, "kafka.Kafka", FLAGS);
    broker.arg(properties);
    Ok(broker)
}

/// Kafka's defaults, but for what one node on loopback cannot have.
fn settings(port: u16, controller: u16, home: &Path) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n",
        home.join("data").display()
    )
}
