//! Every setting that may change while the broker runs: changed, described, found again after a restart, and gone when
//! it is deleted.

use std::collections::BTreeMap;

use expect_test::expect;
use ottla_config::{Check, Key, Kind, ResourceType, Update, keys};
use ottla_protocol::Str;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::*;

use crate::client::Client;
use crate::with_client;

const SET: i8 = 0;
const DELETE: i8 = 1;
/// The name of the topic, group and subscription whose settings change.
const NAME: &str = "subject";

/// What may have settings, by type and name.
type Resource = (ResourceType, &'static str);

/// Sets a key, or deletes it; whether that is allowed.
fn alter(client: &mut Client, (kind, name): Resource, key: &str, value: Option<&str>) -> bool {
    let config = AlterableConfig {
        name: key.into(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.map(Str::from),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: kind.code(),
        resource_name: name.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    client.call(&request).responses[0].error_code == 0
}

/// Value and source of every key of a resource.
type Described = BTreeMap<String, (Option<String>, i8)>;

fn describe(client: &mut Client, (kind, name): Resource) -> Described {
    let resource = DescribeConfigsResource {
        resource_type: kind.code(),
        resource_name: name.into(),
        configuration_keys: None,
        ..Default::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    let result = client.call(&request).results.remove(0);
    assert_eq!(result.error_code, 0);
    let entries = result.configs.into_iter().map(|config| {
        let value = config.value.map(|value| value.to_string());
        (config.name.to_string(), (value, config.config_source))
    });
    entries.collect()
}

/// Values that differ from `present`, the likelier ones first.
fn candidates(key: &Key, present: Option<&str>) -> Vec<String> {
    let number = present.and_then(|text| text.parse::<i64>().ok());
    let mut values: Vec<String> = match (&key.check, key.kind) {
        (Check::OneOf(all) | Check::OneOfAnyCase(all), _) => {
            all.iter().map(|value| (*value).to_owned()).collect()
        }
        (
            Check::List {
                entries: Some(all), ..
            },
            _,
        ) => all.iter().map(|value| (*value).to_owned()).collect(),
        (Check::ThrottledReplicas, _) => vec!["0:1".to_owned()],
        (_, Kind::Boolean) => vec!["true".to_owned(), "false".to_owned()],
        (_, Kind::Double) => vec!["0.25".to_owned(), "0.75".to_owned()],
        (_, Kind::Int | Kind::Short | Kind::Long) => {
            let near = number.into_iter().flat_map(|number| {
                [
                    number.checked_add(1),
                    number.checked_sub(1),
                    number.checked_mul(2),
                ]
            });
            let near = near.flatten().map(|number| number.to_string());
            near.chain(["3000000", "50000", "1"].map(str::to_owned))
                .collect()
        }
        _ => vec![
            "earliest".to_owned(),
            "client_id=a".to_owned(),
            "text".to_owned(),
        ],
    };
    values.retain(|value| Some(value.as_str()) != present);
    values
}

/// The keys of each resource that may change, but for those that name what this broker does not have (certificates,
/// classes, other listeners).
fn subjects() -> Vec<(Resource, Vec<&'static Key>)> {
    let open = |key: &&Key| !matches!(key.kind, Kind::Class | Kind::Password) && !key.hidden;
    let of_broker = |update: Update| -> Vec<&'static Key> {
        let named = |key: &&Key| {
            !["ssl.", "listener", "sasl.", "metric.reporters"]
                .iter()
                .any(|p| key.name.starts_with(p))
        };
        keys::broker_keys()
            .filter(|key| key.update == update)
            .filter(open)
            .filter(named)
            .collect()
    };
    let all = |keys: &'static [Key]| keys.iter().filter(open).collect();
    vec![
        ((ResourceType::Topic, NAME), all(keys::topic_keys())),
        ((ResourceType::Group, NAME), all(keys::group_keys())),
        (
            (ResourceType::ClientMetrics, NAME),
            all(keys::client_metrics_keys()),
        ),
        ((ResourceType::Broker, ""), of_broker(Update::ClusterWide)),
        ((ResourceType::Broker, "1"), of_broker(Update::PerBroker)),
    ]
}

#[test]
fn what_may_change_changes_lasts_and_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let subjects = subjects();
    let mut set: Vec<(Resource, &str, String)> = Vec::new();
    let mut fixed = String::new();
    let mut before = Vec::new();
    with_client(dir.path(), |client| {
        client.create_topic(NAME, 1);
        before = subjects
            .iter()
            .map(|(resource, _)| describe(client, *resource))
            .collect();
        for ((resource, keys), described) in subjects.iter().zip(&before) {
            for key in keys {
                let present = described
                    .get(key.name)
                    .and_then(|(value, _)| value.as_deref());
                let values = candidates(key, present.or(key.default));
                match values
                    .into_iter()
                    .find(|value| alter(client, *resource, key.name, Some(value)))
                {
                    Some(value) => set.push((*resource, key.name, value)),
                    None => fixed += &format!("{} {}\n", resource.0.code(), key.name),
                }
            }
        }
        check_set(client, &set);
    });
    // What one broker that does without remote storage cannot have otherwise.
    expect![[r#"
        2 remote.storage.enable
        4 max.connections.per.ip.overrides
        4 log.local.retention.bytes
        4 cordoned.log.dirs
    "#]]
    .assert_eq(&fixed);
    with_client(dir.path(), |client| {
        check_set(client, &set);
        for (resource, key, _) in &set {
            // The cluster's own minimum of in-sync replicas cannot be deleted (ELR).
            let kept = *resource == (ResourceType::Broker, "") && *key == "min.insync.replicas";
            let value = kept.then_some("1");
            assert!(alter(client, *resource, key, value), "{key} stays");
        }
        check_before(client, &subjects, &before);
    });
    with_client(dir.path(), |client| {
        check_before(client, &subjects, &before)
    });
}

fn check_set(client: &mut Client, set: &[(Resource, &str, String)]) {
    for (resource, key, value) in set {
        let described = describe(client, *resource);
        let (shown, _) = described
            .get(*key)
            .unwrap_or_else(|| panic!("{key} is not described"));
        assert_eq!(shown.as_ref(), Some(value), "{key}");
    }
}

fn check_before(client: &mut Client, subjects: &[(Resource, Vec<&Key>)], before: &[Described]) {
    for ((resource, _), before) in subjects.iter().zip(before) {
        assert_eq!(&describe(client, *resource), before, "{resource:?}");
    }
}
