//! Keys that belong to topics, groups and client metrics subscriptions rather than to a broker.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;
use crate::key::{LIST, list_of};

keys! { /// Keys of a topic.
TOPIC
    "cleanup.policy": List = "delete", list_of(&["compact", "delete"]), Medium, ClusterWide, Supported;
        "What happens to old data: delete it, compact it by key, both, or neither.";
    "compression.gzip.level": Int = "-1", GzipLevel, Medium, ClusterWide, Supported;
        "Level used when the broker compresses with gzip; -1 is the codec's own choice.";
    "compression.lz4.level": Int = "9", Between(1, 17), Medium, ClusterWide, Supported;
        "Level used when the broker compresses with lz4.";
    "compression.type": String = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Medium, ClusterWide, Supported;
        "Codec in which records are stored; 'producer' keeps what the producer chose.";
    "compression.zstd.level": Int = "3", Between(-131_072, 22), Medium, ClusterWide, Supported;
        "Level used when the broker compresses with zstd.";
    "delete.retention.ms": Long = "86400000", AtLeast(0), Medium, ClusterWide, Supported;
        "Time that tombstones survive compaction, so that readers see the deletion.";
    "file.delete.delay.ms": Long = "60000", AtLeast(0), Medium, ClusterWide, Supported;
        "Time between taking a segment out of the log and removing its files.";
    "flush.messages": Long = "9223372036854775807", AtLeast(1), Medium, ClusterWide, Supported;
        "Unflushed records after which the log is flushed before the answer leaves; 1 makes every write durable.";
    "flush.ms": Long = "10000", AtLeast(0), Medium, ClusterWide, Supported;
        "Time after which unflushed data is flushed in the background.";
    "follower.replication.throttled.replicas": List = "", ThrottledReplicas, Medium, ClusterWide, Planned;
        "Follower replicas under the replication quota, as partition:broker pairs, or * for all.";
    "index.interval.bytes": Int = "4096", AtLeast(0), Medium, ClusterWide, Supported;
        "Bytes of records between two index entries.";
    "internal.segment.bytes": Int = null, Any, Medium, ClusterWide, Supported hidden;
        "Segment size without the lower bound; for tests.";
    "leader.replication.throttled.replicas": List = "", ThrottledReplicas, Medium, ClusterWide, Planned;
        "Leader replicas under the replication quota, as partition:broker pairs, or * for all.";
    "local.retention.bytes": Long = "-2", AtLeast(-2), Medium, ClusterWide, Planned;
        "Bytes kept on local disk of a tiered topic; -2 follows retention.bytes.";
    "local.retention.ms": Long = "-2", AtLeast(-2), Medium, ClusterWide, Planned;
        "Time that segments of a tiered topic stay on local disk; -2 follows retention.ms.";
    "max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), Medium, ClusterWide, Supported;
        "Longest time that a record may stay uncompacted.";
    "max.message.bytes": Int = "1048588", AtLeast(0), Medium, ClusterWide, Supported;
        "Largest record batch, after compression, that the topic accepts.";
    "message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), Medium, ClusterWide, Supported;
        "How far a record's time may lie ahead of the broker's clock.";
    "message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), Medium, ClusterWide, Supported;
        "How far a record's time may lie behind the broker's clock.";
    "message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Supported;
        "Whether a record carries the producer's time or the time of its append.";
    "min.cleanable.dirty.ratio": Double = "0.5", BetweenF64(0.0, 1.0), Medium, ClusterWide, Supported;
        "Share of uncleaned bytes from which the log is worth cleaning.";
    "min.compaction.lag.ms": Long = "0", AtLeast(0), Medium, ClusterWide, Supported;
        "Shortest time that a record stays uncompacted.";
    "min.insync.replicas": Int = "1", AtLeast(1), Medium, ClusterWide, Supported;
        "Replicas that must have a record before acks=all is answered.";
    "preallocate": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether segment files are allocated whole when they are created.";
    "remote.log.copy.disable": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether a tiered topic stops uploading and only reads what is remote.";
    "remote.log.delete.on.disable": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether turning tiering off deletes the remote data.";
    "remote.storage.enable": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether old segments of this topic go to remote storage.";
    "retention.bytes": Long = "-1", Any, Medium, ClusterWide, Supported;
        "Size of a partition above which old segments are deleted; -1 means no limit.";
    "retention.ms": Long = "604800000", AtLeast(-1), Medium, ClusterWide, Supported;
        "Age after which segments are deleted; -1 means no limit.";
    "segment.bytes": Int = "1073741824", AtLeast(1_048_576), Medium, ClusterWide, Supported;
        "Largest segment file.";
    "segment.index.bytes": Int = "10485760", AtLeast(4), Medium, ClusterWide, Supported;
        "Largest offset index of a segment.";
    "segment.jitter.ms": Long = "0", AtLeast(0), Medium, ClusterWide, Supported;
        "Largest random cut of the roll time, so that segments do not roll all at once.";
    "segment.ms": Long = "604800000", AtLeast(1), Medium, ClusterWide, Supported;
        "Age after which a segment is rolled even if it is not full.";
    "unclean.leader.election.enable": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether a replica out of sync may lead when no other is left, at the price of lost data.";
}

keys! { /// Keys of a group.
GROUP_RESOURCE
    "consumer.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, ClusterWide, Supported;
        "Shortest time between two assignments of this group.";
    "consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ClusterWide, Supported;
        "Heartbeat interval told to members of this consumer group.";
    "consumer.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ClusterWide, Supported;
        "Time without a heartbeat after which a member of this consumer group is removed.";
    "share.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, ClusterWide, Planned;
        "Shortest time between two assignments of this share group.";
    "share.auto.offset.reset": String = "latest", ShareOffsetReset, Medium, ClusterWide, Planned;
        "Where a share group without a position starts: earliest, latest or by_duration:PnDTnHnMn.nS.";
    "share.delivery.count.limit": Int = "5", AtLeast(2), Medium, ClusterWide, Planned;
        "Times that a record is handed out before it is given up.";
    "share.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ClusterWide, Planned;
        "Heartbeat interval told to members of this share group.";
    "share.isolation.level": String = "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), Medium, ClusterWide, Planned;
        "Whether a share group sees records of open and aborted transactions.";
    "share.partition.max.record.locks": Int = "2000", AtLeast(100), Medium, ClusterWide, Planned;
        "Records of a share partition that may be locked at once.";
    "share.record.lock.duration.ms": Int = "30000", AtLeast(1000), Medium, ClusterWide, Planned;
        "Time that a record stays locked to the consumer that got it.";
    "share.renew.acknowledge.enable": Boolean = "true", Any, Medium, ClusterWide, Planned;
        "Whether consumers of this share group may renew their locks.";
    "share.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ClusterWide, Planned;
        "Time without a heartbeat after which a member of this share group is removed.";
    "streams.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, ClusterWide, Planned;
        "Shortest time between two assignments of this streams group.";
    "streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ClusterWide, Planned;
        "Heartbeat interval told to members of this streams group.";
    "streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), Medium, ClusterWide, Planned;
        "Time that this streams group, when empty, waits for more members.";
    "streams.num.standby.replicas": Int = "0", AtLeast(0), Medium, ClusterWide, Planned;
        "Standby replicas of each task of this streams group.";
    "streams.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ClusterWide, Planned;
        "Time without a heartbeat after which a member of this streams group is removed.";
}

keys! { /// Keys of a client metrics subscription.
CLIENT_METRICS
    "interval.ms": Int = "300000", Any, Medium, ClusterWide, Supported;
        "Time between two pushes of metrics by a client, 100 ms to 1 hour.";
    "match": List = "", LIST, Medium, ClusterWide, Supported;
        "Which clients the subscription is for, as name=pattern pairs; empty means all.";
    "metrics": List = "", LIST, Medium, ClusterWide, Supported;
        "Prefixes of the metrics that are asked for; * means all.";
}
