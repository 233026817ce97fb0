//! A hundred members that come and go: how many heartbeats it takes until everybody has what is theirs, and whether
//! anybody's commit is refused on the way; seeded, over simulated time and a network that takes its time.
//!
//! Members behave as Kafka's client does: a heartbeat each interval, and one at once when an assignment has been
//! followed; offsets of partitions that are given up are committed before.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use ottla_protocol::{ErrorCode, Str, Uuid};

use super::{Script, catalog, heartbeat_of, member_id};
use crate::*;

const SEEDS: u64 = 4;
const MEMBERS: usize = 100;
const PARTITIONS: i32 = 250;
const GROUP: &str = "g";
const TOPIC: &str = "a";
const HEARTBEAT_MS: i64 = DEFAULT_CONSUMER_HEARTBEAT_INTERVAL_MS as i64;
const SESSION_MS: i64 = DEFAULT_CONSUMER_SESSION_TIMEOUT_MS as i64;
/// Longest time that a message is on its way.
const NETWORK_MS_MAX: i64 = 50;
/// A member hears of a change with its next heartbeat, and who waits for what it gives up with the one after that;
/// the assignment itself may have to wait for its interval before.
const ROUNDS_MAX: i64 = 3;
const CHURN_ROUNDS: i64 = 12;
/// Heartbeats between two assignments: the regular ones, and one for each step of the assignment.
const HEARTBEATS_MAX: u32 = 6;

#[derive(Debug, Default)]
struct Member {
    incarnation: usize,
    /// Part of the group; else it is gone, and may come again.
    is_in: bool,
    epoch: i32,
    owned: BTreeSet<i32>,
    heartbeats: u32,
    /// Of the answer that it waits for.
    waiting: Option<Token>,
}

#[derive(Debug)]
enum Event {
    Beat {
        index: usize,
        incarnation: usize,
    },
    Heard {
        token: Token,
        answer: Box<ConsumerHeartbeatAnswer>,
    },
}

struct Crowd {
    rng: Rng,
    script: Script,
    now_ms: i64,
    events: BTreeMap<(i64, u64), Event>,
    sequence: u64,
    members: Vec<Member>,
    asked: BTreeMap<Token, (usize, usize)>,
    commits: u32,
}

#[test]
fn a_crowd_that_arrives_settles_in_a_few_heartbeats() {
    for seed in 0..SEEDS {
        let mut crowd = Crowd::new(seed);
        crowd.all_arrive();
        crowd.settles_within(ROUNDS_MAX * HEARTBEAT_MS);
    }
}

#[test]
fn a_crowd_that_comes_and_goes_settles_in_a_few_heartbeats() {
    for seed in 0..SEEDS {
        let mut crowd = Crowd::new(seed);
        crowd.all_arrive();
        for _ in 0..CHURN_ROUNDS {
            for _ in 0..10 {
                let index = crowd.rng.usize(0..MEMBERS);
                if crowd.members[index].is_in {
                    crowd.leave(index);
                } else {
                    crowd.arrive(index);
                }
            }
            crowd.run_for(HEARTBEAT_MS / 2);
        }
        crowd.settles_within(ROUNDS_MAX * HEARTBEAT_MS);
        assert!(crowd.commits > 0);
    }
}

#[test]
fn a_crowd_that_loses_members_without_a_word_settles_after_their_sessions() {
    for seed in 0..SEEDS {
        let mut crowd = Crowd::new(seed);
        crowd.all_arrive();
        crowd.run_for(ROUNDS_MAX * HEARTBEAT_MS);
        for index in 0..MEMBERS / 10 {
            crowd.die(index);
        }
        crowd.run_for(SESSION_MS);
        crowd.settles_within(ROUNDS_MAX * HEARTBEAT_MS);
    }
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut script = Script::new(GroupConfig::default());
        script.commands(&format!("topics {TOPIC}:{PARTITIONS}"));
        Self {
            rng: Rng::with_seed(seed),
            script,
            now_ms: 0,
            events: BTreeMap::new(),
            sequence: 0,
            members: (0..MEMBERS).map(|_| Member::default()).collect(),
            asked: BTreeMap::new(),
            commits: 0,
        }
    }

    fn all_arrive(&mut self) {
        for index in 0..MEMBERS {
            self.arrive(index);
            let pause_ms = self.rng.i64(0..20);
            self.run_for(pause_ms);
        }
    }

    /// Runs for so long, and then everything must be at rest, after no more than a few heartbeats of anybody.
    fn settles_within(&mut self, ms: i64) {
        for member in &mut self.members {
            member.heartbeats = 0;
        }
        self.run_for(ms);
        let described = &self
            .script
            .machine
            .describe_consumer_groups(&[GROUP.into()])[0];
        assert_eq!(described.state, "Stable");
        let mut owned: Vec<i32> = self
            .present()
            .flat_map(|m| m.owned.iter().copied())
            .collect();
        owned.sort_unstable();
        assert_eq!(
            owned,
            (0..PARTITIONS).collect::<Vec<_>>(),
            "each partition has one owner"
        );
        let sizes = || self.present().map(|member| member.owned.len());
        assert!(
            sizes().max().unwrap() - sizes().min().unwrap() <= 1,
            "shares are even"
        );
        let most = self
            .present()
            .map(|member| member.heartbeats)
            .max()
            .unwrap();
        assert!(most <= HEARTBEATS_MAX, "{most} heartbeats of one member");
    }

    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_in)
    }

    fn arrive(&mut self, index: usize) {
        let incarnation = self.members[index].incarnation + 1;
        self.members[index] = Member {
            incarnation,
            is_in: true,
            ..Member::default()
        };
        self.beat(index);
    }

    fn leave(&mut self, index: usize) {
        self.commit(index, &self.members[index].owned.clone());
        let request = ConsumerHeartbeat {
            member_epoch: -1,
            ..self.request(index)
        };
        self.members[index].is_in = false;
        self.send(index, request);
    }

    fn die(&mut self, index: usize) {
        self.members[index].is_in = false;
    }

    fn beat(&mut self, index: usize) {
        let member = &self.members[index];
        let is_joining = member.epoch == 0;
        let owned = BTreeMap::from([(catalog::topic_id(TOPIC), member.owned.clone())]);
        let request = ConsumerHeartbeat {
            rebalance_timeout_ms: if is_joining { 60_000 } else { -1 },
            topics: is_joining.then(|| vec![Str::from(TOPIC)]),
            owned: Some(if is_joining { BTreeMap::new() } else { owned }),
            ..self.request(index)
        };
        let incarnation = member.incarnation;
        self.members[index].heartbeats += 1;
        self.send(index, request);
        let next_ms = self.now_ms + HEARTBEAT_MS;
        self.schedule(next_ms, Event::Beat { index, incarnation });
    }

    fn request(&self, index: usize) -> ConsumerHeartbeat {
        let member = &self.members[index];
        heartbeat_of(GROUP, index, member.incarnation, member.epoch)
    }

    fn send(&mut self, index: usize, request: ConsumerHeartbeat) {
        let token = self.token();
        self.members[index].waiting = Some(token);
        self.asked
            .insert(token, (index, self.members[index].incarnation));
        let (now_ms, fresh_id) = (self.now_ms, FreshId(token.0.into()));
        self.script
            .machine
            .handle_consumer_heartbeat(now_ms, token, request, fresh_id);
        self.drain();
    }

    /// Commits with the epoch that the member knows of, while an answer with the next one may be on its way.
    fn commit(&mut self, index: usize, partitions: &BTreeSet<i32>) {
        let member = &self.members[index];
        if partitions.is_empty() || member.epoch <= 0 {
            return;
        }
        let each = partitions.iter().map(|partition| CommitPartition {
            partition: *partition,
            offset: self.now_ms,
            leader_epoch: -1,
            metadata: None,
        });
        let topic = CommitTopic {
            name: TOPIC.into(),
            topic_id: catalog::topic_id(TOPIC),
            partitions: each.collect(),
        };
        let commit = OffsetCommit {
            api_version: 9,
            group_id: GROUP.into(),
            generation_id: member.epoch,
            member_id: member_id(index, member.incarnation),
            group_instance_id: None,
            retention_ms: None,
            topics: vec![topic],
        };
        let token = self.token();
        self.commits += 1;
        self.script
            .machine
            .handle_offset_commit(self.now_ms, token, commit);
        self.drain();
    }

    fn token(&mut self) -> Token {
        self.sequence += 1;
        Token(self.sequence)
    }

    fn schedule(&mut self, at_ms: i64, event: Event) {
        self.sequence += 1;
        self.events.insert((at_ms, self.sequence), event);
    }

    fn drain(&mut self) {
        while let Some(effect) = self.script.machine.next_effect() {
            match effect {
                Effect::Append { id, batch } => {
                    self.script.store(batch);
                    self.script.machine.handle_committed(self.now_ms, id);
                }
                Effect::Respond { token, answer } => self.answered(token, answer),
                Effect::ResolveRegexes(task) => panic!("nobody subscribes by {task:?}"),
            }
        }
    }

    fn answered(&mut self, token: Token, answer: Answer) {
        match answer {
            Answer::ConsumerHeartbeat(answer) => {
                let heard_ms = self.now_ms + self.rng.i64(1..=NETWORK_MS_MAX);
                let answer = Box::new(answer);
                self.schedule(heard_ms, Event::Heard { token, answer });
            }
            Answer::OffsetCommit(topics) => {
                let refused = topics.iter().flat_map(|topic| &topic.partitions);
                let refused: Vec<_> = refused
                    .filter(|(_, error)| *error != ErrorCode::None)
                    .collect();
                assert_eq!(
                    refused,
                    Vec::<&(i32, ErrorCode)>::new(),
                    "commits that are refused"
                );
            }
            other => panic!("{other:?}"),
        }
    }

    fn run_for(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        loop {
            let event_ms = self.events.keys().next().map(|(at_ms, _)| *at_ms);
            let timer_ms = self.script.machine.poll_timeout();
            let next_ms = event_ms.into_iter().chain(timer_ms).min();
            let Some(next_ms) = next_ms.filter(|at_ms| *at_ms <= end_ms) else {
                break;
            };
            self.now_ms = self.now_ms.max(next_ms);
            if timer_ms.is_some_and(|at_ms| at_ms <= next_ms) {
                self.script.machine.handle_timeout(self.now_ms);
                self.drain();
            } else if let Some((_, event)) = self.events.pop_first() {
                self.happen(event);
            }
        }
        self.now_ms = end_ms;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Beat { index, incarnation } => {
                let member = &self.members[index];
                let is_current = member.is_in && member.incarnation == incarnation;
                if !is_current {
                    return;
                }
                if member.waiting.is_some() {
                    let soon_ms = self.now_ms + NETWORK_MS_MAX;
                    self.schedule(soon_ms, Event::Beat { index, incarnation });
                } else {
                    self.beat(index);
                }
            }
            Event::Heard { token, answer } => {
                let (index, incarnation) =
                    self.asked.remove(&token).expect("an answer to a question");
                let member = &mut self.members[index];
                if member.is_in && member.incarnation == incarnation {
                    member.waiting = None;
                    self.heard(index, *answer);
                }
            }
        }
    }

    fn heard(&mut self, index: usize, answer: ConsumerHeartbeatAnswer) {
        assert_eq!(answer.error, ErrorCode::None, "{answer:?}");
        let Some(assignment) = answer.assignment else {
            self.members[index].epoch = answer.member_epoch;
            return;
        };
        let assigned: BTreeSet<i32> = assignment
            .into_iter()
            .flat_map(|(topic, partitions): (Uuid, Vec<i32>)| {
                assert_eq!(topic, catalog::topic_id(TOPIC));
                partitions
            })
            .collect();
        let given_up = self.members[index]
            .owned
            .difference(&assigned)
            .copied()
            .collect();
        self.commit(index, &given_up);
        let member = &mut self.members[index];
        let has_changed = member.owned != assigned;
        member.epoch = answer.member_epoch;
        member.owned = assigned;
        if has_changed {
            // The next regular heartbeat counts from this one.
            let incarnation = member.incarnation;
            self.events.retain(|_, event| {
                !matches!(event, Event::Beat { index: i, incarnation: n } if (*i, *n) == (index, incarnation))
            });
            self.beat(index);
        }
    }
}
