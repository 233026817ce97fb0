//! `bench/RESULTS.md`, made from the results alone: targets, a section and plots for each scenario.
//!
//! Invariant: the page says where Ottla is behind as plainly as where it is ahead; nothing in it is
//! written by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::host;
use super::metrics::{self, is_more_better, shown};
use super::plot::{self, Bar, Curve};
use super::results::{self, Outcome};
use super::scenario::{Case, Scenario, Size, System};
use super::statistics::Spread;
use super::targets::{self, Target, short};
use crate::toml_file;

const PAGE: &str = "RESULTS.md";
const PLOTS: &str = "plots";
/// A difference that two runs of the same thing may show.
const NOISE: f64 = 0.05;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Targets(#[from] toml_file::Error),
    #[error(transparent)]
    Results(#[from] results::Error),
}

/// A scenario that has results.
type Measured<'a> = (&'a Scenario, Outcome);

/// Writes the page and its plots, and says where the page is.
pub fn write(root: &Path, output: &Path, scenarios: &[Scenario]) -> Result<PathBuf, Error> {
    let mut measured = Vec::new();
    for scenario in scenarios {
        if let Some(outcome) = Outcome::load(output, &scenario.name)? {
            measured.push((scenario, outcome));
        }
    }
    let plots = output.join(PLOTS);
    let failed = results::Error::io(&plots);
    fs::create_dir_all(&plots).map_err(failed)?;
    for (scenario, outcome) in &measured {
        for (name, svg) in drawings(scenario, outcome) {
            let path = plots.join(name);
            fs::write(&path, svg).map_err(results::Error::io(&path))?;
        }
    }
    let path = output.join(PAGE);
    let text = page(&targets::all(root)?, &measured);
    fs::write(&path, text).map_err(results::Error::io(&path))?;
    Ok(path)
}

/// The whole page.
fn page(targets: &[Target], measured: &[Measured<'_>]) -> String {
    let mut page = String::from(HEAD);
    page += "\n## The targets\n\n";
    page += &target_table(targets, measured);
    page += "\n## Where Ottla is behind Apache Kafka\n\n";
    page += &behind(measured);
    for (scenario, outcome) in measured {
        page += &section(scenario, outcome);
    }
    page
}

const HEAD: &str = "\
# What was measured

Written by `cargo xtask bench` from `bench/results`; do not edit. `cargo xtask bench` runs everything, with
`--scenario NAME` one scenario, and `--list` names them. It builds Ottla, installs the pinned Apache Kafka, and needs
Java 17 with Maven, and Python 3.

How the figures were taken:

- Each run has a broker of its own on an empty directory. The systems take turns, for as many rounds as the scenario
  says; tables show the median, and the smallest and largest value in brackets.
- CPU seconds, memory, threads and open files are the broker process's own, from `/proc`, between the begin and the
  end of the load; so another process on the machine does not count. A GB is 1,000,000,000 bytes of record values.
- Both brokers run with their own defaults but for the settings that are listed. Kafka runs with the flags of its own
  start script. A default that differs: Ottla hands dirty data to the disk every 10 s or 100 MiB, Kafka never does.
- This kind of machine backs memory lazily, and stands still for some 25 ms at a time while it takes freed memory back.
  So the bench waits before a load until a thread that wakes every millisecond was never late for five seconds; where
  bytes go into the page cache, it touches as much memory as they will take, right before the load. What the host took
  of the cores while the loads ran stands with each scenario (where it was noted): a tail is no better than that.
- Load generator and broker share the machine. Where the generator is the bottleneck the rates say little, and CPU
  per GB or per request says more.
- The floor is a process that does the least that must be done for the same bytes: it receives, computes CRC-32C and
  writes to the page cache, or it sends cached files (`sendfile`, or `pread` and `write`, whichever costs less). Of
  latency: with one thread and no protocol it writes each record to a file, answers, and passes it on.
- `ottla bench` sends by a schedule that is fixed in advance and measures from the moment when a record was due, so
  that a stall counts for everything that waited behind it.
";

fn target_table(targets: &[Target], measured: &[Measured<'_>]) -> String {
    let mut table =
        String::from("| what | target | measured | | command |\n| --- | --- | --- | --- | --- |\n");
    for target in targets {
        let found = measured
            .iter()
            .find(|(scenario, _)| scenario.name == target.scenario);
        let verdict = found.and_then(|(_, outcome)| target.judge(outcome));
        let (said, reached) = match &verdict {
            None => ("not measured".to_owned(), String::new()),
            Some(verdict) => {
                let reached = match verdict.missed_by {
                    missed if missed <= 1.0 => "reached".to_owned(),
                    missed => format!("**missed by {} ×**", short(missed)),
                };
                (measured_text(target, verdict), reached)
            }
        };
        let command = found.map_or_else(
            || format!("cargo xtask bench --scenario {}", target.scenario),
            |(_, outcome)| outcome.command.clone(),
        );
        _ = writeln!(
            table,
            "| {} | {} | {said} | {reached} | `{command}` |",
            target.what,
            target.bound()
        );
    }
    table
}

fn measured_text(target: &Target, verdict: &targets::Verdict) -> String {
    let unit = shown(&target.figure).title;
    match verdict.theirs {
        Some(theirs) => format!(
            "{} × ({} against {}; {unit})",
            short(verdict.measured),
            short(verdict.ours),
            short(theirs)
        ),
        None => format!("{} ({unit})", short(verdict.measured)),
    }
}

/// Every figure that the page shows in which Ottla's median is the worse one.
fn behind(measured: &[Measured<'_>]) -> String {
    let mut list = String::new();
    for (scenario, outcome) in measured {
        for case in &scenario.cases {
            for figure in &scenario.show {
                let median = |system| Some(outcome.spread(&case.name, system, figure)?.median);
                let (Some(ours), Some(theirs)) = (median(System::Ottla), median(System::Kafka))
                else {
                    continue;
                };
                let worse = match is_more_better(figure) {
                    true => theirs / ours,
                    false => ours / theirs,
                };
                if worse > 1.0 + NOISE {
                    _ = writeln!(
                        list,
                        "- {}, {}: {}: {} against {}",
                        scenario.title,
                        case.title,
                        shown(figure).title,
                        short(ours),
                        short(theirs)
                    );
                }
            }
        }
    }
    if list.is_empty() {
        list = "In no figure of this page, by more than what two runs of the same thing differ.\n"
            .to_owned();
    }
    list
}

fn section(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n", scenario.title, scenario.about.trim());
    text += &table(scenario, outcome);
    for (name, _) in drawings(scenario, outcome) {
        _ = write!(text, "\n![{name}]({PLOTS}/{name})\n");
    }
    for failure in &outcome.failures {
        _ = write!(
            text,
            "\nNo figures for {}, {}, round {}: {}\n",
            failure.case, failure.system, failure.round, failure.reason
        );
    }
    text += &circumstances(scenario, outcome);
    text
}

/// How to have these figures again, and where they came from.
fn circumstances(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text = format!(
        "\n<details><summary><code>{}</code></summary>\n\n",
        outcome.command
    );
    if outcome.size != Size::Full {
        _ = writeln!(text, "Sizes are those of the **{}** form.\n", outcome.size);
    }
    let machine = &outcome.machine;
    _ = writeln!(
        text,
        "{} rounds; {}, {} cores, {} GB, Linux {}; data on {}.",
        outcome.rounds,
        machine.processor,
        machine.cores,
        machine.memory_gb,
        machine.kernel,
        machine.file_system
    );
    if let Some(stolen) = outcome.spread_of_all(host::STOLEN) {
        _ = writeln!(
            text,
            "While the loads ran, the host took {:.0} to {:.0} % of the cores (median {:.0} %).",
            stolen.min, stolen.max, stolen.median
        );
    }
    let pairs = |pairs: &mut dyn Iterator<Item = (&String, &String)>, between| {
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}{between}{value}"))
            .collect();
        pairs.join(", ")
    };
    _ = writeln!(
        text,
        "Versions: {}.",
        pairs(&mut outcome.versions.iter(), " ")
    );
    if !outcome.settings.is_empty() {
        _ = writeln!(
            text,
            "Settings of both: `{}`.",
            pairs(&mut outcome.settings.iter(), "=")
        );
    }
    if outcome.versions.contains_key("Apache Kafka") {
        _ = writeln!(text, "Kafka's flags: `{}`.", outcome.java_flags.join(" "));
    }
    text += "\n";
    for case in &scenario.cases {
        if let Some(load) = outcome.loads.get(&case.name) {
            _ = writeln!(text, "- {}: `{load}`", case.title);
        }
    }
    text + "\n</details>\n"
}

/// The figures of a scenario, a line for each case and system.
pub fn table(scenario: &Scenario, outcome: &Outcome) -> String {
    let figures: Vec<_> = scenario
        .show
        .iter()
        .filter(|figure| has(scenario, outcome, figure))
        .collect();
    let mut table = String::from("| | |");
    for figure in &figures {
        _ = write!(table, " {} |", shown(figure).title);
    }
    table += "\n| --- | --- |";
    table += &" ---: |".repeat(figures.len());
    table += "\n";
    for case in &scenario.cases {
        let mut title = case.title.as_str();
        for system in outcome.systems(&case.name) {
            _ = write!(table, "| {title} | {system} |");
            for figure in &figures {
                let cell = outcome.spread(&case.name, system, figure);
                let cell = cell.map(|spread| in_cell(spread, shown(figure).decimals));
                _ = write!(table, " {} |", cell.unwrap_or_default());
            }
            table += "\n";
            title = "";
        }
        for other in [System::Kafka, System::Floor] {
            table += &ratio_line(case, outcome, other, &figures);
        }
    }
    table
}

fn has(scenario: &Scenario, outcome: &Outcome, figure: &str) -> bool {
    let mut cases = scenario.cases.iter();
    cases.any(|case| {
        let mut systems = outcome.systems(&case.name).into_iter();
        systems.any(|system| outcome.spread(&case.name, system, figure).is_some())
    })
}

fn in_cell(spread: Spread, decimals: usize) -> String {
    let number = |value: f64| format!("{value:.decimals$}");
    let (min, median, max) = (
        number(spread.min),
        number(spread.median),
        number(spread.max),
    );
    match min == max {
        true => median,
        false => format!("{median} ({min}–{max})"),
    }
}

/// Ottla's figures as parts or multiples of another's; empty where there is nothing to compare.
fn ratio_line(case: &Case, outcome: &Outcome, other: System, figures: &[&String]) -> String {
    let mut line = format!("| | *Ottla ÷ {other}* |");
    let mut compares = false;
    for figure in figures {
        let median = |system| Some(outcome.spread(&case.name, system, figure)?.median);
        let ratio = match (median(System::Ottla), median(other)) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => Some(ours / theirs),
            _ => None,
        };
        compares |= ratio.is_some();
        let ratio = ratio.map(|ratio| format!("*{} ×*", short(ratio)));
        _ = write!(line, " {} |", ratio.unwrap_or_default());
    }
    match compares {
        true => line + "\n",
        false => String::new(),
    }
}

/// The plots of a scenario with the names of their files.
fn drawings(scenario: &Scenario, outcome: &Outcome) -> Vec<(String, String)> {
    let mut drawings = Vec::new();
    for figure in &scenario.bars {
        let mut bars = Vec::new();
        for case in &scenario.cases {
            for system in outcome.systems(&case.name) {
                if let Some(spread) = outcome.spread(&case.name, system, figure) {
                    let group = case.title.clone();
                    bars.push(Bar {
                        group,
                        system,
                        spread,
                    });
                }
            }
        }
        if !bars.is_empty() {
            let name = format!("{}-{}.svg", scenario.name, figure.replace('.', "-"));
            drawings.push((name, plot::bars(&shown(figure).title, &bars)));
        }
    }
    if let Some(path) = &scenario.curve {
        for case in &scenario.cases {
            let systems = outcome.systems(&case.name);
            let curves = systems.into_iter().map(|system| Curve {
                system,
                points: points(outcome, case, system, path),
            });
            let curves: Vec<_> = curves.filter(|curve| curve.points.len() > 1).collect();
            if !curves.is_empty() {
                let name = format!("{}-{}-curve.svg", scenario.name, case.name);
                let title = format!("{}: {}, ms", case.title, metrics::latency_title(path));
                drawings.push((name, plot::curves(&title, &curves)));
            }
        }
    }
    drawings
}

/// Percentiles of a latency as nines: how rare it is, and how long it took.
fn points(outcome: &Outcome, case: &Case, system: System, path: &str) -> Vec<plot::Point> {
    const PERCENTILES: [(&str, f64, &str); 5] = [
        ("p50", 0.5, "50 %"),
        ("p90", 0.1, "90 %"),
        ("p99", 0.01, "99 %"),
        ("p99_9", 0.001, "99.9 %"),
        ("p99_99", 0.0001, "99.99 %"),
    ];
    let point = |&(name, rest, label): &(&str, f64, &'static str)| {
        let spread = outcome.spread(&case.name, system, &format!("{path}.{name}"))?;
        let nines = -rest.log10();
        Some(plot::Point {
            nines,
            label,
            spread,
        })
    };
    PERCENTILES.iter().filter_map(point).collect()
}

#[cfg(test)]
pub mod tests;
