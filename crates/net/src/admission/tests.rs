use futures_util::FutureExt;

use super::*;

fn admission(limits: &Limits, listeners: &[usize]) -> Arc<Admission> {
    Arc::new(Admission::new(limits, listeners.iter().copied()))
}

fn now_or_never(admission: &Arc<Admission>, listener: usize) -> Option<Slot> {
    admission.slot(listener).now_or_never()
}

#[tokio::test]
async fn a_full_broker_waits_until_a_connection_ends() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let admission = admission(&limits, &[usize::MAX, usize::MAX]);
    let first = admission.slot(0).await;
    let _second = admission.slot(1).await;
    let mut third = std::pin::pin!(admission.slot(0));
    assert!(third.as_mut().now_or_never().is_none());
    drop(first);
    assert!(third.now_or_never().is_some());
}

#[tokio::test]
async fn a_full_listener_leaves_room_on_others() {
    let admission = admission(&Limits::default(), &[1, 1]);
    let _first = admission.slot(0).await;
    assert!(now_or_never(&admission, 0).is_none());
    assert!(now_or_never(&admission, 1).is_some());
}

#[tokio::test]
async fn addresses_have_their_own_limit() {
    let favoured: IpAddr = "10.0.0.2".parse().unwrap();
    let limits = Limits {
        connections_per_ip_max: 1,
        connections_per_ip_overrides: HashMap::from([(favoured, 2)]),
        ..Limits::default()
    };
    let admission = admission(&limits, &[usize::MAX]);
    let claim = |address: &str| {
        let mut slot = now_or_never(&admission, 0).unwrap();
        slot.claim(address.parse().unwrap()).map(|()| slot)
    };
    let first = claim("10.0.0.1").unwrap();
    let refused = claim("::ffff:10.0.0.1").map(drop).unwrap_err();
    assert_eq!((refused.open, refused.max), (1, 1));
    let _favoured = [claim("10.0.0.2").unwrap(), claim("10.0.0.2").unwrap()];
    assert!(claim("10.0.0.2").is_err());
    drop(first);
    assert!(claim("10.0.0.1").is_ok());
}

#[tokio::test]
async fn raised_limits_wake_who_waits() {
    let mut limits = Limits {
        connections_max: 0,
        ..Limits::default()
    };
    let admission = admission(&limits, &[usize::MAX]);
    let mut slot = std::pin::pin!(admission.slot(0));
    assert!(slot.as_mut().now_or_never().is_none());
    limits.connections_max = 1;
    admission.update(&limits);
    assert!(slot.now_or_never().is_some());
}

#[tokio::test]
async fn a_burst_is_paid_back_at_the_rate() {
    let limits = Limits {
        connection_creation_rate_max: 10,
        ..Limits::default()
    };
    let admission = admission(&limits, &[usize::MAX]);
    let now = Instant::now() + Duration::from_secs(5);
    let pauses: Vec<_> = (0..12).map(|_| admission.pay(now)).collect();
    assert!(pauses[..10].iter().all(Duration::is_zero));
    assert_eq!(pauses[11], Duration::from_millis(200));
    assert!(admission.pay(now + Duration::from_secs(2)).is_zero());
}
