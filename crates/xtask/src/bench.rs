//! `cargo xtask bench`: Ottla, Apache Kafka and the floor side by side, and the page about it.
//!
//! Scenarios are files in `bench/scenarios`, results are files in `bench/results`, one for each
//! scenario, and `bench/RESULTS.md` is made from all of them. Invariant: what was measured is saved after
//! each scenario, so that scenarios can be run one by one.

mod account;
mod caches;
pub mod floor;
mod host;
mod load;
mod metrics;
mod page;
mod parse;
mod plot;
mod quiet;
mod results;
mod run;
mod scenario;
mod statistics;
mod stop;
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::clients::install::{self, Toolchain};
use crate::clients::{Places, kafka};
use crate::test::workspace_root;
use results::{Machine, Outcome};
use run::Rules;
use scenario::{Scenario, Size, System};

const OUTPUT: &str = "bench";

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                                # everything, which takes hours
  cargo xtask bench --scenario produce             # one; the results of the others stay
  cargo xtask bench --scenario latency --case 10k --rounds 1
  cargo xtask bench --quick --output /tmp/bench    # everything, short, for a first look
  cargo xtask bench --page                         # write RESULTS.md anew from the results")]
pub struct Options {
    /// Run this scenario (may be given more than once)
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Run these cases of the scenarios alone, and print their figures without saving them (may be given more than once)
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// How often each system runs each scenario
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// List the scenarios and stop
    #[arg(long)]
    list: bool,
    /// Small sizes: seconds for each case
    #[arg(long, conflicts_with = "smoke")]
    quick: bool,
    /// Tiny sizes, Ottla alone, one round, nothing saved: do the scenarios still run?
    #[arg(long)]
    smoke: bool,
    /// Where results and the page go; without it, `bench` in the workspace
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["ottla", "kafka", "floor"])]
    brokers: Vec<System>,
    /// A binary of Ottla to measure, instead of a release build of this tree
    #[arg(long, value_name = "PATH")]
    ottla: Option<PathBuf>,
    /// Keep the brokers' data and logs
    #[arg(long)]
    keep: bool,
    /// Measure nothing, and write the page from the results that are there
    #[arg(long)]
    page: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
    #[error(transparent)]
    Results(#[from] results::Error),
    #[error(transparent)]
    Run(#[from] run::Error),
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error("{0}; `--brokers ottla,floor` runs without Apache Kafka")]
    Java(install::Missing),
    #[error("the script over librdkafka: {0}")]
    Python(install::Missing),
    #[error("building Ottla failed")]
    Build,
    #[error("signals: {0}")]
    Signals(std::io::Error),
    #[error("{count} cases gave no figures or errors; see above")]
    Incomplete { count: usize },
}

pub fn run(options: &Options) -> Result<ExitCode, Error> {
    let root = workspace_root();
    let scenarios = scenario::choose(scenario::all(&root)?, &options.scenario)?;
    let scenarios = scenario::choose_cases(scenarios, &options.case)?;
    if options.list {
        for scenario in &scenarios {
            println!("{:<14} {}", scenario.name, scenario.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let output = options.output.clone().unwrap_or_else(|| root.join(OUTPUT));
    if !options.page {
        stop::listen().map_err(Error::Signals)?;
        measure(options, &root, &output, &scenarios)?;
    }
    if options.saves() {
        let all = scenario::all(&root)?;
        println!("{}", page::write(&root, &output, &all)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// Results of a part of a scenario would take the place of the whole.
    fn saves(&self) -> bool {
        !self.smoke && self.case.is_empty()
    }

    fn size(&self) -> Size {
        match (self.smoke, self.quick) {
            (true, _) => Size::Smoke,
            (false, true) => Size::Quick,
            (false, false) => Size::Full,
        }
    }

    /// Least demanding first, so that the others find warm memory.
    fn systems(&self) -> Vec<System> {
        if self.smoke {
            return vec![System::Floor, System::Ottla];
        }
        let order = [System::Floor, System::Ottla, System::Kafka];
        order
            .into_iter()
            .filter(|system| self.brokers.contains(system))
            .collect()
    }

    /// The command that makes the figures of a scenario again.
    fn command(&self, scenario: &Scenario) -> String {
        let mut command = format!("cargo xtask bench --scenario {}", scenario.name);
        if self.quick {
            command += " --quick";
        }
        if self.rounds != 3 {
            command += &format!(" --rounds {}", self.rounds);
        }
        command
    }
}

fn measure(
    options: &Options,
    root: &Path,
    output: &Path,
    scenarios: &[Scenario],
) -> Result<(), Error> {
    let systems = options.systems();
    let places = prepare(options, root, &systems, scenarios)?;
    let home = root.join("target").join("bench");
    let rules = Rules {
        places: &places,
        home: &home,
        size: options.size(),
        rounds: if options.smoke { 1 } else { options.rounds },
        systems: &systems,
        keep: options.keep,
    };
    let mut incomplete = 0;
    for scenario in scenarios {
        let mut outcome = blank(options, &rules, scenario);
        run::scenario(scenario, &rules, &mut outcome)?;
        incomplete += check(&outcome, scenario, &rules);
        if options.smoke {
            println!("{}: {} readings", scenario.name, outcome.readings.len());
        } else {
            println!("{}", page::table(scenario, &outcome));
        }
        if options.saves() {
            outcome.save(output)?;
        }
    }
    if options.smoke && incomplete > 0 {
        return Err(Error::Incomplete { count: incomplete });
    }
    Ok(())
}

/// Builds and installs what will be started.
fn prepare(
    options: &Options,
    root: &Path,
    systems: &[System],
    scenarios: &[Scenario],
) -> Result<Places, Error> {
    let mut places = Places::new(root);
    match &options.ottla {
        Some(binary) => places = places.with_ottla(binary),
        None => {
            let mut build = Command::new("cargo");
            build
                .args(["build", "--release", "--package", "ottla"])
                .current_dir(root);
            if !build.status().is_ok_and(|status| status.success()) {
                return Err(Error::Build);
            }
        }
    }
    let begins = |verb: &str| {
        let cases = scenarios.iter().flat_map(|scenario| &scenario.cases);
        let mut cases = cases.filter(|case| {
            systems
                .iter()
                .any(|system| case.runs_on(*system, options.size()))
        });
        cases.any(|case| case.load.starts_with(verb))
    };
    if systems.contains(&System::Kafka) || begins("java ") {
        install::set_up(Toolchain::Java, &places).map_err(Error::Java)?;
    }
    if begins("rdkafka ") {
        install::set_up(Toolchain::Python, &places).map_err(Error::Python)?;
    }
    Ok(places)
}

/// The outcome of a scenario before anything was measured.
fn blank(options: &Options, rules: &Rules<'_>, scenario: &Scenario) -> Outcome {
    let loads = scenario.cases.iter().map(|case| {
        let load = scenario.fill(&case.load, rules.size, "HOST:PORT");
        (case.name.clone(), load)
    });
    // Data lies below the workspace; its directory may not be there yet.
    let existing = rules.home.ancestors().find(|place| place.exists());
    let data = existing
        .and_then(|place| fs::canonicalize(place).ok())
        .unwrap_or_default();
    let with_kafka = rules.systems.contains(&System::Kafka);
    Outcome {
        scenario: scenario.name.clone(),
        size: rules.size,
        rounds: rules.rounds,
        command: options.command(scenario),
        machine: Machine::this(&data),
        versions: results::versions(rules.places.root(), rules.places.ottla(), with_kafka),
        settings: scenario.settings.clone(),
        java_flags: kafka::FLAGS.iter().map(|flag| (*flag).to_owned()).collect(),
        loads: loads.collect::<BTreeMap<_, _>>(),
        readings: Vec::new(),
        failures: Vec::new(),
    }
}

/// Counts the cases that failed, that saw errors, or that lack a figure that the page shows.
fn check(outcome: &Outcome, scenario: &Scenario, rules: &Rules<'_>) -> usize {
    let mut wrong = outcome.failures.len();
    for reading in &outcome.readings {
        let errors = reading.figures.get("errors").unwrap_or(0.0);
        let empty = reading.figures.get("window_seconds").is_none();
        if errors > 0.0 || empty {
            eprintln!(
                "{}: {}: {}: {errors} errors",
                scenario.name, reading.case, reading.system
            );
            wrong += 1;
        }
    }
    for case in &scenario.cases {
        for &system in rules
            .systems
            .iter()
            .filter(|system| case.runs_on(**system, rules.size))
        {
            if outcome
                .spread(&case.name, system, "window_seconds")
                .is_none()
            {
                eprintln!("{}: {}: {system}: no figures", scenario.name, case.name);
            }
        }
    }
    wrong
}
