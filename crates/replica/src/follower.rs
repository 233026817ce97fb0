//! A follower's role: where to fetch next, and how to cut its log back to what the leader has.
//!
//! Invariant: a follower never keeps a record of an epoch beyond the point where the leader says
//! that its own log of that epoch ends.
//! Called by the replica fetcher for each partition of a fetch response.

#[cfg(test)]
mod tests;

/// Where the log of one leader epoch ends, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: i32,
    pub end_offset: i64,
}

/// What the leader says of its log when a fetch was out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderRange {
    pub log_start: i64,
    pub log_end: i64,
}

/// One partition's part of a fetch response, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchReply {
    /// The records were appended, and the log ends at `log_end`.
    Appended {
        log_end: i64,
        last_epoch: Option<i32>,
        leader_high_watermark: i64,
        leader_log_start: i64,
    },
    /// The leader's log of the epoch that we fetched last with ends before our offset.
    Diverging(EpochEnd),
    /// Our offset is outside of the leader's log, which spans this range.
    OutOfRange(LeaderRange),
    /// The leader knows a newer epoch: only metadata helps.
    Fenced,
    /// The leader does not know our epoch yet, or is not reachable: try again later.
    Retry,
}

/// What the fetcher has to do to the local log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowerEffect {
    /// Raise the high watermark and the log start to these, and fetch from `fetch_offset`.
    Advance { high_watermark: i64, log_start: i64 },
    /// Cut the log to this offset and tell [`Follower::on_truncated`].
    TruncateTo(i64),
    /// Throw the log away and start it at this offset, then tell [`Follower::on_truncated`].
    TruncateFullyAndStartAt(i64),
    /// Stop fetching until an assignment with a newer epoch arrives.
    AwaitMetadata,
    /// Fetch again after the back-off.
    BackOff,
}

/// A replica that follows `leader`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// Exclusive end of the local log, which is where the next fetch begins.
    log_end: i64,
    /// The leader epoch of the last local record, which lets the leader detect divergence.
    last_epoch: Option<i32>,
    high_watermark: i64,
    fenced: bool,
}

impl Follower {
    pub fn new(
        leader: i32,
        leader_epoch: i32,
        partition_epoch: i32,
        log_end: i64,
        last_epoch: Option<i32>,
        high_watermark: i64,
    ) -> Follower {
        Follower {
            leader,
            leader_epoch,
            partition_epoch,
            log_end,
            last_epoch,
            high_watermark,
            fenced: false,
        }
    }

    /// The offset and the last epoch to ask the leader with, or nothing while fenced.
    pub fn next_fetch(&self) -> Option<(i64, Option<i32>)> {
        if self.fenced {
            None
        } else {
            Some((self.log_end, self.last_epoch))
        }
    }

    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Takes an assignment; returns whether the fetcher must start over (the leader epoch moved).
    pub fn on_assignment(&mut self, leader: i32, leader_epoch: i32, partition_epoch: i32) -> bool {
        if partition_epoch < self.partition_epoch {
            return false;
        }
        let restart = leader_epoch > self.leader_epoch;
        self.leader = leader;
        self.leader_epoch = leader_epoch;
        self.partition_epoch = partition_epoch;
        if restart {
            self.fenced = false;
        }
        restart
    }

    /// Digests one reply. `local_end` answers where our own log of an epoch (or of the largest
    /// epoch before it) ends, as the leader epoch cache knows.
    pub fn on_reply(
        &mut self,
        reply: FetchReply,
        local_end: impl Fn(i32) -> Option<EpochEnd>,
    ) -> FollowerEffect {
        match reply {
            FetchReply::Appended {
                log_end,
                last_epoch,
                leader_high_watermark,
                leader_log_start,
            } => {
                self.log_end = log_end;
                self.last_epoch = last_epoch.or(self.last_epoch);
                // A follower may lag behind what is committed, and can only vouch for what it has.
                self.high_watermark = leader_high_watermark.min(log_end).max(self.high_watermark);
                FollowerEffect::Advance {
                    high_watermark: self.high_watermark,
                    log_start: leader_log_start,
                }
            }
            FetchReply::Diverging(leader_end) => FollowerEffect::TruncateTo(truncation_offset(
                self.log_end,
                leader_end,
                local_end(leader_end.epoch),
            )),
            // A leader elected uncleanly may end before us; then its end is all that counts.
            FetchReply::OutOfRange(range) if range.log_end < self.log_end => {
                FollowerEffect::TruncateTo(range.log_end)
            }
            FetchReply::OutOfRange(range) if range.log_start > self.log_end => {
                FollowerEffect::TruncateFullyAndStartAt(range.log_start)
            }
            // The leader's log moved in between: the same offset may be fine the next time.
            FetchReply::OutOfRange(_) | FetchReply::Retry => FollowerEffect::BackOff,
            FetchReply::Fenced => {
                self.fenced = true;
                FollowerEffect::AwaitMetadata
            }
        }
    }

    /// Notes that the log was cut, and now ends here.
    pub fn on_truncated(&mut self, log_end: i64, last_epoch: Option<i32>) {
        self.log_end = log_end;
        self.last_epoch = last_epoch;
        self.high_watermark = self.high_watermark.min(log_end);
    }
}

/// How far back to cut a log that ends at `log_end` so that it agrees with the leader's.
///
/// When our largest epoch not above the leader's answer is an older one, the leader's end says
/// nothing about it: we cut to the end of ours and ask again from there.
fn truncation_offset(log_end: i64, leader_end: EpochEnd, local_end: Option<EpochEnd>) -> i64 {
    let bound = match local_end {
        None => leader_end.end_offset,
        Some(local) if local.epoch != leader_end.epoch => local.end_offset,
        Some(local) => local.end_offset.min(leader_end.end_offset),
    };
    bound.min(log_end)
}
