//! Keys of transactions and producer ids.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;

keys! { /// Keys of transactions and producer ids.
TRANSACTION
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", AtLeast(0), High, ReadOnly, Supported;
        "How long altogether a broker asks whether a partition may join a transaction.";
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", AtLeast(1), High, ReadOnly, Supported;
        "Pause before it asks again, while the transaction before is being ended.";
    "producer.id.expiration.check.interval.ms": Int = "600000", AtLeast(1), Low, ReadOnly, Supported hidden;
        "How often unused producer ids are looked for.";
    "producer.id.expiration.ms": Int = "86400000", AtLeast(1), Low, ClusterWide, Supported;
        "Time after which a partition forgets a producer id that wrote nothing.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", AtLeast(1), Low, ReadOnly, Supported;
        "How often transactions past their timeout are looked for and aborted.";
    "transaction.max.timeout.ms": Int = "900000", AtLeast(1), High, ReadOnly, Supported;
        "Largest transaction timeout that a producer may ask for.";
    "transaction.partition.verification.enable": Boolean = "true", Any, Low, ClusterWide, Supported;
        "Whether a transactional write is checked against the coordinator first.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000", AtLeast(1), Low, ReadOnly, Supported;
        "How often expired transactional ids are looked for.";
    "transaction.state.log.load.buffer.size": Int = "5242880", AtLeast(1), High, ReadOnly, Planned;
        "Bytes read at a time when a coordinator replays __transaction_state.";
    "transaction.state.log.min.isr": Int = "1", AtLeast(1), High, ReadOnly, Supported;
        "Replicas that must have a write to __transaction_state; 1 unless set, to go with its replication factor (Kafka's default is 2).";
    "transaction.state.log.num.partitions": Int = "50", AtLeast(1), High, ReadOnly, Supported;
        "Partitions of __transaction_state; fixed once the topic exists.";
    "transaction.state.log.replication.factor": Short = "1", AtLeast(1), High, ReadOnly, Supported;
        "Replicas of __transaction_state; 1 unless set, so that one broker suffices (Kafka's default is 3).";
    "transaction.state.log.segment.bytes": Int = "104857600", AtLeast(1), High, ReadOnly, Supported;
        "Segment size of __transaction_state.";
    "transaction.two.phase.commit.enable": Boolean = "false", Any, Low, ReadOnly, Supported;
        "Whether producers may ask for transactions without a timeout, for an outer two-phase commit.";
    "transactional.id.expiration.ms": Int = "604800000", AtLeast(1), High, ReadOnly, Supported;
        "Time after which an unused transactional id is forgotten.";
}
