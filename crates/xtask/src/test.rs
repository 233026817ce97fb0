//! `cargo xtask test`: everything that has to hold before a change lands.
//!
//! Formatting, lints and the Rust tests first, then each real client against a broker of its own.
//! Invariant: the last line is `N passed, N failed`, and the exit status is 0 only when nothing failed
//! and something passed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::clients::broker::Kind;
use crate::clients::install::{self, Toolchain};
use crate::clients::report::{Report, Verdict};
use crate::clients::suites::{self, Group, Suite};
use crate::clients::{self, Places, Target};

#[derive(clap::Args)]
pub struct Options {
    /// Leave the real clients out.
    #[arg(long)]
    quick: bool,
    /// Run this client suite alone (may be given more than once).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The client suites to run.
    #[arg(long, value_enum, default_value = "protocols")]
    suite: Group,
    /// Run the client suites against this running broker, instead of starting one for each.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// The broker to start for the client suites.
    #[arg(long, value_enum, default_value = "ottla")]
    broker: Kind,
    /// Start this binary of Ottla, instead of building one.
    #[arg(long, value_name = "PATH")]
    ottla: Option<PathBuf>,
    /// List the client suites and stop.
    #[arg(long)]
    list: bool,
}

/// `cargo xtask frameworks`: the suites of frameworks alone.
#[derive(clap::Args)]
pub struct Frameworks {
    /// Run this suite alone (may be given more than once).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The broker to start for the suites.
    #[arg(long, value_enum, default_value = "ottla")]
    broker: Kind,
    /// Start this binary of Ottla, instead of building one.
    #[arg(long, value_name = "PATH")]
    ottla: Option<PathBuf>,
    /// List the suites and stop.
    #[arg(long)]
    list: bool,
}

impl From<Frameworks> for Options {
    fn from(frameworks: Frameworks) -> Self {
        let names = suites::ALL.iter();
        let names = names.filter(|suite| suite.group == Group::Frameworks);
        let only = match frameworks.only.is_empty() {
            true => names.map(|suite| suite.name.to_owned()).collect(),
            false => frameworks.only,
        };
        Self {
            quick: false,
            only,
            suite: Group::Frameworks,
            bootstrap: None,
            broker: frameworks.broker,
            ottla: frameworks.ottla,
            list: frameworks.list,
        }
    }
}

impl Options {
    /// Whether only client suites were asked for.
    fn clients_alone(&self) -> bool {
        !self.only.is_empty() || self.bootstrap.is_some() || self.broker != Kind::Ottla
    }
}

pub fn run(options: &Options) -> ExitCode {
    if options.list {
        let asked =
            |suite: &&Suite| options.suite != Group::Frameworks || suite.group == options.suite;
        for suite in suites::ALL.iter().filter(asked) {
            println!("{:<28} {:?}", suite.name, suite.group);
        }
        return ExitCode::SUCCESS;
    }
    let chosen = match suites::choose(&options.only, options.suite) {
        Ok(chosen) => chosen,
        Err(unknown) => {
            eprintln!("no client suite is called `{unknown}`; --list shows them");
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::default();
    let root = workspace_root();
    if !options.clients_alone() {
        check_rust(&root, &mut report);
    }
    if !options.quick {
        check_clients(options, &root, &chosen, &mut report);
    }
    report.print()
}

/// The workspace's root, two levels above this crate's manifest.
pub fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .map_or_else(|| manifest.to_path_buf(), Path::to_path_buf)
}

fn check_rust(root: &Path, report: &mut Report) {
    let steps: [(&str, &[&str]); 2] = [
        ("cargo fmt", &["fmt", "--all", "--check"]),
        (
            "cargo clippy",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        ),
    ];
    for (name, arguments) in steps {
        step(root, name, arguments, report);
    }
    step(root, "tidy", &["xtask", "tidy"], report);
    // The schemas that the code is generated from come with Maven.
    match install::look_for(Toolchain::Java) {
        Ok(()) => {
            _ = step(
                root,
                "generated code",
                &["xtask", "codegen", "--check"],
                report,
            )
        }
        Err(missing) => report.add("generated code", missing.verdict(), Duration::ZERO),
    }
    // The tests compare COMPATIBILITY.md with its sources, too.
    step(root, "cargo test", &["test", "--workspace"], report);
}

/// Runs cargo with its output shown; the step counts as one check.
fn step(root: &Path, name: &str, arguments: &[&str], report: &mut Report) -> bool {
    println!("== {name}");
    let started = Instant::now();
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .status();
    let ok = status.is_ok_and(|status| status.success());
    let verdict = if ok {
        Verdict::Ran {
            passed: 1,
            failed: 0,
        }
    } else {
        Verdict::Broken(format!("`cargo {}` failed", arguments.join(" ")))
    };
    report.add(name, verdict, started.elapsed());
    ok
}

fn check_clients(options: &Options, root: &Path, chosen: &[&Suite], report: &mut Report) {
    let target = match &options.bootstrap {
        Some(address) => Target::Running(address.clone()),
        None => Target::Start(options.broker),
    };
    let places = Places::new(root);
    let build = ["build", "--release", "--package", "ottla"];
    let places = match &options.ottla {
        Some(binary) => places.with_ottla(binary),
        None if !matches!(target, Target::Start(Kind::Ottla)) => places,
        None if step(root, "ottla, release", &build, report) => places,
        None => return,
    };
    if !options.clients_alone() {
        step(root, "bench, smoke", &["xtask", "bench", "--smoke"], report);
    }
    clients::run(&places, chosen, &target, report);
}
