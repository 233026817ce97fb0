use super::*;

fn subscriptions(members: &[(&str, &str)]) -> Vec<Subscription> {
    members
        .iter()
        .map(|(member, topics)| Subscription {
            member: (*member).to_owned(),
            topics: topics.split(' ').map(str::to_owned).collect(),
        })
        .collect()
}

type Expected<'a> = &'a [(&'a str, &'a [(&'a str, &'a [i32])])];

fn check(members: &[(&str, &str)], topics: &[(&str, i32)], expected: Expected<'_>) {
    let partitions = topics
        .iter()
        .map(|(topic, count)| ((*topic).to_owned(), (0..*count).collect()))
        .collect();
    let assigned = range(&subscriptions(members), &partitions);
    let expected: BTreeMap<String, Assignment> = expected
        .iter()
        .map(|(member, topics)| {
            let assignment = topics
                .iter()
                .map(|(topic, partitions)| ((*topic).to_owned(), partitions.to_vec()));
            ((*member).to_owned(), assignment.collect())
        })
        .collect();
    assert_eq!(assigned, expected);
}

#[test]
fn partitions_are_divided_in_ranges() {
    check(
        &[("b", "t"), ("a", "t")],
        &[("t", 5)],
        &[("a", &[("t", &[0, 1, 2])]), ("b", &[("t", &[3, 4])])],
    );
}

#[test]
fn each_topic_is_divided_by_itself() {
    check(
        &[("a", "t u"), ("b", "u"), ("c", "t u")],
        &[("t", 2), ("u", 2)],
        &[
            ("a", &[("t", &[0]), ("u", &[0])]),
            ("b", &[("u", &[1])]),
            ("c", &[("t", &[1])]),
        ],
    );
}

#[test]
fn members_beyond_the_partitions_get_nothing() {
    check(
        &[("a", "t"), ("b", "t")],
        &[("t", 1)],
        &[("a", &[("t", &[0])]), ("b", &[])],
    );
}

#[test]
fn what_members_say_is_read_back() {
    let topics = ["t".to_owned(), "u".to_owned()];
    let bytes = encode_subscription(&topics).unwrap();
    assert_eq!(decode_subscription(&bytes).unwrap(), topics.into());

    let assignment: Assignment = [("t".to_owned(), vec![0, 2])].into();
    let bytes = encode_assignment(&assignment).unwrap();
    assert_eq!(decode_assignment(&bytes).unwrap(), assignment);
    assert_eq!(decode_assignment(b"").unwrap(), Assignment::new());
    assert!(decode_assignment(&bytes[..5]).is_err());
}

#[test]
fn a_subscription_of_a_newer_version_is_read() {
    let mut bytes = encode_subscription(&["t".to_owned()]).unwrap().to_vec();
    bytes[..2].copy_from_slice(&9_i16.to_be_bytes());
    // What version 3 has after the fields of version 1: a generation and no rack.
    bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
    bytes.extend_from_slice(b"and what nobody knows yet");
    assert_eq!(
        decode_subscription(&bytes).unwrap(),
        ["t".to_owned()].into()
    );
}
