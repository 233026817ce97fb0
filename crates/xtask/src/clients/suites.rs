//! The table of client suites.

use std::time::Duration;

use super::install::Toolchain;

/// Suites are meant to end within two minutes on an idle machine; a busy one gets twice that.
const LIMIT: Duration = Duration::from_secs(300);
/// Frameworks start several virtual machines and see crashes.
const FRAMEWORK_LIMIT: Duration = Duration::from_secs(900);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Group {
    /// Produce, consume, groups and administration with each client.
    Clients,
    /// Transactional producers and `read_committed` consumers.
    Transactions,
    /// Consumer groups with `group.protocol=consumer`.
    Kip848,
    /// The three above, and Kafka Streams: every client, with all that it can do.
    Protocols,
    /// Streams, Connect, MirrorMaker, Spark and Flink, while brokers crash.
    Frameworks,
    /// Every suite.
    All,
}

/// Sessions short enough for checks in which a member dies, and longer than a client takes to start again on a busy
/// machine.
const SHORT_CONSUMER_GROUP_SESSIONS: &[(&str, &str)] = &[
    ("group.consumer.session.timeout.ms", "10000"),
    ("group.consumer.min.session.timeout.ms", "10000"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    ("group.consumer.min.heartbeat.interval.ms", "500"),
];

/// Many snapshots of the metadata; groups that do not wait for more members.
const MANY_FILES: &[(&str, &str)] = &[
    ("metadata.log.max.record.bytes.between.snapshots", "4000"),
    ("offsets.topic.num.partitions", "5"),
    ("transaction.state.log.num.partitions", "5"),
    ("group.initial.rebalance.delay.ms", "0"),
];

/// Two log directories, between which replicas can be moved; what Apache Kafka needs to ask clients for metrics.
const ADMINISTERED: &[(&str, &str)] = &[
    ("log.dirs", "{home}/data,{home}/more"),
    ("metric.reporters", "ottla.TelemetrySink"),
];

/// Segments that roll, and are cleaned, all the time: what frameworks read again has been compacted meanwhile. Groups
/// form at once, or an application would do nothing between two crashes.
const ALWAYS_CLEANED: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.roll.ms", "500"),
    ("log.cleaner.backoff.ms", "100"),
    ("log.cleaner.min.cleanable.ratio", "0.01"),
    ("log.cleaner.delete.retention.ms", "10000"),
    ("log.segment.delete.delay.ms", "1000"),
];

impl Suite {
    /// What the broker is told beside its defaults; `{home}` stands for its own directory.
    pub fn broker_settings(&self) -> &'static [(&'static str, &'static str)] {
        match self.group {
            _ if self.are_files_read => MANY_FILES,
            _ if self.name == "java-admin" => ADMINISTERED,
            Group::Kip848 => SHORT_CONSUMER_GROUP_SESSIONS,
            // MirrorMaker translates offsets by the history of its compacted topic of syncs; once that is cleaned, only
            // the offsets behind the last sync can be translated.
            Group::Frameworks if self.wants_second_broker() => &[],
            Group::Frameworks => ALWAYS_CLEANED,
            _ => &[],
        }
    }

    /// How long its program may run.
    pub fn limit(&self) -> Duration {
        match self.group {
            Group::Frameworks => FRAMEWORK_LIMIT,
            _ => LIMIT,
        }
    }

    /// What has to be set up for it.
    pub fn toolchains(&self) -> Vec<Toolchain> {
        let mut toolchains = vec![self.toolchain];
        if self.are_files_read {
            toolchains.push(Toolchain::Java);
        }
        toolchains.extend(self.framework());
        toolchains
    }

    /// The framework that it starts on a class path of its own.
    pub fn framework(&self) -> Option<Toolchain> {
        match self.program {
            "SparkSuite" => Some(Toolchain::Spark),
            "FlinkSuite" => Some(Toolchain::Flink),
            _ => None,
        }
    }

    /// Whether it copies from one cluster to another.
    pub fn wants_second_broker(&self) -> bool {
        self.program == "MirrorSuite"
    }
}

#[derive(Debug)]
pub struct Suite {
    pub name: &'static str,
    pub group: Group,
    pub toolchain: Toolchain,
    /// The program among the toolchain's programs.
    pub program: &'static str,
    /// Whether Kafka's tool reads what the broker left on disk, which wants Java too.
    pub are_files_read: bool,
}

const fn suite(
    name: &'static str,
    group: Group,
    toolchain: Toolchain,
    program: &'static str,
) -> Suite {
    Suite {
        name,
        group,
        toolchain,
        program,
        are_files_read: false,
    }
}

pub const ALL: &[Suite] = &[
    suite("kcat", Group::Clients, Toolchain::Kcat, "suite.sh"),
    suite(
        "kafka-python",
        Group::Clients,
        Toolchain::Python,
        "suite_kafka_python.py",
    ),
    suite(
        "confluent-kafka",
        Group::Clients,
        Toolchain::Python,
        "suite_confluent_kafka.py",
    ),
    suite(
        "aiokafka",
        Group::Clients,
        Toolchain::Python,
        "suite_aiokafka.py",
    ),
    suite(
        "kafkajs",
        Group::Clients,
        Toolchain::Node,
        "suite_kafkajs.js",
    ),
    suite("java", Group::Clients, Toolchain::Java, "ClientSuite"),
    suite("java-admin", Group::Clients, Toolchain::Java, "AdminSuite"),
    suite("java-tools", Group::Clients, Toolchain::Java, "ToolSuite"),
    Suite {
        are_files_read: true,
        ..suite(
            "kafka-files",
            Group::Clients,
            Toolchain::Python,
            "suite_kafka_files.py",
        )
    },
    suite("franz-go", Group::Clients, Toolchain::Go, "franz-go"),
    suite("sarama", Group::Clients, Toolchain::Go, "sarama"),
    suite(
        "java-transactions",
        Group::Transactions,
        Toolchain::Java,
        "TransactionSuite",
    ),
    suite(
        "confluent-kafka-transactions",
        Group::Transactions,
        Toolchain::Python,
        "suite_confluent_kafka_transactions.py",
    ),
    suite(
        "franz-go-transactions",
        Group::Transactions,
        Toolchain::Go,
        "franz-go-transactions",
    ),
    suite(
        "sarama-transactions",
        Group::Transactions,
        Toolchain::Go,
        "sarama-transactions",
    ),
    suite(
        "java-kip848",
        Group::Kip848,
        Toolchain::Java,
        "ConsumerGroupSuite",
    ),
    suite(
        "confluent-kafka-kip848",
        Group::Kip848,
        Toolchain::Python,
        "suite_confluent_kafka_kip848.py",
    ),
    suite(
        "franz-go-kip848",
        Group::Kip848,
        Toolchain::Go,
        "franz-go-kip848",
    ),
    suite(
        "streams",
        Group::Frameworks,
        Toolchain::Java,
        "StreamsSuite",
    ),
    suite(
        "connect",
        Group::Frameworks,
        Toolchain::Java,
        "ConnectSuite",
    ),
    suite(
        "mirror-maker",
        Group::Frameworks,
        Toolchain::Java,
        "MirrorSuite",
    ),
    suite("spark", Group::Frameworks, Toolchain::Java, "SparkSuite"),
    suite("flink", Group::Frameworks, Toolchain::Java, "FlinkSuite"),
];

/// The framework that runs with the protocols: it is done in a minute and a half.
const QUICK_FRAMEWORK: &str = "streams";

/// The suites named in `only`, or else those of `group`; an unknown name is the error.
pub fn choose(only: &[String], group: Group) -> Result<Vec<&'static Suite>, String> {
    if only.is_empty() {
        let wanted = |suite: &&Suite| match group {
            Group::All => true,
            Group::Protocols => suite.group != Group::Frameworks || suite.name == QUICK_FRAMEWORK,
            group => suite.group == group,
        };
        return Ok(ALL.iter().filter(wanted).collect());
    }
    only.iter()
        .map(|name| {
            ALL.iter()
                .find(|suite| suite.name == name)
                .ok_or_else(|| name.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests;
