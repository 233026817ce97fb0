//! Groups of both protocols, groups that only commit, producers that commit in transactions; members that fall silent,
//! offsets that are deleted and expire, topics and groups that are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use ottla_coordinator::{
    Answer, CommitPartition, CommitTopic, ConsumerHeartbeat, DeletedTopic, Effect, EndTransaction,
    FreshId, GroupConfig, GroupCoordinator, GroupLoader, JoinAnswer, JoinGroup, LeaveGroup,
    LeavingMember, OffsetCommit, OffsetDelete, Protocol, SyncGroup, Token, TopicCatalog, TopicInfo,
    TopicsChange, TxnOffsetCommit,
};
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::Kept;
use crate::coordinators::shard::encode;
use crate::topics::OFFSETS_TOPIC;

const SEEDS: u64 = 6;
const ROUNDS: usize = 10;
const STEPS: usize = 120;
const CLIENTS: usize = 9;
const SESSION_MS: i64 = 10_000;
const DAY_MS: i64 = 24 * 3_600_000;
const TOPICS: [&str; 3] = ["ta", "tb", "other"];

#[derive(Debug)]
struct Topics(i64);

fn info(index: usize) -> TopicInfo {
    TopicInfo {
        id: Uuid::from_u128(index as u128 + 1),
        name: Str::from(TOPICS[index]),
        partitions: 4,
    }
}

impl TopicCatalog for Topics {
    fn version(&self) -> i64 {
        self.0
    }

    fn by_name(&self, name: &str) -> Option<TopicInfo> {
        TOPICS.iter().position(|topic| *topic == name).map(info)
    }

    fn by_id(&self, id: Uuid) -> Option<TopicInfo> {
        (0..TOPICS.len()).map(info).find(|topic| topic.id == id)
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Str)) {
        (0..TOPICS.len()).for_each(|index| visit(&info(index).name));
    }
}

/// A member of a group, as it sees itself. A third of them are of each protocol, and a third only commit.
#[derive(Debug, Default)]
struct Client {
    group_id: Str,
    instance_id: Option<Str>,
    member_id: Str,
    /// Generation or member epoch.
    epoch: i32,
    is_consumer: bool,
}

struct Run {
    rng: Rng,
    kept: Kept,
    machine: GroupCoordinator,
    clients: Vec<Client>,
    asked: Vec<usize>,
}

fn loader() -> GroupLoader {
    GroupLoader::new(GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    })
}

#[test]
fn groups_and_offsets_are_after_cleaning_what_they_were_before() {
    let seen: String = (0..SEEDS).map(run).collect();
    // There was something of everything.
    for what in [
        "ClassicGroup {",
        "state: Stable",
        "group_instance_id: Some",
        "ConsumerGroup {",
        "ResolvedRegex {",
        "CommittedOffset {",
    ] {
        assert!(seen.contains(what), "never {what}");
    }
    let has_pending = |line: &str| line.contains("pending: {") && !line.contains("{}");
    assert!(seen.lines().any(has_pending), "no open transaction");
}

/// Returns all that was known after each clean.
fn run(seed: u64) -> String {
    let kept = Kept::new(OFFSETS_TOPIC);
    let clients = (0..CLIENTS).map(|index| Client {
        group_id: format!(
            "{}-{}",
            ["classic", "consumer", "plain"][index % 3],
            index / 6
        )
        .into(),
        instance_id: (index % 6 < 3 && index % 3 < 2).then(|| format!("instance-{index}").into()),
        epoch: -1,
        is_consumer: index % 3 == 1,
        ..Client::default()
    });
    let mut run = Run {
        machine: loader().finish(kept.now_ms),
        rng: Rng::with_seed(seed),
        clients: clients.collect(),
        kept,
        asked: Vec::new(),
    };
    let change = TopicsChange {
        changed: TOPICS.map(Str::from).to_vec(),
        has_new_topics: true,
    };
    run.machine.handle_metadata(Arc::new(Topics(1)), &change);
    let mut seen = String::new();
    for round in 0..ROUNDS {
        for _ in 0..STEPS {
            run.step();
        }
        if round % 4 == 3 {
            // Whatever nobody commits any more expires, which leaves tombstones.
            run.advance(8 * DAY_MS);
        }
        seen += &run.kept.clean(loader);
    }
    assert!(run.kept.removed > 20_000, "{} bytes", run.kept.removed);
    seen
}

impl Run {
    fn step(&mut self) {
        let index = self.rng.usize(..CLIENTS);
        let token = Token(self.asked.len() as u64);
        self.asked.push(index);
        let client = &self.clients[index];
        match self.rng.u32(..24) {
            0..5 if client.is_consumer => self.heartbeat(index, token),
            0..5 if &*client.group_id != "plain" => self.join(index, token),
            5 => self.leave(index, token),
            6..12 => self.commit(index, token),
            12..16 => self.commit_in_transaction(index, token),
            16..19 => self.end_transaction(token),
            19 => {
                let topic = Str::from(TOPICS[self.rng.usize(..3)]);
                let request = OffsetDelete {
                    group_id: client.group_id.clone(),
                    topics: vec![(topic, vec![self.rng.i32(0..4)])],
                };
                self.machine.handle_offset_delete(token, request);
            }
            20 if self.rng.u32(..8) == 0 => {
                let groups = vec![client.group_id.clone()];
                self.machine.handle_delete_groups(token, groups);
            }
            21 if self.rng.u32(..8) == 0 => {
                let topic = info(self.rng.usize(..3));
                let deleted = DeletedTopic {
                    name: topic.name,
                    topic_id: topic.id,
                };
                self.machine.handle_topics_deleted(&[deleted]);
            }
            _ => {
                let ms = self.rng.i64(0..SESSION_MS / 2);
                self.advance(ms);
            }
        }
        self.drain();
    }

    fn join(&mut self, index: usize, token: Token) {
        let client = &self.clients[index];
        let request = JoinGroup {
            // A dynamic member is let in at once.
            api_version: 3,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            group_id: client.group_id.clone(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            session_timeout_ms: SESSION_MS as i32,
            rebalance_timeout_ms: SESSION_MS as i32,
            protocol_type: "test".into(),
            protocols: vec![Protocol {
                name: "range".into(),
                metadata: Bytes::from(vec![7; self.rng.usize(..40)]),
            }],
            reason: None,
        };
        let fresh = FreshId(token.0.into());
        self.machine
            .handle_join(self.kept.now_ms, token, request, fresh);
    }

    fn heartbeat(&mut self, index: usize, token: Token) {
        let is_new = self.clients[index].epoch < 0 || self.rng.u32(..6) == 0;
        if self.clients[index].member_id.is_empty() {
            self.clients[index].member_id = format!("member-{}", token.0).into();
        }
        let client = &self.clients[index];
        let by_regex = index > 5;
        let topics = TOPICS[..self.rng.usize(1..4)].iter().copied();
        let request = ConsumerHeartbeat {
            api_version: 1,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            group_id: client.group_id.clone(),
            member_id: client.member_id.clone(),
            member_epoch: if is_new { 0 } else { client.epoch },
            instance_id: client.instance_id.clone(),
            rack_id: None,
            rebalance_timeout_ms: if is_new { SESSION_MS as i32 } else { -1 },
            topics: (is_new && !by_regex).then(|| topics.map(Str::from).collect()),
            regex: (is_new && by_regex).then(|| Str::from("t.*")),
            assignor: None,
            // It gives up and takes over at once whatever it is told.
            owned: is_new.then(BTreeMap::<Uuid, BTreeSet<i32>>::new),
        };
        let fresh = FreshId(token.0.into());
        self.machine
            .handle_consumer_heartbeat(self.kept.now_ms, token, request, fresh);
    }

    fn leave(&mut self, index: usize, token: Token) {
        let client = &mut self.clients[index];
        let member_id = std::mem::take(&mut client.member_id);
        let is_member = client.epoch >= 0;
        client.epoch = -1;
        if !is_member {
            return;
        }
        if !client.is_consumer {
            let request = LeaveGroup {
                group_id: client.group_id.clone(),
                members: vec![LeavingMember {
                    member_id,
                    group_instance_id: client.instance_id.clone(),
                    reason: None,
                }],
            };
            return self.machine.handle_leave(self.kept.now_ms, token, request);
        }
        let request = ConsumerHeartbeat {
            api_version: 1,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            group_id: client.group_id.clone(),
            member_id,
            // Static members may say that they come back.
            member_epoch: if client.instance_id.is_some() && self.rng.bool() {
                -2
            } else {
                -1
            },
            instance_id: client.instance_id.clone(),
            rack_id: None,
            rebalance_timeout_ms: -1,
            topics: None,
            regex: None,
            assignor: None,
            owned: None,
        };
        let fresh = FreshId(token.0.into());
        self.machine
            .handle_consumer_heartbeat(self.kept.now_ms, token, request, fresh);
    }

    fn offsets(&mut self) -> Vec<CommitTopic> {
        let topic = info(self.rng.usize(..3));
        let partitions = (0..self.rng.i32(1..4)).map(|_| CommitPartition {
            partition: self.rng.i32(0..4),
            offset: self.rng.i64(0..1_000),
            leader_epoch: 0,
            metadata: None,
        });
        vec![CommitTopic {
            partitions: partitions.collect(),
            name: topic.name,
            topic_id: topic.id,
        }]
    }

    fn commit(&mut self, index: usize, token: Token) {
        let topics = self.offsets();
        let client = &self.clients[index];
        let request = OffsetCommit {
            api_version: 9,
            group_id: client.group_id.clone(),
            generation_id: client.epoch,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            retention_ms: None,
            topics,
        };
        self.machine
            .handle_offset_commit(self.kept.now_ms, token, request);
    }

    fn commit_in_transaction(&mut self, index: usize, token: Token) {
        let topics = self.offsets();
        let client = &self.clients[index];
        let request = TxnOffsetCommit {
            api_version: 5,
            group_id: client.group_id.clone(),
            producer_id: self.rng.i64(1..5),
            producer_epoch: 0,
            generation_id: client.epoch,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            topics,
        };
        self.machine
            .handle_txn_offset_commit(self.kept.now_ms, token, request);
    }

    fn end_transaction(&mut self, token: Token) {
        let end = EndTransaction {
            producer_id: self.rng.i64(1..5),
            producer_epoch: 0,
            coordinator_epoch: 0,
            committed: self.rng.bool(),
        };
        self.machine.handle_end_transaction(token, end);
    }

    fn advance(&mut self, ms: i64) {
        self.kept.now_ms += ms;
        self.machine.handle_timeout(self.kept.now_ms);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Append { id, batch } => {
                    let batch = encode(batch, self.kept.now_ms).unwrap();
                    self.kept.append(&batch);
                    self.machine.handle_committed(self.kept.now_ms, id);
                }
                Effect::ResolveRegexes(task) => {
                    let resolved = task.resolve(&Topics(1));
                    self.machine
                        .handle_regexes_resolved(self.kept.now_ms, resolved);
                }
                Effect::Respond { token, answer } => self.hear(token, answer),
            }
        }
    }

    fn hear(&mut self, token: Token, answer: Answer) {
        let index = self.asked[token.0 as usize];
        let client = &mut self.clients[index];
        match answer {
            Answer::Join(joined) if joined.error == ErrorCode::None => {
                client.member_id = joined.member_id.clone();
                client.epoch = joined.generation_id;
                self.sync(index, joined);
            }
            Answer::ConsumerHeartbeat(beat) if beat.error == ErrorCode::None => {
                client.epoch = beat.member_epoch;
            }
            Answer::Join(_) | Answer::ConsumerHeartbeat(_) => {
                client.member_id = Str::default();
                client.epoch = -1;
            }
            _ => {}
        }
    }

    /// Every member asks for its assignment, which the leader brings along.
    fn sync(&mut self, index: usize, joined: JoinAnswer) {
        let token = Token(self.asked.len() as u64);
        self.asked.push(index);
        let client = &self.clients[index];
        let members = joined.members.into_iter();
        let request = SyncGroup {
            api_version: 5,
            group_id: client.group_id.clone(),
            generation_id: joined.generation_id,
            member_id: joined.member_id,
            group_instance_id: client.instance_id.clone(),
            protocol_type: joined.protocol_type,
            protocol_name: joined.protocol_name,
            assignments: members
                .map(|member| (member.member_id, Bytes::from_static(b"assigned")))
                .collect(),
        };
        self.machine.handle_sync(self.kept.now_ms, token, request);
    }
}
