//! A broker in a process of its own: Ottla, or Apache Kafka for comparison.
//!
//! Its data and its log lie in its home directory. A broker that is dropped is killed.

use std::fmt;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Places, kafka, process, wire};

/// How often a broker that starts is asked; fine enough for a start of milliseconds to be seen.
const POLL: Duration = Duration::from_millis(2);
/// What a Java virtual machine exits with when SIGTERM stopped it in good order.
const JAVA_TERMINATED: i32 = 143;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Ottla,
    Kafka,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ottla => "Ottla",
            Self::Kafka => "Apache Kafka",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    Process(#[from] process::Error),
    #[error("formatting Apache Kafka's storage failed, {status}; its log: {}", log.display())]
    Format { status: ExitStatus, log: PathBuf },
    #[error("{kind} ended by itself, {status}; its log: {}", log.display())]
    Ended {
        kind: Kind,
        status: ExitStatus,
        log: PathBuf,
    },
    #[error("{kind} did not answer within {seconds} s; its log: {}", log.display())]
    Silent {
        kind: Kind,
        seconds: u64,
        log: PathBuf,
    },
    #[error("{kind} did not stop within {seconds} s of SIGTERM; its log: {}", log.display())]
    WouldNotStop {
        kind: Kind,
        seconds: u64,
        log: PathBuf,
    },
    #[error("{kind} did not stop cleanly, {status}; its log: {}", log.display())]
    Unclean {
        kind: Kind,
        status: ExitStatus,
        log: PathBuf,
    },
}

impl Error {
    pub fn io(what: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }
}

pub struct Broker {
    kind: Kind,
    child: Child,
    bootstrap: String,
    home: PathBuf,
    ready_after: Duration,
}

/// What to start.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub kind: Kind,
    pub port: u16,
    /// Settings beside the broker's defaults.
    pub settings: &'a [(&'a str, &'a str)],
    /// The broker's directory; what lies there is removed first.
    pub home: &'a Path,
}

impl Plan<'_> {
    /// The settings, with the home's path in its places.
    pub fn filled_settings(&self) -> impl Iterator<Item = (&str, String)> {
        let home = self.home.display().to_string();
        let settings = self.settings.iter();
        settings.map(move |(name, value)| (*name, value.replace("{home}", &home)))
    }
}

impl Broker {
    /// Starts a broker on an empty `home` and waits until it answers.
    pub fn start(plan: &Plan<'_>, places: &Places, limit: Duration) -> Result<Self, Error> {
        Self::spawn(prepare(plan, places)?, plan, limit)
    }

    /// Starts a broker on what an earlier one left in `home`, with the same plan.
    pub fn start_again(plan: &Plan<'_>, places: &Places, limit: Duration) -> Result<Self, Error> {
        let command = match plan.kind {
            Kind::Ottla => ottla(plan, places),
            Kind::Kafka => kafka::formatted(plan, places),
        };
        Self::spawn(command, plan, limit)
    }

    fn spawn(mut command: Command, plan: &Plan<'_>, limit: Duration) -> Result<Self, Error> {
        let log = log_file(plan.home);
        let output = process::create(&log)?;
        let errors = output.try_clone().map_err(Error::io(log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let spawned = Instant::now();
        let child = command
            .spawn()
            .map_err(Error::io(command.get_program().display()))?;
        let mut broker = Self {
            kind: plan.kind,
            child,
            bootstrap: format!("127.0.0.1:{}", plan.port),
            home: plan.home.to_path_buf(),
            ready_after: Duration::ZERO,
        };
        broker.wait_until_ready(limit)?;
        broker.ready_after = spawned.elapsed();
        Ok(broker)
    }

    /// From the start of the process to its first answer.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) -> Result<(), Error> {
        let (kind, log) = (self.kind, self.log());
        if let Some(status) = self.child.try_wait().map_err(Error::io(kind))? {
            return Err(Error::Ended { kind, status, log });
        }
        self.child.kill().map_err(Error::io(kind))?;
        self.child.wait().map_err(Error::io(kind))?;
        Ok(())
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn log(&self) -> PathBuf {
        log_file(&self.home)
    }

    fn wait_until_ready(&mut self, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().map_err(Error::io(self.kind))? {
                return Err(Error::Ended {
                    kind: self.kind,
                    status,
                    log: self.log(),
                });
            }
            if wire::brokers(&self.bootstrap).is_ok_and(|brokers| brokers > 0) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Silent {
                    kind: self.kind,
                    seconds: limit.as_secs(),
                    log: self.log(),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the broker to stop; that it had ended before, or does not end well, is an error.
    pub fn stop(mut self, limit: Duration) -> Result<(), Error> {
        let (kind, log) = (self.kind, self.log());
        if let Some(status) = self.child.try_wait().map_err(Error::io(kind))? {
            return Err(Error::Ended { kind, status, log });
        }
        if let Some(id) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)
                .map_err(|error| Error::io(kind)(error.into()))?;
        }
        match process::wait(&mut self.child, limit).map_err(Error::io(kind))? {
            None => Err(Error::WouldNotStop {
                kind,
                seconds: limit.as_secs(),
                log,
            }),
            Some(status) if status.success() => Ok(()),
            Some(status) if kind == Kind::Kafka && status.code() == Some(JAVA_TERMINATED) => Ok(()),
            Some(status) => Err(Error::Unclean { kind, status, log }),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nothing is left to be done where the broker has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_file(home: &Path) -> PathBuf {
    home.join("broker.log")
}

/// Empties the home and returns the command that starts the broker.
pub fn prepare(plan: &Plan<'_>, places: &Places) -> Result<Command, Error> {
    if plan.home.exists() {
        fs::remove_dir_all(plan.home).map_err(Error::io(plan.home.display()))?;
    }
    fs::create_dir_all(plan.home).map_err(Error::io(plan.home.display()))?;
    match plan.kind {
        Kind::Ottla => Ok(ottla(plan, places)),
        Kind::Kafka => kafka::command(plan, free_port()?, places),
    }
}

fn ottla(plan: &Plan<'_>, places: &Places) -> Command {
    let mut command = Command::new(&places.ottla);
    let data = plan.home.join("data");
    command
        .arg("broker")
        .args([
            "--override",
            &format!("listeners=PLAINTEXT://127.0.0.1:{}", plan.port),
        ])
        .args(["--override", &format!("log.dirs={}", data.display())]);
    for (name, value) in plan.filled_settings() {
        command.args(["--override", &format!("{name}={value}")]);
    }
    command
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("a free port"))?;
    Ok(listener
        .local_addr()
        .map_err(Error::io("a free port"))?
        .port())
}
