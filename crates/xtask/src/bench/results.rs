//! What was measured, as it lies in `bench/results`: one file for each scenario.
//!
//! Invariant: a file is written whole and replaces the one before, so scenarios can be run one by one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::scenario::{Size, System};
use super::statistics::{Spread, spread};

pub const RESULTS: &str = "results";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub scenario: String,
    pub size: Size,
    pub rounds: u32,
    /// The command that makes these figures.
    pub command: String,
    pub machine: Machine,
    pub versions: BTreeMap<String, String>,
    /// Of both brokers, beside their defaults.
    pub settings: BTreeMap<String, String>,
    pub java_flags: Vec<String>,
    /// What each case ran, its words filled in.
    pub loads: BTreeMap<String, String>,
    pub readings: Vec<Reading>,
    pub failures: Vec<Failure>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reading {
    pub case: String,
    pub system: System,
    pub round: u32,
    pub figures: Metrics,
}

/// A case that gave no figures, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub case: String,
    pub system: System,
    pub round: u32,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gb: f64,
    pub kernel: String,
    /// Where the brokers' data lay.
    pub file_system: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
}

impl Error {
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

impl Outcome {
    pub fn save(&self, directory: &Path) -> Result<(), Error> {
        let directory = directory.join(RESULTS);
        fs::create_dir_all(&directory).map_err(Error::io(&directory))?;
        let path = directory.join(format!("{}.json", self.scenario));
        let json = |source| Error::Json {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_string_pretty(self).map_err(json)?;
        fs::write(&path, text + "\n").map_err(Error::io(&path))
    }

    /// The outcome of a scenario, if it has been run.
    pub fn load(directory: &Path, scenario: &str) -> Result<Option<Self>, Error> {
        let path = directory.join(RESULTS).join(format!("{scenario}.json"));
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io(&path))?,
        };
        let json = |source| Error::Json { path, source };
        serde_json::from_str(&text).map(Some).map_err(json)
    }

    /// A figure over the rounds.
    pub fn spread(&self, case: &str, system: System, figure: &str) -> Option<Spread> {
        let mine = |reading: &&Reading| reading.case == case && reading.system == system;
        let values = self.readings.iter().filter(mine);
        spread(values.filter_map(|reading| reading.figures.get(figure)))
    }

    /// A figure over all cases, systems and rounds.
    pub fn spread_of_all(&self, figure: &str) -> Option<Spread> {
        let values = self.readings.iter();
        spread(values.filter_map(|reading| reading.figures.get(figure)))
    }

    /// The systems that have figures for a case.
    pub fn systems(&self, case: &str) -> Vec<System> {
        let mine = self.readings.iter().filter(|reading| reading.case == case);
        let mut systems: Vec<_> = mine.map(|reading| reading.system).collect();
        systems.sort();
        systems.dedup();
        systems
    }
}

impl Machine {
    /// This machine, with the file system on which `data` lies.
    pub fn this(data: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let mounts = read("/proc/mounts");
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: memory_gb(&read("/proc/meminfo"), "MemTotal"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(&mounts, data).unwrap_or_default(),
        }
    }
}

/// Memory that nothing uses, not even the page cache.
pub fn memory_free_bytes() -> f64 {
    memory_gb(
        &fs::read_to_string("/proc/meminfo").unwrap_or_default(),
        "MemFree",
    ) * 1e9
}

fn memory_gb(meminfo: &str, name: &str) -> f64 {
    let kib = value(meminfo, name).and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    (kib.unwrap_or(0.0) * 1024.0 / 1e8).round() / 10.0
}

/// `name : value`
fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':')
        .map(|(_, value)| value.trim().to_owned())
}

/// Device, type and options of the longest mount point that leads to `path`.
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let (device, point) = (words.next()?, words.next()?);
        let (kind, options) = (words.next()?, words.next()?);
        path.starts_with(&point)
            .then(|| (point.len(), format!("{kind} on {device} ({options})")))
    };
    mounts.lines().filter_map(mount).max().map(|(_, said)| said)
}

/// Versions of what takes part. The commit says `with changes` where the tree has some.
pub fn versions(root: &Path, ottla: &Path, with_kafka: bool) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut add = |name: &str, said: Option<String>| {
        versions.extend(said.map(|said| (name.to_owned(), said)));
    };
    add("Ottla", said(Command::new(ottla).arg("--version")));
    let git = |arguments: &[&str]| said(Command::new("git").current_dir(root).args(arguments));
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let changes = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "crates",
        "Cargo.lock",
    ]);
    add(
        "commit",
        commit.map(|commit| match changes {
            Some(_) => format!("{commit} with changes"),
            None => commit,
        }),
    );
    if with_kafka {
        let pom = fs::read_to_string(root.join("clients/java/pom.xml")).unwrap_or_default();
        let version = pom.split("<kafka.version>").nth(1);
        let version = version.and_then(|rest| Some(rest.split_once('<')?.0.to_owned()));
        add("Apache Kafka", version);
        add("Java", java());
    }
    versions
}

/// What a program prints, if it prints something.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!said.is_empty()).then_some(said)
}

/// Java says its version where others say errors.
fn java() -> Option<String> {
    let output = Command::new("java").arg("-version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines()
        .nth(1)
        .or(said.lines().next())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
