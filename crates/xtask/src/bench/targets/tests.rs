use expect_test::expect;

use super::*;
use crate::bench::page::tests::outcome;

fn target(against: Option<System>, at_most: Option<f64>, at_least: Option<f64>) -> Target {
    Target {
        what: "cost".to_owned(),
        scenario: "produce".to_owned(),
        case: "acks-1".to_owned(),
        figure: "cpu_seconds_per_gb".to_owned(),
        against,
        at_most,
        at_least,
    }
}

#[test]
fn targets_are_ratios_of_medians_or_figures_as_they_are() {
    let outcome = outcome();
    let say = |target: Target| match target.judge(&outcome) {
        Some(verdict) => {
            let (measured, missed) = (short(verdict.measured), short(verdict.missed_by));
            format!("{}: {measured}, {missed}\n", target.bound())
        }
        None => format!("{}: not measured\n", target.bound()),
    };
    let said = [
        say(target(Some(System::Kafka), Some(0.25), None)),
        say(target(Some(System::Kafka), None, Some(0.1))),
        say(target(Some(System::Floor), Some(1.5), None)),
        say(target(None, Some(1.0), None)),
    ];
    expect![[r#"
        ≤ 0.25 × Apache Kafka's: 0.2, 0.8
        ≥ 0.1 × Apache Kafka's: 0.2, 0.5
        ≤ 1.5 × floor's: not measured
        ≤ 1: 0.5, 0.5
    "#]]
    .assert_eq(&said.concat());
}

#[test]
fn the_targets_of_the_project_name_what_there_is() {
    let root = crate::test::workspace_root();
    let scenarios = crate::bench::scenario::all(&root).expect("scenarios");
    for target in all(&root).expect("targets") {
        let scenario = scenarios
            .iter()
            .find(|scenario| scenario.name == target.scenario);
        let scenario = scenario.unwrap_or_else(|| panic!("no scenario {}", target.scenario));
        let has = scenario.cases.iter().any(|case| case.name == target.case);
        assert!(has, "{} has no case {}", target.scenario, target.case);
        assert!(
            target.at_most.is_some() != target.at_least.is_some(),
            "{}",
            target.what
        );
    }
}

#[test]
fn numbers_have_as_many_decimals_as_say_something() {
    let said = [12345.6, 99.96, 9.999, 1.5, 0.25, 0.0].map(short);
    assert_eq!(said, ["12346", "100.0", "10", "1.5", "0.25", "0"]);
}
