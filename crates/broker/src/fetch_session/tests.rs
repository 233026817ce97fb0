use super::*;

fn key(topic: &str, partition: i32) -> PartitionKey {
    PartitionKey {
        topic: TopicRef::Name(Str::from(topic.to_string())),
        partition,
    }
}

fn position(fetch_offset: i64) -> Position {
    Position {
        fetch_offset,
        max_bytes: 1024,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn request(
    id: i32,
    epoch: i32,
    partitions: &[(&str, i32, i64)],
    forgotten: &[(&str, i32)],
) -> SessionRequest {
    SessionRequest {
        id,
        epoch,
        by_topic_id: false,
        partitions: partitions
            .iter()
            .map(|(t, p, o)| (key(t, *p), position(*o)))
            .collect(),
        forgotten: forgotten.iter().map(|(t, p)| key(t, *p)).collect(),
    }
}

fn quiet(high_watermark: i64) -> Told {
    Told {
        high_watermark,
        log_start_offset: 0,
        has_records: false,
        must_send: false,
    }
}

fn records(high_watermark: i64) -> Told {
    Told {
        has_records: true,
        ..quiet(high_watermark)
    }
}

fn session_of(cache: &Mutex<SessionCache>, partitions: &[(&str, i32, i64)], told: &[Told]) -> i32 {
    let context = cache
        .lock()
        .unwrap()
        .begin(request(0, INITIAL_EPOCH, partitions, &[]), 0)
        .unwrap();
    let (id, sent) = context.finish(cache, told, 0, || 7).unwrap();
    assert_eq!(sent, vec![true; told.len()]);
    id
}

#[test]
fn an_incremental_fetch_answers_only_what_is_news() {
    let cache = Mutex::new(SessionCache::new(10, 1000));
    let id = session_of(&cache, &[("a", 0, 5), ("a", 1, 5)], &[quiet(5), quiet(5)]);
    assert_eq!(id, 7);

    let context = cache
        .lock()
        .unwrap()
        .begin(request(id, 1, &[], &[]), 1)
        .unwrap();
    assert_eq!(context.partitions.len(), 2);
    let (_, sent) = context
        .finish(&cache, &[quiet(5), quiet(6)], 1, || 1)
        .unwrap();
    assert_eq!(sent, vec![false, true]);

    let context = cache
        .lock()
        .unwrap()
        .begin(request(id, 2, &[("a", 1, 6)], &[("a", 0)]), 2)
        .unwrap();
    assert_eq!(context.partitions, vec![(key("a", 1), position(6))]);
}

#[test]
fn a_partition_that_gave_records_is_read_last_the_next_time() {
    let cache = Mutex::new(SessionCache::new(10, 1000));
    let id = session_of(
        &cache,
        &[("a", 0, 0), ("a", 1, 0), ("a", 2, 0)],
        &[quiet(0); 3],
    );
    let context = cache
        .lock()
        .unwrap()
        .begin(request(id, 1, &[], &[]), 1)
        .unwrap();
    context
        .finish(&cache, &[records(1), quiet(0), quiet(0)], 1, || 1)
        .unwrap();
    let context = cache
        .lock()
        .unwrap()
        .begin(request(id, 2, &[], &[]), 1)
        .unwrap();
    let order: Vec<i32> = context
        .partitions
        .iter()
        .map(|(key, _)| key.partition)
        .collect();
    assert_eq!(order, vec![1, 2, 0]);
}

#[test]
fn an_error_is_sent_again_until_it_is_gone_and_then_once_more() {
    let cache = Mutex::new(SessionCache::new(10, 1000));
    let id = session_of(&cache, &[("a", 0, 0)], &[quiet(3)]);
    let fetch = |epoch, told| {
        let context = cache
            .lock()
            .unwrap()
            .begin(request(id, epoch, &[], &[]), 1)
            .unwrap();
        context.finish(&cache, &[told], 1, || 1).unwrap().1[0]
    };
    let error = Told {
        must_send: true,
        ..quiet(3)
    };
    assert!(fetch(1, error));
    assert!(fetch(2, error));
    assert!(fetch(3, quiet(3)));
    assert!(!fetch(4, quiet(3)));
}

#[test]
fn wrong_ids_epochs_and_kinds_are_refused() {
    let cache = Mutex::new(SessionCache::new(10, 1000));
    let id = session_of(&cache, &[("a", 0, 0)], &[quiet(0)]);
    let mut cache = cache.into_inner().unwrap();
    assert_eq!(
        cache.begin(request(99, 1, &[], &[]), 0).unwrap_err(),
        ErrorCode::FetchSessionIdNotFound
    );
    assert_eq!(
        cache.begin(request(id, 5, &[], &[]), 0).unwrap_err(),
        ErrorCode::InvalidFetchSessionEpoch
    );
    let by_id = SessionRequest {
        by_topic_id: true,
        ..request(id, 1, &[], &[])
    };
    assert_eq!(
        cache.begin(by_id, 0).unwrap_err(),
        ErrorCode::FetchSessionTopicIdError
    );
    cache.begin(request(id, FINAL_EPOCH, &[], &[]), 0).unwrap();
    assert!(cache.sessions.is_empty());
}

#[test]
fn a_full_cache_keeps_its_sessions_until_they_had_their_time() {
    let cache = Mutex::new(SessionCache::new(1, 1000));
    session_of(&cache, &[("a", 0, 0)], &[quiet(0)]);
    let second = |now_ms| {
        let context = cache
            .lock()
            .unwrap()
            .begin(request(0, INITIAL_EPOCH, &[("b", 0, 0)], &[]), now_ms)
            .unwrap();
        context.finish(&cache, &[quiet(0)], now_ms, || 8).unwrap().0
    };
    assert_eq!(second(1000), NO_SESSION);
    assert_eq!(second(1001), 8);
    assert_eq!(cache.lock().unwrap().sessions.len(), 1);
}

#[test]
fn epochs_wrap_round_to_one() {
    assert_eq!(next_epoch(1), 2);
    assert_eq!(next_epoch(i32::MAX), 1);
}
