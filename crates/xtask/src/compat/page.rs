//! Renders COMPATIBILITY.md.
//!
//! Invariant: what a table of the broker, of its configuration or of the suites knows is taken from there; only
//! what no table knows (Kafka's defaults, notes in words) is written here, and a note about something that does not
//! exist is a panic.
//! Called by `compat/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use ottla_config::{Key, Support, keys};
use ottla_protocol::ApiKey;

use crate::clients::install::Toolchain;
use crate::clients::suites::{self, Group, Suite};

/// What an API does otherwise than in Kafka.
const API_NOTES: &[(ApiKey, &str)] = &[
    (
        ApiKey::Metadata,
        "A topic that is created by being asked for is answered at once, not with UNKNOWN_TOPIC_OR_PARTITION first.",
    ),
    (
        ApiKey::CreateTopics,
        "Answered when the logs of the topic are there, so that a produce may follow at once.",
    ),
    (
        ApiKey::GetTelemetrySubscriptions,
        "Always served, for the broker has a sink of its own; Kafka wants a plugin among metric.reporters. \
         Patterns are regular expressions without back-references and look-around.",
    ),
    (
        ApiKey::PushTelemetry,
        "What is pushed goes to the broker's log: a line for each push at DEBUG, for each metric at TRACE.",
    ),
    (
        ApiKey::UpdateFeatures,
        "share.version and streams.version are not listed, for their groups are not served; kraft.version stays as it is, and is listed up to that.",
    ),
    (ApiKey::DescribeQuorum, "The quorum is this node alone."),
    (
        ApiKey::AlterClientQuotas,
        "Quotas are kept and described; nobody is slowed down by them.",
    ),
];

/// Kafka 4.3's default where ours is another one.
const KAFKA_DEFAULTS: &[(&str, &str, &str)] = &[
    (
        "broker.id",
        "-1",
        "a single broker needs no file to have an id",
    ),
    (
        "flush.ms",
        "9223372036854775807",
        "follows log.flush.interval.ms",
    ),
    (
        "listeners",
        "PLAINTEXT://:9092",
        "without security, a broker is for this machine until told otherwise",
    ),
    (
        "log.dir",
        "/tmp/kafka-logs",
        "a reboot must not delete data",
    ),
    (
        "log.flush.interval.bytes",
        "(no such key)",
        "what must be scanned after a crash stays small",
    ),
    (
        "log.flush.interval.ms",
        "null",
        "what must be scanned after a crash stays small",
    ),
    (
        "node.id",
        "(required)",
        "a single broker needs no file to have an id",
    ),
    (
        "offsets.topic.replication.factor",
        "3",
        "one broker suffices",
    ),
    (
        "process.roles",
        "(required)",
        "a single broker is its own controller",
    ),
    (
        "share.coordinator.state.topic.min.isr",
        "2",
        "one broker suffices",
    ),
    (
        "share.coordinator.state.topic.replication.factor",
        "3",
        "one broker suffices",
    ),
    (
        "socket.receive.buffer.bytes",
        "102400",
        "the system's own sizing takes bulk for a fifth less CPU",
    ),
    (
        "socket.send.buffer.bytes",
        "102400",
        "a consumer that fell behind catches up on a busy machine too",
    ),
    ("transaction.state.log.min.isr", "2", "one broker suffices"),
    (
        "transaction.state.log.replication.factor",
        "3",
        "one broker suffices",
    ),
];

pub fn render() -> String {
    let mut page = String::from(
        "# Compatibility\n\n\
         Written by `cargo xtask compat` from the tables that the broker works by; edits here are lost.\n\
         The measure is Apache Kafka 4.3.\n",
    );
    apis(&mut page);
    clients(&mut page);
    configuration(&mut page);
    page
}

macro_rules! put {
    ($page:expr, $($format:tt)*) => {
        writeln!($page, $($format)*).expect("a String takes what it is given")
    };
}

fn apis(page: &mut String) {
    let served: BTreeSet<ApiKey> = ottla_broker::served_apis().collect();
    let mut notes: BTreeMap<ApiKey, &str> = API_NOTES.iter().copied().collect();
    put!(page, "\n## APIs\n");
    put!(
        page,
        "{} of the {} APIs that Kafka's brokers serve, each in every stable version that Kafka has.",
        served.len(),
        ApiKey::ALL.iter().filter(|key| key.on_broker()).count(),
    );
    put!(
        page,
        "Any other API or version is not advertised, and asking for it closes the connection, as in Kafka;\n\
         save for ApiVersions, which is answered in version 0. Produce 0–2 are advertised, and not served, for the \
         sake of old clients, again as in Kafka.\n"
    );
    put!(page, "| key | API | versions | otherwise than in Kafka |");
    put!(page, "| ---: | --- | --- | --- |");
    for key in &served {
        let versions = key.valid_versions();
        let versions = match (versions.start(), versions.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}–{last}"),
        };
        put!(
            page,
            "| {} | {key} | {versions} | {} |",
            key.code(),
            notes.remove(key).unwrap_or_default(),
        );
    }
    assert!(
        notes.is_empty(),
        "notes about APIs that are not served: {notes:?}"
    );
    let missing = |on: fn(&ApiKey) -> bool| {
        let names = ApiKey::ALL
            .iter()
            .filter(|key| on(key) && !served.contains(key));
        names.map(|key| key.name()).collect::<Vec<_>>().join(", ")
    };
    put!(page, "\nNot served: {}.\n", missing(|key| key.on_broker()));
    put!(
        page,
        "Between Kafka's nodes only, not served: {}.",
        missing(|key| !key.on_broker())
    );
}

fn clients(page: &mut String) {
    put!(page, "\n## Clients\n");
    put!(
        page,
        "Run by `cargo xtask test`, each against a broker of its own."
    );
    put!(
        page,
        "Versions are those that the lock files under `clients/` pin.\n"
    );
    put!(page, "| suite | client | about | what it does |");
    put!(page, "| --- | --- | --- | --- |");
    let serves_transactions = ottla_broker::served_apis().any(|key| key == ApiKey::EndTxn);
    for suite in suites::ALL {
        let about = match suite.group {
            Group::Clients | Group::Protocols | Group::All => "everyday use",
            Group::Transactions if !serves_transactions => {
                "transactions, which are not served: this suite fails"
            }
            Group::Transactions => "transactions",
            Group::Kip848 => "consumer groups of KIP-848",
            Group::Frameworks => "a framework, while brokers crash",
        };
        let source = read(&Path::new("clients").join(suite.toolchain.source_of(suite.program)));
        let checks = checks(&source);
        assert!(!checks.is_empty(), "{} has no checks", suite.name);
        put!(
            page,
            "| `{}` | {} | {about} | {} |",
            suite.name,
            client(suite),
            checks.join("; ")
        );
    }
}

/// Where the version of all that is Kafka's own stands.
const KAFKA_VERSION: &str = "<kafka.version>";

/// The library behind a suite, and the version that is pinned.
fn client(suite: &Suite) -> String {
    let library = ["-transactions", "-kip848"]
        .iter()
        .find_map(|ending| suite.name.strip_suffix(ending))
        .unwrap_or(suite.name);
    let (file, before, after) = match suite.toolchain {
        _ if suite.are_files_read => ("java/pom.xml", KAFKA_VERSION.to_owned(), '<'),
        Toolchain::Kcat => return "kcat of the machine's distribution (librdkafka)".to_owned(),
        Toolchain::Python => ("python/requirements.txt", format!("{library}=="), '\n'),
        Toolchain::Node => ("node/package.json", format!("\"{library}\": \""), '"'),
        Toolchain::Java | Toolchain::Spark | Toolchain::Flink => match suite.framework() {
            Some(Toolchain::Spark) => ("spark/pom.xml", "<spark.version>".to_owned(), '<'),
            Some(Toolchain::Flink) => ("flink/pom.xml", "<flink.version>".to_owned(), '<'),
            _ => ("java/pom.xml", KAFKA_VERSION.to_owned(), '<'),
        },
        Toolchain::Go => ("go/go.mod", format!("/{library} v"), '\n'),
    };
    let text = read(&Path::new("clients").join(file));
    let version = text
        .split_once(&before)
        .and_then(|(_, rest)| rest.split(after).next())
        .unwrap_or_else(|| panic!("{file} does not pin {library}"));
    match library {
        "java" => format!("Apache Kafka's Java clients {version}"),
        "streams" => format!("Kafka Streams {version}"),
        "connect" => format!("Kafka Connect {version}"),
        "mirror-maker" => format!("MirrorMaker 2 {version}"),
        "spark" => format!("Spark Structured Streaming {version}"),
        "flink" => format!("Flink {version}"),
        _ if suite.toolchain == Toolchain::Java || suite.are_files_read => {
            format!("Apache Kafka's tools {version}")
        }
        "confluent-kafka" => format!("{library} {version} (librdkafka)"),
        _ => format!("{library} {version}"),
    }
}

/// The names of the checks in a suite's source, sorted, without their parameters.
pub fn checks(source: &str) -> Vec<String> {
    const BEFORE: &[&str] = &[
        "check(f",
        "check(",
        ".Check(",
        "checks.add(",
        "check ",
        "name := fmt.Sprintf(",
    ];
    let mut found = BTreeSet::new();
    for line in source.lines() {
        let Some(rest) = BEFORE
            .iter()
            .find_map(|before| line.split_once(before).map(|(_, rest)| rest))
        else {
            continue;
        };
        let Some(quote) = rest.chars().next().filter(|first| "\"'`".contains(*first)) else {
            continue;
        };
        let name = rest[1..].split(quote).next().unwrap_or_default();
        let fixed: Vec<&str> = name
            .split(' ')
            .take_while(|word| !word.contains(['=', '{', '$', '%']))
            .collect();
        let name = fixed.join(" ").trim_matches([',', ':', ' ']).to_owned();
        if !name.is_empty() {
            found.insert(name);
        }
    }
    found.into_iter().collect()
}

fn configuration(page: &mut String) {
    let tables: [(&str, Vec<&Key>); 4] = [
        ("Broker keys", keys::broker_keys().collect()),
        ("Topic keys", keys::topic_keys().iter().collect()),
        ("Group keys", keys::group_keys().iter().collect()),
        (
            "Keys of client metrics subscriptions",
            keys::client_metrics_keys().iter().collect(),
        ),
    ];
    let all = || tables.iter().flat_map(|(_, table)| table.iter().copied());
    put!(page, "\n## Configuration\n");
    put!(
        page,
        "Every key of Kafka 4.3 is known, with Kafka's type, bounds and update mode. {} of {} have the effect that Kafka",
        all()
            .filter(|key| key.support == Support::Supported)
            .count(),
        all().count(),
    );
    put!(
        page,
        "documents; the others (**no** below) are accepted with a warning. Keys that Kafka 4 has dropped are ignored\n\
         with a warning; unknown keys are refused, with the nearest known one in the message."
    );
    let cleaner = keys::broker_key("log.cleaner.enable").map(|key| key.support);
    if cleaner == Some(Support::Planned) {
        put!(
            page,
            "\n`cleanup.policy=compact` makes keys obligatory, and keeps data from retention by time and size; \
             nothing is compacted yet."
        );
    }
    put!(page, "\n### Other defaults than Kafka's\n");
    put!(page, "| key | Kafka | Ottla | why |");
    put!(page, "| --- | --- | --- | --- |");
    for &(name, kafka, why) in KAFKA_DEFAULTS {
        let key = all()
            .find(|key| key.name == name)
            .unwrap_or_else(|| panic!("there is no key {name}"));
        let ours = key.default.unwrap_or("null");
        assert_ne!(ours, kafka, "{name} has Kafka's default");
        put!(page, "| `{name}` | `{kafka}` | `{ours}` | {why} |");
    }
    for (title, table) in &tables {
        put!(page, "\n### {title}\n");
        put!(page, "| key | default | works | meaning |");
        put!(page, "| --- | --- | --- | --- |");
        let mut table = table.clone();
        table.sort_by_key(|key| key.name);
        for key in table {
            put!(
                page,
                "| `{}` | {} | {} | {} |",
                key.name,
                shown_default(key.default),
                match key.support {
                    Support::Supported => "yes",
                    Support::Planned => "**no**",
                },
                key.doc.replace('|', "\\|"),
            );
        }
    }
}

fn shown_default(default: Option<&str>) -> String {
    match default {
        None => "null".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => format!("`{}`", text.replace('|', "\\|")),
    }
}

/// A file of the workspace.
fn read(path: &Path) -> String {
    let path = crate::test::workspace_root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
