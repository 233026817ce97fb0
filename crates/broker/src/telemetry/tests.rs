use super::*;

const A: Uuid = Uuid::from_u128(100);
const B: Uuid = Uuid::from_u128(200);
const BYTES_MAX: usize = 1000;

/// As many zeros, packed by gzip.
const ZEROS_1000: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x0c, 0x77, 0x00, 0x00, 0x80, 0x17, 0x0b, 0x06, 0xe8, 0x03, 0x00, 0x00,
];
const ZEROS_1001: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x0c, 0x7b, 0x00, 0x00, 0xba, 0x67, 0xbc, 0x3f, 0xe9, 0x03, 0x00, 0x00,
];

struct Test {
    telemetry: Arc<Telemetry>,
    lease: Option<Lease>,
    client_id: &'static str,
}

impl Test {
    fn new() -> Self {
        Self {
            telemetry: Arc::new(Telemetry::new(BYTES_MAX)),
            lease: None,
            client_id: "app-1",
        }
    }

    fn set(&self, name: &'static str, configs: &[(&str, &str)]) {
        let pairs = configs.iter().copied();
        let configs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.telemetry
            .set_subscription(&Str::from_static(name), &configs.collect());
    }

    fn get(&mut self, id: Uuid, now_ms: i64) -> Result<Granted, ErrorCode> {
        let client = client(self.client_id);
        self.telemetry
            .subscribe(id, &client, &mut self.lease, now_ms)
    }

    fn push(&mut self, push: Push, now_ms: i64) -> Result<i32, ErrorCode> {
        let client = client(self.client_id);
        self.telemetry
            .accept(&push, &client, &mut self.lease, now_ms)
    }

    fn known(&self) -> usize {
        self.telemetry.state().instances.len()
    }
}

fn client(client_id: &str) -> ClientAttributes<'_> {
    ClientAttributes {
        client_id: Some(client_id),
        software_name: "apache-kafka-java",
        software_version: "4.3.1",
        address: "10.0.0.7",
        port: 5000,
    }
}

fn push(granted: &Granted) -> Push {
    Push {
        instance_id: A,
        subscription_id: granted.subscription_id,
        is_terminating: false,
        codec: Codec::Zstd.id() as i8,
        bytes: 10,
    }
}

#[test]
fn a_client_gets_the_union_of_the_subscriptions_that_match_it() {
    let mut test = Test::new();
    let granted = test.get(A, 0).unwrap();
    assert_eq!(
        (granted.metrics.len(), granted.push_interval_ms),
        (0, 300_000)
    );

    test.set("all", &[("metrics", "b,a"), ("interval.ms", "5000")]);
    test.set(
        "apps",
        &[
            ("metrics", "c,a"),
            ("interval.ms", "2000"),
            ("match", "client_id=app-.*"),
        ],
    );
    test.set(
        "ruby",
        &[
            ("metrics", "x"),
            ("interval.ms", "100"),
            ("match", "client_software_name=ruby"),
        ],
    );
    test.set("part", &[("metrics", "y"), ("match", "client_id=app")]);
    let changed = test.get(A, 1).unwrap();
    assert_eq!(changed.metrics, ["a", "b", "c"]);
    assert_eq!(changed.push_interval_ms, 2000);
    assert_ne!(changed.subscription_id, granted.subscription_id);
    // What two instances are asked for is told apart.
    assert_ne!(
        test.get(B, 1).unwrap().subscription_id,
        changed.subscription_id
    );

    test.set(
        "here",
        &[
            ("metrics", "*"),
            (
                "match",
                "client_source_address=10\\..*,client_source_port=5000",
            ),
        ],
    );
    assert_eq!(test.get(A, 2).unwrap().metrics, ["*"]);
    for name in ["all", "apps", "ruby", "part", "here"] {
        test.set(name, &[]);
    }
    assert_eq!(test.get(A, 3).unwrap(), granted);
}

#[test]
fn a_client_that_comes_too_early_is_told_so() {
    let mut test = Test::new();
    test.set("s", &[("metrics", "*"), ("interval.ms", "1000")]);
    let granted = test.get(A, 0).unwrap();
    assert_eq!(test.get(A, 999), Err(ErrorCode::ThrottlingQuotaExceeded));
    // The first push after a subscription may come at any time, the second after the interval.
    assert_eq!(test.push(push(&granted), 10), Ok(1000));
    assert_eq!(
        test.push(push(&granted), 1009),
        Err(ErrorCode::ThrottlingQuotaExceeded)
    );
    assert_eq!(test.push(push(&granted), 1010), Ok(1000));
    // The last one of all comes whenever the client ends.
    let last = Push {
        is_terminating: true,
        ..push(&granted)
    };
    assert_eq!(test.push(last, 1011), Ok(1000));
    assert_eq!(
        test.push(push(&granted), 9000),
        Err(ErrorCode::InvalidRequest)
    );
}

#[test]
fn a_push_for_another_subscription_sends_the_client_back() {
    let mut test = Test::new();
    test.set("s", &[("metrics", "a"), ("interval.ms", "1000")]);
    let granted = test.get(A, 0).unwrap();
    assert_eq!(test.push(push(&granted), 500), Ok(1000));
    test.set("s", &[("metrics", "b"), ("interval.ms", "1000")]);
    assert_eq!(
        test.push(push(&granted), 1500),
        Err(ErrorCode::UnknownSubscriptionId)
    );
    // It need not wait to ask anew.
    let granted = test.get(A, 1501).unwrap();
    assert_eq!(granted.metrics, ["b"]);
    let unknown = Push {
        codec: 9,
        ..push(&granted)
    };
    assert_eq!(
        test.push(unknown, 3000),
        Err(ErrorCode::UnsupportedCompressionType)
    );
    let large = Push {
        bytes: BYTES_MAX + 1,
        ..push(&granted)
    };
    assert_eq!(test.push(large, 4000), Err(ErrorCode::TelemetryTooLarge));
    assert_eq!(test.get(A, 4001), Err(ErrorCode::ThrottlingQuotaExceeded));
}

#[test]
fn clients_are_forgotten_with_their_connection_or_when_they_are_silent() {
    let mut test = Test::new();
    test.set("s", &[("metrics", "a"), ("interval.ms", "30000")]);
    test.get(A, 0).unwrap();
    let mut other = Test {
        telemetry: Arc::clone(&test.telemetry),
        lease: None,
        client_id: "b",
    };
    other.get(B, 50_000).unwrap();
    assert_eq!(test.known(), 2);
    // Three intervals of silence.
    other.get(B, 90_000).unwrap();
    assert_eq!(test.known(), 1);
    drop(other.lease);
    assert_eq!(test.known(), 0);
}

#[test]
fn the_one_that_was_silent_for_longest_makes_room() {
    let granted = Granted {
        subscription_id: 1,
        push_interval_ms: 100,
        metrics: Vec::new(),
    };
    let mut instances = Instances::new(2);
    for (now_ms, id) in [(0, 1), (1, 2), (2, 1), (3, 3)] {
        let id = Uuid::from_u128(id);
        if instances.version_of(id).is_none() {
            instances.put(id, Instance::new(granted.clone(), 1));
        }
        instances.touch(id, now_ms);
    }
    let known = [1, 2, 3].map(|id| instances.version_of(Uuid::from_u128(id)).is_some());
    assert_eq!((known, instances.len()), ([true, false, true], 2));
}

#[test]
fn what_cannot_be_unpacked_within_the_limit_is_refused() {
    let sink = Sink {
        instance_id: A,
        client_id: "a",
        push_interval_ms: 1000,
        bytes_max: BYTES_MAX,
    };
    let gzip = Codec::Gzip.id() as i8;
    assert_eq!(
        sink.take(gzip, &bytes::Bytes::from_static(ZEROS_1000)),
        Ok(())
    );
    assert_eq!(
        sink.take(gzip, &bytes::Bytes::from_static(ZEROS_1001)),
        Err(ErrorCode::InvalidRecord)
    );
    assert_eq!(
        sink.take(gzip, &bytes::Bytes::from_static(b"no gzip")),
        Err(ErrorCode::InvalidRecord)
    );
}
