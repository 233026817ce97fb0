//! The broker's clock, in milliseconds since 1970 as Kafka's timestamps are.
//!
//! The only place of this crate that reads the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy)]
pub struct Clock;

impl Clock {
    pub fn now_ms(self) -> i64 {
        // A clock set to before 1970 counts as 1970.
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
    }
}
