//! Which partition of `__consumer_offsets` is home to a group.
//!
//! Invariant: the same as Kafka's, for every string, or offsets would be looked for in the wrong place.
//! Called by FindCoordinator and by every handler that routes a request to its machine.

/// The partition of `group_id`: the absolute Java string hash (over UTF-16 units) modulo `partitions`.
///
/// A non-positive count has no partitions; 0 is answered then.
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    let hash = group_id.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // The one value without a positive counterpart counts as zero.
    let positive = hash.checked_abs().unwrap_or(0);
    positive.checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests;
