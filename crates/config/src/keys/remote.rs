//! Keys of tiered storage.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;

keys! { /// Keys of tiered storage.
REMOTE
    "log.local.retention.bytes": Long = "-2", AtLeast(-2), Medium, ClusterWide, Planned;
        "Bytes of a tiered partition kept on local disk; -2 follows log.retention.bytes.";
    "log.local.retention.ms": Long = "-2", AtLeast(-2), Medium, ClusterWide, Planned;
        "Time that a tiered segment stays on local disk; -2 follows log.retention.ms.";
    "remote.fetch.max.wait.ms": Int = "500", AtLeast(1), Medium, ClusterWide, Planned;
        "Longest time that a fetch waits for data from remote storage.";
    "remote.list.offsets.request.timeout.ms": Long = "30000", AtLeast(1), Medium, ClusterWide, Planned;
        "Longest time that an offset look-up may spend in remote storage.";
    "remote.log.index.file.cache.total.size.bytes": Long = "1073741824", AtLeast(1), Low, ClusterWide, Planned;
        "Disk space for index files fetched from remote storage.";
    "remote.log.index.file.cache.ttl.ms": Long = "900000", AtLeast(-1), Low, ReadOnly, Planned hidden;
        "Idle time after which a cached remote index is dropped; -1 keeps it.";
    "remote.log.manager.copier.thread.pool.size": Int = "10", AtLeast(1), Medium, ClusterWide, Planned;
        "Workers that copy segments to remote storage.";
    "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1), Medium, ClusterWide, Planned;
        "Upper bound of the rate at which segments are uploaded.";
    "remote.log.manager.copy.quota.window.num": Int = "11", AtLeast(1), Medium, ReadOnly, Planned;
        "Samples kept to measure the upload rate.";
    "remote.log.manager.copy.quota.window.size.seconds": Int = "1", AtLeast(1), Medium, ReadOnly, Planned;
        "Length of one sample of the upload rate.";
    "remote.log.manager.expiration.thread.pool.size": Int = "10", AtLeast(1), Medium, ClusterWide, Planned;
        "Workers that delete expired remote segments.";
    "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1), Medium, ClusterWide, Planned;
        "Upper bound of the rate at which remote data is read.";
    "remote.log.manager.fetch.quota.window.num": Int = "11", AtLeast(1), Medium, ReadOnly, Planned;
        "Samples kept to measure the remote read rate.";
    "remote.log.manager.fetch.quota.window.size.seconds": Int = "1", AtLeast(1), Medium, ReadOnly, Planned;
        "Length of one sample of the remote read rate.";
    "remote.log.manager.follower.thread.pool.size": Int = "2", AtLeast(1), Medium, ClusterWide, Planned;
        "Workers for the tiering tasks of follower replicas.";
    "remote.log.manager.task.interval.ms": Long = "30000", AtLeast(1), Low, ReadOnly, Planned;
        "Pause between two rounds of copying, expiring and cleaning remote segments.";
    "remote.log.manager.task.retry.backoff.max.ms": Long = "30000", AtLeast(1), Low, ReadOnly, Planned hidden;
        "Longest pause before a failed tiering task is tried again.";
    "remote.log.manager.task.retry.backoff.ms": Long = "500", AtLeast(1), Low, ReadOnly, Planned hidden;
        "First pause before a failed tiering task is tried again.";
    "remote.log.manager.task.retry.jitter": Double = "0.2", BetweenF64(0.0, 0.5), Low, ReadOnly, Planned hidden;
        "Random share added to or taken from the retry pause of tiering tasks.";
    "remote.log.manager.thread.pool.size": Int = "2", AtLeast(1), Medium, ReadOnly, Planned;
        "Workers that plan tiering tasks; deprecated in favour of the pools per task.";
    "remote.log.metadata.custom.metadata.max.bytes": Int = "128", AtLeast(0), Low, ReadOnly, Planned;
        "Largest custom metadata that a remote storage plugin may attach to a segment.";
    "remote.log.metadata.manager.class.name": String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty, Medium, ReadOnly, Planned;
        "Java class that keeps the metadata of remote segments.";
    "remote.log.metadata.manager.class.path": String = null, Any, Medium, ReadOnly, Planned;
        "Class path of the remote metadata plugin.";
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", NonEmpty, Medium, ReadOnly, Planned;
        "Prefix of the keys that are passed to the remote metadata plugin.";
    "remote.log.metadata.manager.listener.name": String = null, NonEmpty, Medium, ReadOnly, Planned;
        "Listener through which the remote metadata plugin reaches this broker.";
    "remote.log.reader.max.pending.tasks": Int = "100", AtLeast(1), Medium, ReadOnly, Planned;
        "Remote reads that may wait in the queue before fetches are refused.";
    "remote.log.reader.threads": Int = "10", AtLeast(1), Medium, ClusterWide, Planned;
        "Workers that read from remote storage.";
    "remote.log.storage.manager.class.name": String = null, NonEmpty, Medium, ReadOnly, Planned;
        "Java class that stores remote segments.";
    "remote.log.storage.manager.class.path": String = null, Any, Medium, ReadOnly, Planned;
        "Class path of the remote storage plugin.";
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.", NonEmpty, Medium, ReadOnly, Planned;
        "Prefix of the keys that are passed to the remote storage plugin.";
    "remote.log.storage.system.enable": Boolean = "false", Any, Medium, ReadOnly, Planned;
        "Whether topics may keep old segments in remote storage.";
}
