use super::*;

#[test]
fn topics_may_name_partitions() {
    assert_eq!(parse_topic("t"), Some(("t", None)));
    assert_eq!(parse_topic("t:0,3"), Some(("t", Some(vec![0, 3]))));
    assert_eq!(parse_topic("t:"), None);
    assert_eq!(parse_topic("t:x"), None);
}

#[test]
fn a_description_shows_lag_and_owners() {
    let group = GroupDescription {
        group: "billing".to_owned(),
        state: "Stable".to_owned(),
        assignor: "range".to_owned(),
        members: vec![Member {
            member: "m-1".to_owned(),
            instance: None,
            client: "c".to_owned(),
            host: "/127.0.0.1".to_owned(),
        }],
        partitions: vec![
            Partition {
                topic: "orders".to_owned(),
                partition: 0,
                committed: Some(5),
                end: Some(8),
                lag: Some(3),
                owner: Some(0),
                member: Some("m-1".to_owned()),
            },
            Partition {
                topic: "orders".to_owned(),
                partition: 1,
                committed: None,
                end: Some(8),
                lag: None,
                owner: None,
                member: None,
            },
        ],
    };
    assert_eq!(
        render(&group),
        "Group billing: Stable, 1 member, assignor range\n\
         TOPIC   PARTITION  COMMITTED  END  LAG  MEMBER  HOST\n\
         orders  0          5          8    3    m-1     /127.0.0.1\n\
         orders  1          -          8    -    -       -\n"
    );
}
