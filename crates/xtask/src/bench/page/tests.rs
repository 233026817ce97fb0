use std::collections::BTreeMap;

use expect_test::expect;

use super::*;
use crate::bench::metrics::Metrics;
use crate::bench::results::{Failure, Machine, Reading};

/// Two rounds of Ottla, two of Kafka, a failure of the floor.
pub fn outcome() -> Outcome {
    let mut readings = Vec::new();
    for (system, round, cost, p50, p99) in [
        (System::Ottla, 1, 0.4, 1.0, 3.0),
        (System::Kafka, 1, 2.0, 2.0, 2.5),
        (System::Ottla, 2, 0.6, 1.0, 5.0),
        (System::Kafka, 2, 3.0, 4.0, 2.5),
    ] {
        let figures = Metrics::from_iter([
            ("cpu_seconds_per_gb", cost),
            ("latency_ms.p50", p50),
            ("latency_ms.p99", p99),
        ]);
        let case = "acks-1".to_owned();
        readings.push(Reading {
            case,
            system,
            round,
            figures,
        });
    }
    let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    Outcome {
        scenario: "produce".to_owned(),
        size: Size::Quick,
        rounds: 2,
        command: "cargo xtask bench --scenario produce --quick".to_owned(),
        machine: Machine {
            processor: "Some CPU".to_owned(),
            cores: 2,
            memory_gb: 24.0,
            kernel: "6.18".to_owned(),
            file_system: "ext4".to_owned(),
        },
        versions: pair("Apache Kafka", "4.3.1"),
        settings: pair("log.segment.bytes", "100"),
        java_flags: vec!["-Xmx1g".to_owned()],
        loads: pair("acks-1", "ottla bench produce"),
        readings,
        failures: vec![Failure {
            case: "acks-1".to_owned(),
            system: System::Floor,
            round: 1,
            reason: "no room".to_owned(),
        }],
    }
}

fn scenario() -> Scenario {
    let text = r#"
        title = "Bulk produce"
        order = 1
        about = "What is done."
        disk = [0, 0, 0]
        show = ["cpu_seconds_per_gb", "latency_ms.p99", "absent"]
        bars = ["cpu_seconds_per_gb"]
        curve = "latency_ms"
        [[case]]
        name = "acks-1"
        title = "acks=1"
        load = "ottla bench produce"
    "#;
    let mut scenario: Scenario = toml::from_str(text).expect("a scenario");
    scenario.name = "produce".to_owned();
    scenario
}

#[test]
fn a_section_has_figures_ratios_plots_failures_and_circumstances() {
    expect![[r#"

        ## Bulk produce

        What is done.

        | | | CPU s/GB | answer p99, ms |
        | --- | --- | ---: | ---: |
        | acks=1 | Ottla | 0.500 (0.400–0.600) | 4.00 (3.00–5.00) |
        |  | Apache Kafka | 2.500 (2.000–3.000) | 2.50 |
        | | *Ottla ÷ Apache Kafka* | *0.2 ×* | *1.6 ×* |

        ![produce-cpu_seconds_per_gb.svg](plots/produce-cpu_seconds_per_gb.svg)

        ![produce-acks-1-curve.svg](plots/produce-acks-1-curve.svg)

        No figures for acks-1, floor, round 1: no room

        <details><summary><code>cargo xtask bench --scenario produce --quick</code></summary>

        Sizes are those of the **quick** form.

        2 rounds; Some CPU, 2 cores, 24 GB, Linux 6.18; data on ext4.
        Versions: Apache Kafka 4.3.1.
        Settings of both: `log.segment.bytes=100`.
        Kafka's flags: `-Xmx1g`.

        - acks=1: `ottla bench produce`

        </details>
    "#]]
    .assert_eq(&section(&scenario(), &outcome()));
}

#[test]
fn what_is_worse_than_kafka_is_listed() {
    let scenario = scenario();
    expect![[r#"
        - Bulk produce, acks=1: answer p99, ms: 4 against 2.5
    "#]]
    .assert_eq(&behind(&[(&scenario, outcome())]));
    expect![[r#"
        In no figure of this page, by more than what two runs of the same thing differ.
    "#]]
    .assert_eq(&behind(&[]));
}

#[test]
fn targets_say_reached_missed_or_not_measured() {
    let scenario = scenario();
    let target = |scenario: &str, at_most| Target {
        what: "cost".to_owned(),
        scenario: scenario.to_owned(),
        case: "acks-1".to_owned(),
        figure: "cpu_seconds_per_gb".to_owned(),
        against: Some(System::Kafka),
        at_most: Some(at_most),
        at_least: None,
    };
    let targets = [
        target("produce", 0.5),
        target("produce", 0.1),
        target("other", 1.0),
    ];
    expect![[r#"
        | what | target | measured | | command |
        | --- | --- | --- | --- | --- |
        | cost | ≤ 0.5 × Apache Kafka's | 0.2 × (0.5 against 2.5; CPU s/GB) | reached | `cargo xtask bench --scenario produce --quick` |
        | cost | ≤ 0.1 × Apache Kafka's | 0.2 × (0.5 against 2.5; CPU s/GB) | **missed by 2 ×** | `cargo xtask bench --scenario produce --quick` |
        | cost | ≤ 1 × Apache Kafka's | not measured |  | `cargo xtask bench --scenario other` |
    "#]].assert_eq(&target_table(&targets, &[(&scenario, outcome())]));
}

#[test]
fn every_plot_of_a_scenario_is_drawn() {
    let drawings = drawings(&scenario(), &outcome());
    let names: Vec<_> = drawings.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["produce-cpu_seconds_per_gb.svg", "produce-acks-1-curve.svg"]
    );
}
