//! `ottla transactions` against a broker with transactions in every state, one of which nobody will ever end.

use std::net::SocketAddr;
use std::process::{Command, Output};

use ottla_protocol::messages::FindCoordinatorRequest;
use ottla_records::{BatchBuilder, Compression, Producer};
use serde_json::{Value, json};

use crate::client::{Client, produce_request};
use crate::crash::Address;
use crate::history::{Protocol, TransactionalProducer, ask};
use crate::process::Broker;

/// Verification is off, as it was before KIP-890: so transactions come to hang.
const SETTINGS: [&str; 2] = [
    "transaction.partition.verification.enable=false",
    "transaction.state.log.num.partitions=1",
];
/// When the hanging transaction was written.
const LONG_AGO_MS: i64 = 1_700_000_000_000;

fn tool(address: SocketAddr, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottla"))
        .arg("transactions")
        .args(args.split(' '))
        .args(["--bootstrap-server", &address.to_string()])
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// Runs a tool that must succeed; returns what it printed.
fn run(address: SocketAddr, args: &str) -> String {
    let output = tool(address, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn run_json(address: SocketAddr, args: &str) -> Value {
    serde_json::from_str(&run(address, &format!("{args} --output json"))).unwrap()
}

/// Writes a record of a transaction that no coordinator knows of; returns where it begins.
fn leave_hanging(client: &mut Client, producer_id: i64) -> i64 {
    let producer = Producer {
        id: producer_id,
        epoch: 0,
        base_sequence: 0,
    };
    let mut builder = BatchBuilder::new(Compression::NONE)
        .producer(producer)
        .transactional(true);
    builder.append(LONG_AGO_MS, None, Some(b"lost"));
    let mut request = produce_request("t", 1, builder.build().unwrap(), -1);
    request.transactional_id = Some("lost".into());
    let answer = client.ask(&request, 9).unwrap();
    let written = &answer.responses[0].partition_responses[0];
    assert_eq!(written.error_code, 0, "{written:?}");
    written.base_offset
}

#[test]
fn hanging_transactions_are_found_and_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &SETTINGS);
    let at = broker.address;
    let mut client = Client::connect(at).unwrap();
    client.create_topic("t", 2, &[]).unwrap();
    let find = FindCoordinatorRequest {
        key: "open".into(),
        key_type: 1,
        ..Default::default()
    };
    ask(&mut client, &find, 3, |answer| answer.error_code).unwrap();
    let address = Address::default();
    address.set(Some(at));
    let mut open = TransactionalProducer::new(&address, "open", Protocol::Implicit);
    open.send("t", 0, &["one".to_owned()]).unwrap();
    let mut done = TransactionalProducer::new(&address, "done", Protocol::Explicit);
    done.send("t", 0, &["two".to_owned()]).unwrap();
    done.end(true).unwrap();
    let producer_id = client.init_producer().unwrap();
    let start_offset = leave_hanging(&mut client, producer_id);

    let listed = run_json(at, "list");
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed[0]["transactional_id"], "done");
    assert_eq!(listed[0]["state"], "CompleteCommit");
    let ongoing = run_json(at, "list --state Ongoing");
    assert_eq!(ongoing[0]["transactional_id"], "open");
    assert_eq!(ongoing.as_array().unwrap().len(), 1);
    assert_eq!(run_json(at, "list --longer-than 1h"), json!([]));
    assert!(run(at, "list --id-pattern op.*").contains("open"));

    let described = run_json(at, "describe open");
    assert_eq!(described["state"], "Ongoing");
    assert_eq!(described["partitions"], json!(["t-0"]));
    assert!(run(at, "describe open").contains("Partitions: t-0"));
    let unknown = tool(at, "describe nope");
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        text.contains("transactional id nope") && text.contains("hint:"),
        "{text}"
    );

    let producers = run_json(at, "producers --topic t --partition 1");
    assert_eq!(producers[0]["producer_id"], producer_id);
    assert_eq!(producers[0]["open_since_offset"], start_offset);
    let hanging = run_json(at, "find-hanging");
    assert_eq!(hanging.as_array().unwrap().len(), 1, "{hanging}");
    assert_eq!(hanging[0]["topic"], "t");
    assert_eq!(hanging[0]["partition"], 1);
    assert_eq!(hanging[0]["start_offset"], start_offset);
    // One that its coordinator knows of does not hang, however old it is.
    assert_eq!(
        run_json(at, "find-hanging --topic t --partition 0 --max-timeout 0s"),
        json!([])
    );

    let wrong = tool(at, "abort --topic t --partition 1 --start-offset 77");
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        text.contains("no transaction is open in t-1 from offset 77 on"),
        "{text}"
    );
    run(
        at,
        &format!("abort --topic t --partition 1 --start-offset {start_offset}"),
    );
    assert_eq!(run_json(at, "find-hanging"), json!([]));
    let producers = run_json(at, "producers --topic t --partition 1");
    assert_eq!(producers[0]["open_since_offset"], Value::Null);

    run(at, "terminate open");
    assert_eq!(run_json(at, "list --state Ongoing"), json!([]));
    assert_eq!(run_json(at, "describe open")["state"], "Empty");
    broker.check_errors();
}
