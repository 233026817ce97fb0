//! Runs one scenario: rounds in which the systems take turns, a fresh directory for each run.
//!
//! Invariant: what fails is a line in the outcome, and the rest goes on; only an interruption ends all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::account::Watch;
use super::caches;
use super::floor;
use super::load::{self, Program, Surroundings};
use super::metrics::Metrics;
use super::quiet;
use super::results::{self, Failure, Outcome, Reading};
use super::scenario::{Case, Restart, Scenario, Size, System};
use super::stop;
use crate::clients::broker::{self, Broker, Kind, Plan};
use crate::clients::{BROKER_START_SECONDS_MAX, Places};

/// A broker with many partitions may take its time until it has stopped.
const STOP_SECONDS_MAX: u64 = 120;
/// Disk that must stay free beside what a scenario writes.
const DISK_SPARE_BYTES: u64 = 2_000_000_000;
/// The part of the free memory that is touched at most.
const TOUCH_PART_MAX: f64 = 0.9;
const PAGE_BYTES: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Broker(#[from] broker::Error),
    #[error(transparent)]
    Load(#[from] load::Error),
    #[error(transparent)]
    Floor(#[from] floor::Error),
    #[error(transparent)]
    Caches(#[from] caches::Error),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{} has {free_gb:.1} GB free, and scenario {scenario} needs {needed_gb:.1}", path.display())]
    Disk {
        path: PathBuf,
        scenario: String,
        free_gb: f64,
        needed_gb: f64,
    },
    #[error("the broker is not there: what came before it failed")]
    NoBroker,
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    fn io(what: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }

    fn is_interruption(&self) -> bool {
        stop::is_asked()
            || matches!(
                self,
                Self::Interrupted
                    | Self::Load(load::Error::Interrupted)
                    | Self::Floor(floor::Error::Interrupted)
            )
    }
}

/// How to run.
pub struct Rules<'a> {
    pub places: &'a Places,
    /// Where data and logs lie while a scenario runs.
    pub home: &'a Path,
    pub size: Size,
    pub rounds: u32,
    pub systems: &'a [System],
    pub keep: bool,
}

/// Fills the readings and failures of `outcome`.
pub fn scenario(
    scenario: &Scenario,
    rules: &Rules<'_>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    check_disk(scenario, rules)?;
    let bar = progress(scenario, rules);
    for round in 1..=rules.rounds {
        for &system in rules.systems {
            let cases: Vec<_> = scenario
                .cases
                .iter()
                .filter(|case| case.runs_on(system, rules.size))
                .collect();
            if cases.is_empty() {
                continue;
            }
            let home = rules
                .home
                .join(format!("{}-{system:?}", scenario.name).to_lowercase());
            let mut turn = Turn {
                scenario,
                rules,
                system,
                home,
                broker: None,
                port: 0,
            };
            for case in cases {
                bar.set_message(format!("{system}, round {round}: {}", case.title));
                match turn.case(case) {
                    Ok(figures) => outcome.readings.push(Reading {
                        case: case.name.clone(),
                        system,
                        round,
                        figures,
                    }),
                    Err(error) if error.is_interruption() => return Err(Error::Interrupted),
                    Err(error) => {
                        let reason = error.to_string();
                        bar.suspend(|| {
                            eprintln!("{}: {}: {system}: {reason}", scenario.name, case.name)
                        });
                        outcome.failures.push(Failure {
                            case: case.name.clone(),
                            system,
                            round,
                            reason,
                        });
                    }
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(scenario: &Scenario, rules: &Rules<'_>) -> ProgressBar {
    let runs = |case: &Case| {
        rules
            .systems
            .iter()
            .filter(|system| case.runs_on(**system, rules.size))
            .count()
    };
    let steps: usize = scenario.cases.iter().map(runs).sum();
    let bar = ProgressBar::new(steps as u64 * u64::from(rules.rounds));
    // The template is a constant that the crate accepts.
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {elapsed} {wide_msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(scenario.name.clone());
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

fn check_disk(scenario: &Scenario, rules: &Rules<'_>) -> Result<(), Error> {
    fs::create_dir_all(rules.home).map_err(Error::io(rules.home.display()))?;
    let disk = rustix::fs::statvfs(rules.home)
        .map_err(|error| Error::io(rules.home.display())(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = scenario.disk_bytes(rules.size) + DISK_SPARE_BYTES;
    if free < needed {
        return Err(Error::Disk {
            path: rules.home.to_path_buf(),
            scenario: scenario.name.clone(),
            free_gb: free as f64 / 1e9,
            needed_gb: needed as f64 / 1e9,
        });
    }
    Ok(())
}

/// Touches memory, so that the pages that a load takes next are ones that the guest was given already.
fn touch(bytes: u64) {
    let bytes = (bytes as f64).min(results::memory_free_bytes() * TOUCH_PART_MAX);
    let mut memory = vec![0_u8; bytes as usize];
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

/// One system in one round, with its broker.
struct Turn<'a> {
    scenario: &'a Scenario,
    rules: &'a Rules<'a>,
    system: System,
    home: PathBuf,
    broker: Option<Broker>,
    port: u16,
}

impl Turn<'_> {
    fn case(&mut self, case: &Case) -> Result<Metrics, Error> {
        if let (System::Floor, Some(line)) = (self.system, &case.floor) {
            self.prepare();
            let line = self.scenario.fill(line, self.rules.size, "");
            return Ok(floor::run(&line, &self.home)?);
        }
        if case.fresh || self.port == 0 {
            self.start()?;
        }
        for line in &case.before {
            self.load(line, case)?;
        }
        let Some(restart) = case.restart else {
            return self.measured(case, None);
        };
        let background = self.background(case)?;
        let stopping = Instant::now();
        self.end(restart)?;
        let stopped = stopping.elapsed();
        // It goes on against nobody, or has failed already; both are as they should be.
        drop(background);
        if case.drop_caches {
            caches::drop_all()?;
        }
        let begin = Instant::now();
        self.again()?;
        let mut figures = self.measured(case, Some(begin))?;
        figures.set("stop_seconds", stopped.as_secs_f64());
        Ok(figures)
    }

    /// Runs the load of a case with the accounts of the broker.
    fn measured(&mut self, case: &Case, restarted: Option<Instant>) -> Result<Metrics, Error> {
        let broker = self.broker.as_ref().ok_or(Error::NoBroker)?;
        let ready = broker.ready_after();
        if restarted.is_none() {
            self.prepare();
        }
        let watch = Watch::begin(broker.process_id()).map_err(Error::io("/proc"))?;
        let mut figures = self.load(&case.load, case)?;
        figures.join(watch.end().map_err(Error::io("/proc"))?);
        figures.set("ready_seconds", ready.as_secs_f64());
        if let Some(begin) = restarted {
            figures.set("restart_seconds", begin.elapsed().as_secs_f64());
        }
        Ok(figures)
    }

    /// Brings the machine into the state that the scenario asks for, at the last moment before a load.
    fn prepare(&self) {
        // A smoke run compares nothing, and may run where memory is scarce.
        if matches!(self.rules.size, Size::Smoke) {
            return;
        }
        if self.scenario.quiet && !quiet::wait() {
            eprintln!("{}: the machine is not quiet", self.scenario.name);
        }
        if self.scenario.touch {
            touch(self.scenario.disk_bytes(self.rules.size));
        }
    }

    fn load(&self, line: &str, case: &Case) -> Result<Metrics, Error> {
        let limit = Duration::from_secs(case.limit_seconds);
        self.around(|around| {
            let line = self.scenario.fill(line, self.rules.size, around.bootstrap);
            Ok(load::run(&line, around, limit)?)
        })
    }

    /// Starts the load in the background, and gives it its time.
    fn background(&self, case: &Case) -> Result<Option<Program>, Error> {
        let Some(line) = &case.background else {
            return Ok(None);
        };
        self.around(|around| {
            let fill = |line: &str| self.scenario.fill(line, self.rules.size, around.bootstrap);
            let program = Program::start(&fill(line), around)?;
            let seconds = case.background_seconds.as_deref().unwrap_or("1");
            let wait = format!("idle {}", fill(seconds));
            load::run(&wait, around, Duration::from_secs(case.limit_seconds))?;
            Ok(Some(program))
        })
    }

    fn around<T>(
        &self,
        work: impl FnOnce(&Surroundings<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let broker = self.broker.as_ref().ok_or(Error::NoBroker)?;
        let data = self.home.join("data");
        let logs = self.rules.home.join("logs");
        let around = Surroundings {
            places: self.rules.places,
            bootstrap: broker.bootstrap(),
            data: &data,
            logs: &logs,
        };
        work(&around)
    }

    fn start(&mut self) -> Result<(), Error> {
        self.broker = None;
        self.port = broker::free_port()?;
        let start = |plan: &Plan<'_>, limit| Broker::start(plan, self.rules.places, limit);
        self.broker = Some(self.with_plan(start)?);
        Ok(())
    }

    fn again(&mut self) -> Result<(), Error> {
        let start = |plan: &Plan<'_>, limit| Broker::start_again(plan, self.rules.places, limit);
        self.broker = Some(self.with_plan(start)?);
        Ok(())
    }

    fn end(&mut self, restart: Restart) -> Result<(), Error> {
        let mut broker = self.broker.take().ok_or(Error::NoBroker)?;
        match restart {
            Restart::Clean => broker.stop(Duration::from_secs(STOP_SECONDS_MAX))?,
            Restart::Kill => broker.kill()?,
        }
        Ok(())
    }

    fn with_plan(
        &self,
        start: impl FnOnce(&Plan<'_>, Duration) -> Result<Broker, broker::Error>,
    ) -> Result<Broker, Error> {
        let kind = match self.system {
            System::Kafka => Kind::Kafka,
            System::Ottla | System::Floor => Kind::Ottla,
        };
        let settings: Vec<(&str, &str)> = self
            .scenario
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let plan = Plan {
            kind,
            port: self.port,
            settings: &settings,
            home: &self.home,
        };
        // A broker with 100,000 partitions and dirty logs needs longer than one that is empty.
        Ok(start(
            &plan,
            Duration::from_secs(BROKER_START_SECONDS_MAX * 5),
        )?)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.broker = None;
        if !self.rules.keep
            && self.home.exists()
            && let Err(error) = fs::remove_dir_all(&self.home)
        {
            eprintln!("{} stays: {error}", self.home.display());
        }
    }
}
