//! The real clients: their suites under `clients/`, what they need, and the brokers they run against.
//!
//! A suite is a program in its client's own language that takes a bootstrap address, prints a line per
//! check and closes with `N passed, N failed`. Everything installed lies in `target/clients`.
//! Called by `cargo xtask test`.

pub mod broker;
mod files;
pub mod install;
pub mod kafka;
pub mod process;
pub mod report;
mod stage;
pub mod suites;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use broker::Kind;
use install::{Installed, Missing, Toolchain};
use report::{Report, Verdict};
use stage::{Homes, Stage};
use suites::Suite;

/// How long a broker may take until it answers, and until it has stopped.
pub const BROKER_START_SECONDS_MAX: u64 = 60;
pub const BROKER_STOP_SECONDS_MAX: u64 = 30;

/// The variable that tells a program where a second broker is.
const SECOND: &str = "OTTLA_SECOND_BOOTSTRAP";

/// The variable that tells a program where its framework is.
const FRAMEWORK: &str = "OTTLA_FRAMEWORK_CLASSPATH";

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
    /// The binary of Ottla that is started.
    ottla: PathBuf,
}

impl Places {
    pub fn new(root: &Path) -> Self {
        let made = root.join("target").join("clients");
        Self {
            root: root.to_path_buf(),
            made,
            ottla: root.join("target").join("release").join("ottla"),
        }
    }

    /// The same places, with another binary of Ottla.
    pub fn with_ottla(mut self, binary: &Path) -> Self {
        self.ottla = binary.to_path_buf();
        self
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn ottla(&self) -> &Path {
        &self.ottla
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
pub fn run(places: &Places, suites: &[&Suite], target: &Target, report: &mut Report) {
    let mut toolchains: BTreeMap<Toolchain, Result<Installed, Missing>> = BTreeMap::new();
    if let Target::Start(Kind::Kafka) = target {
        let java = install::set_up(Toolchain::Java, places);
        toolchains.insert(Toolchain::Java, java);
    }
    for suite in suites {
        let needed = suite.toolchains();
        for &toolchain in &needed {
            toolchains
                .entry(toolchain)
                .or_insert_with(|| install::set_up(toolchain, places));
        }
        let missing = needed.iter().find(|needed| toolchains[needed].is_err());
        let started = Instant::now();
        let verdict = match &toolchains[missing.unwrap_or(&suite.toolchain)] {
            Ok(installed) => run_suite(suite, installed, places, target),
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
        Target::Running(_) if suite.wants_second_broker() => {
            Verdict::LeftOut("wants two brokers of its own".to_owned())
        }
        Target::Running(bootstrap) => {
            println!("== {} against {bootstrap}", suite.name);
            let mut command = program(suite, installed, places);
            command.arg(bootstrap);
            run_program(suite, command, places, |_| {})
        }
        Target::Start(kind) => {
            let homes = Homes::new(suite, places);
            let mut stage = match Stage::set(*kind, suite, &homes, places) {
                Ok(stage) => stage,
                Err(error) => return Verdict::Broken(error.to_string()),
            };
            println!("== {} against {kind} at {}", suite.name, stage.bootstrap());
            let mut command = program(suite, installed, places);
            command.arg(stage.bootstrap());
            command.envs(stage.second_bootstrap().map(|second| (SECOND, second)));
            let verdict = run_program(suite, command, places, |line| stage.hear(line));
            let mut verdict = stage.strike(verdict);
            if suite.are_files_read {
                verdict = files::check(verdict, &homes.first().join("data"), places);
            }
            for home in homes.all() {
                clean_up(home, &verdict);
            }
            verdict
        }
    }
}

/// Data and log stay only where something failed.
fn clean_up(home: &Path, verdict: &Verdict) {
    if !home.exists() {
        return;
    }
    if verdict.is_failure() {
        println!("   the broker's log and data: {}", home.display());
    } else if let Err(error) = fs::remove_dir_all(home) {
        println!("   {} stays: {error}", home.display());
    }
}

/// The command of a suite's program, to which addresses are still to be added.
fn program(suite: &Suite, installed: &Installed, places: &Places) -> Command {
    let mut command = installed.command(suite, places);
    if let Some(framework) = suite.framework() {
        command.env(FRAMEWORK, install::class_path(places, framework));
    }
    command
}

fn run_program(
    suite: &Suite,
    command: Command,
    places: &Places,
    each: impl FnMut(&str),
) -> Verdict {
    let errors = places.made("logs").join(format!("{}.stderr", suite.name));
    match process::run(command, &errors, suite.limit(), each) {
        Ok(verdict) => {
            if verdict.is_failure() {
                println!("   what the client said: {}", errors.display());
            }
            verdict
        }
        Err(error) => Verdict::Broken(error.to_string()),
    }
}
