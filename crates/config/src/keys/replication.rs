//! Keys of replication and leader election.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;

keys! { /// Keys of replication and leader election.
REPLICATION
    "auto.leader.rebalance.enable": Boolean = "true", Any, High, ReadOnly, Planned;
        "Whether leadership is moved back to preferred replicas by itself.";
    "controller.socket.timeout.ms": Int = "30000", Any, Medium, ReadOnly, Planned;
        "Socket timeout of connections from controller to broker.";
    "default.replication.factor": Int = "1", Any, Medium, ReadOnly, Supported;
        "Replicas of a topic that is created without a count.";
    "delete.records.purgatory.purge.interval.requests": Int = "1", Any, Medium, ReadOnly, Planned;
        "Completed DeleteRecords after which waiting ones are swept; Ottla has no sweep.";
    "fetch.purgatory.purge.interval.requests": Int = "1000", Any, Medium, ReadOnly, Planned;
        "Completed fetches after which waiting ones are swept; Ottla has no sweep.";
    "follower.fetch.last.tiered.offset.enable": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether an empty follower starts at the last tiered offset instead of the log start.";
    "inter.broker.listener.name": String = null, Any, Medium, ReadOnly, Supported;
        "Listener that brokers use among themselves.";
    "leader.imbalance.check.interval.seconds": Long = "300", AtLeast(1), High, ReadOnly, Planned;
        "How often leader balance is checked.";
    "num.replica.fetchers": Int = "1", AtLeast(1), High, ClusterWide, Planned;
        "Connections per source broker over which a follower replicates.";
    "producer.purgatory.purge.interval.requests": Int = "1000", Any, Medium, ReadOnly, Planned;
        "Completed produces after which waiting ones are swept; Ottla has no sweep.";
    "replica.fetch.backoff.ms": Int = "1000", AtLeast(0), Medium, ReadOnly, Planned;
        "Pause of a follower after a failed fetch.";
    "replica.fetch.max.bytes": Int = "1048576", AtLeast(0), Medium, ReadOnly, Planned;
        "Bytes that a follower asks for per partition.";
    "replica.fetch.min.bytes": Int = "1", Any, High, ReadOnly, Planned;
        "Bytes that a follower's fetch waits for.";
    "replica.fetch.response.max.bytes": Int = "10485760", AtLeast(0), Medium, ReadOnly, Planned;
        "Bytes that a follower asks for per fetch.";
    "replica.fetch.wait.max.ms": Int = "500", Any, High, ReadOnly, Planned;
        "Longest time that a follower's fetch waits for data.";
    "replica.high.watermark.checkpoint.interval.ms": Long = "5000", Any, High, ReadOnly, Supported;
        "How often high watermarks are saved to disk.";
    "replica.lag.time.max.ms": Long = "30000", Any, High, ReadOnly, Planned;
        "Time after which a follower that did not catch up leaves the in-sync set.";
    "replica.selector.class": String = null, Any, Medium, ReadOnly, Planned;
        "Java class that picks the replica a consumer reads from.";
    "replica.socket.receive.buffer.bytes": Int = "65536", Any, High, ReadOnly, Planned;
        "Receive buffer of connections to leaders.";
    "replica.socket.timeout.ms": Int = "30000", Any, High, ReadOnly, Planned;
        "Socket timeout of connections to leaders.";
    "security.inter.broker.protocol": String = "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Medium, ReadOnly, Supported;
        "Security protocol among brokers; prefer inter.broker.listener.name.";
    "unclean.leader.election.enable": Boolean = "false", Any, High, ClusterWide, Planned;
        "Whether a replica out of sync may lead when no other is left, at the price of lost data.";
    "unclean.leader.election.interval.ms": Long = "300000", AtLeast(1), Medium, ReadOnly, Planned hidden;
        "How often partitions without a leader are checked for unclean election.";
}
