//! What loads print, as figures: the JSON of `ottla bench`, and the closing lines of Kafka's own tools.
//!
//! Invariant: Kafka's tools get the names and units that ours have, so that the page compares like with like.

use super::metrics::Metrics;

const MIB: f64 = 1024.0 * 1024.0;

/// Tools whose success is all that they say.
pub fn nothing(_: &str) -> Option<Metrics> {
    Some(Metrics::default())
}

/// The last line that is a JSON object, or an object over the whole output.
pub fn ottla(output: &str) -> Option<Metrics> {
    let whole = serde_json::from_str(output);
    let last = || {
        output
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok())
    };
    let value: serde_json::Value = whole.ok().or_else(last)?;
    value.is_object().then(|| Metrics::of_json(&value))
}

/// The parser for one of Kafka's tools.
pub fn of_class(class: &str) -> Option<fn(&str) -> Option<Metrics>> {
    match class.rsplit('.').next()? {
        "ProducerPerformance" => Some(producer),
        "ConsumerPerformance" => Some(consumer),
        "EndToEndLatency" => Some(end_to_end),
        _ => None,
    }
}

/// `N records sent, R records/sec (M MB/sec), A ms avg latency, X ms max latency, P ms 50th, …`
fn producer(output: &str) -> Option<Metrics> {
    let line = output.lines().rev().find(|line| line.contains("99.9th"))?;
    let mut metrics = Metrics::default();
    for part in line.split(['(', ',']) {
        let mut words = part.split_whitespace();
        let (Some(number), unit) = (words.next(), words.collect::<Vec<_>>().join(" ")) else {
            continue;
        };
        let Ok(number) = number.parse::<f64>() else {
            continue;
        };
        match unit.trim_end_matches(['.', ')']) {
            "records sent" => metrics.set("records", number),
            "records/sec" => metrics.set("records_per_second", number),
            "MB/sec" => metrics.set("bytes_per_second", number * MIB),
            "ms avg latency" => metrics.set("latency_ms.mean", number),
            "ms max latency" => metrics.set("latency_ms.max", number),
            "ms 50th" => metrics.set("latency_ms.p50", number),
            "ms 95th" => metrics.set("latency_ms.p95", number),
            "ms 99th" => metrics.set("latency_ms.p99", number),
            "ms 99.9th" => metrics.set("latency_ms.p99_9", number),
            _ => {}
        }
    }
    let seconds = metrics.get("records")? / metrics.get("records_per_second")?;
    metrics.set("seconds", seconds);
    metrics.set("bytes", metrics.get("bytes_per_second")? * seconds);
    Some(metrics)
}

/// A line of values under a line of names; the time it takes to join the group is left out of the rates.
fn consumer(output: &str) -> Option<Metrics> {
    let mut lines = output
        .lines()
        .skip_while(|line| !line.starts_with("start.time"));
    let names: Vec<_> = lines.next()?.split(", ").collect();
    let values: Vec<_> = lines.next()?.split(", ").collect();
    let value = |name: &str| {
        let at = names.iter().position(|known| *known == name)?;
        values.get(at)?.trim().parse::<f64>().ok()
    };
    let seconds = value("fetch.time.ms")? / 1000.0;
    let (bytes, records) = (
        value("data.consumed.in.MB")? * MIB,
        value("data.consumed.in.nMsg")?,
    );
    Some(Metrics::from_iter([
        ("seconds", seconds),
        ("bytes", bytes),
        ("records", records),
        ("bytes_per_second", bytes / seconds),
        ("records_per_second", records / seconds),
    ]))
}

/// `Avg latency: A ms` and `Percentiles: 50th = P, 99th = P, 99.9th = P`.
fn end_to_end(output: &str) -> Option<Metrics> {
    let mut metrics = Metrics::default();
    for line in output.lines() {
        if let Some(average) = line.strip_prefix("Avg latency: ") {
            metrics.set(
                "end_to_end_latency_ms.mean",
                average.strip_suffix(" ms")?.parse().ok()?,
            );
        }
        for pair in line
            .strip_prefix("Percentiles: ")
            .into_iter()
            .flat_map(|rest| rest.split(", "))
        {
            let (name, value) = pair.split_once(" = ")?;
            let name = name.trim_end_matches("th").replace('.', "_");
            metrics.set(
                &format!("end_to_end_latency_ms.p{name}"),
                value.parse().ok()?,
            );
        }
    }
    metrics.get("end_to_end_latency_ms.p50").map(|_| metrics)
}

#[cfg(test)]
mod tests;
