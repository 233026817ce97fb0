use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const LAG_MS: i64 = 1_000;

fn leader(replicas: &[i32], isr: &[i32], min_isr: usize) -> Leader {
    let assignment = Assignment {
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        leader_epoch: 4,
        partition_epoch: 10,
    };
    Leader::new(
        1,
        &assignment,
        Settings {
            lag_time_ms_max: LAG_MS,
            min_insync_replicas: min_isr,
        },
        100,
        50,
        0,
    )
}

/// Every broker is alive, with an epoch of ten times its id.
fn alive(broker: i32) -> Option<i64> {
    Some(i64::from(broker) * 10)
}

fn fetch(replica: i32, fetch_offset: i64, leader_log_end: i64) -> FollowerFetch {
    FollowerFetch {
        replica,
        broker_epoch: i64::from(replica) * 10,
        fetch_offset,
        log_start: 0,
        leader_log_end,
    }
}

fn ids(proposal: &IsrProposal) -> Vec<i32> {
    proposal.isr.iter().map(|m| m.broker).collect()
}

/// Runs a script of `a END` (append), `f REPLICA OFFSET` (fetch), `t MS` (time passes and the lag is
/// checked), `ok` and `no` (the controller's answer), and prints what each step made of it.
fn check(mut leader: Leader, script: &str, expected: Expect) {
    let (mut now, mut pending, mut out) = (1, None, Vec::new());
    for step in script.split(", ") {
        let words: Vec<&str> = step.split(' ').collect();
        let number = |i: usize| words[i].parse::<i64>().unwrap();
        let line = match words[0] {
            "a" => format!("{:?}", leader.on_append(number(1), now, alive)),
            "f" => {
                let read_at = leader.log_end();
                match leader.on_follower_fetch(
                    fetch(number(1) as i32, number(2), read_at),
                    now,
                    alive,
                ) {
                    Ok(effect) => {
                        let text = format!(
                            "{:?} {:?}",
                            effect.high_watermark,
                            effect.proposal.as_ref().map(ids)
                        );
                        pending = effect.proposal.or(pending);
                        text
                    }
                    Err(error) => error.to_string(),
                }
            }
            "t" => {
                now += number(1);
                let proposal = leader.handle_timeout(now);
                let text = format!("{:?}", proposal.as_ref().map(ids));
                pending = proposal.or(pending);
                text
            }
            "ok" => {
                let proposal = pending.take().unwrap();
                let answer = IsrAnswer::Committed {
                    isr: ids(&proposal),
                    leader_epoch: proposal.leader_epoch,
                    partition_epoch: proposal.partition_epoch + 1,
                };
                format!("{:?}", leader.on_isr_answer(answer, now, alive))
            }
            "no" => format!(
                "{:?}",
                leader.on_isr_answer(IsrAnswer::Rejected(IsrRejection::NotApplied), now, alive)
            ),
            other => panic!("unknown step {other}"),
        };
        out.push(format!("{step}: {line}\n"));
    }
    out.push(format!(
        "isr={:?} hw={} partition_epoch={}\n",
        leader.isr(),
        leader.high_watermark(),
        leader.partition_epoch()
    ));
    expected.assert_eq(&out.concat());
}

#[test]
fn high_watermark_follows_the_slowest_in_sync_replica() {
    check(
        leader(&[1, 2, 3], &[1, 2, 3], 1),
        "a 110, f 2 110, f 3 105, f 3 107, f 2 110",
        expect![[r#"
            a 110: None
            f 2 110: None None
            f 3 105: Some(105) None
            f 3 107: Some(107) None
            f 2 110: None None
            isr=[1, 2, 3] hw=107 partition_epoch=10
        "#]],
    );
}

#[test]
fn a_replica_joins_when_it_reaches_the_high_watermark_and_the_epoch_start() {
    check(
        leader(&[1, 2], &[1], 1),
        "a 110, f 2 99, f 2 110, a 115, f 2 112, ok, f 2 115",
        expect![[r#"
            a 110: Some(110)
            f 2 99: None None
            f 2 110: None Some([1, 2])
            a 115: None
            f 2 112: Some(112) None
            ok: Nothing
            f 2 115: Some(115) None
            isr=[1, 2] hw=115 partition_epoch=11
        "#]],
    );
}

#[test]
fn a_slow_replica_leaves_and_counts_until_the_controller_agrees() {
    check(
        leader(&[1, 2], &[1, 2], 1),
        "f 2 100, a 110, t 999, t 2, a 120, ok, f 2 120, no",
        expect![[r#"
            f 2 100: Some(100) None
            a 110: None
            t 999: None
            t 2: Some([1])
            a 120: None
            ok: HighWatermark(120)
            f 2 120: None Some([1, 2])
            no: Nothing
            isr=[1] hw=120 partition_epoch=11
        "#]],
    );
}

#[test]
fn a_replica_that_keeps_up_with_a_moving_end_stays_in_sync() {
    check(
        leader(&[1, 2], &[1, 2], 1),
        "f 2 100, a 110, t 900, f 2 110, a 120, t 900, f 2 120, a 130, t 900, f 2 125, t 99, t 2",
        expect![[r#"
            f 2 100: Some(100) None
            a 110: None
            t 900: None
            f 2 110: Some(110) None
            a 120: None
            t 900: None
            f 2 120: Some(120) None
            a 130: None
            t 900: None
            f 2 125: Some(125) None
            t 99: None
            t 2: Some([1])
            isr=[1, 2] hw=125 partition_epoch=10
        "#]],
    );
}

#[test]
fn fewer_in_sync_than_the_minimum_stops_acks_and_the_high_watermark() {
    let mut lonely = leader(&[1, 2, 3], &[1], 2);
    assert_eq!(lonely.check_append(Acks::Leader), Ok(()));
    assert_eq!(
        lonely.check_append(Acks::All),
        Err(NotEnoughReplicas {
            isr: vec![1],
            required: 2
        })
    );
    assert_eq!(lonely.on_append(110, 1, alive), None);
    assert_eq!(lonely.ack_state(51), AckState::Pending);
    assert_eq!(lonely.ack_state(50), AckState::NotEnoughReplicasAfterAppend);
    assert!(lonely.is_under_replicated());
}

#[test]
fn one_replica_satisfies_any_minimum() {
    let mut alone = leader(&[1], &[1], 2);
    assert_eq!(alone.check_append(Acks::All), Ok(()));
    assert_eq!(alone.on_append(101, 1, alive), Some(101));
    assert_eq!(
        (alone.ack_state(101), alone.ack_state(102)),
        (AckState::Done, AckState::Pending)
    );
    assert_eq!(
        (alone.poll_timeout(), alone.handle_timeout(1_000_000)),
        (None, None)
    );
}

#[test]
fn strangers_and_earlier_incarnations_are_refused() {
    let mut l = leader(&[1, 2], &[1, 2], 1);
    assert_eq!(
        l.on_follower_fetch(fetch(9, 1, 1), 1, alive),
        Err(FollowerFetchError::NotAReplica(9))
    );
    let stale = FollowerFetch {
        broker_epoch: 19,
        ..fetch(2, 100, 100)
    };
    assert_eq!(
        l.on_follower_fetch(stale, 1, alive),
        Err(FollowerFetchError::StaleBrokerEpoch {
            replica: 2,
            epoch: 19,
            known: 20
        })
    );
}

#[test]
fn a_fenced_or_restarted_broker_does_not_join() {
    let mut l = leader(&[1, 2], &[1], 1);
    let effect = l
        .on_follower_fetch(fetch(2, 100, 100), 1, |_| None)
        .unwrap();
    assert_eq!(effect.proposal, None);
    let effect = l
        .on_follower_fetch(fetch(2, 100, 100), 1, |_| Some(19))
        .unwrap();
    assert_eq!(effect.proposal, None);
    let effect = l
        .on_follower_fetch(fetch(2, 100, 100), 1, |_| Some(20))
        .unwrap();
    let proposal = effect.proposal.unwrap();
    assert_eq!(
        proposal.isr,
        [
            IsrMember {
                broker: 1,
                broker_epoch: -1
            },
            IsrMember {
                broker: 2,
                broker_epoch: 20
            }
        ]
    );
    let retry = l.on_isr_answer(IsrAnswer::Rejected(IsrRejection::Retry), 2, alive);
    assert_eq!(retry, IsrEffect::Resend(proposal));
    assert_eq!(
        l.on_isr_answer(IsrAnswer::Rejected(IsrRejection::AwaitMetadata), 2, alive),
        IsrEffect::Nothing
    );
    assert_eq!(l.handle_timeout(10_000), None, "one proposal at a time");
}

#[test]
fn assignments_move_epochs_forward_only() {
    let mut l = leader(&[1, 2], &[1, 2], 1);
    let old = Assignment {
        replicas: vec![1],
        isr: vec![1],
        leader_epoch: 3,
        partition_epoch: 9,
    };
    assert_eq!(l.on_assignment(&old, 1, alive), None);
    assert_eq!(l.isr(), [1, 2]);
    let shrunk = Assignment {
        replicas: vec![1, 2, 3],
        isr: vec![1],
        leader_epoch: 5,
        partition_epoch: 11,
    };
    assert_eq!(l.on_assignment(&shrunk, 1_500, alive), Some(100));
    assert_eq!((l.leader_epoch(), l.partition_epoch()), (5, 11));
    assert_eq!(l.low_watermark(7, |b| b == 1), 7);
    assert_eq!(l.low_watermark(7, |_| true), UNKNOWN_OFFSET);
}

proptest! {
    #[test]
    fn the_high_watermark_never_moves_back_nor_passes_a_committed_member(
        steps in proptest::collection::vec((0u8..5, 2i32..4, 0i64..30), 1..80)
    ) {
        let mut l = leader(&[1, 2, 3], &[1, 2, 3], 1);
        let (mut now, mut pending, mut ends) = (1i64, None::<IsrProposal>, BTreeMap::new());
        for (kind, replica, amount) in steps {
            let before = l.high_watermark();
            match kind {
                0 => { l.on_append(l.log_end() + amount, now, alive); }
                1 => {
                    let end = ends.get(&replica).copied().unwrap_or(100).max(100) + amount;
                    let end = i64::min(end, l.log_end());
                    ends.insert(replica, end);
                    let read_at = l.log_end();
                    pending = l.on_follower_fetch(fetch(replica, end, read_at), now, alive).unwrap().proposal.or(pending);
                }
                2 => { now += amount * 100; pending = l.handle_timeout(now).or(pending); }
                3 => if let Some(p) = pending.take() {
                    let answer = IsrAnswer::Committed { isr: ids(&p), leader_epoch: p.leader_epoch, partition_epoch: p.partition_epoch + 1 };
                    l.on_isr_answer(answer, now, alive);
                },
                _ => if pending.take().is_some() {
                    l.on_isr_answer(IsrAnswer::Rejected(IsrRejection::NotApplied), now, alive);
                },
            }
            prop_assert!(l.high_watermark() >= before && l.high_watermark() <= l.log_end());
            prop_assert!(l.isr().contains(&1));
            if l.high_watermark() > before {
                for member in l.isr().iter().filter(|m| **m != 1) {
                    prop_assert!(ends.get(member).is_some_and(|end| *end >= l.high_watermark()));
                }
            }
        }
    }
}
