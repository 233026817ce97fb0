//! Members of consumer groups that join, follow, fall silent and leave, over topics that grow and a log
//! that is slow and sometimes fails; seeded.
//!
//! Checked: no two members own a partition at the same time; every token is answered exactly once; a
//! machine loaded from the log knows what the live one knows; and once all behave, the group is stable
//! and every partition of every subscribed topic has its owner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::{Script, assigned_every, catalog, heartbeat_of, member_id};
use crate::*;

const SEEDS: u64 = 25;
const STEPS: usize = 800;
const STEPS_BETWEEN_REPLAYS: usize = 40;
const MEMBERS: usize = 8;
/// Rounds of heartbeats in which everything must come to rest.
const SETTLE_ROUNDS: usize = 60;
const GROUP: &str = "g";

#[derive(Debug, Default)]
struct Member {
    epoch: Option<i32>,
    owned: BTreeSet<(Uuid, i32)>,
    waiting: Option<Token>,
    incarnation: usize,
}

struct Model {
    rng: Rng,
    script: Script,
    now_ms: i64,
    next_token: u64,
    members: Vec<Member>,
    topics: BTreeMap<Str, i32>,
    open: BTreeMap<Token, (usize, usize)>,
    in_flight: VecDeque<(AppendId, AppendBatch)>,
    may_fail: bool,
}

#[test]
fn members_come_and_go_over_a_slow_log() {
    for seed in 0..SEEDS {
        Model::new(seed, false).run();
    }
}

#[test]
fn members_come_and_go_over_a_failing_log() {
    for seed in 0..SEEDS {
        Model::new(seed, true).run();
    }
}

impl Model {
    fn new(seed: u64, may_fail: bool) -> Self {
        let config = assigned_every(500);
        let mut model = Self {
            rng: Rng::with_seed(seed),
            script: Script::new(config),
            now_ms: 0,
            next_token: 0,
            members: (0..MEMBERS).map(|_| Member::default()).collect(),
            topics: BTreeMap::new(),
            open: BTreeMap::new(),
            in_flight: VecDeque::new(),
            may_fail,
        };
        model.set_topic("a", 5);
        model.set_topic("b", 3);
        model
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
        assert!(self.open.is_empty(), "unanswered: {:?}", self.open);
    }

    fn step(&mut self) {
        match self.rng.u32(0..20) {
            0..12 => {
                let index = self.rng.usize(0..MEMBERS);
                self.act(index);
            }
            12..15 => {
                let ms = self.rng.i64(0..2_000);
                self.advance(ms);
            }
            15 if self.rng.u32(0..10) == 0 => {
                let (name, more) = if self.rng.bool() { ("a", 1) } else { ("b", 2) };
                let partitions = self.topics.get(name).copied().unwrap_or(0) + more;
                self.set_topic(name, partitions.min(20));
            }
            16 if self.may_fail && self.rng.u32(0..4) == 0 => self.fail(),
            _ => self.commit_some(),
        }
    }

    fn set_topic(&mut self, name: &str, partitions: i32) {
        self.topics.insert(name.into(), partitions);
        let (catalog, change) = self.script.catalog.next(self.topics.clone());
        self.script.catalog = catalog;
        self.script
            .machine
            .handle_metadata(self.script.catalog.clone(), &change);
    }

    fn act(&mut self, index: usize) {
        if self.members[index].waiting.is_some() {
            return;
        }
        match (self.members[index].epoch, self.rng.u32(0..20)) {
            (None, _) => self.heartbeat(index, 0, true),
            (Some(_), 0) => self.leave(index),
            (Some(epoch), 1) => self.heartbeat(index, epoch, true),
            (Some(epoch), _) => self.heartbeat(index, epoch, false),
        }
    }

    fn heartbeat(&mut self, index: usize, epoch: i32, changes_topics: bool) {
        let topics = ["a", "b", "a,b"][self.rng.usize(0..3)];
        let topics = topics.split(',').map(Str::from).collect();
        let member = &self.members[index];
        let mut owned: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
        for (topic, partition) in &member.owned {
            owned.entry(*topic).or_default().insert(*partition);
        }
        let request = ConsumerHeartbeat {
            rebalance_timeout_ms: if epoch == 0 { 20_000 } else { -1 },
            topics: (epoch == 0 || changes_topics).then_some(topics),
            owned: Some(owned),
            ..self.request(index, epoch)
        };
        self.send(index, request);
    }

    /// Gives everything up at once.
    fn leave(&mut self, index: usize) {
        let request = self.request(index, -1);
        self.reset(index);
        self.send(index, request);
        self.members[index].waiting = None;
    }

    fn request(&self, index: usize, epoch: i32) -> ConsumerHeartbeat {
        heartbeat_of(GROUP, index, self.members[index].incarnation, epoch)
    }

    fn send(&mut self, index: usize, request: ConsumerHeartbeat) {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.members[index].waiting = Some(token);
        self.open
            .insert(token, (index, self.members[index].incarnation));
        let fresh_id = FreshId(token.0.into());
        self.script
            .machine
            .handle_consumer_heartbeat(self.now_ms, token, request, fresh_id);
        self.drain();
    }

    fn reset(&mut self, index: usize) {
        let incarnation = self.members[index].incarnation + 1;
        self.members[index] = Member {
            incarnation,
            ..Member::default()
        };
    }

    fn on_answer(&mut self, index: usize, heartbeat: ConsumerHeartbeatAnswer) {
        match heartbeat.error {
            ErrorCode::None if heartbeat.member_epoch >= 0 => {
                let member = &mut self.members[index];
                member.epoch = Some(heartbeat.member_epoch);
                if let Some(assignment) = heartbeat.assignment {
                    let flat = assignment.into_iter().flat_map(|(topic, partitions)| {
                        partitions
                            .into_iter()
                            .map(move |partition| (topic, partition))
                    });
                    member.owned = flat.collect();
                }
            }
            // Fenced, or unknown: everything is given up, and the member comes back as another.
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => self.reset(index),
            // Not stored: the member asks again.
            _ => {}
        }
        self.check_disjoint();
    }

    fn check_disjoint(&self) {
        let mut owners: BTreeMap<(Uuid, i32), usize> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            // A member that the group fenced does not know it yet: it stopped by its own session.
            if !self.is_known(index) {
                continue;
            }
            for partition in &member.owned {
                let other = owners.insert(*partition, index);
                assert!(
                    other.is_none(),
                    "{partition:?} belongs to {other:?} and {index}"
                );
            }
        }
    }

    fn is_known(&self, index: usize) -> bool {
        let member_id = member_id(index, self.members[index].incarnation);
        let group = self.script.machine.consumer_groups.get(GROUP);
        group.is_some_and(|group| group.member(&member_id).is_some())
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
            match effect {
                Effect::Append { id, batch } => self.in_flight.push_back((id, batch)),
                Effect::ResolveRegexes(task) => panic!("nobody subscribes by {task:?}"),
                Effect::Respond { token, answer } => self.answered(token, answer),
            }
        }
    }

    fn answered(&mut self, token: Token, answer: Answer) {
        let (index, incarnation) = self
            .open
            .remove(&token)
            .unwrap_or_else(|| panic!("{token:?} answered twice"));
        let Answer::ConsumerHeartbeat(heartbeat) = answer else {
            panic!("{answer:?}")
        };
        let member = &mut self.members[index];
        if member.incarnation == incarnation && member.waiting == Some(token) {
            member.waiting = None;
            self.on_answer(index, heartbeat);
        }
    }

    fn settle(&mut self) {
        for _ in 0..SETTLE_ROUNDS {
            for index in 0..MEMBERS {
                let epoch = self.members[index].epoch.unwrap_or(0);
                if self.members[index].waiting.is_none() {
                    self.heartbeat(index, epoch, false);
                }
            }
            self.commit_all();
            self.advance(1_000);
        }
        self.script.check_replay();
        let described = &self
            .script
            .machine
            .describe_consumer_groups(&[GROUP.into()])[0];
        assert_eq!(described.state, "Stable", "{described:?}");
        let owned: BTreeSet<(Uuid, i32)> = self
            .members
            .iter()
            .flat_map(|member| member.owned.clone())
            .collect();
        let subscribed: BTreeSet<&Str> = described
            .members
            .iter()
            .flat_map(|member| &member.topics)
            .collect();
        let all: BTreeSet<(Uuid, i32)> = subscribed
            .iter()
            .flat_map(|topic| {
                (0..self.topics[*topic]).map(|partition| (catalog::topic_id(topic), partition))
            })
            .collect();
        assert_eq!(owned, all, "each partition has its owner");
    }
}
