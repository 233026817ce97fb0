//! The words that a scenario's lines begin with, and what each runs.
//!
//! `ottla …` is our own generator or another of our tools, `java CLASS …` one of Kafka's, `rdkafka …` the
//! script over librdkafka. `idle N` waits, `cold` empties the page cache of the broker's files, `nothing`
//! does nothing. Called by `run.rs`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use super::{caches, parse, stop};
use crate::clients::{Places, install, process};

/// The script over librdkafka, below the workspace's root.
const RDKAFKA: &str = "bench/rdkafka.py";
const POLL: Duration = Duration::from_millis(5);
/// Programs that were started, so that each has files of its own.
static STARTED: AtomicU32 = AtomicU32::new(0);
/// As Kafka's own scripts start its tools.
const JAVA_FLAGS: &[&str] = &["-Xmx512M", "-XX:+UseG1GC"];
/// How much of what a failed load said is shown.
const EXCERPT_LINES: usize = 5;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{line}` begins with no word that the bench knows")]
    Verb { line: String },
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("`{line}`: {status}: {said}")]
    Failed {
        line: String,
        status: ExitStatus,
        said: String,
    },
    #[error("`{line}` took longer than {seconds} s")]
    Late { line: String, seconds: u64 },
    #[error("`{line}` ended without the figures that it should print")]
    NoFigures { line: String },
    #[error(transparent)]
    Process(#[from] process::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    fn io(what: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }
}

/// What a load may need to know.
pub struct Surroundings<'a> {
    pub places: &'a Places,
    pub bootstrap: &'a str,
    /// The broker's data.
    pub data: &'a Path,
    /// Where the output of programs goes.
    pub logs: &'a Path,
}

/// Does what the line says, and returns its figures.
pub fn run(line: &str, around: &Surroundings<'_>, limit: Duration) -> Result<Metrics, Error> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["nothing"] => Ok(Metrics::default()),
        ["idle", seconds] => idle(line, seconds),
        ["cold"] => {
            caches::forget_files(around.data).map_err(Error::io(around.data.display()))?;
            Ok(Metrics::default())
        }
        _ => Program::start(line, around)?.wait(limit),
    }
}

fn idle(line: &str, seconds: &str) -> Result<Metrics, Error> {
    let verb = |_| Error::Verb {
        line: line.to_owned(),
    };
    let seconds: f64 = seconds.parse().map_err(verb)?;
    let end = Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    while Instant::now() < end {
        if stop::is_asked() {
            return Err(Error::Interrupted);
        }
        thread::sleep(POLL);
    }
    Ok(Metrics::from_iter([("seconds", seconds)]))
}

/// A load that is a process. One that is dropped is killed.
pub struct Program {
    line: String,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
    parse: fn(&str) -> Option<Metrics>,
}

impl Program {
    pub fn start(line: &str, around: &Surroundings<'_>) -> Result<Self, Error> {
        let (mut command, parse) = command(line, around)?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let file = |kind| around.logs.join(format!("load-{number}.{kind}"));
        let (output, errors) = (file("out"), file("err"));
        command
            .stdin(Stdio::null())
            .stdout(process::create(&output)?)
            .stderr(process::create(&errors)?);
        let child = command
            .spawn()
            .map_err(Error::io(command.get_program().display()))?;
        Ok(Self {
            line: line.to_owned(),
            child,
            output,
            errors,
            parse,
        })
    }

    /// Waits for its end and reads its figures.
    pub fn wait(mut self, limit: Duration) -> Result<Metrics, Error> {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().map_err(Error::io(&self.line))? {
                break status;
            }
            if stop::is_asked() {
                return Err(Error::Interrupted);
            }
            if Instant::now() >= deadline {
                return Err(Error::Late {
                    line: self.line.clone(),
                    seconds: limit.as_secs(),
                });
            }
            thread::sleep(POLL);
        };
        let line = self.line.clone();
        if !status.success() {
            let said = fs::read_to_string(&self.errors).unwrap_or_default();
            let said = excerpt(&said);
            return Err(Error::Failed { line, status, said });
        }
        let output = fs::read_to_string(&self.output).map_err(Error::io(self.output.display()))?;
        (self.parse)(&output).ok_or(Error::NoFigures { line })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing is left to be done where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines that say something.
fn excerpt(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(EXCERPT_LINES)..].join(" | ")
}

type Parse = fn(&str) -> Option<Metrics>;

/// The command of a line, and what reads its output.
fn command(line: &str, around: &Surroundings<'_>) -> Result<(Command, Parse), Error> {
    let words: Vec<_> = line.split_whitespace().collect();
    let unknown = || Error::Verb {
        line: line.to_owned(),
    };
    match words[..] {
        ["ottla", "bench", ..] => {
            let mut command = Command::new(around.places.ottla());
            command.args(&words[1..]);
            command.args(["--bootstrap-server", around.bootstrap, "--output", "json"]);
            Ok((command, parse::ottla))
        }
        ["ottla", ..] => {
            let mut command = Command::new(around.places.ottla());
            command.args(&words[1..]);
            command.args(["--bootstrap-server", around.bootstrap]);
            Ok((command, parse::nothing))
        }
        ["java", class, ..] => {
            let mut command = install::java(around.places, class, JAVA_FLAGS);
            command.args(&words[2..]);
            Ok((command, parse::of_class(class).ok_or_else(unknown)?))
        }
        ["rdkafka", ..] => {
            let mut command = install::python(around.places);
            command.arg(around.places.root().join(RDKAFKA));
            command.args(&words[1..]);
            command.args(["--bootstrap-server", around.bootstrap]);
            Ok((command, parse::ottla))
        }
        _ => Err(unknown()),
    }
}
