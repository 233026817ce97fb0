use super::*;

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut len = content.len();
    while len > 0x7f {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend_from_slice(content);
    bytes
}

fn fixed(number: u8, bits: u64) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 1];
    bytes.extend(bits.to_le_bytes());
    bytes
}

fn sum(name: &str, values: &[i64]) -> Vec<u8> {
    let points = values
        .iter()
        .flat_map(|value| field(1, &fixed(6, *value as u64)));
    [
        field(1, name.as_bytes()),
        field(7, &points.collect::<Vec<_>>()),
    ]
    .concat()
}

fn gauge(name: &str, value: f64) -> Vec<u8> {
    let point = [fixed(3, 9), fixed(4, value.to_bits())].concat();
    [field(1, name.as_bytes()), field(5, &field(1, &point))].concat()
}

fn pushed(metrics: &[Vec<u8>]) -> Vec<u8> {
    let metrics: Vec<u8> = metrics.iter().flat_map(|metric| field(2, metric)).collect();
    field(1, &[field(1, b"resource"), field(2, &metrics)].concat())
}

#[test]
fn gauges_and_sums_are_read() {
    let long_name = "org.apache.kafka.".repeat(20);
    let bytes = pushed(&[
        sum("a.b", &[3, 4]),
        gauge("c", 0.5),
        field(1, b"nothing"),
        sum(&long_name, &[-1]),
    ]);
    let read: Vec<_> = metrics(&bytes).map(Result::unwrap).collect();
    let metric = |name, points, value| Metric {
        name,
        points,
        value,
    };
    assert_eq!(
        read,
        [
            metric("a.b", 2, Some(4.0)),
            metric("c", 1, Some(0.5)),
            metric("nothing", 0, None),
            metric(&long_name, 1, Some(-1.0)),
        ]
    );
}

#[test]
fn whatever_the_bytes_say_the_reading_ends() {
    assert_eq!(metrics(b"").count(), 0);
    assert_eq!(metrics(&[0xff; 40]).last(), Some(Err(NotOtlp)));
    // Claims more than there is.
    assert_eq!(
        metrics(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]).last(),
        Some(Err(NotOtlp))
    );
    let whole = pushed(&[sum("a.b", &[3, 4]), gauge("c", 0.5)]);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..5_000 {
        let mut bytes = whole[..random.usize(..=whole.len())].to_vec();
        for _ in 0..random.usize(..4) {
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        assert!(metrics(&bytes).count() <= whole.len());
    }
}
