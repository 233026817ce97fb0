//! A scenario as its file in `bench/scenarios` describes it, and what of it holds in each size.
//!
//! Invariant: a scenario that was read is whole: every `{word}` in it has a value in every size.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::toml_file;

/// Where scenarios lie, below the workspace's root.
pub const DIRECTORY: &str = "bench/scenarios";
/// Words that the bench fills in itself.
const BOOTSTRAP: &str = "bootstrap";
/// Words that begin the lines of programs that are not ours.
const FOREIGN: &[&str] = &["java ", "rdkafka "];
/// How long a case may take, unless it says otherwise.
const LIMIT_SECONDS_DEFAULT: u64 = 300;

/// How much of everything: the three columns of a scenario's `[sizes]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    Full,
    Quick,
    Smoke,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Smoke => "smoke",
        })
    }
}

/// What is measured: a broker, or the least that a machine must do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum System {
    Ottla,
    Kafka,
    Floor,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ottla => "Ottla",
            Self::Kafka => "Apache Kafka",
            Self::Floor => "floor",
        })
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of its file.
    #[serde(skip)]
    pub name: String,
    pub title: String,
    /// Where it stands among the others on the page.
    pub order: u32,
    /// What is done and how to read it, for the page.
    pub about: String,
    /// Settings of both brokers, beside their defaults.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Bytes that a run leaves on the disk: looked for before.
    pub disk: [u64; 3],
    /// Words of the cases, with their values in full, quick and smoke.
    #[serde(default)]
    pub sizes: BTreeMap<String, [Value; 3]>,
    /// Wait before each load until the machine is quiet (`quiet.rs`).
    #[serde(default)]
    pub quiet: bool,
    /// Touch as much memory as the scenario leaves on the disk, right before each load: for what is about
    /// the cost of bytes that go into the page cache.
    #[serde(default)]
    pub touch: bool,
    /// The figures that the page shows, in this order.
    pub show: Vec<String>,
    /// The figures that are drawn as bars.
    #[serde(default)]
    pub bars: Vec<String>,
    /// The latency that is drawn as a curve for each case, if any.
    pub curve: Option<String>,
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// What a word stands for.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Whole(i64),
    Real(f64),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// One thing that is measured; the cases of a scenario run in order on one broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub title: String,
    /// What has to be there, and is not measured.
    #[serde(default)]
    pub before: Vec<String>,
    /// A load that goes on while the rest of the case happens.
    pub background: Option<String>,
    /// How long it goes on before that.
    #[serde(default)]
    pub background_seconds: Option<String>,
    /// Stop the broker and start it on its data; the clock runs from the start of the new process.
    pub restart: Option<Restart>,
    /// Let the kernel forget everything between that stop and the start (`caches.rs`), as after a boot.
    #[serde(default)]
    pub drop_caches: bool,
    /// What is measured.
    pub load: String,
    /// What the floor does instead.
    pub floor: Option<String>,
    /// The brokers that run it; without it, both.
    pub systems: Option<Vec<System>>,
    /// The sizes in which it runs; without it, all.
    pub sizes: Option<Vec<Size>>,
    /// Begin with another broker on an empty directory.
    #[serde(default)]
    pub fresh: bool,
    #[serde(default = "limit_default")]
    pub limit_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// SIGTERM, and its end is waited for.
    Clean,
    /// SIGKILL.
    Kill,
}

fn limit_default() -> u64 {
    LIMIT_SECONDS_DEFAULT
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] toml_file::Error),
    #[error("scenario {scenario}: `{{{word}}}` in case {case} has no line in [sizes]")]
    Word {
        scenario: String,
        case: String,
        word: String,
    },
    #[error(
        "scenario {scenario}: case {case} has `drop_caches`, which lies between a stop and a start, and no `restart`"
    )]
    NoRestart { scenario: String, case: String },
    #[error("no scenario is called `{name}`; --list shows them")]
    Unknown { name: String },
    #[error("no case of these scenarios is called `{name}`; `bench/scenarios` has them")]
    UnknownCase { name: String },
}

/// All scenarios, in the order of the page.
pub fn all(root: &Path) -> Result<Vec<Scenario>, Error> {
    let directory = root.join(DIRECTORY);
    let mut scenarios = Vec::new();
    let failed = || toml_file::Error::read(&directory);
    for entry in fs::read_dir(&directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        scenarios.push(whole(&name, toml_file::read(&path)?)?);
    }
    scenarios.sort_by_key(|scenario| scenario.order);
    Ok(scenarios)
}

/// Those that are named, or all.
pub fn choose(all: Vec<Scenario>, names: &[String]) -> Result<Vec<Scenario>, Error> {
    for name in names {
        if !all.iter().any(|scenario| scenario.name == *name) {
            return Err(Error::Unknown { name: name.clone() });
        }
    }
    let chosen = |scenario: &Scenario| names.is_empty() || names.contains(&scenario.name);
    Ok(all.into_iter().filter(chosen).collect())
}

/// The scenarios that have cases of these names, with these alone and those that a case goes on from: the ones before
/// it that work on the same broker. Without names nothing is left out.
pub fn choose_cases(scenarios: Vec<Scenario>, names: &[String]) -> Result<Vec<Scenario>, Error> {
    for name in names {
        let mut all = scenarios.iter().flat_map(|scenario| &scenario.cases);
        if !all.any(|case| case.name == *name) {
            return Err(Error::UnknownCase { name: name.clone() });
        }
    }
    if names.is_empty() {
        return Ok(scenarios);
    }
    let chosen = scenarios.into_iter().map(|mut scenario| {
        let mut is_needed = false;
        // From the end on: what a case goes on from lies before it.
        let mut cases = std::mem::take(&mut scenario.cases);
        for at in (0..cases.len()).rev() {
            is_needed |= names.contains(&cases[at].name);
            let begins_anew = cases[at].fresh;
            if !is_needed {
                cases.remove(at);
            }
            is_needed &= !begins_anew;
        }
        scenario.cases = cases;
        scenario
    });
    Ok(chosen
        .filter(|scenario| !scenario.cases.is_empty())
        .collect())
}

/// Gives a scenario its name, and looks whether each word in it has values and each case makes sense.
fn whole(name: &str, mut scenario: Scenario) -> Result<Scenario, Error> {
    scenario.name = name.to_owned();
    for case in &scenario.cases {
        if case.drop_caches && case.restart.is_none() {
            return Err(Error::NoRestart {
                scenario: name.to_owned(),
                case: case.name.clone(),
            });
        }
        for line in case.lines() {
            for word in words(line) {
                if word != BOOTSTRAP && !scenario.sizes.contains_key(word) {
                    return Err(Error::Word {
                        scenario: name.to_owned(),
                        case: case.name.clone(),
                        word: word.to_owned(),
                    });
                }
            }
        }
    }
    Ok(scenario)
}

/// The words in braces.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(word, _)| word)
}

impl Scenario {
    /// A line of a case with all words replaced.
    pub fn fill(&self, line: &str, size: Size, bootstrap: &str) -> String {
        let mut filled = line.replace("{bootstrap}", bootstrap);
        for (word, values) in &self.sizes {
            let value = &values[size as usize];
            filled = filled.replace(&format!("{{{word}}}"), &value.to_string());
        }
        filled
    }

    pub fn disk_bytes(&self, size: Size) -> u64 {
        self.disk[size as usize]
    }
}

impl Case {
    fn lines(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.background, &self.background_seconds, &self.floor];
        self.before
            .iter()
            .map(String::as_str)
            .chain(optional.into_iter().flatten().map(String::as_str))
            .chain([self.load.as_str()])
    }

    pub fn runs_on(&self, system: System, size: Size) -> bool {
        let sizes = self.sizes.as_ref();
        if sizes.is_some_and(|sizes| !sizes.contains(&size)) {
            return false;
        }
        // The smoke form needs nothing but this tree.
        let is_foreign = FOREIGN.iter().any(|verb| self.load.starts_with(verb));
        if size == Size::Smoke && is_foreign {
            return false;
        }
        match (system, &self.systems) {
            (System::Floor, _) => self.floor.is_some(),
            (_, Some(systems)) => systems.contains(&system),
            (_, None) => true,
        }
    }
}

#[cfg(test)]
mod tests;
