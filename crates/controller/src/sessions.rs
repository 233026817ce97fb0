//! What the controller knows of brokers beyond the log: when each was heard from, and how far it is.
//!
//! Invariant: a broker that is not fenced has a time of last contact; losing all of this costs
//! brokers nothing but a fresh session.
//! Used by the commands of brokers, and by the fencing of those that fell silent.

use std::collections::BTreeMap;

use ottla_metadata::MetadataImage;
use ottla_protocol::metadata_records::MetadataRecord;

#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    brokers: BTreeMap<i32, Session>,
    timeout_ms: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The incarnation that made contact, by its epoch.
    epoch: i64,
    last_contact_ms: Option<i64>,
    /// How far the broker has applied the metadata log.
    metadata_offset: i64,
    /// Once all active brokers have applied this offset, a broker in controlled shutdown may go.
    shutdown_offset: Option<i64>,
    /// Where the broker's registration stands in the log.
    registration_offset: i64,
}

impl Sessions {
    pub(crate) fn of(image: &MetadataImage, timeout_ms: i64, now_ms: i64) -> Sessions {
        let session = |id: &i32, fenced: bool, epoch: i64| {
            let session = Session {
                epoch,
                last_contact_ms: (!fenced).then_some(now_ms),
                metadata_offset: -1,
                shutdown_offset: None,
                registration_offset: epoch,
            };
            (*id, session)
        };
        let brokers = image
            .brokers
            .iter()
            .map(|(id, b)| session(id, b.fenced, b.epoch))
            .collect();
        Sessions {
            brokers,
            timeout_ms,
        }
    }

    /// Follows registrations that were replayed.
    pub(crate) fn on_records(
        &mut self,
        records: &[MetadataRecord],
        base_offset: i64,
        image: &MetadataImage,
    ) {
        for (record, offset) in records.iter().zip(base_offset..) {
            match record {
                MetadataRecord::RegisterBroker(r) => {
                    let session = self
                        .brokers
                        .entry(r.broker_id)
                        .or_insert_with(|| Session::new(r.broker_epoch));
                    if session.epoch != r.broker_epoch {
                        *session = Session::new(r.broker_epoch);
                    }
                    session.registration_offset = offset;
                }
                MetadataRecord::UnregisterBroker(r) => {
                    self.brokers.remove(&r.broker_id);
                }
                _ => {}
            }
        }
        debug_assert!(
            self.brokers.keys().all(|id| image.broker(*id).is_some()),
            "sessions are of registered brokers"
        );
    }

    pub(crate) fn contact(&mut self, broker: i32, epoch: i64, metadata_offset: i64, now_ms: i64) {
        let session = self
            .brokers
            .entry(broker)
            .or_insert_with(|| Session::new(epoch));
        session.epoch = epoch;
        session.last_contact_ms = Some(now_ms);
        session.metadata_offset = metadata_offset;
    }

    /// A new incarnation starts without the contact of the old one.
    pub(crate) fn forget_contact(&mut self, broker: i32) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.last_contact_ms = None;
            session.shutdown_offset = None;
        }
    }

    pub(crate) fn is_valid(&self, broker: i32, epoch: i64, now_ms: i64) -> bool {
        let session = self.brokers.get(&broker).filter(|s| s.epoch == epoch);
        session
            .and_then(|s| s.last_contact_ms)
            .is_some_and(|at| now_ms.saturating_sub(at) < self.timeout_ms)
    }

    pub(crate) fn registration_offset(&self, broker: i32) -> i64 {
        self.brokers
            .get(&broker)
            .map_or(i64::MAX, |s| s.registration_offset)
    }

    /// The broker whose session ended first, among those that `watched` names.
    pub(crate) fn expired(&self, now_ms: i64, watched: impl Fn(i32) -> bool) -> Option<i32> {
        self.deadlines(watched)
            .filter(|(at, _)| *at <= now_ms)
            .min()
            .map(|(_, id)| id)
    }

    pub(crate) fn next_deadline(&self, watched: impl Fn(i32) -> bool) -> Option<i64> {
        self.deadlines(watched).map(|(at, _)| at).min()
    }

    /// When each session ends; one that was ended by hand has ended long ago.
    fn deadlines(&self, watched: impl Fn(i32) -> bool) -> impl Iterator<Item = (i64, i32)> {
        let watched = self.brokers.iter().filter(move |(id, _)| watched(**id));
        watched.map(|(id, s)| {
            (
                s.last_contact_ms
                    .map_or(i64::MIN, |at| at.saturating_add(self.timeout_ms)),
                *id,
            )
        })
    }

    /// Notes once what the others must have applied before the broker may go.
    pub(crate) fn enter_shutdown(&mut self, broker: i32, offset: i64) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.shutdown_offset.get_or_insert(offset);
        }
    }

    /// Whether everybody that `active` names knows that the broker leads nothing anymore.
    pub(crate) fn shutdown_is_known(&self, broker: i32, active: impl Fn(i32) -> bool) -> bool {
        let offset = self.brokers.get(&broker).and_then(|s| s.shutdown_offset);
        let slowest = self
            .brokers
            .iter()
            .filter(|(id, _)| active(**id))
            .map(|(_, s)| s.metadata_offset)
            .min();
        offset.is_none_or(|offset| offset <= slowest.unwrap_or(i64::MAX))
    }
}

impl Session {
    fn new(epoch: i64) -> Session {
        Session {
            epoch,
            last_contact_ms: None,
            metadata_offset: -1,
            shutdown_offset: None,
            registration_offset: epoch,
        }
    }
}
