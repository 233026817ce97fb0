use expect_test::{Expect, expect};

use super::*;

fn check(overrides: &[&str], after: &[(&str, &str)], expected: Expect) {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let broker = BrokerConfig::load(None, &overrides).expect("valid");
    let after = after
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let outcome = match validate(&broker, &after) {
        Ok(()) => "allowed".to_owned(),
        Err(error) => format!("{:?}: {error}", error.code),
    };
    expected.assert_eq(&outcome);
}

#[test]
fn every_group_key_has_a_rule() {
    let ruled: Vec<_> = RULES.iter().map(|rule| rule.key).collect();
    let known: Vec<_> = keys::group_keys().iter().map(|key| key.name).collect();
    assert_eq!(ruled, known);
    for rule in RULES {
        for name in [rule.default, rule.min, rule.max].into_iter().flatten() {
            assert!(keys::broker_key(name).is_some(), "{name}");
        }
    }
}

#[test]
fn groups_stay_within_the_brokers_bounds() {
    check(
        &[],
        &[("consumer.session.timeout.ms", "50000")],
        expect!["allowed"],
    );
    check(
        &[],
        &[("consumer.session.timeout.ms", "70000")],
        expect![
            "InvalidConfig: consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"
        ],
    );
    check(
        &[],
        &[("share.heartbeat.interval.ms", "1")],
        expect![
            "InvalidConfig: share.heartbeat.interval.ms must be greater than or equal to group.share.min.heartbeat.interval.ms"
        ],
    );
    check(
        &[],
        &[("streams.num.standby.replicas", "3")],
        expect![
            "InvalidConfig: streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"
        ],
    );
    check(
        &[],
        &[("share.auto.offset.reset", "earliest")],
        expect!["allowed"],
    );
    check(
        &[],
        &[("share.isolation.level", "serializable")],
        expect![
            "InvalidConfig: Invalid value serializable for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"
        ],
    );
    check(
        &[],
        &[("session.timeout.ms", "1")],
        expect!["InvalidConfig: Unknown group config name: session.timeout.ms"],
    );
}

#[test]
fn a_session_outlasts_a_heartbeat() {
    check(
        &["group.consumer.min.session.timeout.ms=1000"],
        &[("consumer.session.timeout.ms", "5000")],
        expect![
            "InvalidConfig: consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"
        ],
    );
}
