use super::{TimerKey, TimerTask, Timers};

fn join(group_id: &str) -> TimerKey {
    TimerKey::Join {
        group_id: group_id.into(),
    }
}

#[test]
fn rescheduling_moves_the_deadline_and_ties_fire_in_order() {
    let mut timers = Timers::default();
    timers.schedule(join("b"), 10, TimerTask::Expire);
    timers.schedule(join("a"), 10, TimerTask::Expire);
    timers.schedule(join("c"), 5, TimerTask::Expire);
    timers.schedule(join("c"), 20, TimerTask::CompleteJoin);

    assert_eq!(timers.next_deadline_ms(), Some(10));
    assert_eq!(timers.pop_due(9), None);
    assert_eq!(timers.pop_due(10), Some((join("b"), TimerTask::Expire)));
    assert_eq!(timers.pop_due(10), Some((join("a"), TimerTask::Expire)));
    assert_eq!(timers.pop_due(10), None);
    timers.cancel(&join("c"));
    assert_eq!(timers.next_deadline_ms(), None);
    assert_eq!(timers.pop_due(i64::MAX), None);
}
