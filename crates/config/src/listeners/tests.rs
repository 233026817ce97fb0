use expect_test::{Expect, expect};

use crate::BrokerConfig;

fn check(overrides: &[&str], expected: Expect) {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let outcome = match BrokerConfig::load(None, &overrides) {
        Err(error) => format!("error: {error}"),
        Ok(config) => {
            let show = |endpoints: &[super::Endpoint]| {
                endpoints
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let listeners = &config.listeners;
            format!(
                "broker {} | controller {} | advertised {} | controller advertised {} | among brokers {}",
                show(&listeners.broker),
                show(&listeners.controller),
                show(&listeners.advertised),
                show(&listeners.advertised_controller),
                listeners.inter_broker,
            )
        }
    };
    expected.assert_eq(&outcome);
}

#[test]
fn loopback_unless_told_otherwise() {
    check(
        &[],
        expect![
            "broker PLAINTEXT://127.0.0.1:9092 | controller  | advertised PLAINTEXT://127.0.0.1:9092 | controller advertised  | among brokers PLAINTEXT"
        ],
    );
}

#[test]
fn the_listeners_of_kafkas_own_server_properties() {
    check(
        &[
            "process.roles=broker,controller",
            "node.id=1",
            "controller.quorum.bootstrap.servers=localhost:9093",
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093",
            "inter.broker.listener.name=PLAINTEXT",
            "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL",
        ],
        expect![
            "broker PLAINTEXT://:9092 | controller CONTROLLER://:9093 | advertised PLAINTEXT://localhost:9092 | controller advertised CONTROLLER://localhost:9093 | among brokers PLAINTEXT"
        ],
    );
}

#[test]
fn names_are_upper_case_and_mapped() {
    check(
        &[
            "listeners=internal://10.0.0.1:9092,external://[::1]:9093",
            "advertised.listeners=external://broker.example:443,internal://10.0.0.1:9092",
            "listener.security.protocol.map=internal:plaintext, external:PLAINTEXT",
            "inter.broker.listener.name=internal",
        ],
        expect![
            "broker INTERNAL://10.0.0.1:9092 EXTERNAL://[::1]:9093 | controller  | advertised EXTERNAL://broker.example:443 INTERNAL://10.0.0.1:9092 | controller advertised  | among brokers INTERNAL"
        ],
    );
}

#[test]
fn controller_listeners_need_no_mapping() {
    check(
        &[
            "listeners=PLAINTEXT://:9092,CTL://0.0.0.0:9093",
            "controller.listener.names=CTL",
        ],
        expect![
            "broker PLAINTEXT://:9092 | controller CTL://0.0.0.0:9093 | advertised PLAINTEXT://:9092 | controller advertised CTL://:9093 | among brokers PLAINTEXT"
        ],
    );
    check(
        &[
            "listeners=SSL://:9092,CTL://:9093",
            "controller.listener.names=CTL",
        ],
        expect![
            "error: --override: listeners: listener CTL has no entry in listener.security.protocol.map"
        ],
    );
}

#[test]
fn malformed_entries() {
    check(
        &["listeners=127.0.0.1:9092"],
        expect![
            "error: --override: listeners: '127.0.0.1:9092' is not of the form NAME://host:port"
        ],
    );
    check(
        &["listeners=PLAINTEXT://127.0.0.1:99999"],
        expect![
            "error: --override: listeners: 'PLAINTEXT://127.0.0.1:99999' is not of the form NAME://host:port"
        ],
    );
    check(
        &["listeners=PLAINTEXT://a b:1"],
        expect![
            "error: --override: listeners: 'PLAINTEXT://a b:1' is not of the form NAME://host:port"
        ],
    );
    check(
        &["listener.security.protocol.map=A"],
        expect![
            "error: --override: listener.security.protocol.map: 'A' is not of the form NAME:PROTOCOL"
        ],
    );
    check(
        &["listener.security.protocol.map=A:TLS"],
        expect![
            "error: --override: listener.security.protocol.map: 'TLS' is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
        ],
    );
}

#[test]
fn names_and_ports_are_unique() {
    check(
        &["listeners=PLAINTEXT://:1,plaintext://:2"],
        expect![
            "error: --override: listeners: each listener must have a different name, but PLAINTEXT is there twice"
        ],
    );
    let map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT";
    check(
        &["listeners=PLAINTEXT://a:1,B://b:1", map],
        expect![
            "error: --override: listeners: each listener must have a different port, but 1 is there twice (allowed only for one IPv4 and one IPv6 address)"
        ],
    );
    check(
        &["listeners=PLAINTEXT://127.0.0.1:1,B://[::1]:1", map],
        expect![
            "broker PLAINTEXT://127.0.0.1:1 B://[::1]:1 | controller  | advertised PLAINTEXT://127.0.0.1:1 B://[::1]:1 | controller advertised  | among brokers PLAINTEXT"
        ],
    );
    check(
        &["listeners=PLAINTEXT://127.0.0.1:1,B://[::1]:1,C://:1", map],
        expect![
            "error: --override: listeners: each listener must have a different port, but 1 is there twice (allowed only for one IPv4 and one IPv6 address)"
        ],
    );
    check(
        &["listeners=PLAINTEXT://:0,B://:0", map],
        expect![
            "broker PLAINTEXT://:0 B://:0 | controller  | advertised PLAINTEXT://:0 B://:0 | controller advertised  | among brokers PLAINTEXT"
        ],
    );
}

#[test]
fn what_is_advertised_can_be_reached() {
    check(
        &["listeners=PLAINTEXT://0.0.0.0:9092"],
        expect![
            "error: default: advertised.listeners: 0.0.0.0 stands for every address and cannot be advertised; name one that clients can reach"
        ],
    );
    check(
        &["advertised.listeners=PLAINTEXT://0.0.0.0:9092"],
        expect![
            "error: --override: advertised.listeners: 0.0.0.0 stands for every address and cannot be advertised; name one that clients can reach"
        ],
    );
    check(
        &[
            "advertised.listeners=PLAINTEXT://a:1,B://b:1",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:PLAINTEXT",
        ],
        expect!["error: --override: advertised.listeners: B is not among listeners (PLAINTEXT)"],
    );
}

#[test]
fn brokers_meet_on_an_advertised_listener() {
    check(
        &["inter.broker.listener.name=OTHER"],
        expect![
            "error: --override: inter.broker.listener.name: listener OTHER has no entry in listener.security.protocol.map"
        ],
    );
    check(
        &["inter.broker.listener.name=SSL"],
        expect![
            "error: --override: inter.broker.listener.name: SSL is not among the advertised listeners for clients (PLAINTEXT)"
        ],
    );
    check(
        &[
            "inter.broker.listener.name=PLAINTEXT",
            "security.inter.broker.protocol=PLAINTEXT",
        ],
        expect![
            "error: only one of inter.broker.listener.name and security.inter.broker.protocol may be set"
        ],
    );
}

#[test]
fn security_is_not_promised_where_there_is_none() {
    check(
        &["listeners=SASL_SSL://:9092"],
        expect![
            "error: --override: listeners: listener SASL_SSL speaks SASL_SSL, which Ottla does not yet support; use PLAINTEXT"
        ],
    );
}

#[test]
fn roles_have_their_listeners() {
    let quorum = "controller.quorum.bootstrap.servers=c:9093";
    check(
        &["process.roles=broker", quorum],
        expect![
            "error: default: controller.listener.names: must name a listener of the controllers when process.roles is broker alone"
        ],
    );
    check(
        &[
            "process.roles=broker",
            quorum,
            "controller.listener.names=PLAINTEXT",
        ],
        expect![
            "error: default: listeners: PLAINTEXT is a controller listener, which a process that is only a broker does not have"
        ],
    );
    check(
        &[
            "process.roles=broker",
            quorum,
            "controller.listener.names=CTL",
        ],
        expect![
            "broker PLAINTEXT://127.0.0.1:9092 | controller  | advertised PLAINTEXT://127.0.0.1:9092 | controller advertised  | among brokers PLAINTEXT"
        ],
    );
    check(
        &["process.roles=controller", quorum],
        expect![
            "error: default: controller.listener.names: must name at least one of listeners when process.roles is controller alone"
        ],
    );
    check(
        &[
            "process.roles=controller",
            quorum,
            "controller.listener.names=CTL",
            "listeners=CTL://:1,PLAINTEXT://:2",
        ],
        expect![
            "error: --override: listeners: PLAINTEXT is not a controller listener, and a process that is only a controller has no others"
        ],
    );
    check(
        &[
            "process.roles=controller",
            quorum,
            "controller.listener.names=CTL",
            "listeners=CTL://:1",
        ],
        expect![
            "broker  | controller CTL://:1 | advertised  | controller advertised CTL://:1 | among brokers PLAINTEXT"
        ],
    );
    check(
        &["controller.listener.names=CTL"],
        expect![
            "error: --override: controller.listener.names: CTL is not among listeners (PLAINTEXT)"
        ],
    );
    check(
        &["controller.listener.names=PLAINTEXT"],
        expect![
            "error: default: listeners: there must be a listener for clients besides those in controller.listener.names"
        ],
    );
}
