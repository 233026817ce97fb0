//! The levels of this process's log, which clients read and change as the resource "broker logger".
//!
//! A logger is `root`, or one of our crates, for a crate's name is what its events carry as their target. Levels
//! have Kafka's names; `FATAL`, which no event of ours has, silences a logger.
//!
//! Invariant: nothing is known here before the process [`connects`](Loggers::connect) its log; a broker inside
//! another program leaves that program's log alone.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ottla_protocol::ErrorCode;
use tracing::level_filters::LevelFilter;

/// The logger that all others inherit from.
pub const ROOT: &str = "root";

/// The other loggers: the targets of our events.
const CRATES: &[&str] = &[
    "ottla",
    "ottla_broker",
    "ottla_config",
    "ottla_controller",
    "ottla_coordinator",
    "ottla_log",
    "ottla_metadata",
    "ottla_net",
    "ottla_records",
    "ottla_replica",
];

/// Kafka's levels by name, sorted.
const LEVELS: &[(&str, LevelFilter)] = &[
    ("DEBUG", LevelFilter::DEBUG),
    ("ERROR", LevelFilter::ERROR),
    ("FATAL", LevelFilter::OFF),
    ("INFO", LevelFilter::INFO),
    ("TRACE", LevelFilter::TRACE),
    ("WARN", LevelFilter::WARN),
];

/// The numbers of operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Puts levels in force: that of everything, and those of targets that differ.
pub type Apply = Box<dyn Fn(LevelFilter, &[(&'static str, LevelFilter)]) + Send + Sync>;

#[derive(Default)]
pub struct Loggers {
    connected: Mutex<Option<Connected>>,
}

struct Connected {
    root: &'static str,
    /// Loggers that do not inherit, and the names of their levels.
    own: BTreeMap<&'static str, &'static str>,
    apply: Apply,
}

/// One operation of IncrementalAlterConfigs.
#[derive(Debug, Clone, Copy)]
pub struct LevelChange<'a> {
    pub logger: &'a str,
    pub operation: i8,
    pub level: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LevelError {
    #[error("Logger {0} does not exist!")]
    UnknownLogger(String),
    #[error(
        "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels are {}",
        level_names()
    )]
    UnknownLevel { logger: String, level: String },
    #[error("Removing the log level of the root logger is not allowed")]
    RootRemoved,
    #[error("{0} operation is not allowed for the BROKER_LOGGER resource")]
    ListOperation(&'static str),
    #[error("Unknown operation type {0} is not allowed for the BROKER_LOGGER resource")]
    UnknownOperation(i8),
}

impl LevelError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownLogger(_) | Self::UnknownLevel { .. } => ErrorCode::InvalidConfig,
            Self::RootRemoved | Self::ListOperation(_) | Self::UnknownOperation(_) => {
                ErrorCode::InvalidRequest
            }
        }
    }
}

impl Loggers {
    /// Takes charge of the process's log, which starts with `root` as the level of everything.
    pub fn connect(&self, root: LevelFilter, apply: Apply) {
        let root = LEVELS
            .iter()
            .find(|(_, level)| *level == root)
            .map_or("INFO", |(name, _)| name);
        *self.connected() = Some(Connected {
            root,
            own: BTreeMap::new(),
            apply,
        });
    }

    /// Every logger and its level, inherited or its own.
    pub fn levels(&self) -> Vec<(&'static str, &'static str)> {
        let connected = self.connected();
        let Some(connected) = connected.as_ref() else {
            return Vec::new();
        };
        let level = |logger: &&'static str| {
            (
                *logger,
                connected.own.get(logger).copied().unwrap_or(connected.root),
            )
        };
        std::iter::once(&ROOT).chain(CRATES).map(level).collect()
    }

    /// Makes all changes, or none if one of them is not allowed.
    pub fn alter(
        &self,
        changes: &[LevelChange<'_>],
        validate_only: bool,
    ) -> Result<(), LevelError> {
        let mut connected = self.connected();
        let is_connected = connected.is_some();
        let changes: Result<Vec<_>, _> = changes
            .iter()
            .map(|change| check(change, is_connected))
            .collect();
        let changes = changes?;
        let Some(connected) = connected.as_mut().filter(|_| !validate_only) else {
            return Ok(());
        };
        for (logger, level) in changes {
            tracing::warn!(
                logger,
                level = level.unwrap_or("inherited"),
                "the level of a logger changes"
            );
            match level {
                Some(level) if logger == ROOT => connected.root = level,
                Some(level) => _ = connected.own.insert(logger, level),
                None => _ = connected.own.remove(logger),
            }
        }
        let own: Vec<_> = connected
            .own
            .iter()
            .map(|(logger, level)| (*logger, filter(level)))
            .collect();
        (connected.apply)(filter(connected.root), &own);
        Ok(())
    }

    fn connected(&self) -> std::sync::MutexGuard<'_, Option<Connected>> {
        self.connected.lock().expect("loggers lock")
    }
}

/// The logger, and the level that it is to have or none.
fn check(
    change: &LevelChange<'_>,
    is_connected: bool,
) -> Result<(&'static str, Option<&'static str>), LevelError> {
    let logger = || {
        let known = std::iter::once(&ROOT)
            .chain(CRATES)
            .find(|known| **known == change.logger);
        known
            .filter(|_| is_connected)
            .ok_or_else(|| LevelError::UnknownLogger(change.logger.to_string()))
    };
    match change.operation {
        SET => {
            let logger = logger()?;
            let level = change.level.unwrap_or_default();
            let unknown = || LevelError::UnknownLevel {
                logger: logger.to_string(),
                level: level.to_string(),
            };
            let (name, _) = LEVELS
                .iter()
                .find(|(name, _)| *name == level)
                .ok_or_else(unknown)?;
            Ok((logger, Some(name)))
        }
        DELETE => match *logger()? {
            ROOT => Err(LevelError::RootRemoved),
            logger => Ok((logger, None)),
        },
        APPEND => Err(LevelError::ListOperation("APPEND")),
        SUBTRACT => Err(LevelError::ListOperation("SUBTRACT")),
        unknown => Err(LevelError::UnknownOperation(unknown)),
    }
}

fn filter(level: &str) -> LevelFilter {
    LEVELS
        .iter()
        .find(|(name, _)| *name == level)
        .map_or(LevelFilter::INFO, |(_, filter)| *filter)
}

fn level_names() -> String {
    let names: Vec<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
