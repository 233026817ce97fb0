//! The brokers that a suite runs against: one, or two where it copies between clusters. They crash on request.
//!
//! A suite's program asks by printing the line `crash the broker`: the first broker is killed and starts
//! again on its data. Invariant: a broker that ended by itself, or did not come back, fails the suite.
//! Used by `clients.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::broker::{self, Broker, Error, Kind, Plan};
use super::report::Verdict;
use super::suites::Suite;
use super::{BROKER_START_SECONDS_MAX, BROKER_STOP_SECONDS_MAX, Places};

/// The line with which a program asks for a crash.
const CRASH: &str = "crash the broker";
const START_MAX: Duration = Duration::from_secs(BROKER_START_SECONDS_MAX);
const STOP_MAX: Duration = Duration::from_secs(BROKER_STOP_SECONDS_MAX);

pub struct Stage<'a> {
    plan: Plan<'a>,
    places: &'a Places,
    first: Result<Broker, Error>,
    second: Option<Broker>,
}

/// Where the brokers of a suite keep their data: the first one, and the second one.
pub struct Homes {
    first: PathBuf,
    second: PathBuf,
}

impl Homes {
    pub fn new(suite: &Suite, places: &Places) -> Self {
        let run = places.made("run");
        Self {
            first: run.join(suite.name),
            second: run.join(format!("{}-second", suite.name)),
        }
    }

    pub fn first(&self) -> &Path {
        &self.first
    }

    pub fn all(&self) -> [&Path; 2] {
        [&self.first, &self.second]
    }
}

impl<'a> Stage<'a> {
    /// Starts the brokers on empty directories.
    pub fn set(
        kind: Kind,
        suite: &Suite,
        homes: &'a Homes,
        places: &'a Places,
    ) -> Result<Self, Error> {
        let plan = Plan {
            kind,
            port: broker::free_port()?,
            settings: suite.broker_settings(),
            home: &homes.first,
        };
        let first = Broker::start(&plan, places, START_MAX)?;
        let second = match suite.wants_second_broker() {
            false => None,
            true => {
                let plan = Plan {
                    port: broker::free_port()?,
                    home: &homes.second,
                    ..plan
                };
                Some(Broker::start(&plan, places, START_MAX)?)
            }
        };
        Ok(Self {
            plan,
            places,
            first: Ok(first),
            second,
        })
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.plan.port)
    }

    pub fn second_bootstrap(&self) -> Option<&str> {
        self.second.as_ref().map(Broker::bootstrap)
    }

    /// Does what a line of the program asks for, if it asks.
    pub fn hear(&mut self, line: &str) {
        if line != CRASH {
            return;
        }
        let Ok(first) = &mut self.first else {
            return;
        };
        let again = |()| Broker::start_again(&self.plan, self.places, START_MAX);
        self.first = first.kill().and_then(again);
    }

    /// Stops the brokers and looks at how they ended.
    pub fn strike(self, verdict: Verdict) -> Verdict {
        let stopped = self.first.and_then(|broker| broker.stop(STOP_MAX));
        let second = self.second.map_or(Ok(()), |broker| broker.stop(STOP_MAX));
        match stopped.and(second) {
            Ok(()) => verdict,
            Err(error) => Verdict::Broken(match verdict {
                Verdict::Broken(reason) => format!("{reason}; {error}"),
                Verdict::Ran { .. } | Verdict::LeftOut(_) => error.to_string(),
            }),
        }
    }
}
