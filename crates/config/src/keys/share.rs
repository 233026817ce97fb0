//! Keys of share groups and of their coordinator.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;

keys! { /// Keys of share groups and of their coordinator.
SHARE
    "group.share.delivery.count.limit": Int = "5", Between(2, 10), Medium, ReadOnly, Planned;
        "Times that a record is handed out in a share group before it is given up.";
    "group.share.max.delivery.count.limit": Int = "10", Between(5, 25), Medium, ReadOnly, Planned;
        "Largest delivery limit that a share group may configure.";
    "group.share.max.partition.max.record.locks": Int = "4000", Between(2000, 10_000), Medium, ReadOnly, Planned;
        "Largest number of locked records per partition that a share group may configure.";
    "group.share.max.record.lock.duration.ms": Int = "60000", Between(30_000, 3_600_000), Medium, ReadOnly, Planned;
        "Longest lock that a share group may configure.";
    "group.share.max.share.sessions": Int = "2000", AtLeast(1), Medium, ReadOnly, Planned;
        "Share sessions held at once.";
    "group.share.min.delivery.count.limit": Int = "2", Between(2, 5), Medium, ReadOnly, Planned;
        "Smallest delivery limit that a share group may configure.";
    "group.share.min.partition.max.record.locks": Int = "100", Between(100, 2000), Medium, ReadOnly, Planned;
        "Smallest number of locked records per partition that a share group may configure.";
    "group.share.min.record.lock.duration.ms": Int = "15000", Between(1000, 30_000), Medium, ReadOnly, Planned;
        "Shortest lock that a share group may configure.";
    "group.share.partition.max.record.locks": Int = "2000", Between(100, 10_000), Medium, ReadOnly, Planned;
        "Records of a share partition that may be locked at once.";
    "group.share.persister.class.name": String = "org.apache.kafka.server.share.persister.DefaultStatePersister", Any, Medium, ReadOnly, Planned hidden;
        "Java class that stores the state of share groups.";
    "group.share.record.lock.duration.ms": Int = "30000", Between(1000, 3_600_000), Medium, ReadOnly, Planned;
        "Time that a record stays locked to the share consumer that got it.";
    "share.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), Medium, ReadOnly, Planned;
        "Time that the share coordinator gathers writes; -1 adapts to the load.";
    "share.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524_288), Medium, ClusterWide, Planned;
        "Largest write buffer that the share coordinator keeps for reuse.";
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000", AtLeast(1), Low, ReadOnly, Planned hidden;
        "How often share partitions without traffic are snapshotted.";
    "share.coordinator.load.buffer.size": Int = "5242880", AtLeast(1), High, ReadOnly, Planned;
        "Bytes read at a time when a coordinator replays __share_group_state.";
    "share.coordinator.snapshot.update.records.per.snapshot": Int = "500", Between(0, 500), Medium, ReadOnly, Planned;
        "Updates between two snapshots of a share partition.";
    "share.coordinator.state.topic.compression.codec": Int = "0", Any, High, ReadOnly, Planned;
        "Codec of __share_group_state by its number; 0 stores plain.";
    "share.coordinator.state.topic.min.isr": Short = "1", AtLeast(1), High, ReadOnly, Planned;
        "Replicas that must have a write to __share_group_state.";
    "share.coordinator.state.topic.num.partitions": Int = "50", AtLeast(1), High, ReadOnly, Planned;
        "Partitions of __share_group_state; fixed once the topic exists.";
    "share.coordinator.state.topic.prune.interval.ms": Int = "300000", AtLeast(1), Low, ReadOnly, Planned hidden;
        "How often old records of __share_group_state are deleted.";
    "share.coordinator.state.topic.replication.factor": Short = "1", AtLeast(1), High, ReadOnly, Planned;
        "Replicas of __share_group_state; 1 unless set, so that one broker suffices (Kafka's default is 3).";
    "share.coordinator.state.topic.segment.bytes": Int = "104857600", AtLeast(1), High, ReadOnly, Planned;
        "Segment size of __share_group_state.";
    "share.coordinator.threads": Int = "1", AtLeast(1), Medium, ReadOnly, Planned;
        "Threads of the share coordinator.";
    "share.coordinator.write.timeout.ms": Int = "5000", AtLeast(1), High, ReadOnly, Planned;
        "Longest time that a write of the share coordinator waits for replication.";
    "share.fetch.purgatory.purge.interval.requests": Int = "1000", Any, Medium, ReadOnly, Planned;
        "Completed share fetches after which waiting ones are swept; Ottla has no sweep.";
}
