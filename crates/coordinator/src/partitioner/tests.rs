use super::partition_for;

#[test]
fn follows_javas_string_hash() {
    // Hashes as Java's String.hashCode gives them.
    for (group, hash) in [
        ("", 0),
        ("a", 97),
        ("my-group", 1_906_497_762),
        ("hello", 99_162_322),
        // Surrogate pair D83D DE00.
        ("\u{1f600}", 0xd83d * 31 + 0xde00),
        ("é", 233),
    ] {
        assert_eq!(partition_for(group, i32::MAX), hash, "{group}");
    }
}

#[test]
fn the_smallest_hash_counts_as_zero() {
    // A well-known string whose hash is i32::MIN.
    assert_eq!(partition_for("polygenelubricants", 50), 0);
}

#[test]
fn negative_hashes_are_made_positive_before_the_remainder() {
    // "consumer-group-1" and friends: the result is always a partition.
    for index in 0..1_000 {
        let partition = partition_for(&format!("consumer-group-{index}"), 50);
        assert!((0..50).contains(&partition));
    }
}
