use super::*;

#[test]
fn pairs_split_at_the_first_equals_sign() {
    assert_eq!(parse_pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(parse_pair("a="), Ok(("a".to_owned(), String::new())));
    assert!(parse_pair("a").is_err());
    assert!(parse_pair("=b").is_err());
}

#[test]
fn a_description_shows_each_partition() {
    let topic = DescribedTopic {
        name: "orders".to_owned(),
        id: "vdlEF_a1Rgm1gHf8rTpyYA".to_owned(),
        internal: false,
        replication_factor: 1,
        configs: [("retention.ms".to_owned(), Some("5".to_owned()))].into(),
        partitions: vec![DescribedPartition {
            partition: 0,
            leader: None,
            leader_epoch: 3,
            replicas: vec![1, 2],
            in_sync: vec![],
            start_offset: None,
            end_offset: Some(10),
            bytes: Some(2048),
        }],
    };
    assert_eq!(
        render(&topic),
        "Topic orders, id vdlEF_a1Rgm1gHf8rTpyYA\n  retention.ms=5\n\
         PARTITION  LEADER  REPLICAS  IN SYNC  START  END  SIZE\n\
         0          -       1,2       -        -      10   2.0 KiB\n"
    );
}
