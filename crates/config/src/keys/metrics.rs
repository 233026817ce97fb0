//! Keys of metrics, client telemetry and quotas.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;
use crate::key::LIST;

keys! { /// Keys of metrics and client telemetry.
METRICS
    "kafka.metrics.polling.interval.secs": Int = "10", AtLeast(1), Low, ReadOnly, Planned;
        "How often the reporters of kafka.metrics.reporters poll.";
    "kafka.metrics.reporters": List = "", LIST, Low, ReadOnly, Planned;
        "Java classes that report the older kind of metrics.";
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", LIST, Low, ClusterWide, Planned;
        "Java classes that report metrics.";
    "metrics.num.samples": Int = "2", AtLeast(1), Low, ReadOnly, Planned;
        "Samples kept per metric.";
    "metrics.recording.level": String = "INFO", Any, Low, ReadOnly, Planned;
        "Most detailed level of metrics that are recorded.";
    "metrics.sample.window.ms": Long = "30000", AtLeast(1), Low, ReadOnly, Planned;
        "Length of one sample of a metric.";
    "telemetry.max.bytes": Int = "1048576", AtLeast(1), Low, ReadOnly, Supported;
        "Largest batch of metrics that a client may push.";
}

keys! { /// Keys of quotas.
QUOTA
    "alter.log.dirs.replication.quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, Planned;
        "Samples kept to measure moves between log directories.";
    "alter.log.dirs.replication.quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, Planned;
        "Length of one sample of moves between log directories.";
    "client.quota.callback.class": Class = null, Any, Low, ReadOnly, Planned;
        "Java class that decides client quotas.";
    "controller.quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, Planned;
        "Samples kept to measure the rate of topic changes.";
    "controller.quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, Planned;
        "Length of one sample of the rate of topic changes.";
    "quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, Planned;
        "Samples kept to measure client quotas.";
    "quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, Planned;
        "Length of one sample of client quotas.";
    "replication.quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, Planned;
        "Samples kept to measure throttled replication.";
    "replication.quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, Planned;
        "Length of one sample of throttled replication.";
}

keys! { /// Rates that can only be set while the broker runs.
DYNAMIC_QUOTA
    "follower.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0), Medium, ClusterWide, Planned;
        "Bytes per second that throttled follower replicas may take in; only set dynamically.";
    "leader.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0), Medium, ClusterWide, Planned;
        "Bytes per second that throttled leader replicas may give out; only set dynamically.";
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807", AtLeast(0), Medium, ClusterWide, Supported;
        "Bytes per second that moves between log directories may use; only set dynamically.";
}
