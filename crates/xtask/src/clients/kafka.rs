//! Apache Kafka from its Maven artifacts: one process that is broker and controller, for comparison.
//!
//! That every suite passes against it is how we know that a failure against Ottla is Ottla's.
//! Called by `cargo xtask kafka`, and by `cargo xtask test --broker kafka`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::broker::{self, Error, Kind, Plan};
use super::install::{self, Toolchain};
use super::{Places, process};

/// What Kafka's own start script sets, with its default heap.
pub const FLAGS: &[&str] = &[
    "-server",
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    // The line that says that it has started.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
];
/// Kafka wants sixteen bytes in its own base64; one cluster on loopback needs no other.
const CLUSTER_ID: &str = "b3R0bGEtY29tcGFyZXMtMQ";

#[derive(clap::Args)]
pub struct Options {
    /// The port it listens on
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// Its directory, which must be empty; without it, one below `target` that is emptied
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// A setting beside the defaults (may be given more than once)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Becomes Apache Kafka, so that whoever stops this process stops it; returns only what went wrong.
pub fn run(options: &Options) -> Result<ExitCode, String> {
    let places = Places::new(&crate::test::workspace_root());
    install::set_up(Toolchain::Java, &places).map_err(|missing| missing.to_string())?;
    let home = match &options.home {
        Some(home) if !is_empty(home) => return Err(format!("{} is not empty", home.display())),
        Some(home) => home.clone(),
        None => places.made("run").join("kafka"),
    };
    let settings = pairs(&options.set)?;
    let plan = Plan {
        kind: Kind::Kafka,
        port: options.port,
        settings: &settings,
        home: &home,
    };
    let mut command = broker::prepare(&plan, &places).map_err(|error| error.to_string())?;
    println!(
        "starting Apache Kafka at 127.0.0.1:{}, its data in {}",
        options.port,
        home.display()
    );
    Err(command.exec().to_string())
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(!directory.exists(), |mut entries| entries.next().is_none())
}

fn pairs(settings: &[String]) -> Result<Vec<(&str, &str)>, String> {
    let pair = |text| str::split_once(text, '=').ok_or_else(|| format!("no `=` in `{text}`"));
    settings.iter().map(|text| pair(text)).collect()
}

/// Formats the storage in `home` and returns the command that starts the broker.
pub fn command(plan: &Plan<'_>, controller: u16, places: &Places) -> Result<Command, Error> {
    let home = plan.home;
    let properties = properties(home);
    fs::write(&properties, settings(plan, controller)).map_err(Error::io(properties.display()))?;
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
    Ok(formatted(plan, places))
}

/// The command that starts the broker on storage that is formatted.
pub fn formatted(plan: &Plan<'_>, places: &Places) -> Command {
    let mut broker = install::java(places, "kafka.Kafka", FLAGS);
    broker.arg(properties(plan.home));
    broker
}

fn properties(home: &Path) -> PathBuf {
    home.join("server.properties")
}

/// Kafka's defaults, but for what one node on loopback cannot have.
fn settings(plan: &Plan<'_>, controller: u16) -> String {
    let mut settings = format!(
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
        plan.home.join("data").display(),
        port = plan.port,
    );
    for (name, value) in plan.filled_settings() {
        settings.push_str(&format!("{name}={value}\n"));
    }
    settings
}
