//! The broker's clock, in milliseconds since 1970 as Kafka's timestamps are.
//!
//! The only place of this crate that reads the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock; clones of one manual clock move together.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// A test's own time, if it has one.
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    pub fn system() -> Self {
        Self::default()
    }

    pub fn manual(now_ms: Arc<AtomicI64>) -> Self {
        Self { manual: Some(now_ms) }
    }

    pub fn now_ms(&self) -> i64 {
        if let Some(manual) = &self.manual {
            return manual.load(Ordering::SeqCst);
        }
        // A clock set to before 1970 counts as 1970.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
    }
}
