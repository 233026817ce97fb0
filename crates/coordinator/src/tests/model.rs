//! Many clients that join, commit, leave, fall silent and come back, under a log that is slow and
//! sometimes fails; seeded.
//!
//! Checked: every token is answered exactly once; all of a generation agree on the protocol;
//! nobody gets an assignment of another generation; a machine loaded from the log knows what the live
//! one knows; and once all clients behave, every group becomes stable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use fastrand::Rng;
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::{Logged, Script};
use crate::*;

const SEEDS: u64 = 25;
const STEPS: usize = 1_000;
const STEPS_BETWEEN_REPLAYS: usize = 50;
const CLIENTS: usize = 12;
const GROUPS: usize = 3;
/// Enough for every timeout that a client can have asked for.
const SETTLE_MS: i64 = 400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Waiting(Token),
    Member,
}

#[derive(Debug)]
struct Client {
    group_id: Str,
    instance_id: Option<Str>,
    member_id: Str,
    generation_id: i32,
    phase: Phase,
    protocols: Vec<&'static str>,
    last_seen_ms: i64,
}

struct Model {
    rng: Rng,
    script: Script,
    now_ms: i64,
    next_token: u64,
    clients: Vec<Client>,
    open: BTreeMap<Token, usize>,
    answered: BTreeSet<Token>,
    in_flight: VecDeque<(AppendId, AppendBatch)>,
    /// The protocol of each generation.
    generations: BTreeMap<(Str, i32), Option<Str>>,
    may_fail: bool,
}

#[test]
fn clients_come_and_go_over_a_slow_log() {
    for seed in 0..SEEDS {
        Model::new(seed, false).run();
    }
}

#[test]
fn clients_come_and_go_over_a_failing_log() {
    for seed in 0..SEEDS {
        Model::new(seed, true).run();
    }
}

impl Model {
    fn new(seed: u64, may_fail: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let clients = (0..CLIENTS).map(|index| Client {
            group_id: format!("g{}", index % GROUPS).into(),
            instance_id: rng.bool().then(|| format!("i{index}").into()),
            member_id: Str::default(),
            generation_id: -1,
            phase: Phase::Idle,
            protocols: if rng.bool() {
                vec!["range", "sticky"]
            } else {
                vec!["sticky", "range"]
            },
            last_seen_ms: 0,
        });
        Self {
            clients: clients.collect(),
            script: Script::new(GroupConfig {
                initial_rebalance_delay_ms: 500,
                ..GroupConfig::default()
            }),
            rng,
            now_ms: 0,
            next_token: 0,
            open: BTreeMap::new(),
            answered: BTreeSet::new(),
            in_flight: VecDeque::new(),
            generations: BTreeMap::new(),
            may_fail,
        }
    }

    fn run(mut self) {
        for step in 0..STEPS {
            self.step();
            if step % STEPS_BETWEEN_REPLAYS == 0 && !self.may_fail {
                self.commit_all();
                self.script.check_replay();
            }
        }
        self.settle();
        for effect in std::mem::replace(
            &mut self.script.machine,
            GroupLoader::new(GroupConfig::default()).finish(0),
        )
        .unload()
        {
            self.effect(effect);
        }
        assert!(self.open.is_empty(), "unanswered: {:?}", self.open);
        assert_eq!(self.answered.len() as u64, self.next_token);
    }

    fn step(&mut self) {
        match self.rng.u32(0..10) {
            0..6 => {
                let index = self.rng.usize(0..CLIENTS);
                self.act(index);
            }
            6..8 => {
                let ms = self.rng.i64(0..4_000);
                self.advance(ms);
            }
            8 => self.commit_some(),
            _ if self.may_fail && self.rng.u32(0..4) == 0 => self.fail(),
            _ => self.commit_some(),
        }
    }

    fn act(&mut self, index: usize) {
        let choice = self.rng.u32(0..12);
        match (self.clients[index].phase, choice) {
            (Phase::Idle, _) => self.join(index),
            // Impatient: the connection broke, and the request is sent again on another one.
            (Phase::Waiting(_), 0) => self.join(index),
            (Phase::Waiting(_), _) => {}
            (Phase::Member, 0) => self.leave(index),
            (Phase::Member, 1) => self.forget(index),
            (Phase::Member, 2) => self.join(index),
            (Phase::Member, 3..6) => self.commit(index),
            (Phase::Member, _) => self.heartbeat(index),
        }
    }

    fn token(&mut self, index: usize) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.open.insert(token, index);
        token
    }

    fn join(&mut self, index: usize) {
        let token = self.token(index);
        let client = &mut self.clients[index];
        client.phase = Phase::Waiting(token);
        let metadata = Bytes::from_static(if self.rng.u32(0..10) == 0 {
            b"changed"
        } else {
            b"same"
        });
        let protocols = client.protocols.iter().map(|&name| Protocol {
            name: name.into(),
            metadata: metadata.clone(),
        });
        let request = JoinGroup {
            api_version: self.rng.i16(3..10),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            group_id: client.group_id.clone(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 15_000,
            protocol_type: "test".into(),
            protocols: protocols.collect(),
            reason: None,
        };
        self.script
            .machine
            .handle_join(self.now_ms, token, request, FreshId(token.0.into()));
        self.drain();
    }

    fn leave(&mut self, index: usize) {
        let token = self.token(index);
        let client = &self.clients[index];
        let member = LeavingMember {
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            reason: None,
        };
        let request = LeaveGroup {
            group_id: client.group_id.clone(),
            members: vec![member],
        };
        self.forget(index);
        self.script
            .machine
            .handle_leave(self.now_ms, token, request);
        self.drain();
    }

    /// The client starts anew and has forgotten who it was.
    fn forget(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.member_id = Str::default();
        client.generation_id = -1;
        client.phase = Phase::Idle;
    }

    fn commit(&mut self, index: usize) {
        let token = self.token(index);
        let (offset, partition) = (self.rng.i64(0..1_000), self.rng.i32(0..3));
        let client = &self.clients[index];
        let commit = CommitPartition {
            partition,
            offset,
            leader_epoch: -1,
            metadata: None,
        };
        let topics = vec![CommitTopic {
            name: "t".into(),
            topic_id: Uuid::ZERO,
            partitions: vec![commit],
        }];
        let group_id = client.group_id.clone();
        let (generation_id, member_id) = (client.generation_id, client.member_id.clone());
        let (group_instance_id, producer_id) = (client.instance_id.clone(), self.rng.i64(1..4));
        match self.rng.u32(0..4) {
            0 => {
                let end = EndTransaction {
                    producer_id,
                    producer_epoch: 0,
                    coordinator_epoch: 0,
                    committed: self.rng.bool(),
                };
                self.script.machine.handle_end_transaction(token, end);
            }
            1 => {
                let request = TxnOffsetCommit {
                    api_version: 5,
                    group_id,
                    producer_id,
                    producer_epoch: 0,
                    generation_id,
                    member_id,
                    group_instance_id,
                    topics,
                };
                self.script
                    .machine
                    .handle_txn_offset_commit(self.now_ms, token, request);
            }
            _ => {
                let request = OffsetCommit {
                    api_version: 9,
                    group_id,
                    generation_id,
                    member_id,
                    group_instance_id,
                    retention_ms: None,
                    topics,
                };
                self.script
                    .machine
                    .handle_offset_commit(self.now_ms, token, request);
            }
        }
        self.drain();
    }

    fn heartbeat(&mut self, index: usize) {
        let token = self.token(index);
        let client = &mut self.clients[index];
        client.last_seen_ms = self.now_ms;
        let request = Heartbeat {
            group_id: client.group_id.clone(),
            generation_id: client.generation_id,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
        };
        self.script
            .machine
            .handle_heartbeat(self.now_ms, token, &request);
        self.drain();
    }

    fn advance(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(at_ms) = self
            .script
            .machine
            .poll_timeout()
            .filter(|&at_ms| at_ms <= end_ms)
        {
            self.now_ms = at_ms.max(self.now_ms);
            self.script.machine.handle_timeout(self.now_ms);
            self.drain();
        }
        self.now_ms = end_ms;
    }

    fn commit_some(&mut self) {
        for _ in 0..self.rng.usize(0..=self.in_flight.len()) {
            self.commit_next();
        }
    }

    fn commit_all(&mut self) {
        while !self.in_flight.is_empty() {
            self.commit_next();
        }
    }

    fn commit_next(&mut self) {
        let Some((id, batch)) = self.in_flight.pop_front() else {
            return;
        };
        self.script.store(batch);
        self.script.machine.handle_committed(self.now_ms, id);
        self.drain();
    }

    fn fail(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let first = self.rng.usize(0..self.in_flight.len());
        let failed = self.in_flight.split_off(first);
        self.script.machine.handle_append_failed(
            self.now_ms,
            failed[0].0,
            ErrorCode::NotEnoughReplicas,
        );
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.script.machine.next_effect() {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Append { id, batch } => self.in_flight.push_back((id, batch)),
            Effect::ResolveRegexes(task) => panic!("nobody subscribes by {task:?}"),
            Effect::Respond { token, answer } => {
                let index = self
                    .open
                    .remove(&token)
                    .unwrap_or_else(|| panic!("{token:?} answered twice"));
                assert!(self.answered.insert(token));
                self.on_answer(index, token, answer);
            }
        }
    }

    fn on_answer(&mut self, index: usize, token: Token, answer: Answer) {
        // An answer that the client has stopped waiting for.
        let is_awaited = self.clients[index].phase == Phase::Waiting(token);
        match answer {
            Answer::Join(join) => {
                self.check_generation(index, &join);
                if is_awaited {
                    self.on_join(index, join);
                }
            }
            Answer::Sync(sync) => {
                if sync.error == ErrorCode::None && is_awaited {
                    let generation = self.clients[index].generation_id.to_string();
                    assert!(
                        sync.assignment.is_empty() || sync.assignment == generation.as_bytes(),
                        "assignment {:?} in generation {generation}",
                        sync.assignment
                    );
                    self.clients[index].phase = Phase::Member;
                } else if is_awaited {
                    self.on_error(index, sync.error);
                }
            }
            Answer::Heartbeat(error) if self.clients[index].phase == Phase::Member => {
                self.on_error(index, error)
            }
            _ => {}
        }
    }

    fn check_generation(&mut self, index: usize, join: &JoinAnswer) {
        if join.error != ErrorCode::None || self.may_fail {
            return;
        }
        let generation = (self.clients[index].group_id.clone(), join.generation_id);
        let agreed = self
            .generations
            .entry(generation)
            .or_insert_with(|| join.protocol_name.clone());
        assert_eq!(
            *agreed, join.protocol_name,
            "protocol of generation {}",
            join.generation_id
        );
    }

    fn on_join(&mut self, index: usize, join: JoinAnswer) {
        let client = &mut self.clients[index];
        match join.error {
            ErrorCode::None => {
                client.member_id = join.member_id.clone();
                client.generation_id = join.generation_id;
                client.phase = Phase::Idle;
                self.sync(index, join);
            }
            ErrorCode::MemberIdRequired => {
                client.member_id = join.member_id;
                client.phase = Phase::Idle;
            }
            error => self.on_error(index, error),
        }
    }

    fn on_error(&mut self, index: usize, error: ErrorCode) {
        match error {
            ErrorCode::None => {}
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => self.forget(index),
            _ => self.clients[index].phase = Phase::Idle,
        }
    }

    fn sync(&mut self, index: usize, join: JoinAnswer) {
        // Some clients die between join and sync.
        if self.rng.u32(0..20) == 0 {
            return self.forget(index);
        }
        let token = self.token(index);
        let client = &mut self.clients[index];
        client.phase = Phase::Waiting(token);
        let bytes = Bytes::from(join.generation_id.to_string());
        let assignments = join
            .members
            .iter()
            .map(|member| (member.member_id.clone(), bytes.clone()));
        let request = SyncGroup {
            api_version: 5,
            group_id: client.group_id.clone(),
            generation_id: join.generation_id,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance_id.clone(),
            protocol_type: join.protocol_type.clone(),
            protocol_name: join.protocol_name.clone(),
            assignments: if join.skip_assignment {
                Vec::new()
            } else {
                assignments.collect()
            },
        };
        self.script.machine.handle_sync(self.now_ms, token, request);
        self.drain();
    }

    /// Everybody behaves and the log is prompt: groups settle.
    fn settle(&mut self) {
        let end_ms = self.now_ms + SETTLE_MS;
        while self.now_ms < end_ms {
            for index in 0..CLIENTS {
                match self.clients[index].phase {
                    Phase::Idle => self.join(index),
                    Phase::Waiting(_) => {}
                    Phase::Member => self.heartbeat(index),
                }
            }
            self.commit_all();
            self.advance(1_000);
        }
        self.commit_all();
        let listed = self.script.machine.list_groups(&ListGroups::default());
        let states: BTreeSet<&str> = listed.iter().map(|group| group.state).collect();
        assert_eq!(states, BTreeSet::from(["Stable"]), "{listed:?}");
        self.script.check_replay();
        assert!(
            self.script
                .log
                .iter()
                .any(|logged| matches!(logged, Logged::Record { .. }))
        );
    }
}
