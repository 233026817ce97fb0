//! What each step of the tests came to, and the table at the end.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};

#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It ran to its end and counted its checks.
    Ran { passed: u32, failed: u32 },
    /// It could not run, or did not come to its end.
    Broken(String),
    /// The machine lacks what it needs.
    LeftOut(String),
}

impl Verdict {
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Ran { passed, failed } => *failed > 0 || *passed == 0,
            Self::Broken(_) => true,
            Self::LeftOut(_) => false,
        }
    }

    fn passed(&self) -> u32 {
        match self {
            Self::Ran { passed, .. } => *passed,
            Self::Broken(_) | Self::LeftOut(_) => 0,
        }
    }

    /// Failures, of which a step that broke is one.
    fn failed(&self) -> u32 {
        match self {
            Self::Ran {
                passed: 0,
                failed: 0,
            }
            | Self::Broken(_) => 1,
            Self::Ran { failed, .. } => *failed,
            Self::LeftOut(_) => 0,
        }
    }

    fn note(&self) -> &str {
        match self {
            Self::Ran {
                passed: 0,
                failed: 0,
            } => "FAILED: it checked nothing",
            Self::Ran { failed: 0, .. } => "ok",
            Self::Ran { .. } => "FAILED",
            Self::Broken(reason) | Self::LeftOut(reason) => reason,
        }
    }
}

#[derive(Default)]
pub struct Report {
    rows: Vec<(String, Verdict, Duration)>,
}

impl Report {
    pub fn add(&mut self, name: &str, verdict: Verdict, took: Duration) {
        self.rows.push((name.to_owned(), verdict, took));
    }

    /// Prints the table and the closing line.
    pub fn print(&self) -> ExitCode {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["step", "passed", "failed", "seconds", ""]);
        for (name, verdict, took) in &self.rows {
            table.add_row([
                name.clone(),
                verdict.passed().to_string(),
                verdict.failed().to_string(),
                format!("{:.1}", took.as_secs_f64()),
                verdict.note().to_owned(),
            ]);
        }
        println!("\n{table}\n");
        let (passed, failed) = self.totals();
        println!("{passed} passed, {failed} failed");
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn totals(&self) -> (u32, u32) {
        let passed = self
            .rows
            .iter()
            .map(|(_, verdict, _)| verdict.passed())
            .sum();
        let failed = self
            .rows
            .iter()
            .map(|(_, verdict, _)| verdict.failed())
            .sum();
        (passed, failed)
    }
}

#[cfg(test)]
mod tests;
