//! `ottla broker`, which is also plain `ottla`: reads the configuration, runs the broker until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use ottla_broker::{FatalError, RunningBroker, StartError};
use ottla_config::{BrokerConfig, print_config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

/// How long a broker whose disks have failed may take to stop: one that never answers must not keep it.
const FAILED_STOP_MAX: Duration = Duration::from_secs(30);

/// Run a broker.
///
/// Without arguments it listens on 127.0.0.1:9092 and keeps its data in ./ottla-data.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  ottla broker
  ottla broker server.properties
  ottla broker --override listeners=PLAINTEXT://0.0.0.0:9092 --override log.dirs=/var/lib/ottla
  ottla broker --print-config
  ottla broker server.properties --print-config --output json

The file and the overrides take Apache Kafka's keys; SIGTERM and Ctrl-C stop the broker cleanly.")]
pub struct Args {
    /// A server.properties file with Apache Kafka's keys.
    file: Option<PathBuf>,
    /// Set a key, over what the file says; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Show every key, its value, where the value came from and what it means; then exit.
    #[arg(long)]
    print_config: bool,
    /// How --print-config shows the keys.
    #[arg(long, value_enum, default_value_t)]
    output: crate::output::Format,
}

pub fn run(args: &Args) -> ExitCode {
    let config = match BrokerConfig::load(args.file.as_deref(), &args.overrides) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("ottla: the configuration cannot be used:\n{error}");
            return ExitCode::from(2);
        }
    };
    if args.print_config {
        return match print(&config, args.output) {
            // A reader such as `head` may have enough.
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    let log = init_log();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("ottla")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let served = runtime.block_on(serve(config, log));
    // Threads that hang on a disk are not waited for.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Why a broker did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the broker cannot go on and has stopped: {0}")]
    Failed(FatalError),
}

async fn serve(config: BrokerConfig, log: LogControl) -> Result<(), ServeError> {
    let begun = Instant::now();
    let dirs: Vec<String> = config
        .log
        .dirs
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    let broker = ottla_broker::start(config).await?;
    broker.loggers().connect(log.level, log.apply);
    welcome(&broker, &dirs.join(", "), begun);
    let failure = tokio::select! {
        () = stop_wanted() => None,
        error = broker.failed() => Some(error),
    };
    if let Some(error) = failure {
        tracing::error!(%error, "the broker cannot go on");
        // Directories that work are left clean.
        if tokio::time::timeout(FAILED_STOP_MAX, broker.stop())
            .await
            .is_err()
        {
            tracing::error!("the disks do not answer; the broker ends as it is");
        }
        return Err(ServeError::Failed(error));
    }
    tracing::info!("stopping");
    broker.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Says that the broker is ready, and how to go on from here.
fn welcome(broker: &RunningBroker, dirs: &str, begun: Instant) {
    let addresses: Vec<String> = broker
        .addresses()
        .iter()
        .map(|(name, address)| format!("{address} ({name})"))
        .collect();
    let first = broker
        .addresses()
        .first()
        .map_or_else(String::new, |(_, address)| address.to_string());
    let mut out = io::stdout().lock();
    // Nobody may be reading.
    let _ = writeln!(
        out,
        "Ottla {} is ready after {} ms\n  listening on  {}\n  data in       {dirs}\n  try it        \
         echo hello | ottla produce greetings --bootstrap-server {first}\n                \
         ottla consume greetings --from earliest --bootstrap-server {first}",
        env!("CARGO_PKG_VERSION"),
        begun.elapsed().as_millis(),
        addresses.join(", "),
    );
    let _ = out.flush();
}

async fn stop_wanted() {
    let mut terminate = signal(SignalKind::terminate()).expect("the handler of SIGTERM can be set");
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result.expect("the handler of Ctrl-C can be set"),
    }
}

/// How clients change the level of the log (IncrementalAlterConfigs of broker loggers).
struct LogControl {
    /// The level at the start.
    level: LevelFilter,
    apply: ottla_broker::Apply,
}

/// Messages go to standard error; `RUST_LOG` chooses which.
fn init_log() -> LogControl {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let level = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    subscriber.init();
    let apply: ottla_broker::Apply = Box::new(move |level, own| {
        let own: String = own
            .iter()
            .map(|(target, level)| format!(",{target}={level}"))
            .collect();
        let filter = tracing_subscriber::EnvFilter::new(format!("{level}{own}"));
        if let Err(error) = handle.reload(filter) {
            tracing::error!(%error, "the level of the log cannot be changed");
        }
    });
    LogControl { level, apply }
}

fn print(config: &BrokerConfig, format: crate::output::Format) -> io::Result<()> {
    let keys = print_config(config);
    let mut out = io::stdout().lock();
    match format {
        crate::output::Format::Json => {
            let keys: Vec<serde_json::Value> = keys
                .iter()
                .map(|key| {
                    serde_json::json!({
                        "key": key.name,
                        "value": key.value,
                        "source": key.source.to_string(),
                        "documentation": key.doc,
                        "supported": key.supported,
                    })
                })
                .collect();
            serde_json::to_writer_pretty(&mut out, &keys)?;
            writeln!(out)
        }
        crate::output::Format::Text => {
            let mut table = Table::new();
            table
                .load_style(presets::UTF8_HORIZONTAL_ONLY)
                .set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(["key", "value", "from", "meaning"]);
            for key in &keys {
                let meaning = if key.supported {
                    key.doc.to_string()
                } else {
                    format!("(not yet in use) {}", key.doc)
                };
                table.add_row([
                    key.name.clone(),
                    key.value.clone(),
                    key.source.to_string(),
                    meaning,
                ]);
            }
            writeln!(out, "{table}")
        }
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("ottla: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
