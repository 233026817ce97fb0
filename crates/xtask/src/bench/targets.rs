//! The targets of the project, from `bench/targets.toml`, held against what was measured.

use std::path::Path;

use serde::Deserialize;

use super::results::Outcome;
use super::scenario::System;
use crate::toml_file;

const FILE: &str = "bench/targets.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    target: Vec<Target>,
}

/// A bound on a figure of Ottla, or on its ratio to the same figure of another system.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub what: String,
    pub scenario: String,
    pub case: String,
    pub figure: String,
    /// Of whose figure it is a ratio; without it, the figure itself is meant.
    pub against: Option<System>,
    pub at_most: Option<f64>,
    pub at_least: Option<f64>,
}

pub fn all(root: &Path) -> Result<Vec<Target>, toml_file::Error> {
    let file: File = toml_file::read(&root.join(FILE))?;
    Ok(file.target)
}

/// What came of a target.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub ours: f64,
    pub theirs: Option<f64>,
    /// The ratio, or our figure where there is none to compare with.
    pub measured: f64,
    /// By which factor it is missed; 1 or less where it is reached.
    pub missed_by: f64,
}

impl Target {
    /// `None` where the figures are not there.
    pub fn judge(&self, outcome: &Outcome) -> Option<Verdict> {
        let median = |system| {
            let spread = outcome.spread(&self.case, system, &self.figure)?;
            Some(spread.median)
        };
        let ours = median(System::Ottla)?;
        let theirs = match self.against {
            Some(system) => Some(median(system).filter(|theirs| *theirs > 0.0)?),
            None => None,
        };
        let measured = ours / theirs.unwrap_or(1.0);
        let above = self.at_most.map(|bound| measured / bound);
        let below = self.at_least.map(|bound| bound / measured);
        Some(Verdict {
            ours,
            theirs,
            measured,
            missed_by: above.unwrap_or(0.0).max(below.unwrap_or(0.0)),
        })
    }

    pub fn bound(&self) -> String {
        let unit = match self.against {
            Some(system) => format!(" × {system}'s"),
            None => String::new(),
        };
        match (self.at_most, self.at_least) {
            (Some(bound), _) => format!("≤ {}{unit}", short(bound)),
            (None, Some(bound)) => format!("≥ {}{unit}", short(bound)),
            (None, None) => String::new(),
        }
    }
}

/// A number with as many decimals as say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.995 => trimmed(format!("{value:.2}")),
        _ => trimmed(format!("{value:.3}")),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
