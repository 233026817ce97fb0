//! `ottla bench` against a broker of this build: that it does what it says, not how fast.

use serde_json::Value;

use super::Broker;

/// Partition and the offset after its last record.
fn ends(broker: &Broker, topic: &str) -> Vec<i64> {
    let described = broker.run_json(&format!("topics describe {topic}"));
    let partitions = described[0]["partitions"].as_array().unwrap();
    partitions
        .iter()
        .map(|partition| partition["end_offset"].as_i64().unwrap())
        .collect()
}

fn count(answer: &Value, name: &str) -> u64 {
    answer[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[test]
fn what_is_produced_is_what_was_asked_for_and_what_is_consumed() {
    let broker = Broker::start();
    let produced = broker.run_json(
        "bench produce --create --partitions 3 --records 600 --record-size 100 --batch-bytes 1000",
    );
    assert_eq!(produced["command"], "produce");
    assert_eq!(count(&produced, "records"), 600);
    assert_eq!(count(&produced, "bytes"), 60_000);
    assert_eq!(count(&produced, "requests"), 60);
    assert_eq!(count(&produced, "errors"), 0);
    assert!(produced["latency_ms"]["p99_9"].is_number(), "{produced}");
    assert_eq!(ends(&broker, "bench"), [200, 200, 200]);

    let consumed = broker.run_json("bench consume --records 600");
    assert_eq!(consumed["command"], "consume");
    assert_eq!(count(&consumed, "records"), 600);
}

#[test]
fn those_who_follow_get_all_that_is_sent_while_others_catch_up() {
    let broker = Broker::start();
    broker.run_json("bench produce --create --topic old --records 600 --record-size 100");
    let mixed = broker.run_json(
        "bench mixed --create --partitions 3 --records 600 --record-size 100 --batch-bytes 1000 --connections 2 \
         --rate 1000 --consumers 2 --groups 3 --backlog old",
    );
    assert_eq!(mixed["command"], "mixed");
    assert_eq!(count(&mixed["produce"], "records"), 600);
    assert_eq!(count(&mixed["produce"], "errors"), 0);
    assert_eq!(count(&mixed["consume"], "records"), 3 * 600);
    assert!(count(&mixed["catch_up"], "records") >= 600, "{mixed}");
    assert_eq!(ends(&broker, "bench").iter().sum::<i64>(), 600);

    // What was there before the run is nobody's, and without a rate all of it arrives too.
    let alone = broker.run_json("bench mixed --bytes 50000 --record-size 100 --batch-bytes 1000");
    assert_eq!(count(&alone["produce"], "bytes"), 50_000);
    assert_eq!(count(&alone["consume"], "records"), 500);
    assert!(alone["catch_up"].is_null(), "{alone}");
}

#[test]
fn every_group_gathers_commits_and_leaves() {
    // By default members of the consumer protocol hear of each other every five seconds.
    let broker = Broker::start_with(&[
        "group.consumer.min.heartbeat.interval.ms=20",
        "group.consumer.heartbeat.interval.ms=20",
        "group.consumer.assignment.interval.ms=0",
    ]);
    broker.run("topics create bench -p 4", "");
    for protocol in ["classic", "consumer"] {
        let answer = broker.run_json(&format!(
            "bench groups --groups 3 --members 2 --interval 5 --heartbeat 20 --commits 60 --protocol {protocol} --prefix {protocol}",
        ));
        assert_eq!(answer["command"], "groups");
        assert_eq!(answer["protocol"], protocol);
        assert_eq!(count(&answer, "commits"), 60);
        // Each member has two of the four partitions, and commits them together.
        assert_eq!(count(&answer, "records"), 120);
        assert_eq!(count(&answer, "errors"), 0);
        for group in 0..3 {
            let described = broker.run_json(&format!("groups describe {protocol}-{group}"));
            let text = described.to_string();
            assert_eq!(text.matches("\"committed\":0").count(), 4, "{text}");
            assert_eq!(described[0]["members"], Value::Array(Vec::new()), "{text}");
        }
    }
}

#[test]
fn transactions_write_their_records_and_a_marker_each() {
    let broker = Broker::start();
    broker.run("topics create bench -p 2", "");
    let answer = broker
        .run_json("bench transactions --producers 3 --records-per-transaction 4 --transactions 30");
    assert_eq!(answer["command"], "transactions");
    assert_eq!(count(&answer, "transactions"), 30);
    assert_eq!(count(&answer, "records"), 120);
    assert_eq!(count(&answer, "aborted"), 0);
    assert_eq!(ends(&broker, "bench").iter().sum::<i64>(), 30 * (4 + 1));
    let read = broker.run("consume bench --from earliest --max 120", "");
    assert_eq!(read.lines().count(), 120);

    let answer = broker.run_json(
        "bench transactions --producers 1 --spread 2 --abort-ratio 1 --transactions 5 --records-per-transaction 3",
    );
    assert_eq!(count(&answer, "transactions"), 5);
    assert_eq!(count(&answer, "aborted"), 5);
    // One commits nothing, so there is no latency of commits.
    assert!(answer["latency_ms"].is_null(), "{answer}");
    assert_eq!(
        ends(&broker, "bench").iter().sum::<i64>(),
        150 + 5 * (3 + 2)
    );
}

#[test]
fn partitions_are_made_waited_for_and_deleted() {
    let broker = Broker::start();
    let made = broker.run_json("bench partitions --topics 3 --partitions 4 --batch 8");
    assert_eq!(made["command"], "partitions");
    assert_eq!(count(&made, "partitions"), 12);
    assert_eq!(count(&made, "requests"), 2);
    let topics = broker.run_json("topics list");
    assert_eq!(topics.as_array().unwrap().len(), 3);

    let again = broker.try_run("bench partitions --topics 3 --partitions 4", "");
    assert_eq!(again.status.code(), Some(1));
    let error = String::from_utf8_lossy(&again.stderr);
    assert!(error.contains("bench-partitions-0"), "{error}");

    let there = broker.run_json("bench partitions --topics 3 --partitions 4 --existing --delete");
    assert_eq!(count(&there, "partitions"), 12);
    assert_eq!(count(&there, "requests"), 0);
    assert!(there["delete_seconds"].is_number(), "{there}");
    assert_eq!(broker.run_json("topics list"), Value::Array(Vec::new()));
}

#[test]
fn wrong_usage_and_missing_brokers_have_their_exit_codes() {
    let broker = Broker::start();
    for args in [
        "bench groups --groups 10000 --members 1000",
        "bench partitions --topics 100000 --partitions 100000",
        "bench consume --consumers 5000 --groups 2",
        "bench mixed --consumers 11 --groups 500",
        "bench transactions --abort-ratio 2",
        "bench transactions --rate 0",
        "bench groups --seconds 1 --commits 1",
    ] {
        let output = broker.try_run(args, "");
        assert_eq!(output.status.code(), Some(2), "{args}");
    }
    // Nobody listens on port 1.
    let nobody = std::process::Command::new(super::OTTLA)
        .args(["bench", "partitions", "--bootstrap-server", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(3));
}

#[test]
fn a_compacted_topic_is_filled_cleaned_and_kept_small() {
    let broker = Broker::start_with(&["log.cleaner.backoff.ms=50"]);
    let answer = broker.run_json(
        "bench compaction fill --create --partitions 2 --keys 1000 --overwrites 3 --batch-bytes 1160",
    );
    assert_eq!(answer["command"], "compaction");
    assert_eq!(count(&answer, "errors"), 0);
    // Every batch has ten records.
    assert_eq!(count(&answer, "records"), 4_000);
    let answer = broker.run_json("bench compaction clean --keys 1000 --settle-seconds 0.5");
    assert!(
        count(&answer, "bytes_after") < count(&answer, "bytes") / 2,
        "{answer}"
    );
    let ratio = answer["size_ratio"].as_f64().unwrap();
    assert!((1.0..2.0).contains(&ratio), "{answer}");
    let answer = broker
        .run_json("bench compaction keep --keys 1000 --rate 2000 --seconds 0.5 --batch-bytes 1160");
    assert!(count(&answer, "records") > 0, "{answer}");
    assert!(
        answer["size_ratio_max"].as_f64().unwrap() >= 1.0,
        "{answer}"
    );
}
