//! Keys of the node: identity and roles, the cluster metadata log, the controller quorum.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;
use crate::key::{LIST, some_of};

keys! { /// Keys of the node itself: identity, roles, threads, limits of requests, compression.
NODE
    "authorizer.class.name": String = "", Any, Low, ReadOnly, Planned;
        "Authorizer that decides who may do what; empty means that everything is allowed.";
    "background.threads": Int = "10", AtLeast(1), High, ClusterWide, Planned;
        "Workers for background chores such as deleting files and retention.";
    "broker.heartbeat.interval.ms": Int = "2000", Any, Medium, ReadOnly, Planned;
        "Time between two heartbeats of a broker to the controller.";
    "broker.id": Int = "1", Any, High, ReadOnly, Supported;
        "Older name of node.id; if both are given they must agree.";
    "broker.rack": String = null, Any, Medium, ReadOnly, Supported;
        "Rack or zone of this broker, used to spread replicas and to pick near ones.";
    "broker.session.timeout.ms": Int = "9000", Any, Medium, ReadOnly, Planned;
        "Time without a heartbeat after which the controller fences a broker.";
    "compression.gzip.level": Int = "-1", GzipLevel, Medium, ClusterWide, Supported;
        "Level used when this broker compresses with gzip; -1 is the codec's own choice.";
    "compression.lz4.level": Int = "9", Between(1, 17), Medium, ClusterWide, Supported;
        "Level used when this broker compresses with lz4.";
    "compression.type": String = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), High, ClusterWide, Supported;
        "Codec in which records are stored; 'producer' keeps what the producer chose.";
    "compression.zstd.level": Int = "3", Between(-131_072, 22), Medium, ClusterWide, Supported;
        "Level used when this broker compresses with zstd.";
    "config.providers": List = "", LIST, Low, ClusterWide, Planned;
        "Names of plugins that resolve ${...} references in values.";
    "controlled.shutdown.enable": Boolean = "true", Any, Medium, ReadOnly, Planned;
        "Whether a stopping broker first hands its leaderships to others.";
    "controller.listener.names": List = "", LIST, High, ReadOnly, Supported;
        "Listeners on which controllers talk; they carry no client traffic.";
    "controller.performance.always.log.threshold.ms": Long = "2000", AtLeast(0), Medium, ReadOnly, Planned hidden;
        "Controller events that take longer than this are always logged.";
    "controller.performance.sample.period.ms": Long = "60000", AtLeast(100), Medium, ReadOnly, Planned hidden;
        "Period over which the controller summarises how long its events take.";
    "delete.topic.enable": Boolean = "true", Any, High, ReadOnly, Supported;
        "Whether topics may be deleted.";
    "early.start.listeners": List = null, LIST, High, ReadOnly, Planned;
        "Listeners that accept connections before authorization is ready.";
    "fetch.max.bytes": Int = "57671680", AtLeast(1024), Medium, ReadOnly, Supported;
        "Upper bound of the record bytes in one fetch response.";
    "initial.broker.registration.timeout.ms": Int = "60000", Any, Medium, ReadOnly, Planned;
        "Time within which a starting broker must register before it gives up.";
    "max.incremental.fetch.session.cache.slots": Int = "1000", AtLeast(0), Medium, ReadOnly, Supported;
        "Fetch sessions remembered at once; more clients fall back to full fetches.";
    "max.request.partition.size.limit": Int = "2000", AtLeast(1), Medium, ReadOnly, Supported;
        "Most partitions that one DescribeTopicPartitions answer may hold.";
    "message.max.bytes": Int = "1048588", AtLeast(0), High, ClusterWide, Supported;
        "Largest record batch, after compression, that is accepted.";
    "node.id": Int = "1", AtLeast(0), High, ReadOnly, Supported;
        "Number of this node, unique in the cluster.";
    "num.io.threads": Int = "8", AtLeast(1), High, ClusterWide, Planned;
        "Threads that handle requests; Ottla sizes its runtime to the machine instead.";
    "num.replica.alter.log.dirs.threads": Int = null, Any, High, ReadOnly, Supported;
        "Threads that move replicas between log directories.";
    "process.roles": List = "broker,controller", some_of(&["broker", "controller"]), High, ReadOnly, Supported;
        "What this process is: broker, controller, or both.";
    "request.timeout.ms": Int = "30000", Any, High, ReadOnly, Planned;
        "Time after which a request of this node to another counts as failed.";
    "sasl.mechanism.controller.protocol": String = "GSSAPI", Any, High, ReadOnly, Planned;
        "SASL mechanism for connections to controllers.";
    "server.max.startup.time.ms": Long = "9223372036854775807", AtLeast(0), Medium, ReadOnly, Planned hidden;
        "Longest time that starting may take.";
    "socket.connection.setup.timeout.max.ms": Long = "30000", Any, Medium, ReadOnly, Planned;
        "Longest wait for a connection to another node, after repeated failures.";
    "socket.connection.setup.timeout.ms": Long = "10000", Any, Medium, ReadOnly, Planned;
        "First wait for a connection to another node.";
    "unstable.api.versions.enable": Boolean = "false", Any, High, ReadOnly, Planned hidden;
        "Whether API versions still under development are served.";
    "unstable.feature.versions.enable": Boolean = "false", Any, High, ReadOnly, Planned hidden;
        "Whether feature versions still under development may be enabled.";
}

keys! { /// Keys of the cluster metadata log.
METADATA_LOG
    "internal.metadata.delete.delay.millis": Long = "60000", Any, Low, ReadOnly, Planned hidden;
        "Delay before deleted files of the metadata log are removed.";
    "internal.metadata.log.segment.bytes": Int = null, Any, Low, ReadOnly, Planned hidden;
        "Segment size of the metadata log without the lower bound; for tests.";
    "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Any, Low, ReadOnly, Planned hidden;
        "Largest batch that the controller appends to the metadata log.";
    "metadata.log.dir": String = null, Any, High, ReadOnly, Supported;
        "Directory of the cluster metadata log; the first log directory if unset.";
    "metadata.log.max.record.bytes.between.snapshots": Long = "20971520", AtLeast(1), High, ReadOnly, Supported;
        "Bytes of metadata records after which the next snapshot is written.";
    "metadata.log.max.snapshot.interval.ms": Long = "3600000", AtLeast(0), High, ReadOnly, Supported;
        "Time after which a metadata snapshot is written if anything changed; 0 disables it.";
    "metadata.log.segment.bytes": Int = "1073741824", AtLeast(8_388_608), High, ReadOnly, Supported;
        "Largest segment of the metadata log.";
    "metadata.log.segment.ms": Long = "604800000", Any, High, ReadOnly, Supported;
        "Time after which a segment of the metadata log is rolled.";
    "metadata.max.idle.interval.ms": Int = "500", AtLeast(0), Low, ReadOnly, Planned;
        "Period of the no-op records of an idle controller; 0 writes none.";
    "metadata.max.retention.bytes": Long = "104857600", Any, High, ReadOnly, Planned;
        "Size above which old metadata segments and snapshots are deleted.";
    "metadata.max.retention.ms": Long = "604800000", Any, High, ReadOnly, Planned;
        "Age above which old metadata segments and snapshots are deleted.";
}

keys! { /// Keys of the controller quorum.
QUORUM
    "controller.quorum.append.linger.ms": Int = "25", AtLeast(0), Medium, ReadOnly, Planned;
        "Time that the leading controller gathers writes before it flushes them.";
    "controller.quorum.auto.join.enable": Boolean = "false", Any, Low, ReadOnly, Planned;
        "Whether a controller adds itself to the voters.";
    "controller.quorum.bootstrap.servers": List = "", HostPorts, High, ReadOnly, Planned;
        "Addresses at which controllers are found, as host:port; optional on a node that is broker and controller.";
    "controller.quorum.election.backoff.max.ms": Int = "1000", AtLeast(0), High, ReadOnly, Planned;
        "Longest pause after an election without a winner.";
    "controller.quorum.election.timeout.ms": Int = "1000", AtLeast(0), High, ReadOnly, Planned;
        "Time without a leader's answer after which an election starts.";
    "controller.quorum.fetch.max.bytes": Int = "1048576", AtLeast(1), Low, ReadOnly, Planned;
        "Bytes per fetch of the metadata log.";
    "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576", AtLeast(1), Low, ReadOnly, Planned;
        "Bytes per fetch of a metadata snapshot.";
    "controller.quorum.fetch.timeout.ms": Int = "2000", AtLeast(0), High, ReadOnly, Planned;
        "Time without a successful fetch after which a follower stands for election, or a leader steps down.";
    "controller.quorum.request.timeout.ms": Int = "2000", AtLeast(0), Medium, ReadOnly, Planned;
        "Time after which a request among controllers counts as failed.";
    "controller.quorum.retry.backoff.ms": Int = "20", AtLeast(0), Low, ReadOnly, Planned;
        "Pause before a request among controllers is tried again.";
    "controller.quorum.voters": List = "", Voters, High, ReadOnly, Planned;
        "Fixed set of controllers, as id@host:port; optional on a node that is broker and controller.";
}
