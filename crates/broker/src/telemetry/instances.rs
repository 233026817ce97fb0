//! The client instances that a broker remembers: when they last asked and pushed, bounded in number and in time.
//!
//! Invariant: at most `max` instances; each of `by_use` and `by_deadline` has every instance once.

use std::collections::{BTreeSet, HashMap};

use ottla_protocol::{ErrorCode, Uuid};
use ottla_records::Codec;

use super::{Granted, Push};

/// An instance that is silent for three of its intervals, but at least for this long, is forgotten.
const SILENCE_MIN_MS: i64 = 60_000;
const SILENT_INTERVALS_MAX: i64 = 3;

#[derive(Debug)]
pub struct Instance {
    pub granted: Granted,
    /// Of the subscriptions that `granted` comes from.
    version: u64,
    last_get_ms: Option<i64>,
    last_push_ms: Option<i64>,
    /// Has pushed for the last time.
    pub is_terminating: bool,
    /// What the last request was refused with.
    pub last_error: Option<ErrorCode>,
}

impl Instance {
    pub fn new(granted: Granted, version: u64) -> Self {
        Self {
            granted,
            version,
            last_get_ms: None,
            last_push_ms: None,
            is_terminating: false,
            last_error: None,
        }
    }

    /// The instance asks for its subscription.
    pub fn get(&mut self, now_ms: i64) -> Result<(), ErrorCode> {
        let is_due = self.is_due(self.last_get_ms.max(self.last_push_ms), now_ms);
        let was_sent_back = matches!(
            self.last_error,
            Some(ErrorCode::UnknownSubscriptionId | ErrorCode::UnsupportedCompressionType)
        );
        if is_due {
            self.last_get_ms = Some(now_ms);
        } else if !was_sent_back {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        self.last_error = None;
        Ok(())
    }

    /// The instance wants to push.
    pub fn push(&mut self, push: &Push, bytes_max: usize, now_ms: i64) -> Result<(), ErrorCode> {
        if self.is_terminating {
            return Err(ErrorCode::InvalidRequest);
        }
        // The first push after a subscription comes when the client's jitter says so.
        let is_first = self.last_get_ms > self.last_push_ms;
        if is_first || self.is_due(self.last_push_ms, now_ms) {
            self.last_push_ms = Some(now_ms);
        } else if !push.is_terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        if push.subscription_id != self.granted.subscription_id {
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        let codec = u8::try_from(push.codec).ok().and_then(Codec::from_id);
        if codec.is_none() {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        if push.bytes > bytes_max {
            return Err(ErrorCode::TelemetryTooLarge);
        }
        Ok(())
    }

    fn is_due(&self, last_ms: Option<i64>, now_ms: i64) -> bool {
        let interval_ms = i64::from(self.granted.push_interval_ms);
        last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= interval_ms)
    }

    fn deadline_ms(&self, now_ms: i64) -> i64 {
        let silence_ms = SILENT_INTERVALS_MAX * i64::from(self.granted.push_interval_ms);
        now_ms.saturating_add(silence_ms.max(SILENCE_MIN_MS))
    }
}

#[derive(Debug)]
struct Entry {
    instance: Instance,
    use_no: u64,
    deadline_ms: i64,
}

#[derive(Debug)]
pub struct Instances {
    max: usize,
    entries: HashMap<Uuid, Entry>,
    by_use: BTreeSet<(u64, Uuid)>,
    by_deadline: BTreeSet<(i64, Uuid)>,
    uses: u64,
}

impl Instances {
    pub fn new(max: usize) -> Self {
        Self {
            max,
            entries: HashMap::new(),
            by_use: BTreeSet::new(),
            by_deadline: BTreeSet::new(),
            uses: 0,
        }
    }

    /// Version of the subscriptions that a known instance was last matched with.
    pub fn version_of(&self, id: Uuid) -> Option<u64> {
        self.entries.get(&id).map(|entry| entry.instance.version)
    }

    pub fn peek(&mut self, id: Uuid) -> Option<&mut Instance> {
        self.entries.get_mut(&id).map(|entry| &mut entry.instance)
    }

    /// Adds an instance, or puts it in the place of the one with this id.
    pub fn put(&mut self, id: Uuid, instance: Instance) {
        self.remove(id);
        if self.entries.len() >= self.max
            && let Some(&(_, oldest)) = self.by_use.first()
        {
            self.remove(oldest);
        }
        let entry = Entry {
            instance,
            use_no: 0,
            deadline_ms: 0,
        };
        self.by_use.insert((entry.use_no, id));
        self.by_deadline.insert((entry.deadline_ms, id));
        self.entries.insert(id, entry);
    }

    /// The instance, which is in use at this moment.
    ///
    /// # Panics
    ///
    /// If it is not known.
    pub fn touch(&mut self, id: Uuid, now_ms: i64) -> &mut Instance {
        let entry = self.entries.get_mut(&id).expect("an instance that was put");
        self.by_use.remove(&(entry.use_no, id));
        self.by_deadline.remove(&(entry.deadline_ms, id));
        self.uses += 1;
        entry.use_no = self.uses;
        entry.deadline_ms = entry.instance.deadline_ms(now_ms);
        self.by_use.insert((entry.use_no, id));
        self.by_deadline.insert((entry.deadline_ms, id));
        &mut entry.instance
    }

    pub fn remove(&mut self, id: Uuid) {
        if let Some(entry) = self.entries.remove(&id) {
            self.by_use.remove(&(entry.use_no, id));
            self.by_deadline.remove(&(entry.deadline_ms, id));
        }
    }

    /// Forgets whoever has been silent for too long.
    pub fn expire(&mut self, now_ms: i64) {
        while let Some(&(deadline_ms, id)) = self.by_deadline.first()
            && deadline_ms <= now_ms
        {
            self.remove(id);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.by_use.len(), self.entries.len());
        assert_eq!(self.by_deadline.len(), self.entries.len());
        self.entries.len()
    }
}
