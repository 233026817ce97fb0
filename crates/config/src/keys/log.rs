//! Keys of the log: directories, segments, flushing, retention, cleaning.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;
use crate::key::{LIST, NON_EMPTY_LIST, list_of};

keys! { /// Keys of directories, segments, flushing and retention.
LOG
    "alter.config.policy.class.name": Class = null, Any, Low, ReadOnly, Planned;
        "Java class that may veto configuration changes.";
    "auto.create.topics.enable": Boolean = "true", Any, High, ReadOnly, Supported;
        "Whether asking for an unknown topic creates it.";
    "cordoned.log.dirs": List = "", LIST, Medium, PerBroker, Planned;
        "Log directories that take no new replicas; * means all.";
    "create.topic.policy.class.name": Class = null, Any, Low, ReadOnly, Planned;
        "Java class that may veto new topics.";
    "log.cleanup.policy": List = "delete", list_of(&["compact", "delete"]), Medium, ClusterWide, Supported;
        "What happens to old data: delete it, compact it by key, or both.";
    "log.dir": List = "./ottla-data", NON_EMPTY_LIST, High, ReadOnly, Supported;
        "Log directory, used where log.dirs is unset.";
    "log.dir.failure.timeout.ms": Long = "30000", AtLeast(1), Low, ReadOnly, Planned;
        "Time within which a failed directory must be reported before the broker stops.";
    "log.dirs": List = null, NON_EMPTY_LIST, High, ReadOnly, Supported;
        "Directories in which partitions are stored, separated by commas.";
    "log.flush.interval.bytes": Long = "104857600", AtLeast(1), High, ClusterWide, Supported;
        "Unflushed bytes of a partition after which it is flushed in the background; Ottla's own key.";
    "log.flush.interval.messages": Long = "9223372036854775807", AtLeast(1), High, ClusterWide, Supported;
        "Unflushed records of a partition after which it is flushed before the answer leaves.";
    "log.flush.interval.ms": Long = "10000", Any, High, ClusterWide, Supported;
        "Time after which unflushed data is flushed in the background; 10 s here, so that recovery stays short.";
    "log.flush.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), High, ReadOnly, Supported;
        "How often recovery points are saved.";
    "log.flush.scheduler.interval.ms": Long = "9223372036854775807", Any, High, ReadOnly, Supported;
        "Flush interval used where log.flush.interval.ms is empty.";
    "log.flush.start.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), High, ReadOnly, Supported;
        "How often log start offsets are saved.";
    "log.index.interval.bytes": Int = "4096", AtLeast(0), Medium, ClusterWide, Supported;
        "Bytes of records between two index entries.";
    "log.index.size.max.bytes": Int = "10485760", AtLeast(4), Medium, ClusterWide, Supported;
        "Largest offset index of a segment.";
    "log.initial.task.delay.ms": Long = "30000", AtLeast(0), Low, ReadOnly, Planned hidden;
        "Delay before the first round of background work on logs.";
    "log.message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), Medium, ClusterWide, Supported;
        "How far a record's time may lie ahead of the broker's clock.";
    "log.message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), Medium, ClusterWide, Supported;
        "How far a record's time may lie behind the broker's clock.";
    "log.message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Supported;
        "Whether a record carries the producer's time or the time of its append.";
    "log.preallocate": Boolean = "false", Any, Medium, ClusterWide, Planned;
        "Whether segment files are allocated whole when they are created.";
    "log.retention.bytes": Long = "-1", Any, High, ClusterWide, Supported;
        "Size of a partition above which old segments are deleted; -1 means no limit.";
    "log.retention.check.interval.ms": Long = "300000", AtLeast(1), Medium, ReadOnly, Supported;
        "How often segments are checked for deletion.";
    "log.retention.hours": Int = "168", Any, High, ReadOnly, Supported;
        "Age in hours after which segments are deleted; minutes and ms win over it.";
    "log.retention.minutes": Int = null, Any, High, ReadOnly, Supported;
        "Age in minutes after which segments are deleted; ms wins over it.";
    "log.retention.ms": Long = null, Any, High, ClusterWide, Supported;
        "Age in milliseconds after which segments are deleted; -1 means no limit.";
    "log.roll.hours": Int = "168", AtLeast(1), High, ReadOnly, Supported;
        "Age in hours after which a segment is rolled; ms wins over it.";
    "log.roll.jitter.hours": Int = "0", AtLeast(0), High, ReadOnly, Supported;
        "Largest random cut of the roll time, in hours; ms wins over it.";
    "log.roll.jitter.ms": Long = null, Any, High, ClusterWide, Supported;
        "Largest random cut of the roll time, in milliseconds.";
    "log.roll.ms": Long = null, Any, High, ClusterWide, Supported;
        "Age in milliseconds after which a segment is rolled.";
    "log.segment.bytes": Int = "1073741824", AtLeast(1_048_576), High, ClusterWide, Supported;
        "Largest segment file.";
    "log.segment.delete.delay.ms": Long = "60000", AtLeast(0), High, ClusterWide, Supported;
        "Time between taking a segment out of the log and removing its files.";
    "min.insync.replicas": Int = "1", AtLeast(1), High, ClusterWide, Supported;
        "Replicas that must have a record before acks=all is answered.";
    "num.partitions": Int = "1", AtLeast(1), Medium, ReadOnly, Supported;
        "Partitions of a topic that is created without a count.";
    "num.recovery.threads.per.data.dir": Int = "2", AtLeast(1), High, ClusterWide, Supported;
        "Threads per log directory that recover logs at start and flush them at stop.";
}

keys! { /// Keys of the cleaner of compacted topics.
CLEANER
    "log.cleaner.backoff.ms": Long = "15000", AtLeast(0), Medium, ClusterWide, Supported;
        "Pause of the cleaner when no log needs cleaning.";
    "log.cleaner.dedupe.buffer.size": Long = "134217728", Any, Medium, ClusterWide, Supported;
        "Memory of all cleaner threads for tracking keys.";
    "log.cleaner.delete.retention.ms": Long = "86400000", AtLeast(0), Medium, ClusterWide, Supported;
        "Time that tombstones survive in compacted topics.";
    "log.cleaner.enable": Boolean = "true", Any, Medium, ReadOnly, Supported;
        "Whether compacted topics are cleaned; deprecated, leave it on.";
    "log.cleaner.io.buffer.load.factor": Double = "0.9", Any, Medium, ClusterWide, Supported;
        "How full the cleaner's table of keys may get.";
    "log.cleaner.io.buffer.size": Int = "524288", AtLeast(0), Medium, ClusterWide, Supported;
        "Memory of all cleaner threads for reading and writing.";
    "log.cleaner.io.max.bytes.per.second": Double = "1.7976931348623157E308", Any, Medium, ClusterWide, Supported;
        "Upper bound of the cleaner's reads and writes together.";
    "log.cleaner.max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), Medium, ClusterWide, Supported;
        "Longest time that a record may stay uncompacted.";
    "log.cleaner.min.cleanable.ratio": Double = "0.5", BetweenF64(0.0, 1.0), Medium, ClusterWide, Supported;
        "Share of uncleaned bytes from which a log is worth cleaning.";
    "log.cleaner.min.compaction.lag.ms": Long = "0", AtLeast(0), Medium, ClusterWide, Supported;
        "Shortest time that a record stays uncompacted.";
    "log.cleaner.threads": Int = "1", AtLeast(0), Medium, ClusterWide, Supported;
        "Threads that clean compacted topics.";
}
