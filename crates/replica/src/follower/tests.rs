use super::*;

fn epochs(ends: &'static [(i32, i64)]) -> impl Fn(i32) -> Option<EpochEnd> {
    move |epoch| {
        ends.iter()
            .rev()
            .find(|(e, _)| *e <= epoch)
            .map(|&(epoch, end_offset)| EpochEnd { epoch, end_offset })
    }
}

fn follower() -> Follower {
    Follower::new(1, 5, 7, 100, Some(4), 60)
}

#[test]
fn appends_move_the_fetch_offset_and_the_high_watermark_within_the_log() {
    let mut f = follower();
    let reply = FetchReply::Appended {
        log_end: 110,
        last_epoch: Some(5),
        leader_high_watermark: 150,
        leader_log_start: 3,
    };
    assert_eq!(
        f.on_reply(reply, epochs(&[])),
        FollowerEffect::Advance {
            high_watermark: 110,
            log_start: 3
        }
    );
    assert_eq!(f.next_fetch(), Some((110, Some(5))));
    // An empty answer of a leader that was just elected does not move it back.
    let reply = FetchReply::Appended {
        log_end: 110,
        last_epoch: None,
        leader_high_watermark: 90,
        leader_log_start: 3,
    };
    assert_eq!(
        f.on_reply(reply, epochs(&[])),
        FollowerEffect::Advance {
            high_watermark: 110,
            log_start: 3
        }
    );
    assert_eq!(f.next_fetch(), Some((110, Some(5))));
}

#[test]
fn divergence_cuts_to_the_common_prefix() {
    let mut f = follower();
    // Same epoch: whichever log of it is shorter.
    let reply = FetchReply::Diverging(EpochEnd {
        epoch: 4,
        end_offset: 80,
    });
    assert_eq!(
        f.on_reply(reply, epochs(&[(2, 40), (4, 100)])),
        FollowerEffect::TruncateTo(80)
    );
    // The leader never had epoch 4 and answers with 3; ours below it is 2, which ends at 40.
    let reply = FetchReply::Diverging(EpochEnd {
        epoch: 3,
        end_offset: 90,
    });
    assert_eq!(
        f.on_reply(reply, epochs(&[(2, 40), (4, 100)])),
        FollowerEffect::TruncateTo(40)
    );
    // We know no epoch that old.
    let reply = FetchReply::Diverging(EpochEnd {
        epoch: 1,
        end_offset: 30,
    });
    assert_eq!(
        f.on_reply(reply, epochs(&[(2, 40), (4, 100)])),
        FollowerEffect::TruncateTo(30)
    );
    f.on_truncated(30, None);
    assert_eq!((f.next_fetch(), f.high_watermark()), (Some((30, None)), 30));
}

#[test]
fn out_of_range_depends_on_the_side() {
    let mut f = follower();
    let reply = |log_start, log_end| FetchReply::OutOfRange(LeaderRange { log_start, log_end });
    assert_eq!(
        f.on_reply(reply(0, 90), epochs(&[])),
        FollowerEffect::TruncateTo(90)
    );
    assert_eq!(
        f.on_reply(reply(120, 190), epochs(&[])),
        FollowerEffect::TruncateFullyAndStartAt(120)
    );
    assert_eq!(
        f.on_reply(reply(90, 190), epochs(&[])),
        FollowerEffect::BackOff
    );
}

#[test]
fn a_fenced_follower_waits_for_a_newer_epoch() {
    let mut f = follower();
    assert_eq!(
        f.on_reply(FetchReply::Retry, epochs(&[])),
        FollowerEffect::BackOff
    );
    assert_eq!(
        f.on_reply(FetchReply::Fenced, epochs(&[])),
        FollowerEffect::AwaitMetadata
    );
    assert_eq!(f.next_fetch(), None);
    assert!(!f.on_assignment(1, 5, 8));
    assert_eq!(f.next_fetch(), None);
    assert!(
        !f.on_assignment(9, 9, 6),
        "an older partition epoch is ignored"
    );
    assert!(f.on_assignment(2, 6, 9));
    assert_eq!((f.leader, f.next_fetch()), (2, Some((100, Some(4)))));
}
