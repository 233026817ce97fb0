use expect_test::expect;
use serde_json::json;

use super::*;

#[test]
fn a_load_and_the_broker_give_costs() {
    let mut figures = Metrics::of_json(&json!({
        "command": "latency",
        "end_to_end_latency_ms": {"p50": 1.5, "p99_9": 4},
        "produce": {"seconds": 2.0, "bytes": 4_000_000_000_u64, "requests": 50_000, "bytes_per_second": 2e9},
    }));
    figures.join(Metrics::from_iter([
        ("cpu_seconds", 1.0),
        ("window_seconds", 4.0),
    ]));
    let text: String = figures
        .0
        .iter()
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect();
    expect![[r#"
        cpu_percent 25
        cpu_seconds 1
        cpu_seconds_per_100k_requests 2
        cpu_seconds_per_gb 0.25
        end_to_end_latency_ms.p50 1.5
        end_to_end_latency_ms.p99_9 4
        mb_per_second 2000
        produce.bytes 4000000000
        produce.bytes_per_second 2000000000
        produce.requests 50000
        produce.seconds 2
        requests_per_cpu_second 50000
        window_seconds 4
    "#]]
    .assert_eq(&text);
    assert_eq!(figures.get("seconds"), Some(2.0));
}

#[test]
fn what_cannot_be_computed_is_absent() {
    let mut figures = Metrics::from_iter([("bytes", 0.0), ("nothing", f64::NAN)]);
    figures.join(Metrics::from_iter([("cpu_seconds", 0.0)]));
    assert_eq!(figures.get("cpu_seconds_per_gb"), None);
    assert_eq!(figures.get("nothing"), None);
}

#[test]
fn figures_have_titles() {
    let title = |name| shown(name).title;
    assert_eq!(title("cpu_seconds_per_gb"), "CPU s/GB");
    assert_eq!(title("end_to_end_latency_ms.p99_9"), "end to end p99.9, ms");
    assert_eq!(title("produce.service_latency_ms.max"), "service max, ms");
    assert_eq!(title("what.else"), "what.else");
}

#[test]
fn the_rate_of_a_part_is_better_when_it_is_higher() {
    assert!(is_more_better("catch_up.bytes_per_second"));
    assert!(!is_more_better("catch_up.errors"));
    assert_eq!(shown("catch_up.bytes_per_second").title, "drained, bytes/s");
}
