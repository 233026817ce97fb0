//! Transactional ids that nobody has used for long are forgotten.
//!
//! Invariant: an id is forgotten when its tombstone is committed, and never while its transaction is open. Called by
//! the timer.

use ottla_protocol::Str;

use super::config::{MAX_TOMBSTONE_BYTES_PER_APPEND, MAX_TOMBSTONES_PER_APPEND};
use super::coordinator::TransactionCoordinator;
use super::in_flight::Change;
use super::records;

impl TransactionCoordinator {
    pub(crate) fn expire_transactional_ids(&mut self, now_ms: i64) {
        let oldest_ms = now_ms.saturating_sub(self.config.id_expiration_ms);
        let mut expired = Vec::new();
        for (transactional_id, transaction) in &mut self.transactions {
            let metadata = &transaction.metadata;
            if transaction.is_changing
                || !metadata.state.is_idle()
                || metadata.last_update_ms > oldest_ms
            {
                continue;
            }
            transaction.is_changing = true;
            expired.push(transactional_id.clone());
        }
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        for transactional_id in expired {
            if batch.len() >= MAX_TOMBSTONES_PER_APPEND
                || batch_bytes >= MAX_TOMBSTONE_BYTES_PER_APPEND
            {
                self.append_tombstones(std::mem::take(&mut batch));
                batch_bytes = 0;
            }
            batch_bytes += transactional_id.len();
            batch.push(transactional_id);
        }
        if !batch.is_empty() {
            self.append_tombstones(batch);
        }
    }

    fn append_tombstones(&mut self, transactional_ids: Vec<Str>) {
        let keys = transactional_ids.iter().map(records::tombstone_key);
        let tombstones = keys.map(|key| (key, None)).collect();
        self.push_append(tombstones, Change::Expired(transactional_ids));
    }

    /// The tombstones are committed.
    pub(crate) fn forget(&mut self, transactional_ids: &[Str]) {
        for transactional_id in transactional_ids {
            self.transactions.remove(transactional_id);
        }
    }

    /// The tombstones did not reach the log; the next look finds the ids again.
    pub(crate) fn keep(&mut self, transactional_ids: &[Str]) {
        for transactional_id in transactional_ids {
            if let Some(transaction) = self.transactions.get_mut(transactional_id) {
                transaction.is_changing = false;
            }
        }
    }
}
