//! The real clients: their suites under `clients/`, what they need, and the brokers they run against.
//!
//! A suite is a program in its client's own language that takes a bootstrap address, prints a line per
//! check and closes with `N passed, N failed`. Everything installed lies in `target/clients`.
//! Called by `cargo xtask test`.

pub mod broker;
mod files;
pub mod install;
pub mod kafka;
mod process;
pub mod report;
pub mod suites;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use broker::{Broker, Kind, Plan};
use install::{Installed, Missing, Toolchain};
use report::{Report, Verdict};
use suites::Suite;

/// How long a broker may take until it answers, and until it has stopped.
const BROKER_START_SECONDS_MAX: u64 = 60;
const BROKER_STOP_SECONDS_MAX: u64 = 30;

/// What the suites run against.
pub enum Target {
    /// A broker that somebody else started.
    Running(String),
    /// A fresh broker for each suite.
    Start(Kind),
}

/// Where things lie: sources under the workspace's root, all that is made under `target/clients`.
pub struct Places {
    root: PathBuf,
    made: PathBuf,
}

impl Places {
    pub fn new(root: &Path) -> Self {
        let made = root.join("target").join("clients");
        Self {
            root: root.to_path_buf(),
            made,
        }
    }

    /// The sources of the suites in one language.
    fn sources(&self, language: &str) -> PathBuf {
        self.root.join("clients").join(language)
    }

    /// What was installed or built for one language.
    fn made(&self, what: &str) -> PathBuf {
        self.made.join(what)
    }
}

/// Runs the suites one after the other; toolchains are set up once, before the first suite that needs them.
pub fn run(root: &Path, suites: &[&Suite], target: &Target, report: &mut Report) {
    let places = Places::new(root);
    let mut toolchains: BTreeMap<Toolchain, Result<Installed, Missing>> = BTreeMap::new();
    if let Target::Start(Kind::Kafka) = target {
        let java = install::set_up(Toolchain::Java, &places);
        toolchains.insert(Toolchain::Java, java);
    }
    for suite in suites {
        let mut needed = vec![suite.toolchain];
        if suite.are_files_read {
            needed.push(Toolchain::Java);
        }
        for &toolchain in &needed {
            toolchains
                .entry(toolchain)
                .or_insert_with(|| install::set_up(toolchain, &places));
        }
        let missing = needed.iter().find(|needed| toolchains[needed].is_err());
        let started = Instant::now();
        let verdict = match &toolchains[missing.unwrap_or(&suite.toolchain)] {
            Ok(installed) => run_suite(suite, installed, &places, target),
            Err(missing) => {
                println!("== {}: left out: {missing}", suite.name);
                missing.verdict()
            }
        };
        report.add(suite.name, verdict, started.elapsed());
    }
}

fn run_suite(suite: &Suite, installed: &Installed, places: &Places, target: &Target) -> Verdict {
    match target {
        Target::Running(bootstrap) => {
            println!("== {} against {bootstrap}", suite.name);
            run_program(suite, installed, places, bootstrap)
        }
        Target::Start(kind) => match start_broker(*kind, suite, places) {
            Ok(broker) => {
                println!("== {} against {kind} at {}", suite.name, broker.bootstrap());
                let verdict = run_program(suite, installed, places, broker.bootstrap());
                let home = broker.home().to_path_buf();
                let mut verdict = stop_broker(broker, verdict);
                if suite.are_files_read {
                    verdict = files::check(verdict, &home.join("data"), places);
                }
                clean_up(&home, &verdict);
                verdict
            }
            Err(error) => Verdict::Broken(error.to_string()),
        },
    }
}

fn start_broker(kind: Kind, suite: &Suite, places: &Places) -> Result<Broker, broker::Error> {
    let plan = Plan {
        kind,
        port: broker::free_port()?,
        settings: suite.broker_settings(),
        home: &places.made("run").join(suite.name),
    };
    Broker::start(&plan, places, Duration::from_secs(BROKER_START_SECONDS_MAX))
}

/// Stops the broker and looks at how it ended.
fn stop_broker(broker: Broker, verdict: Verdict) -> Verdict {
    match broker.stop(Duration::from_secs(BROKER_STOP_SECONDS_MAX)) {
        Ok(()) => verdict,
        Err(error) => Verdict::Broken(match verdict {
            Verdict::Broken(reason) => format!("{reason}; {error}"),
            Verdict::Ran { .. } | Verdict::LeftOut(_) => error.to_string(),
        }),
    }
}

/// Data and log stay only where something failed.
fn clean_up(home: &Path, verdict: &Verdict) {
    if verdict.is_failure() {
        println!("   the broker's log and data: {}", home.display());
    } else if let Err(error) = fs::remove_dir_all(home) {
        println!("   {} stays: {error}", home.display());
    }
}

fn run_program(suite: &Suite, installed: &Installed, places: &Places, bootstrap: &str) -> Verdict {
    let mut command = installed.command(suite, places);
    command.arg(bootstrap);
    let errors = places.made("logs").join(format!("{}.stderr", suite.name));
    match process::run(command, &errors, suites::LIMIT) {
        Ok(verdict) => {
            if verdict.is_failure() {
                println!("   what the client said: {}", errors.display());
            }
            verdict
        }
        Err(error) => Verdict::Broken(error.to_string()),
    }
}
