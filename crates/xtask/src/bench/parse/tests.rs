use expect_test::{Expect, expect};

use super::*;

fn check(figures: Option<Metrics>, expected: Expect) {
    let figures = figures.expect("figures").0;
    let text: String = figures
        .iter()
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect();
    expected.assert_eq(&text);
}

#[test]
fn our_generator() {
    let lines =
        "progress\n{\"command\":\"produce\",\"seconds\":2.5,\"latency_ms\":{\"p99\":1.25}}\n";
    check(
        ottla(lines),
        expect![[r#"
            latency_ms.p99 1.25
            seconds 2.5
        "#]],
    );
    check(
        ottla("{\n  \"records\": 7\n}\n"),
        expect![[r#"
            records 7
        "#]],
    );
    assert_eq!(ottla("error: no broker"), None);
}

#[test]
fn kafka_producer() {
    let output = "\
12345 records sent, 2469.0 records/sec (2.41 MB/sec), 1.0 ms avg latency, 9.0 ms max latency.
20000 records sent, 10000.000000 records/sec (10.00 MB/sec), 1.50 ms avg latency, 90.00 ms max latency, 1 ms 50th, 3 ms 95th, 7 ms 99th, 80 ms 99.9th.
";
    let parse = of_class("org.apache.kafka.tools.ProducerPerformance").expect("known");
    check(
        parse(output),
        expect![[r#"
            bytes 20971520
            bytes_per_second 10485760
            latency_ms.max 90
            latency_ms.mean 1.5
            latency_ms.p50 1
            latency_ms.p95 3
            latency_ms.p99 7
            latency_ms.p99_9 80
            records 20000
            records_per_second 10000
            seconds 2
        "#]],
    );
    assert_eq!(
        parse("org.apache.kafka.common.errors.TimeoutException"),
        None
    );
}

#[test]
fn kafka_consumer() {
    let output = "\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-11-24 10:00:00:000, 2026-11-24 10:00:05:000, 100.0000, 20.0000, 102400, 20480.0000, 3000, 2000, 50.0000, 51200.0000
";
    let parse = of_class("org.apache.kafka.tools.ConsumerPerformance").expect("known");
    check(
        parse(output),
        expect![[r#"
            bytes 104857600
            bytes_per_second 52428800
            records 102400
            records_per_second 51200
            seconds 2
        "#]],
    );
}

#[test]
fn kafka_end_to_end() {
    let output = "0\t12.5\nAvg latency: 0.7312 ms\n\nPercentiles: 50th = 0, 99th = 2, 99.9th = 6\n";
    let parse = of_class("org.apache.kafka.tools.EndToEndLatency").expect("known");
    check(
        parse(output),
        expect![[r#"
            end_to_end_latency_ms.mean 0.7312
            end_to_end_latency_ms.p50 0
            end_to_end_latency_ms.p99 2
            end_to_end_latency_ms.p99_9 6
        "#]],
    );
    assert!(of_class("Unknown").is_none());
}
