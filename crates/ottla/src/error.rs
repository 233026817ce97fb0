//! Why a tool failed, and which exit code that is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ottla_net::client::ClientError;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{argument} does not take \"{value}\": {expected}")]
    Argument {
        argument: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("standard input: {0}")]
    Input(io::Error),
    #[error("line {line} is longer than {max} bytes")]
    LineTooLong { line: u64, max: usize },
    #[error("line {line} has no key: it lacks the separator {separator:?}")]
    NoSeparator { line: u64, separator: String },
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("the output is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{path}: not a file of a log directory that is known by its name", path = .path.display())]
    UnknownFile { path: PathBuf },
    #[error("{count} {} found", match count { 1 => "fault", _ => "faults" })]
    Damaged { count: u64 },
    #[error("{failed} of {total} could not be done")]
    Partly { failed: usize, total: usize },
    #[error("{ready} of {total} {what} were ready within {after:?}")]
    NotReady {
        ready: u64,
        total: u64,
        what: &'static str,
        after: Duration,
    },
    #[error("the log did not become smaller within {after:?}")]
    NotCleaned { after: Duration },
    #[error("no transaction is open in {topic}-{partition} from offset {start_offset} on")]
    NoTransactionAt {
        topic: String,
        partition: i32,
        start_offset: i64,
    },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl ToolError {
    pub fn exit_code(&self) -> u8 {
        match self {
            ToolError::Argument { .. } => WRONG_USAGE,
            ToolError::Client(ClientError::InvalidAddress(_)) => WRONG_USAGE,
            ToolError::Client(
                ClientError::NoBroker { .. }
                | ClientError::Connect { .. }
                | ClientError::ConnectTimeout { .. }
                | ClientError::Resolve { .. },
            ) => UNREACHABLE,
            _ => FAILED,
        }
    }

    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ToolError::Client(error) => error.hint(),
            ToolError::NotReady { .. } => {
                Some("the broker may be overloaded, or its log says why it does not serve them")
            }
            ToolError::NotCleaned { .. } => Some(
                "the cleaner may be off, or the broker's log says why it passes the partition over",
            ),
            ToolError::NoTransactionAt { .. } => {
                Some("`ottla transactions producers` shows the open transactions of a partition")
            }
            ToolError::NoSeparator { .. } => {
                Some("leave --key-separator out to send records without keys")
            }
            _ => None,
        }
    }

    pub fn is_closed_output(&self) -> bool {
        matches!(self, ToolError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
