//! A broker of this build as a child process: started, killed, stopped, started again.
//!
//! Invariant: no process outlives its [`Broker`]; what it printed is kept in a file beside the data.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");
/// A start or a stop that takes longer hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Broker {
    process: Child,
    pub address: SocketAddr,
    error_file: PathBuf,
}

/// A broker that ended by itself.
#[derive(Debug)]
pub struct Exit {
    pub status: ExitStatus,
    pub errors: String,
}

impl Broker {
    /// Starts a broker that keeps its data in `dir/ottla-data`.
    pub fn start(dir: &Path, overrides: &[&str]) -> Broker {
        Broker::try_start(dir, overrides).unwrap_or_else(|exit| {
            panic!(
                "the broker did not start ({}):\n{}",
                exit.status, exit.errors
            )
        })
    }

    /// The same where it may refuse to start.
    pub fn try_start(dir: &Path, overrides: &[&str]) -> Result<Broker, Exit> {
        let error_file = dir.join("broker.err");
        let mut command = Command::new(OTTLA);
        command
            .args(["broker", "--override", "listeners=PLAINTEXT://127.0.0.1:0"])
            .args(["--override", "group.initial.rebalance.delay.ms=0"])
            .args(["--override", "offsets.topic.num.partitions=1"]);
        for pair in overrides {
            command.args(["--override", pair]);
        }
        let mut process = command
            .current_dir(dir)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(File::create(&error_file).unwrap())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on") {
                    // Nobody may be waiting for it any more.
                    let _ = sender.send(rest.split_whitespace().next().unwrap().to_owned());
                }
            }
        });
        match receiver.recv_timeout(DEADLINE) {
            Ok(address) => Ok(Broker {
                process,
                address: address.parse().unwrap(),
                error_file,
            }),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Exit {
                status: process.wait().unwrap(),
                errors: std::fs::read_to_string(&error_file).unwrap(),
            }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                process.kill().unwrap();
                process.wait().unwrap();
                let errors = std::fs::read_to_string(&error_file).unwrap();
                panic!("the broker neither starts nor ends:\n{errors}");
            }
        }
    }

    /// Ends the broker as a power cut of the process would.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the broker to stop and waits until it has; returns what it printed.
    pub fn stop(self) -> String {
        let asked = Command::new("kill")
            .arg(self.process.id().to_string())
            .status()
            .unwrap();
        assert!(asked.success());
        let Exit { status, errors } = self.ended();
        assert!(status.success(), "{status}: {errors}");
        errors
    }

    /// Waits until the broker has ended.
    pub fn ended(mut self) -> Exit {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < DEADLINE, "the broker does not stop");
            std::thread::yield_now();
        };
        let errors = self.errors();
        Exit { status, errors }
    }

    /// What the broker has printed to standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.error_file).unwrap()
    }

    /// Fails if a handler panicked, or had an answer that its version cannot carry.
    pub fn check_errors(&self) {
        check_text(&self.errors());
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Words that a broker's log never holds, whatever happens to it.
pub fn check_text(errors: &str) {
    for word in ["panicked", "cannot encode the answer", "overflow"] {
        let line = errors.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{}", line.unwrap_or_default());
    }
}
