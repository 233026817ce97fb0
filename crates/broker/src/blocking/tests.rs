use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

static TWO: Lane = Lane::new(2);

#[tokio::test]
async fn no_more_run_than_the_lane_allows_and_all_get_their_turn() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let requests: Vec<_> = (0..20)
        .map(|n| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(TWO.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(n)
            }))
        })
        .collect();
    for (n, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.expect("no panic"), Ok(n));
    }
    assert!(most.load(Ordering::SeqCst) <= 2);
}

static ONE: Lane = Lane::new(1);

#[tokio::test]
async fn work_that_nobody_waits_for_keeps_its_place_and_one_that_panics_gives_it_back() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel();
    let abandoned = tokio::spawn(ONE.run(move || {
        let _ = began.send(());
        let _ = may_go_on.recv();
        Ok(())
    }));
    while has_begun.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    abandoned.abort();
    assert!(abandoned.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(ONE.free.available_permits(), 0);
    drop(go_on);
    let panicked = ONE.run(|| -> Result<(), _> { panic!("on purpose") }).await;
    assert_eq!(panicked, Err(ErrorCode::UnknownServerError));
    assert_eq!(ONE.run(|| Ok(7)).await, Ok(7));
}
