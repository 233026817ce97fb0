//! Every API that the broker advertises, in every version: each request has an answer that decodes.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use ottla_protocol::{ApiKey, Uuid};

use crate::apis::{Sample, samples};
use crate::client::Client;
use crate::process::Broker;

/// The samples of what the broker advertises, against a topic `t` that this creates.
pub fn advertised_samples(broker: &Broker) -> Vec<Sample> {
    let mut client = Client::connect(broker.address).unwrap();
    let request = ApiVersionsRequest {
        client_software_name: "robust".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let advertised: BTreeMap<i16, (i16, i16)> = client
        .ask(&request, 4)
        .unwrap()
        .api_keys
        .iter()
        .map(|api| {
            // Versions of Produce are named, for old clients' sake, that nobody serves: Kafka does it, too.
            let key = ApiKey::try_from(api.api_key).unwrap();
            let served_min = api.min_version.max(*key.valid_versions().start());
            (api.api_key, (served_min, api.max_version))
        })
        .collect();
    client.create_topic("t", 1, &[]).unwrap();
    let mut all = samples(topic_id(&mut client, "t"));
    all.retain(|sample| {
        let versions = advertised.get(&sample.key.code());
        versions.is_some_and(|(min, max)| (min..=max).contains(&&sample.version))
    });
    let have: BTreeSet<(i16, i16)> = all.iter().map(|s| (s.key.code(), s.version)).collect();
    for (key, (min, max)) in advertised {
        let key = ApiKey::try_from(key).unwrap();
        // Produce is advertised from 0, as Kafka does for old clients, and served from 3.
        let min = min.max(*key.valid_versions().start());
        for version in min..=max {
            let is_covered = have.contains(&(key.code(), version));
            assert!(
                is_covered,
                "{key} v{version} is advertised and has no sample"
            );
        }
    }
    all
}

fn topic_id(client: &mut Client, name: &str) -> Uuid {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(name.to_owned().into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    client.ask(&request, 12).unwrap().topics[0].topic_id
}

#[test]
fn every_api_answers_in_every_version_that_it_advertises() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &["group.min.session.timeout.ms=100"]);
    let all = advertised_samples(&broker);
    let mut failures = BTreeSet::new();
    let mut client = Client::connect(broker.address).unwrap();
    for sample in &all {
        // acks=0 is the one request without an answer.
        if sample.is_unanswered() {
            continue;
        }
        client.send_raw(&sample.frame).unwrap();
        let problem = match client.read_frame() {
            Ok(answer) => sample.check_answer(answer).err(),
            Err(error) => {
                client = Client::connect(broker.address).unwrap();
                Some(error.to_string())
            }
        };
        if let Some(problem) = problem {
            failures.insert(format!("{} v{}: {problem}", sample.key, sample.version));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}\n{}", broker.errors());
    broker.check_errors();
}
