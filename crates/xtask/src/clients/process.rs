//! Runs one suite's program: shows its output, reads its closing line, ends it at its time limit.
//!
//! The programs stay in our process group, so that Ctrl-C reaches them; the group members that they start
//! leave when their standard input closes, and so end with their suite.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Verdict;

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Lines that may wait to be shown.
const LINES_WAITING_MAX: usize = 1000;
/// How long the rest of the output may take once the program has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("waiting for {program}: {source}")]
    Wait { program: String, source: io::Error },
}

/// Runs `command`, its standard error going to the file `errors`; shows every line and hands it to `each`.
pub fn run(
    mut command: Command,
    errors: &Path,
    limit: Duration,
    mut each: impl FnMut(&str),
) -> Result<Verdict, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(create(errors)?);
    let mut child = command.spawn().map_err(|source| Error::Start {
        program: program.clone(),
        source,
    })?;
    let lines = child.stdout.take().map(read_lines);
    let mut closing = None;
    let mut show = |line: &str| {
        closing = parse_closing(line).or(closing);
        println!("   {line}");
        each(line);
    };
    let deadline = Instant::now() + limit;
    let failed = |source| Error::Wait { program, source };
    let status = loop {
        match lines.as_ref().map(|lines| lines.recv_timeout(POLL)) {
            Some(Ok(line)) => show(&line),
            Some(Err(RecvTimeoutError::Timeout)) => {}
            // It has closed its output, and will end.
            None | Some(Err(RecvTimeoutError::Disconnected)) => thread::sleep(POLL),
        }
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => {}
            Ok(None) => {
                child.kill().and_then(|()| child.wait()).map_err(failed)?;
                break None;
            }
            Err(source) => return Err(failed(source)),
        }
    };
    // A process that the program left behind may hold the pipe open for good.
    let last = Instant::now() + LAST_OUTPUT;
    while let Some(Ok(line)) = lines
        .as_ref()
        .map(|lines| lines.recv_timeout(last.saturating_duration_since(Instant::now())))
    {
        show(&line);
    }
    Ok(verdict(status, closing, limit))
}

/// Creates a file and the directories that lead to it.
pub fn create(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::File {
        path: path.to_path_buf(),
        source,
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    File::create(path).map_err(failed)
}

/// Waits for the end of `child`; `None` if it had to be killed at `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Reads lines on a thread of their own.
fn read_lines(output: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(LINES_WAITING_MAX);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens when the program was given up on.
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// `N passed, N failed`, alone on its line.
fn parse_closing(line: &str) -> Option<(u32, u32)> {
    let (passed, failed) = line.trim().split_once(" passed, ")?;
    let failed = failed.strip_suffix(" failed")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

fn verdict(status: Option<ExitStatus>, closing: Option<(u32, u32)>, limit: Duration) -> Verdict {
    match (status, closing) {
        (None, _) => Verdict::Broken(format!("still running after {} s", limit.as_secs())),
        (Some(status), None) => Verdict::Broken(format!("no closing line, {status}")),
        (Some(status), Some((_, 0))) if !status.success() => Verdict::Broken(status.to_string()),
        (Some(_), Some((passed, failed))) => Verdict::Ran { passed, failed },
    }
}

#[cfg(test)]
mod tests;
