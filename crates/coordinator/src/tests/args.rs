//! The words of a script's command, and the requests they stand for.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::{Str, Uuid};

use super::{catalog, long};
use crate::*;

/// Words of a command: positional ones, and `key=value`.
pub(crate) struct Args {
    pub positional: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Args {
    pub fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let (mut positional, mut named) = (Vec::new(), BTreeMap::new());
        for word in words {
            match word.split_once('=') {
                Some((key, value)) if !key.contains(':') => {
                    named.insert(key.to_owned(), value.to_owned());
                }
                _ => positional.push(word.to_owned()),
            }
        }
        Self { positional, named }
    }

    pub fn at(&self, index: usize) -> &str {
        self.positional
            .get(index)
            .map(String::as_str)
            .unwrap_or_else(|| panic!("argument {index} is missing"))
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.named.get(key).map(String::as_str)
    }

    pub fn number<N: std::str::FromStr>(&self, key: &str, default: N) -> N {
        self.value(key)
            .map_or(default, |value| value.parse().ok().expect("a number"))
    }

    pub fn version(&self, newest: i16) -> i16 {
        self.number("v", newest)
    }

    pub fn group_id(&self) -> Str {
        self.at(0).trim_matches('-').into()
    }

    pub fn instance(&self) -> Option<Str> {
        self.value("instance").map(Str::from)
    }

    pub fn topic_id(&self) -> Uuid {
        Uuid::from_u128(self.number("id", 0))
    }

    /// `id=name` is a topic's own id.
    fn topic_id_of(&self, name: &str) -> Uuid {
        if self.value("id") == Some("name") {
            catalog::topic_id(name)
        } else {
            self.topic_id()
        }
    }

    /// `join GROUP MEMBER [client=] [instance=] [session=] [rebalance=] [type=] [protocols=a,b+metadata]`,
    /// with `[sub=topics] [owned=a/0.1+b/2]` for a consumer
    pub fn join(&self) -> JoinGroup {
        let protocols = self
            .value("protocols")
            .unwrap_or("range")
            .split(',')
            .filter(|name| !name.is_empty());
        let protocols = protocols.map(|protocol| {
            let (name, metadata) = protocol.split_once('+').unwrap_or((protocol, "x"));
            let metadata = match self.value("sub") {
                Some(topics) => catalog::subscription(topics, self.value("owned").unwrap_or("")),
                None => Bytes::copy_from_slice(metadata.as_bytes()),
            };
            Protocol {
                name: name.into(),
                metadata,
            }
        });
        JoinGroup {
            api_version: self.version(9),
            client_id: self.value("client").unwrap_or("c").into(),
            client_host: "/127.0.0.1".into(),
            group_id: self.group_id(),
            member_id: long(self.at(1)),
            group_instance_id: self.instance(),
            session_timeout_ms: self.number("session", 10_000),
            rebalance_timeout_ms: self.number("rebalance", 60_000),
            protocol_type: self
                .value("type")
                .unwrap_or(if self.value("sub").is_some() {
                    "consumer"
                } else {
                    "test"
                })
                .into(),
            protocols: protocols.collect(),
            reason: None,
        }
    }

    /// `sync GROUP GENERATION MEMBER [assign=member:bytes,…] [type=] [protocol=]`
    pub fn sync(&self) -> SyncGroup {
        let assignments = self
            .value("assign")
            .into_iter()
            .flat_map(|list| list.split(','));
        let assignments = assignments.map(|assigned| {
            let (member, bytes) = assigned.split_once(':').expect("member:bytes");
            let bytes = match bytes.contains('/') {
                true => catalog::assignment(bytes),
                false => Bytes::copy_from_slice(bytes.as_bytes()),
            };
            (long(member), bytes)
        });
        SyncGroup {
            api_version: self.version(4),
            group_id: self.group_id(),
            generation_id: self.at(1).parse().expect("a generation"),
            member_id: long(self.at(2)),
            group_instance_id: self.instance(),
            protocol_type: self.value("type").map(Str::from),
            protocol_name: self.value("protocol").map(Str::from),
            assignments: assignments.collect(),
        }
    }

    /// `consumer GROUP MEMBER EPOCH [topics=a,b] [regex=] [owned=a/0.1+b/2] [instance=] [assignor=] [v=]`;
    /// what a join must have is there by default.
    pub fn consumer(&self) -> ConsumerHeartbeat {
        let epoch = self.at(2).parse().expect("an epoch");
        let is_joining = epoch == 0;
        let owned = self.value("owned").or(is_joining.then_some(""));
        let topics = self
            .value("topics")
            .or((is_joining && self.value("regex").is_none()).then_some("a"));
        ConsumerHeartbeat {
            api_version: self.version(1),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            group_id: self.group_id(),
            member_id: long(self.at(1)),
            member_epoch: epoch,
            instance_id: self.instance(),
            rack_id: None,
            rebalance_timeout_ms: self.number("rebalance", if is_joining { 60_000 } else { -1 }),
            topics: topics.map(|topics| {
                topics
                    .split(',')
                    .filter(|t| !t.is_empty())
                    .map(Str::from)
                    .collect()
            }),
            regex: self
                .value("regex")
                .map(|regex| regex.trim_matches('"').into()),
            assignor: self.value("assignor").map(Str::from),
            owned: owned.map(|owned| {
                let topics = catalog::partitions(owned).into_iter();
                topics
                    .map(|(topic, partitions)| {
                        (catalog::topic_id(&topic), partitions.into_iter().collect())
                    })
                    .collect()
            }),
        }
    }

    /// `heartbeat GROUP GENERATION MEMBER`
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            group_id: self.group_id(),
            generation_id: self.at(1).parse().expect("a generation"),
            member_id: long(self.at(2)),
            group_instance_id: self.instance(),
        }
    }

    /// `leave GROUP MEMBER[@INSTANCE]…`
    pub fn leave(&self) -> LeaveGroup {
        let members = self.positional.iter().skip(1).map(|member| {
            let (id, instance) = member
                .split_once('@')
                .map_or((member.as_str(), None), |(id, i)| (id, Some(i)));
            LeavingMember {
                member_id: long(id),
                group_instance_id: instance.map(Str::from),
                reason: None,
            }
        });
        LeaveGroup {
            group_id: self.group_id(),
            members: members.collect(),
        }
    }

    /// `commit GROUP GENERATION MEMBER topic:partition=offset[/metadata]…`
    pub fn commit(&self) -> OffsetCommit {
        OffsetCommit {
            api_version: self.version(9),
            group_id: self.group_id(),
            generation_id: self.at(1).parse().expect("a generation"),
            member_id: long(self.at(2)),
            group_instance_id: self.instance(),
            retention_ms: self
                .value("retention")
                .map(|ms| ms.parse().expect("milliseconds")),
            topics: self.commit_topics(3),
        }
    }

    /// `txn-commit GROUP PRODUCER topic:partition=offset… [generation=] [member=]`
    pub fn txn_commit(&self) -> TxnOffsetCommit {
        TxnOffsetCommit {
            api_version: 5,
            group_id: self.group_id(),
            producer_id: self.at(1).parse().expect("a producer id"),
            producer_epoch: 0,
            generation_id: self.number("generation", -1),
            member_id: self.value("member").map(long).unwrap_or_default(),
            group_instance_id: self.instance(),
            topics: self.commit_topics(2),
        }
    }

    pub fn commit_topics(&self, from: usize) -> Vec<CommitTopic> {
        let topics = self.positional.iter().skip(from).map(|commit| {
            let (partition, offset) = commit.split_once('=').expect("topic:partition=offset");
            let (offset, metadata) = offset
                .split_once('/')
                .map_or((offset, None), |(o, m)| (o, Some(m)));
            let (name, index) = partition.split_once(':').expect("topic:partition");
            let commit = CommitPartition {
                partition: index.parse().expect("a partition"),
                offset: offset.parse().expect("an offset"),
                leader_epoch: self.number("epoch", -1),
                metadata: metadata.map(Str::from),
            };
            CommitTopic {
                name: name.into(),
                topic_id: self.topic_id_of(name),
                partitions: vec![commit],
            }
        });
        topics.collect()
    }

    /// `end PRODUCER commit|abort`
    pub fn end(&self) -> EndTransaction {
        EndTransaction {
            producer_id: self.at(0).parse().expect("a producer id"),
            producer_epoch: 0,
            coordinator_epoch: 0,
            committed: self.at(1) == "commit",
        }
    }

    /// `fetch GROUP topic:partition… | fetch GROUP all`, with `stable=1`
    pub fn fetch(&self) -> OffsetFetch {
        let topics = (self.at(1) != "all").then(|| {
            let topics = self.positional.iter().skip(1).map(|partition| {
                let (name, index) = partition.split_once(':').expect("topic:partition");
                let partitions = vec![index.parse().expect("a partition")];
                FetchTopic {
                    name: name.into(),
                    topic_id: self.topic_id(),
                    partitions,
                }
            });
            topics.collect()
        });
        OffsetFetch {
            group_id: self.group_id(),
            member_id: self.value("member").map(long),
            member_epoch: self.number("epoch", -1),
            topics,
            require_stable: self.value("stable").is_some(),
        }
    }

    /// `delete-offsets GROUP topic:partition…`
    pub fn delete_offsets(&self) -> OffsetDelete {
        let topics = self.positional.iter().skip(1).map(|partition| {
            let (name, index) = partition.split_once(':').expect("topic:partition");
            (name.into(), vec![index.parse().expect("a partition")])
        });
        OffsetDelete {
            group_id: self.group_id(),
            topics: topics.collect(),
        }
    }
}
