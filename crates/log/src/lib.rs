//! One partition replica's log on disk: segments, indexes, producer state, recovery, retention.
