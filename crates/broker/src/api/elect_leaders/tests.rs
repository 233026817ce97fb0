use ottla_controller::ControlError;

use super::*;

fn answer(topic: &str, partition: i32, result: Result<(), ControlError>) -> ElectionAnswer {
    ElectionAnswer { topic: Str::from(topic), partition, result }
}

fn lines(results: &[ReplicaElectionResult]) -> Vec<String> {
    let partition = |result: &PartitionResult| format!(" {}:{}", result.partition_id, result.error_code);
    let line = |result: &ReplicaElectionResult| {
        format!("{}{}", result.topic, result.partition_result.iter().map(partition).collect::<String>())
    };
    results.iter().map(line).collect()
}

#[test]
fn answers_stand_below_their_topics() {
    let answers = vec![
        answer("a", 0, Ok(())),
        answer("a", 1, Err(ControlError::ElectionNotNeeded)),
        answer("c", 0, Err(ControlError::PreferredLeaderNotAvailable)),
    ];
    assert_eq!(lines(&by_topic(Vec::new(), answers.clone())), ["a 0:0 1:84", "c 0:80"]);
    let all = ["a", "b", "c", "d"].map(Str::from).to_vec();
    assert_eq!(lines(&by_topic(all, answers)), ["a 0:0 1:84", "b", "c 0:80", "d"]);
}

#[test]
fn a_failure_is_everybodys() {
    let topics = vec![TopicPartitions { topic: "a".into(), partitions: vec![0, 2], ..Default::default() }];
    let request = ElectLeadersRequest { topic_partitions: Some(topics), ..Default::default() };
    let response = failed(&request, &Failure::invalid_request("Unknown election type 7"));
    assert_eq!((response.error_code, lines(&response.replica_election_results)), (42, vec!["a 0:42 2:42".to_string()]));
}
