use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

const LIMIT: Limit = Limit {
    at_least: 2,
    jobs_per_thread: 4,
};

#[test]
fn more_threads_work_where_more_jobs_wait() {
    let allowed = |queued| {
        let mut busy = 0;
        while LIMIT.allows_another(busy, queued - busy) {
            busy += 1;
        }
        busy
    };
    let found: Vec<_> = [0, 1, 2, 3, 8, 12, 40].map(allowed).into();
    assert_eq!(found, [0, 1, 2, 2, 2, 3, 10]);
}

#[test]
fn no_more_threads_work_than_are_allowed_and_no_job_is_left() {
    let background = Background::limited(4, "test", LIMIT);
    let (begun_sender, begun) = channel();
    let (let_end, may_end) = channel::<()>();
    let may_end = Arc::new(Mutex::new(may_end));
    for n in 0..7 {
        let (begun, may_end) = (begun_sender.clone(), Arc::clone(&may_end));
        background.run(Box::new(move || {
            begun.send(n).unwrap();
            may_end.lock().unwrap().recv().unwrap();
        }));
    }
    let mut seen: Vec<i32> = begun.iter().take(2).collect();
    assert!(begun.try_recv().is_err(), "two work, and five wait");
    for _ in 0..7 {
        let_end.send(()).unwrap();
    }
    // Ends when the threads have done all.
    drop((background, begun_sender));
    seen.extend(begun.iter());
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_job_that_goes_on_lets_others_go_first() {
    let background = Arc::new(Background::threads(1, "test"));
    let (sender, told) = channel();
    let (let_go, may_go) = channel::<()>();
    let again = Arc::downgrade(&background);
    let first = sender.clone();
    background.run(Box::new(move || {
        may_go.recv().unwrap();
        let second = first.clone();
        let job = Box::new(move || second.send("the rest of the first").unwrap());
        let is_taken = again
            .upgrade()
            .is_some_and(|background| background.run_after_others(job));
        first
            .send(if is_taken {
                "its turn is over"
            } else {
                "it goes on"
            })
            .unwrap();
    }));
    let other = sender.clone();
    background.run(Box::new(move || other.send("another").unwrap()));
    let_go.send(()).unwrap();
    let found: Vec<_> = told.iter().take(3).collect();
    assert_eq!(
        found,
        ["its turn is over", "another", "the rest of the first"]
    );
    let alone = Arc::downgrade(&background);
    background.run(Box::new(move || {
        let is_taken = alone
            .upgrade()
            .is_some_and(|background| background.run_after_others(Box::new(|| {})));
        sender
            .send(if is_taken { "taken" } else { "nobody waits" })
            .unwrap();
    }));
    assert_eq!(told.recv().unwrap(), "nobody waits");
}

/// A job that says that it has begun, and ends when it is told to.
fn job(begun: &Sender<()>) -> (Job, Sender<()>) {
    let (end, ended) = channel();
    let begun = begun.clone();
    let job = Box::new(move || {
        begun.send(()).unwrap();
        ended.recv().unwrap();
    });
    (job, end)
}

fn thread_count(background: &Background) -> usize {
    let Background::Threads(threads) = background else {
        return 0;
    };
    threads.queue.waiting().threads.len()
}

fn wait_for(begun: &Receiver<()>, count: usize) {
    for _ in 0..count {
        begun.recv().unwrap();
    }
}

#[test]
fn a_thread_is_there_from_the_first_job_on_that_finds_the_others_busy() {
    let background = Background::threads(2, "test");
    let (begun, has_begun) = channel();
    assert_eq!(thread_count(&background), 0);

    let (first, end_first) = job(&begun);
    background.run(first);
    wait_for(&has_begun, 1);
    assert_eq!(thread_count(&background), 1);

    let (second, end_second) = job(&begun);
    background.run(second);
    wait_for(&has_begun, 1);
    assert_eq!(thread_count(&background), 2);

    let (third, end_third) = job(&begun);
    background.run(third);
    assert_eq!(thread_count(&background), 2, "no more than were asked for");
    for end in [end_first, end_second, end_third] {
        end.send(()).unwrap();
    }
    wait_for(&has_begun, 1);
}

#[test]
fn two_jobs_at_once_do_not_wait_for_one_idle_thread() {
    let background = Background::threads(2, "test");
    let (begun, has_begun) = channel();
    let (first, end) = job(&begun);
    background.run(first);
    wait_for(&has_begun, 1);
    end.send(()).unwrap();

    let (second, end_second) = job(&begun);
    let (third, end_third) = job(&begun);
    background.run(second);
    background.run(third);
    // Both run side by side, for neither has ended.
    wait_for(&has_begun, 2);
    end_second.send(()).unwrap();
    end_third.send(()).unwrap();
}

#[test]
fn jobs_that_wait_are_done_before_the_threads_end() {
    let background = Background::threads(1, "test");
    let (begun, has_begun) = channel();
    for _ in 0..3 {
        let (job, end) = job(&begun);
        end.send(()).unwrap();
        background.run(job);
    }
    drop(background);
    assert_eq!(has_begun.try_iter().count(), 3);
}
