use expect_test::{Expect, expect};
use ottla_metadata::{ConfigResource, ResourceType};

use super::*;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn alter(
    cluster: &mut Cluster,
    resource: &ConfigResource,
    key: &str,
    operation: i8,
    value: Option<&str>,
) -> String {
    let ops = vec![ConfigOp {
        key: key.into(),
        operation,
        value: value.map(Str::from),
    }];
    let alteration = ConfigAlteration {
        resource: resource.clone(),
        ops,
    };
    let answers = cluster
        .run(|c, _| c.incremental_alter_configs(&[alteration], false))
        .unwrap();
    outcome_of(&answers[0].1)
}

fn show(cluster: &Cluster, resource: &ConfigResource) -> String {
    cluster
        .controller
        .image()
        .config(resource)
        .iter()
        .map(|(k, v)| format!("{k}={v} "))
        .collect()
}

fn check(steps: &[(&ConfigResource, &str, i8, Option<&str>)], expected: Expect) {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1]], &[]);
    let mut out = String::new();
    for (resource, key, operation, value) in steps {
        let answer = alter(&mut cluster, resource, key, *operation, *value);
        out += &format!("{resource}: {answer} -> {}\n", show(&cluster, resource));
    }
    expected.assert_eq(&out);
}

#[test]
fn operations_set_delete_and_edit_lists() {
    let a = ConfigResource::topic("a");
    check(
        &[
            (&a, "retention.ms", SET, Some("5")),
            (&a, "retention.ms", SET, Some("five")),
            (&a, "cleanup.policy", APPEND, Some("compact")),
            (&a, "cleanup.policy", SUBTRACT, Some("delete")),
            (&a, "retention.ms", APPEND, Some("5")),
            (&a, "retention.ms", DELETE, None),
            (&a, "no.such.key", SET, Some("1")),
            (&a, "retention.ms", 9, Some("1")),
            (&ConfigResource::topic("b"), "retention.ms", SET, Some("5")),
            (&ConfigResource::topic(""), "retention.ms", SET, Some("5")),
            (
                &ConfigResource::topic("b@d"),
                "retention.ms",
                SET,
                Some("5"),
            ),
        ],
        expect![[r#"
            topic a: ok -> retention.ms=5 
            topic a: InvalidConfig: Invalid value five for configuration retention.ms: Not a number of type LONG -> retention.ms=5 
            topic a: ok -> cleanup.policy=delete,compact retention.ms=5 
            topic a: ok -> cleanup.policy=compact retention.ms=5 
            topic a: InvalidConfig: Can't APPEND to key retention.ms because its type is not LIST. -> cleanup.policy=compact retention.ms=5 
            topic a: ok -> cleanup.policy=compact 
            topic a: InvalidConfig: Unknown topic config name: no.such.key -> cleanup.policy=compact 
            topic a: InvalidRequest: Unknown operations type 9 -> cleanup.policy=compact 
            topic b: UnknownTopicOrPartition: The topic 'b' does not exist. -> 
            topic : InvalidRequest: Default topic resources are not allowed. -> 
            topic b@d: InvalidTopicException: Topic name is invalid: 'b@d' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-' -> 
        "#]],
    );
}

#[test]
fn brokers_groups_and_client_metrics_have_their_own_keys() {
    let group = ConfigResource::new(ResourceType::GROUP, "g");
    let metrics = ConfigResource::new(ResourceType::CLIENT_METRICS, "m");
    check(
        &[
            (
                &ConfigResource::cluster(),
                "log.retention.ms",
                SET,
                Some("77"),
            ),
            (
                &ConfigResource::broker(1),
                "log.cleaner.threads",
                SET,
                Some("2"),
            ),
            (
                &ConfigResource::broker(7),
                "log.cleaner.threads",
                SET,
                Some("2"),
            ),
            (&ConfigResource::cluster(), "node.id", SET, Some("2")),
            (&group, "consumer.session.timeout.ms", SET, Some("45000")),
            (&metrics, "interval.ms", SET, Some("1000")),
            (
                &ConfigResource::new(ResourceType(77), "x"),
                "k",
                SET,
                Some("v"),
            ),
        ],
        expect![[r#"
            all brokers: ok -> log.retention.ms=77 min.insync.replicas=1 
            broker 1: ok -> log.cleaner.threads=2 
            broker 7: InvalidRequest: Unexpected broker id, expected 1, but received 7 -> 
            all brokers: InvalidRequest: Cannot update these configs dynamically: [node.id] -> log.retention.ms=77 min.insync.replicas=1 
            group g: ok -> consumer.session.timeout.ms=45000 
            client metrics m: ok -> interval.ms=1000 
            resource x of type 77: UnsupportedVersion: Unknown resource type 77. -> 
        "#]],
    );
}

#[test]
fn the_minimum_is_one_for_the_cluster_while_leaders_are_eligible() {
    check(
        &[
            (
                &ConfigResource::cluster(),
                "min.insync.replicas",
                DELETE,
                None,
            ),
            (
                &ConfigResource::broker(1),
                "min.insync.replicas",
                SET,
                Some("2"),
            ),
            (
                &ConfigResource::cluster(),
                "min.insync.replicas",
                SET,
                Some("2"),
            ),
            (
                &ConfigResource::broker(1),
                "min.insync.replicas",
                SET,
                Some("none"),
            ),
        ],
        expect![[r#"
            all brokers: InvalidConfig: Cluster-level min.insync.replicas cannot be removed while ELR is enabled. -> min.insync.replicas=1 
            broker 1: InvalidConfig: Broker-level min.insync.replicas cannot be altered while ELR is enabled. -> 
            all brokers: ok -> min.insync.replicas=2 
            broker 1: InvalidRequest: Invalid value none for configuration min.insync.replicas: Not a number of type INT -> 
        "#]],
    );
}

#[test]
fn a_new_minimum_clears_what_was_eligible_under_the_old() {
    let mut cluster = Cluster::of(&[1, 2]);
    cluster.topic("a", &[&[1, 2]], &[("min.insync.replicas", "2")]);
    cluster.beat(2, |b| b.want_fence = true);
    let mut states = cluster.show();
    alter(
        &mut cluster,
        &ConfigResource::topic("a"),
        "min.insync.replicas",
        SET,
        Some("1"),
    );
    states += &cluster.show();
    expect![[r#"
        a-0 [1, 2] isr=[1] leader=1 epochs=0/1 elr=[2]
        a-0 [1, 2] isr=[1] leader=1 epochs=0/2
    "#]]
    .assert_eq(&states);
}

#[test]
fn the_dynamic_defaults_of_the_cluster_reach_topics() {
    let mut cluster = Cluster::of(&[1, 2]);
    alter(
        &mut cluster,
        &ConfigResource::cluster(),
        "min.insync.replicas",
        SET,
        Some("2"),
    );
    assert_eq!(
        cluster
            .controller
            .config()
            .topic_defaults
            .min_insync_replicas,
        2
    );
    cluster.topic("a", &[&[1, 2]], &[]);
    cluster.beat(2, |b| b.want_fence = true);
    assert_eq!(
        cluster
            .controller
            .image()
            .partition("a", 0)
            .unwrap()
            .eligible_leader_replicas,
        [2]
    );
}

#[test]
fn the_old_way_replaces_everything() {
    let mut cluster = Cluster::of(&[1]);
    cluster.topic("a", &[&[1]], &[("retention.ms", "1"), ("segment.ms", "2")]);
    let resource = ConfigResource::topic("a");
    let replace = |values: &[(&str, Option<&str>)]| ConfigReplacement {
        resource: resource.clone(),
        values: values
            .iter()
            .map(|(k, v)| (Str::from(*k), v.map(Str::from)))
            .collect(),
    };
    let dry = replace(&[("segment.ms", Some("9"))]);
    cluster
        .run(|c, _| c.alter_configs(std::slice::from_ref(&dry), true))
        .unwrap();
    assert_eq!(show(&cluster, &resource), "retention.ms=1 segment.ms=2 ");
    cluster
        .run(|c, _| c.alter_configs(std::slice::from_ref(&dry), false))
        .unwrap();
    assert_eq!(show(&cluster, &resource), "segment.ms=9 ");
    let answers = cluster
        .run(|c, _| c.alter_configs(&[dry.clone(), dry.clone()], false))
        .unwrap();
    assert_eq!(
        answers,
        [(resource.clone(), Err(ControlError::DuplicateResource))]
    );
    let answers = cluster
        .run(|c, _| c.alter_configs(&[replace(&[("segment.ms", None)])], false))
        .unwrap();
    assert!(answers[0].1.is_err());
}
