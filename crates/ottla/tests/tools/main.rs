//! The tools against a broker of this build, as a user runs them.
//!
//! Each test has a broker of its own: a child process on a free port, in a directory of its own.

mod bench;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");

struct Broker {
    process: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl Broker {
    fn start() -> Broker {
        Broker::start_with(&[])
    }

    fn start_with(overrides: &[&str]) -> Broker {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(OTTLA)
            .args(["broker", "--override", "listeners=PLAINTEXT://127.0.0.1:0"])
            .args(["--override", "group.initial.rebalance.delay.ms=0"])
            .args(["--override", "offsets.topic.num.partitions=1"])
            .args(overrides.iter().flat_map(|pair| ["--override", pair]))
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The broker says where it listens once it is ready.
        let address = lines
            .find_map(|line| {
                let line = line.unwrap();
                let (_, rest) = line.split_once("listening on")?;
                Some(rest.split_whitespace().next()?.to_owned())
            })
            .expect("the broker says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Broker {
            process,
            address,
            dir,
        }
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(OTTLA);
        command
            .args(args.split(' '))
            .args(["--bootstrap-server", &self.address])
            .env_remove("RUST_LOG");
        command
    }

    fn try_run(&self, args: &str, input: &str) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a tool that must succeed; returns what it printed.
    fn run(&self, args: &str, input: &str) -> String {
        let output = self.try_run(args, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ottla {args}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run_json(&self, args: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{args} --output json"), "")).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn topics_are_created_described_altered_and_deleted() {
    let broker = Broker::start();
    let created = broker.run("topics create orders -p 3 -c retention.ms=86400000", "");
    assert_eq!(created, "created orders with 3 partitions and 1 replica\n");
    let again = broker.try_run("topics create orders", "");
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(broker.run("topics create orders --if-not-exists", ""), "");

    let topics = broker.run_json("topics list");
    assert_eq!(topics[0]["name"], "orders");
    assert_eq!(topics[0]["partitions"], 3);

    broker.run("topics alter orders -p 5 -c retention.ms=1000", "");
    let described = broker.run_json("topics describe orders");
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 5);
    assert_eq!(described[0]["configs"]["retention.ms"], "1000");
    broker.run("configs alter --topic orders --delete retention.ms", "");
    let configs = broker.run("configs describe --topic orders --key retention.ms", "");
    assert!(configs.contains("default"), "{configs}");

    assert_eq!(broker.run("topics delete orders", ""), "deleted orders\n");
    let gone = broker.try_run("topics delete orders", "");
    assert_eq!(gone.status.code(), Some(1));
}

#[test]
fn what_is_produced_is_consumed_with_every_codec_and_acks() {
    let broker = Broker::start();
    broker.run("topics create t", "");
    let mut expected = String::new();
    for (index, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
        let lines: String = (0..300).map(|i| format!("{codec} {i}\n")).collect();
        let acks = ["all", "1"][index % 2];
        broker.run(&format!("produce t --codec {codec} --acks {acks}"), &lines);
        expected += &lines;
    }
    let consumed = broker.run("consume t --from earliest --exit-at-end", "");
    assert!(consumed == expected);
    let last = broker.run("consume t --from -2 --exit-at-end --format {offset}\\n", "");
    assert_eq!(last, "1498\n1499\n");
    let some = broker.run("consume t --from 10 --max 2 --format {offset},", "");
    assert_eq!(some, "10,11,");
}

#[test]
fn keys_headers_and_tombstones_survive() {
    let broker = Broker::start();
    broker.run("topics create t -p 4", "");
    broker.run(
        "produce t -k : --null NULL -H source=test",
        "a:1\nb:NULL\na:2\n",
    );
    let lines = broker.run("consume t --from earliest --exit-at-end --output json", "");
    let records: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_a: Vec<&Value> = records
        .iter()
        .filter(|record| record["key"] == "a")
        .collect();
    assert_eq!(of_a.len(), 2);
    assert_eq!(of_a[0]["partition"], of_a[1]["partition"]);
    assert_eq!(
        (&of_a[0]["value"], &of_a[1]["value"]),
        (&"1".into(), &"2".into())
    );
    assert_eq!(of_a[0]["headers"][0]["value"], "test");
    let b = records.iter().find(|record| record["key"] == "b").unwrap();
    assert_eq!(b["value"], Value::Null);
}

#[test]
fn a_group_goes_on_where_it_left_off() {
    let broker = Broker::start();
    broker.run("topics create t -p 2", "");
    let lines: String = (0..20).map(|i| format!("k{i}:{i}\n")).collect();
    broker.run("produce t -k :", &lines);

    let first = broker.run("consume t --group g --from earliest --max 7", "");
    let rest = broker.run("consume t --group g --from earliest --max 13", "");
    let mut seen: Vec<u32> = [first, rest]
        .concat()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<u32>>());

    let group = &broker.run_json("groups describe g")[0];
    assert_eq!(group["state"], "Empty");
    for partition in group["partitions"].as_array().unwrap() {
        assert_eq!(partition["lag"], 0);
    }
    assert_eq!(broker.run_json("groups list")[0]["group"], "g");

    broker.run("groups reset-offsets g --to earliest --execute", "");
    let again = broker.run("consume t --group g --max 20", "");
    assert_eq!(again.lines().count(), 20);
    assert_eq!(broker.run("groups delete g", ""), "deleted g\n");
    assert_eq!(broker.run_json("groups list"), Value::Array(Vec::new()));
}

#[test]
fn members_share_the_partitions() {
    let broker = Broker::start();
    broker.run("topics create t -p 4", "");
    let mut members: Vec<Child> = (0..2)
        .map(|_| {
            broker
                .command("consume t --group g --from earliest --max 100")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    // Both have partitions before anything is sent, so both must see some of it.
    loop {
        let described = broker.try_run("groups describe g --output json", "");
        let groups: Value = serde_json::from_slice(&described.stdout).unwrap_or_default();
        let partitions = groups[0]["partitions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let owners: std::collections::BTreeSet<&str> = partitions
            .iter()
            .filter_map(|p| p["member"].as_str())
            .collect();
        if groups[0]["state"] == "Stable" && owners.len() == 2 {
            break;
        }
    }
    for partition in 0..4 {
        let lines: String = (0..50).map(|i| format!("{partition} {i}\n")).collect();
        broker.run(&format!("produce t -p {partition}"), &lines);
    }
    let mut seen: Vec<String> = Vec::new();
    for member in members.drain(..) {
        let output = member.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        seen.extend(text.lines().map(str::to_owned));
    }
    assert_eq!(seen.len(), 200);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 200, "records were read twice");
}

#[test]
fn the_log_of_a_topic_and_of_the_cluster_can_be_read() {
    let broker = Broker::start();
    broker.run("topics create t", "");
    broker.run("produce t --codec zstd", "one\ntwo\n");
    broker.run("consume t --group g --from earliest --max 2", "");
    let data = broker.dir.path().join("ottla-data");
    let dump = |directory: &str| {
        let path = data.join(directory).join("00000000000000000000.log");
        let output = Command::new(OTTLA)
            .args(["log", "dump", "--records"])
            .arg(Path::new(&path))
            .output()
            .unwrap();
        assert!(output.status.success(), "{directory}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(dump("t-0").contains("value=two"));
    assert!(dump("__cluster_metadata-0").contains("TopicRecord { name: \"t\""));
    assert!(dump("__consumer_offsets-0").contains("OffsetCommitKey { group: \"g\", topic: \"t\""));
}

#[test]
fn errors_say_what_happened_and_set_the_exit_code() {
    let broker = Broker::start();
    let missing = broker.try_run("consume nope", "");
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text.contains("topic nope") && text.contains("hint:"),
        "{text}"
    );

    let usage = broker.try_run("consume t --from soon", "");
    assert_eq!(usage.status.code(), Some(2));

    let unreachable = Command::new(OTTLA)
        .args(["topics", "list", "-b", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(unreachable.status.code(), Some(3));
    let text = String::from_utf8_lossy(&unreachable.stderr).into_owned();
    assert!(text.contains("127.0.0.1:1"), "{text}");
}

#[test]
fn an_interrupted_member_commits_and_leaves() {
    let broker = Broker::start();
    broker.run("topics create t", "");
    broker.run("produce t", "one\ntwo\n");
    let mut member = broker
        .command("consume t --group g --from earliest")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    assert_eq!(lines.next().unwrap().unwrap(), "two");
    let id = member.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert!(member.wait().unwrap().success());

    let group = &broker.run_json("groups describe g")[0];
    assert_eq!(group["state"], "Empty");
    assert_eq!(group["partitions"][0]["committed"], 2);
}
