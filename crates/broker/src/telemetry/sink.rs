//! Where pushed metrics end: in this process's log, a line for each push at DEBUG and one for each metric at TRACE.
//!
//! Invariant: nothing is kept, and nothing that was pushed is believed: what cannot be unpacked within the limit is
//! refused, and what is not OTLP is told of and let go, as in Kafka, which hands the bytes to a plugin unread.

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Uuid};
use ottla_records::Codec;

use super::otlp;

/// Takes what one client instance pushes.
#[derive(Debug)]
pub struct Sink<'a> {
    pub instance_id: Uuid,
    pub client_id: &'a str,
    pub push_interval_ms: i32,
    /// Largest size of the unpacked metrics.
    pub bytes_max: usize,
}

impl Sink<'_> {
    pub fn take(&self, codec: i8, packed: &Bytes) -> Result<(), ErrorCode> {
        let codec = u8::try_from(codec).ok().and_then(Codec::from_id);
        let codec = codec.ok_or(ErrorCode::InvalidRecord)?;
        let unpacked = ottla_records::decompress(codec, packed, self.bytes_max);
        let unpacked = unpacked.map_err(|error| {
            tracing::warn!(instance = %self.instance_id, client = self.client_id, %error, "pushed metrics cannot be unpacked");
            ErrorCode::InvalidRecord
        })?;
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.tell(&unpacked);
        }
        Ok(())
    }

    fn tell(&self, unpacked: &[u8]) {
        let (instance, client) = (self.instance_id, self.client_id);
        let mut count = 0;
        for metric in otlp::metrics(unpacked) {
            match metric {
                Ok(metric) => {
                    count += 1;
                    tracing::trace!(%instance, client, name = metric.name, points = metric.points, value = metric.value, "metric");
                }
                Err(otlp::NotOtlp) => {
                    tracing::debug!(%instance, client, bytes = unpacked.len(), "pushed metrics are not OTLP");
                    return;
                }
            }
        }
        tracing::debug!(%instance, client, interval_ms = self.push_interval_ms, bytes = unpacked.len(), metrics = count, "metrics pushed");
    }
}
