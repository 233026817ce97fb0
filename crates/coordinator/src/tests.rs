//! A machine driven by a small script, its effects written down as text.
//!
//! One command a line; the answer of the n-th command carries token n, and a member id handed out by it
//! is `client~n`. Appends commit at once unless `hold` says otherwise. Every script ends with a check
//! that a machine loaded from the log knows what the live one knows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Str, Uuid};

use crate::offsets::OffsetStore;
use crate::*;

use args::Args;
use catalog::{Catalog, shown_partitions};
use shown::{shown, shown_batch};

mod admin;
mod args;
mod catalog;
mod consumer;
mod consumer_crowd;
mod consumer_model;
mod consumer_offsets;
mod durability;
mod heartbeat;
mod hostile;
mod initial;
mod join;
mod leave;
mod limits;
mod migration;
mod model;
mod offsets;
mod shown;
mod static_members;
mod sync;
mod transactions;

/// Where a fresh id stands in a member id.
const UUID_HEAD: &str = "-00000000-0000-4000-8000-";

pub(crate) fn check(script: &str, expected: expect_test::Expect) {
    check_with(GroupConfig::default(), script, expected);
}

pub(crate) fn check_with(config: GroupConfig, script: &str, expected: expect_test::Expect) {
    let mut run = Script::new(config);
    run.commands(script);
    run.check_replay();
    expected.assert_eq(&run.out);
}

/// The id of a member of a crowd that has come for the `incarnation`th time.
pub(crate) fn member_id(index: usize, incarnation: usize) -> Str {
    Str::from(format!("m{index}-{incarnation}"))
}

/// The heartbeat of a member of a crowd to whom nothing has changed.
pub(crate) fn heartbeat_of(
    group_id: &str,
    index: usize,
    incarnation: usize,
    member_epoch: i32,
) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        api_version: 1,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        group_id: group_id.into(),
        member_id: member_id(index, incarnation),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        topics: None,
        regex: None,
        assignor: None,
        owned: None,
    }
}

/// Groups of the consumer protocol are assigned anew at most this often.
pub(crate) fn assigned_every(interval_ms: i32) -> GroupConfig {
    let defaults = GroupConfig::default();
    GroupConfig {
        consumer: ConsumerSettings {
            assignment_interval_ms: interval_ms,
            ..defaults.consumer
        },
        ..defaults
    }
}

pub(crate) enum Logged {
    Record {
        producer_id: Option<i64>,
        key: Bytes,
        value: Option<Bytes>,
    },
    End {
        producer_id: i64,
        committed: bool,
    },
}

pub(crate) struct Script {
    pub machine: GroupCoordinator,
    config: GroupConfig,
    now_ms: i64,
    tokens: u64,
    pub log: Vec<Logged>,
    hold: bool,
    held: Vec<(AppendId, AppendBatch)>,
    catalog: Arc<Catalog>,
    pub out: String,
}

impl Script {
    pub fn new(config: GroupConfig) -> Self {
        let machine = GroupLoader::new(config.clone()).finish(0);
        let (log, held, out) = (Vec::new(), Vec::new(), String::new());
        Self {
            machine,
            config,
            now_ms: 0,
            tokens: 0,
            log,
            hold: false,
            held,
            catalog: Arc::default(),
            out,
        }
    }

    pub fn commands(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            self.command(line);
        }
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a verb");
        let args = Args::of(words);
        writeln!(self.out, "> {line}").expect("strings grow");
        match verb {
            "hold" => self.hold = true,
            "release" => self.release(),
            "fail" => self.fail(error_named(args.at(0))),
            "wait" => self.wait(args.at(0).parse().expect("milliseconds")),
            "restart" => self.restart(),
            "unload" => self.unload(),
            "list" => self.list(&args),
            "describe" => self.describe(&args),
            "describe-consumer" => self.describe_consumer(&args),
            "topics" => self.set_topics(&args),
            "gone" => {
                let topic = DeletedTopic {
                    name: args.at(0).into(),
                    topic_id: args.topic_id(),
                };
                self.machine.handle_topics_deleted(&[topic]);
            }
            _ => self.request(verb, &args),
        }
        self.drain();
    }

    fn request(&mut self, verb: &str, args: &Args) {
        self.tokens += 1;
        let (token, now_ms) = (Token(self.tokens), self.now_ms);
        match verb {
            "join" => {
                self.machine
                    .handle_join(now_ms, token, args.join(), FreshId(self.tokens.into()))
            }
            "sync" => self.machine.handle_sync(now_ms, token, args.sync()),
            "heartbeat" => self
                .machine
                .handle_heartbeat(now_ms, token, &args.heartbeat()),
            "consumer" => self.machine.handle_consumer_heartbeat(
                now_ms,
                token,
                args.consumer(),
                FreshId(self.tokens.into()),
            ),
            "leave" => self.machine.handle_leave(now_ms, token, args.leave()),
            "commit" => self
                .machine
                .handle_offset_commit(now_ms, token, args.commit()),
            "txn-commit" => self
                .machine
                .handle_txn_offset_commit(now_ms, token, args.txn_commit()),
            "end" => self.machine.handle_end_transaction(token, args.end()),
            "fetch" => self.machine.handle_offset_fetch(token, args.fetch()),
            "delete-offsets" => self
                .machine
                .handle_offset_delete(token, args.delete_offsets()),
            "delete" => {
                let groups = args.at(0).split(',').map(Str::from).collect();
                self.machine.handle_delete_groups(token, groups);
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn wait(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(at_ms) = self.machine.poll_timeout().filter(|&at_ms| at_ms <= end_ms) {
            self.now_ms = at_ms.max(self.now_ms);
            self.machine.handle_timeout(self.now_ms);
            self.drain();
        }
        self.now_ms = end_ms;
    }

    fn drain(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Respond { token, answer } => {
                    writeln!(self.out, "{}: {}", token.0, shown(&answer)).expect("strings grow");
                }
                Effect::ResolveRegexes(task) => {
                    let regexes: Vec<&str> = task.regexes.iter().map(|regex| &**regex).collect();
                    writeln!(self.out, "resolve {}", regexes.join(" ")).expect("strings grow");
                    let resolved = task.resolve(&*self.catalog);
                    self.machine.handle_regexes_resolved(self.now_ms, resolved);
                }
                Effect::Append { id, batch } => {
                    writeln!(self.out, "append {}", shown_batch(&batch)).expect("strings grow");
                    if self.hold {
                        self.held.push((id, batch));
                    } else {
                        self.store(batch);
                        self.machine.handle_committed(self.now_ms, id);
                    }
                }
            }
        }
    }

    fn store(&mut self, batch: AppendBatch) {
        let (producer, records) = match batch {
            AppendBatch::Records(records) => (None, records),
            AppendBatch::Transactional {
                producer_id,
                records,
                ..
            } => (Some(producer_id), records),
            AppendBatch::EndTransaction(EndTransaction {
                producer_id,
                committed,
                ..
            }) => {
                return self.log.push(Logged::End {
                    producer_id,
                    committed,
                });
            }
        };
        self.log
            .extend(records.into_iter().map(|(key, value)| Logged::Record {
                producer_id: producer,
                key,
                value,
            }));
    }

    fn release(&mut self) {
        self.hold = false;
        for (id, batch) in std::mem::take(&mut self.held) {
            self.store(batch);
            self.machine.handle_committed(self.now_ms, id);
        }
    }

    fn fail(&mut self, error: ErrorCode) {
        self.hold = false;
        if let Some((id, _)) = std::mem::take(&mut self.held).first() {
            self.machine.handle_append_failed(self.now_ms, *id, error);
        }
    }

    /// `topics name:partitions…`: all topics that there are from here on.
    fn set_topics(&mut self, args: &Args) {
        let topics = args.positional.iter().map(|topic| {
            let (name, partitions) = topic.split_once(':').expect("name:partitions");
            (Str::from(name), partitions.parse().expect("a count"))
        });
        let (catalog, change) = self.catalog.next(topics.collect());
        self.catalog = catalog;
        self.machine.handle_metadata(self.catalog.clone(), &change);
    }

    fn load(&self) -> GroupCoordinator {
        let mut loader = GroupLoader::new(self.config.clone());
        for (offset, logged) in (0..).zip(&self.log) {
            match logged {
                Logged::Record {
                    producer_id,
                    key,
                    value,
                } => {
                    let record = LoggedRecord {
                        offset,
                        producer_id: *producer_id,
                        key,
                        value: value.as_deref(),
                    };
                    loader.replay(record).expect("our own records are readable");
                }
                Logged::End {
                    producer_id,
                    committed,
                } => {
                    loader.replay_end_transaction(offset, *producer_id, *committed);
                }
            }
        }
        let mut machine = loader.finish(self.now_ms);
        machine.handle_metadata(self.catalog.clone(), &TopicsChange::default());
        machine
    }

    fn restart(&mut self) {
        self.machine = self.load();
        self.held.clear();
    }

    fn unload(&mut self) {
        let fresh = self.load();
        for effect in std::mem::replace(&mut self.machine, fresh).unload() {
            if let Effect::Respond { token, answer } = effect {
                writeln!(self.out, "{}: {}", token.0, shown(&answer)).expect("strings grow");
            }
        }
        self.held.clear();
    }

    /// What survives of the live machine equals what the log gives back.
    pub fn check_replay(&self) {
        if self.held.is_empty() {
            let loaded = self.load();
            assert_eq!(
                durable(&loaded.offsets),
                durable(&self.machine.offsets),
                "offsets after replay"
            );
            let live = &self.machine;
            assert_eq!(
                durable_groups(&loaded, live),
                durable_groups(live, live),
                "groups after replay"
            );
            assert_eq!(
                durable_consumer_groups(&loaded),
                durable_consumer_groups(live),
                "consumer groups after replay"
            );
        }
    }

    fn describe_consumer(&mut self, args: &Args) {
        for group in self.machine.describe_consumer_groups(&[args.group_id()]) {
            let DescribedConsumerGroup {
                group_id,
                state,
                group_epoch,
                assignment_epoch,
                assignor,
                ..
            } = group;
            write!(
                self.out,
                "{group_id} {state} {:?} epoch {group_epoch}",
                group.error
            )
            .expect("strings grow");
            writeln!(self.out, " assigned {assignment_epoch} {assignor}").expect("strings grow");
            for member in &group.members {
                let partitions = |described: &[DescribedPartitions]| {
                    shown_partitions(
                        described
                            .iter()
                            .map(|topic| (topic.topic_id, topic.partitions.clone())),
                    )
                };
                let kind = if member.uses_classic_protocol {
                    " classic"
                } else {
                    ""
                };
                let (id, epoch) = (short(&member.member_id), member.member_epoch);
                let (has, target) = (
                    partitions(&member.assignment),
                    partitions(&member.target_assignment),
                );
                writeln!(
                    self.out,
                    "  {id}{kind} epoch {epoch} has [{has}] target [{target}]"
                )
                .expect("strings grow");
            }
        }
    }

    fn list(&mut self, args: &Args) {
        let split = |key| {
            args.value(key)
                .into_iter()
                .flat_map(|list: &str| list.split(','))
                .map(Str::from)
                .collect()
        };
        for group in self.machine.list_groups(&ListGroups {
            states: split("states"),
            types: split("types"),
        }) {
            let ListedGroup {
                group_id,
                protocol_type,
                state,
                group_type,
            } = group;
            writeln!(
                self.out,
                "{group_id} {state} {group_type} protocol-type={protocol_type}"
            )
            .expect("strings grow");
        }
    }

    fn describe(&mut self, args: &Args) {
        let ids: Vec<Str> = args.at(0).split(',').map(Str::from).collect();
        for group in self.machine.describe_groups(args.version(6), &ids) {
            let mut line = format!("{} {} {:?}", group.group_id, group.state, group.error);
            if let Some(message) = &group.error_message {
                write!(line, " ({message})").expect("strings grow");
            }
            write!(line, " {}/{}", group.protocol_type, group.protocol_data).expect("strings grow");
            for member in &group.members {
                let (id, host) = (short(&member.member_id), &member.client_host);
                let (metadata, assignment) = (text(&member.metadata), text(&member.assignment));
                write!(
                    line,
                    "; {id} {} {host} metadata={metadata} assignment={assignment}",
                    member.client_id
                )
                .expect("strings grow");
            }
            writeln!(self.out, "{line}").expect("strings grow");
        }
    }
}

/// Positions differ between live and loaded only in their gaps, never in their order.
fn durable(offsets: &OffsetStore) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut push = |producer: Option<i64>,
                    key: &crate::offsets::OffsetKey,
                    value: &crate::offsets::CommittedOffset| {
        let value = crate::offsets::CommittedOffset {
            position: 0,
            ..value.clone()
        };
        lines.push(format!("{producer:?} {key:?} {value:?}"));
    };
    offsets
        .committed
        .iter()
        .for_each(|(key, value)| push(None, &key, value));
    for (producer, pending) in &offsets.pending {
        pending
            .iter()
            .for_each(|(key, value)| push(Some(*producer), &key, value));
    }
    lines
}

/// Groups as far as records speak of them. Of a group between generations that is its name alone: its
/// record is still that of the generation before.
fn durable_groups(machine: &GroupCoordinator, live: &GroupCoordinator) -> BTreeMap<String, String> {
    let shown = machine.groups.iter().map(|(id, group)| {
        let is_settled = live
            .groups
            .get(id)
            .is_some_and(|group| matches!(group.state().name(), "Stable" | "Empty"));
        let (state, generation, leader) = (group.state(), group.generation_id, &group.leader_id);
        let settled = is_settled.then(|| {
            format!(
                "{state:?} {generation} {leader:?} {:?}",
                group.assignments()
            )
        });
        (id.to_string(), settled.unwrap_or_default())
    });
    shown.collect()
}

/// Everything but what is soft.
fn durable_consumer_groups(machine: &GroupCoordinator) -> Vec<String> {
    let groups = machine.consumer_groups.values().map(|group| {
        let mut group = group.clone();
        group.fresh_until = None;
        group.is_resolving = false;
        format!("{group:?}")
    });
    groups.collect()
}

fn error_named(name: &str) -> ErrorCode {
    *ErrorCode::ALL
        .iter()
        .find(|code| code.name() == name)
        .expect("a known error")
}

/// `client~n` for the id that token n was given; `~n` where it has no client in it.
fn short(member_id: &str) -> String {
    if let Ok(id) = member_id.parse::<Uuid>() {
        return format!("~{}", id.as_u128());
    }
    let given = member_id.split_once(UUID_HEAD);
    let given = given.and_then(|(prefix, hex)| Some((prefix, u64::from_str_radix(hex, 16).ok()?)));
    given.map_or_else(
        || member_id.to_owned(),
        |(prefix, n)| format!("{prefix}~{n}"),
    )
}

fn long(member_id: &str) -> Str {
    match member_id.split_once('~') {
        Some(("", n)) => Uuid::from_u128(n.parse().expect("a number"))
            .to_string()
            .into(),
        Some((prefix, n)) => format!(
            "{prefix}{UUID_HEAD}{:012x}",
            n.parse::<u64>().expect("a number")
        )
        .into(),
        None => member_id.trim_matches('-').into(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_default().to_string()
}
