use super::*;

/// Hashes that Kafka's own tests state for its Java client.
#[test]
fn keys_hash_as_in_the_java_client() {
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
    }
}

#[test]
fn records_without_a_key_stay_until_a_batch_is_full() {
    let mut partitioner = Partitioner::new(vec![0, 1, 2], 5);
    assert_eq!(partitioner.choose(None), Some(2));
    assert_eq!(partitioner.choose(None), Some(2));
    partitioner.batch_is_full();
    assert_eq!(partitioner.choose(None), Some(0));
    let with_key = partitioner.choose(Some(b"abc"));
    partitioner.batch_is_full();
    assert_eq!(partitioner.choose(Some(b"abc")), with_key);
}
