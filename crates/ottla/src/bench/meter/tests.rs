use std::time::{Duration, Instant};

use ottla_net::client::ClientError;
use ottla_protocol::ErrorCode;

use super::{Latencies, Report, Run};

#[test]
fn a_stall_is_charged_to_what_waited_behind_it() {
    let mut latencies = Latencies::new();
    let due = Instant::now();
    let sent = due + Duration::from_millis(30);
    latencies.record(due, sent, sent + Duration::from_millis(2));
    let report = Report::of("test", &Run::new(Duration::ZERO, None, None), &latencies);
    let scheduled = report.latency_ms.unwrap();
    let service = report.service_latency_ms.unwrap();
    assert!((31.5..32.5).contains(&scheduled.p50), "{scheduled:?}");
    assert!((1.9..2.1).contains(&service.max), "{service:?}");
}

#[test]
fn what_happens_while_the_run_warms_up_does_not_count() {
    let run = Run::new(Duration::from_secs(3600), None, None);
    assert!(run.take(1));
    assert!(!run.count(Instant::now(), 1, 10));
    assert_eq!(Report::of("test", &run, &Latencies::new()).records, 0);
}

#[test]
fn a_bounded_run_ends_when_all_was_taken() {
    let run = Run::new(Duration::ZERO, None, Some(5));
    assert!(run.take(3));
    assert!(run.take(3));
    assert!(!run.take(1));
    assert!(run.count(Instant::now(), 3, 30));
    let report = Report::of("test", &run, &Latencies::new());
    assert_eq!((report.records, report.bytes, report.requests), (3, 30, 1));
    assert!(report.latency_ms.is_none());
}

#[test]
fn only_refusals_that_may_pass_are_tolerated() {
    let run = Run::new(Duration::ZERO, None, None);
    let refused = |code| {
        Err(ClientError::Refused {
            subject: "t-0".to_owned(),
            code,
            message: None,
        })
    };
    assert!(run.tolerate(Ok(())).unwrap());
    assert!(!run.tolerate(refused(ErrorCode::NotEnoughReplicas)).unwrap());
    let error = run.tolerate(refused(ErrorCode::MessageTooLarge));
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::MessageTooLarge));
    assert_eq!(Report::of("test", &run, &Latencies::new()).errors, 1);
}
