//! Figures by name, what is computed from others, and how each is shown.
//!
//! A load's JSON becomes figures whose names are its paths (`produce.latency_ms.p99`); nothing that a
//! load says is lost. Invariant: a figure that cannot be computed is absent, never zero or infinite.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Objects inside of a load's answer that stand for the whole where the whole does not say.
const PARTS: &[&str] = &["produce.", "consume."];
const BYTES_PER_GB: f64 = 1e9;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl<'a> FromIterator<(&'a str, f64)> for Metrics {
    fn from_iter<T: IntoIterator<Item = (&'a str, f64)>>(figures: T) -> Self {
        let mut metrics = Self::default();
        for (name, value) in figures {
            metrics.set(name, value);
        }
        metrics
    }
}

impl Metrics {
    /// Every number in the object of a load, by its path.
    pub fn of_json(value: &serde_json::Value) -> Self {
        let mut metrics = Self::default();
        metrics.flatten("", value);
        metrics
    }

    fn flatten(&mut self, path: &str, value: &serde_json::Value) {
        if let Some(number) = value.as_f64() {
            self.set(path, number);
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            self.flatten(&path, inner);
        }
    }

    pub fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// A figure, of the whole or else of its first part that has it.
    pub fn get(&self, name: &str) -> Option<f64> {
        let whole = self.0.get(name);
        let parts = || {
            PARTS
                .iter()
                .find_map(|part| self.0.get(&format!("{part}{name}")))
        };
        whole.or_else(parts).copied()
    }

    /// Figures of the broker beside those of the load, and what follows from both.
    pub fn join(&mut self, broker: Metrics) {
        self.0.extend(broker.0);
        let cpu = self.get("cpu_seconds");
        let requests = self.get("requests");
        let gigabytes = self.get("bytes").map(|bytes| bytes / BYTES_PER_GB);
        let ratios = [
            ("mb_per_second", self.get("bytes_per_second"), Some(1e6)),
            ("cpu_seconds_per_gb", cpu, gigabytes),
            (
                "cpu_seconds_per_100k_requests",
                cpu.map(|cpu| cpu * 1e5),
                requests,
            ),
            ("requests_per_cpu_second", requests, cpu),
            (
                "cpu_percent",
                cpu.map(|cpu| cpu * 100.0),
                self.get("window_seconds"),
            ),
        ];
        for (name, above, below) in ratios {
            if let (Some(above), Some(below)) = (above, below) {
                // By nothing at all it is no number, which `set` leaves out.
                self.set(name, above / below);
            }
        }
    }
}

/// How a figure is named and shown.
pub struct Shown {
    pub title: String,
    pub decimals: usize,
}

/// Title and decimals of the figures that scenarios show; others are shown by their own name.
const SHOWN: &[(&str, &str, usize)] = &[
    ("mb_per_second", "MB/s", 0),
    ("records_per_second", "records/s", 0),
    ("catch_up.bytes_per_second", "drained, bytes/s", 0),
    ("consume.bytes_per_second", "received, bytes/s", 0),
    ("requests_per_second", "requests/s", 0),
    ("cpu_seconds", "CPU s", 2),
    ("cpu_user_seconds", "user CPU s", 2),
    ("cpu_system_seconds", "system CPU s", 2),
    ("stop_seconds", "stop, s", 2),
    ("cpu_seconds_per_gb", "CPU s/GB", 3),
    (
        "cpu_seconds_per_100k_requests",
        "CPU s per 100,000 requests",
        2,
    ),
    ("requests_per_cpu_second", "requests per CPU s", 0),
    ("cpu_percent", "CPU, % of a core", 2),
    ("seconds", "seconds", 2),
    ("memory_mb", "memory, MB", 0),
    ("memory_peak_mb", "peak memory, MB", 0),
    ("threads", "threads", 0),
    ("open_files", "open files", 0),
    ("disk_read_mb", "read from disk, MB", 0),
    ("disk_written_mb", "written to disk, MB", 0),
    ("ready_seconds", "start to ready, s", 3),
    ("restart_seconds", "restart until all serve, s", 2),
    ("create_seconds", "creation answered, s", 2),
    ("serve_seconds", "then until all serve, s", 2),
    ("join_seconds", "groups gathered, s", 2),
    ("commits_per_second", "commits/s", 0),
    ("transactions_per_second", "transactions/s", 0),
    ("size_ratio", "log against its keys", 3),
    ("size_ratio_max", "log against its keys, at most", 3),
    ("client_cpu_seconds", "client's CPU s", 1),
    ("errors", "errors", 0),
];

/// Figures of which more is better; of all others it is less.
const MORE_IS_BETTER: &[&str] = &[
    "mb_per_second",
    "bytes_per_second",
    "records_per_second",
    "requests_per_second",
    "requests_per_cpu_second",
    "commits_per_second",
    "transactions_per_second",
];

pub fn is_more_better(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    MORE_IS_BETTER.contains(&last)
}

/// Paths of latencies, and what they are.
const LATENCIES: &[(&str, &str)] = &[
    ("end_to_end_latency_ms", "end to end"),
    ("service_latency_ms", "service"),
    ("latency_ms", "answer"),
];

/// What the latency at a path is.
pub fn latency_title(path: &str) -> &str {
    let known = LATENCIES.iter().find(|(known, _)| path.ends_with(known));
    known.map_or(path, |(_, title)| title)
}

pub fn shown(name: &str) -> Shown {
    if let Some(&(_, title, decimals)) = SHOWN.iter().find(|(known, ..)| *known == name) {
        let title = title.to_owned();
        return Shown { title, decimals };
    }
    let latency = name.rsplit_once('.').and_then(|(path, percentile)| {
        let is_latency = path.ends_with("latency_ms");
        let percentile = percentile.replace('_', ".");
        is_latency.then(|| format!("{} {percentile}, ms", latency_title(path)))
    });
    Shown {
        title: latency.unwrap_or_else(|| name.to_owned()),
        decimals: 2,
    }
}

#[cfg(test)]
mod tests;
