//! Effects as text.

use std::fmt::Write;

use bytes::Bytes;
use ottla_protocol::ErrorCode;

use super::catalog::{shown_assignment, shown_partitions};
use super::{short, text};
use crate::consumer::group::Change;
use crate::consumer::member::Owned;
use crate::records::Record;
use crate::*;

fn code(error: ErrorCode) -> String {
    if error == ErrorCode::None {
        "ok".into()
    } else {
        format!("{error:?}")
    }
}

pub fn shown_batch(batch: &AppendBatch) -> String {
    match batch {
        AppendBatch::Records(records) => shown_records(records),
        AppendBatch::Transactional {
            producer_id,
            producer_epoch,
            records,
        } => {
            format!(
                "by producer {producer_id}/{producer_epoch}: {}",
                shown_records(records)
            )
        }
        AppendBatch::EndTransaction(end) => {
            let what = if end.committed { "commit" } else { "abort" };
            format!(
                "{what} marker of producer {}/{}",
                end.producer_id, end.producer_epoch
            )
        }
    }
}

fn shown_records(records: &[KeyValue]) -> String {
    let shown = records.iter().map(|(key, value)| {
        let record = Record::decode(key, value.as_deref()).expect("our own records are readable");
        shown_record(&record.expect("our own records are known"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn shown_record(record: &Record) -> String {
    match record {
        Record::Consumer { group_id, change } => format!("{group_id}: {}", shown_change(change)),
        Record::Offset { key, value: None } => {
            format!("{}/{}:{} gone", key.group_id, key.topic, key.partition)
        }
        Record::Offset {
            key,
            value: Some(value),
        } => {
            let mut line = format!(
                "{}/{}:{}={}",
                key.group_id, key.topic, key.partition, value.offset
            );
            if let Some(expiry) = value.expire_timestamp_ms {
                write!(line, " expires {expiry}").expect("strings grow");
            }
            line
        }
        Record::Group {
            group_id,
            value: None,
        } => format!("group {group_id} gone"),
        Record::Group {
            group_id,
            value: Some(value),
        } => {
            let leader = short(value.leader_id.as_deref().unwrap_or("-"));
            let protocol = value.protocol_name.as_deref().unwrap_or("-");
            let members = value.members.iter();
            let members: Vec<String> = members
                .map(|m| format!("{}={}", short(&m.member_id), shown_bytes(&m.assignment)))
                .collect();
            let (generation, kind) = (value.generation_id, &value.protocol_type);
            format!(
                "group {group_id} generation {generation} {kind}/{protocol} leader {leader} [{}]",
                members.join(" ")
            )
        }
    }
}

fn shown_bytes(assignment: &Bytes) -> String {
    shown_assignment(assignment).unwrap_or_else(|| text(assignment))
}

fn shown_change(change: &Change) -> String {
    let owned = |owned: &Owned| {
        shown_partitions(
            owned
                .iter()
                .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())),
        )
    };
    match change {
        Change::Member {
            member_id,
            value: Some(value),
        } => {
            let topics: Vec<&str> = value.topics.iter().map(|topic| &**topic).collect();
            let regex = if value.regex.is_empty() {
                String::new()
            } else {
                format!(" /{}/", value.regex)
            };
            format!(
                "member {} wants [{}]{regex}",
                short(member_id),
                topics.join(",")
            )
        }
        Change::Member {
            member_id,
            value: None,
        } => format!("member {} gone", short(member_id)),
        Change::Epoch(Some(epoch)) => format!("epoch {}", epoch.epoch),
        Change::Epoch(None) => "epoch gone".to_owned(),
        Change::TopicMetadata { is_present } => format!("topic metadata {is_present}"),
        Change::TargetMember {
            member_id,
            value: Some(target),
        } => {
            let target = target
                .iter()
                .map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()));
            format!("target {} [{}]", short(member_id), shown_partitions(target))
        }
        Change::TargetMember {
            member_id,
            value: None,
        } => format!("target {} gone", short(member_id)),
        Change::TargetEpoch(Some(epoch)) => format!("targets {}", epoch.epoch),
        Change::TargetEpoch(None) => "targets gone".to_owned(),
        Change::Progress {
            member_id,
            value: Some(progress),
        } => {
            let (epoch, state) = (progress.epoch, progress.state);
            let (has, revokes) = (
                owned(&progress.assigned),
                owned(&progress.pending_revocation),
            );
            let revokes = if revokes.is_empty() {
                String::new()
            } else {
                format!(" revokes [{revokes}]")
            };
            format!(
                "{} at {epoch} {state:?} has [{has}]{revokes}",
                short(member_id)
            )
        }
        Change::Progress {
            member_id,
            value: None,
        } => format!("{} has nothing", short(member_id)),
        Change::Regex {
            regex,
            value: Some(resolved),
        } => {
            let topics: Vec<&str> = resolved.topics.iter().map(|topic| &**topic).collect();
            format!("/{regex}/ is [{}]", topics.join(","))
        }
        Change::Regex { regex, value: None } => format!("/{regex}/ gone"),
    }
}

pub fn shown(answer: &Answer) -> String {
    match answer {
        Answer::ConsumerHeartbeat(heartbeat) if heartbeat.error != ErrorCode::None => {
            let message = heartbeat.error_message.as_deref().unwrap_or_default();
            format!("consumer {:?}: {message}", heartbeat.error)
        }
        Answer::ConsumerHeartbeat(heartbeat) => {
            let member = heartbeat
                .member_id
                .as_deref()
                .map(short)
                .unwrap_or_default();
            let assignment = heartbeat.assignment.clone();
            let assignment =
                assignment.map(|topics| format!(" [{}]", shown_partitions(topics.into_iter())));
            format!(
                "consumer {member} epoch {}{}",
                heartbeat.member_epoch,
                assignment.unwrap_or_default()
            )
        }
        Answer::Join(join) if join.error != ErrorCode::None => {
            format!("join {:?} member={}", join.error, short(&join.member_id))
        }
        Answer::Join(join) => {
            let members: Vec<String> = join
                .members
                .iter()
                .map(|member| short(&member.member_id))
                .collect();
            let protocol = join.protocol_name.as_deref().unwrap_or("-");
            let skip = if join.skip_assignment { " skip" } else { "" };
            let (generation, leader, member) = (
                join.generation_id,
                short(&join.leader),
                short(&join.member_id),
            );
            format!(
                "join {generation} {protocol} leader={leader} member={member} [{}]{skip}",
                members.join(" ")
            )
        }
        Answer::Sync(sync) => format!(
            "sync {} {}",
            code(sync.error),
            shown_bytes(&sync.assignment)
        ),
        Answer::Heartbeat(error) => format!("heartbeat {}", code(*error)),
        Answer::Leave(leave) => {
            let members = leave.members.iter().map(|left| {
                let instance = left
                    .group_instance_id
                    .as_deref()
                    .map(|id| format!("@{id}"))
                    .unwrap_or_default();
                format!("{}{instance} {}", short(&left.member_id), code(left.error))
            });
            format!(
                "leave {} [{}]",
                code(leave.error),
                members.collect::<Vec<_>>().join(", ")
            )
        }
        Answer::OffsetCommit(topics) | Answer::TxnOffsetCommit(topics) => {
            let partitions = topics.iter().flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|(index, error)| format!("{}:{index} {}", topic.name, code(*error)))
            });
            format!("commit [{}]", partitions.collect::<Vec<_>>().join(", "))
        }
        Answer::OffsetFetch(fetch) => {
            let partitions = fetch.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|partition| {
                    let FetchPartitionAnswer {
                        partition,
                        error,
                        offset,
                        leader_epoch,
                        metadata,
                    } = partition;
                    let metadata = if metadata.is_empty() {
                        String::new()
                    } else {
                        format!(" {metadata}")
                    };
                    let epoch = if *leader_epoch < 0 {
                        String::new()
                    } else {
                        format!(" epoch {leader_epoch}")
                    };
                    let error = if *error == ErrorCode::None {
                        String::new()
                    } else {
                        format!(" {error:?}")
                    };
                    format!(
                        "{}:{partition}={offset}{epoch}{metadata}{error}",
                        topic.name
                    )
                })
            });
            format!(
                "fetch {} [{}]",
                code(fetch.error),
                partitions.collect::<Vec<_>>().join(", ")
            )
        }
        Answer::OffsetDelete(deleted) => {
            let partitions = deleted.topics.iter().flat_map(|(topic, partitions)| {
                partitions
                    .iter()
                    .map(move |(index, error)| format!("{topic}:{index} {}", code(*error)))
            });
            format!(
                "delete-offsets {} [{}]",
                code(deleted.error),
                partitions.collect::<Vec<_>>().join(", ")
            )
        }
        Answer::DeleteGroups(groups) => {
            let groups: Vec<String> = groups
                .iter()
                .map(|(id, error)| format!("{id} {}", code(*error)))
                .collect();
            format!("delete [{}]", groups.join(", "))
        }
        Answer::EndTransaction(error) => format!("end {}", code(*error)),
    }
}
