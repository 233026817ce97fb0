//! What the host of a virtual machine took of its cores: tails measured meanwhile are the host's, too.
//!
//! Invariant: counts the whole machine, unlike everything in `account.rs`.

use std::fs;

/// The name of the figure: percent of the cores' time, between begin and end of a load.
pub const STOLEN: &str = "stolen_percent";

/// The cores' ticks at one moment; nothing where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ticks {
    stolen: u64,
    all: u64,
}

/// Where in the line the ticks stand that were stolen. Those behind it are counted before already.
const STOLEN_AT: usize = 7;

impl Ticks {
    pub fn now() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn of(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Result<Vec<u64>, _> = line
            .split_whitespace()
            .take(STOLEN_AT + 1)
            .map(str::parse)
            .collect();
        let ticks = ticks.ok()?;
        Some(Self {
            stolen: *ticks.get(STOLEN_AT)?,
            all: ticks.iter().sum(),
        })
    }

    /// The part of the time since `self` that was stolen, in percent.
    pub fn stolen_percent(self, now: Self) -> f64 {
        let all = now.all.saturating_sub(self.all).max(1);
        now.stolen.saturating_sub(self.stolen) as f64 * 100.0 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stolen_is_a_part_of_all() {
        let before = Ticks::of("cpu  10 0 10 70 0 0 0 10 99 0\ncpu0 1 2\n").unwrap();
        let after = Ticks::of("cpu  20 0 20 90 0 5 5 60 99 0\n").unwrap();
        assert_eq!(before.stolen_percent(after), 50.0);
        assert_eq!(before.stolen_percent(before), 0.0);
        assert_eq!(Ticks::of("cpu  10 0 10"), None);
        assert_eq!(Ticks::of("intr 1"), None);
    }

    #[test]
    fn this_machine_tells() {
        assert!(Ticks::now().is_some_and(|ticks| ticks.all > 0));
    }
}
