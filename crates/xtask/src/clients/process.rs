//! Runs one suite's program: shows its output, reads its closing line, ends it at its time limit.
//!
//! The programs stay in our process group, so that Ctrl-C reaches them; the group members that they start
//! leave when their standard input closes, and so end with their suite.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::report::Verdict;

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(50);
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

/// Runs `command`, its standard error going to the file `errors`.
pub fn run(mut command: Command, errors: &Path, limit: Duration) -> Result<Verdict, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(create(errors)?);
    let mut child = command.spawn().map_err(|source| Error::Start {
        program: program.clone(),
        source,
    })?;
    let closing = child.stdout.take().map(show_lines);
    let status = wait(&mut child, limit).map_err(|source| Error::Wait { program, source })?;
    // A process that the program left behind may hold the pipe open for good.
    let closing = closing.and_then(|closing| closing.recv_timeout(LAST_OUTPUT).ok().flatten());
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

/// Prints every line, and sends the counts of the last closing line when the output ends.
fn show_lines(output: ChildStdout) -> mpsc::Receiver<Option<(u32, u32)>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut closing = None;
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            closing = parse_closing(&line).or(closing);
            println!("   {line}");
        }
        // Nobody listens when the program was given up on.
        let _ = sender.send(closing);
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
