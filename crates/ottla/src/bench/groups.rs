//! `ottla bench groups`: many groups join, and then every member commits at a fixed pace.
//!
//! Invariant: a group counts as joined when all its members are in one generation (or epoch) and
//! have all partitions between them, in equal shares. Commits are due by a schedule that no answer delays; a member
//! that must join again in between is charged for it.

mod classic;
mod consumer;

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use ottla_net::client::ClientError;
use ottla_protocol::messages::OffsetCommitRequest;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::{ErrorCode, Str};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::alarm::Alarm;
use super::calls::{self, Attempt, Caller, Coordinated, Retries, check};
use super::meter::{Report, Run};
use super::solo::{self, Progress, Tally, Tasks};
use super::{TopicArgs, topic};
use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_text};

/// Versions of OffsetCommit that name topics by name.
const COMMIT_VERSIONS: RangeInclusive<i16> = 2..=9;
/// Connections of one run: each member has one.
const MEMBERS_MAX: u64 = 15_000;
/// How long all groups together may take to join.
const JOIN_PATIENCE: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ottla bench groups --create --groups 200 --members 5 --interval 100
  ottla bench groups --create --groups 50 --members 4 --protocol consumer    # KIP-848
How fast groups gather depends on the broker's settings, group.initial.rebalance.delay.ms for the
classic protocol and group.consumer.heartbeat.interval.ms for the other.")]
pub struct Args {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    topic: TopicArgs,
    /// How many groups.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    groups: u32,
    /// Members of each group, each with a connection of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
    /// The protocol by which groups gather.
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// Every member commits the offsets of its partitions once in so many milliseconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Stop after so many commits of all members together.
    #[arg(long, conflicts_with = "seconds")]
    commits: Option<u64>,
    /// Seconds of commits, after all groups have joined (10, if nothing else ends the run).
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds of commits before that do not count.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// Milliseconds between heartbeats of the classic protocol; the other's are the broker's to say.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat: u64,
    /// What the names of the groups begin with.
    #[arg(long, default_value = "bench")]
    prefix: String,
}

impl Args {
    const SECONDS_DEFAULT: f64 = 10.0;

    fn run(&self) -> Arc<Run> {
        let seconds = match self.commits {
            Some(_) => self.seconds,
            None => Some(self.seconds.unwrap_or(Self::SECONDS_DEFAULT)),
        };
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Run::new(duration(self.warmup), seconds.map(duration), self.commits)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    /// JoinGroup and SyncGroup, with the range assignor.
    #[default]
    Classic,
    /// KIP-848: the broker assigns.
    Consumer,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    report: Report,
    protocol: Protocol,
    groups: u32,
    members: u32,
    /// From the first member's first request until the last group was complete.
    join_seconds: f64,
    commits: u64,
    commits_per_second: f64,
    /// Joins after a group was complete.
    rejoins: u64,
}

impl Answer {
    fn text(&self) -> String {
        format!(
            "{} groups of {} members joined in {:.2} s\n{} commits in {:.2} s: {:.0}/s; {} joined again, {} errors\n{}",
            self.groups,
            self.members,
            self.join_seconds,
            self.commits,
            self.report.seconds,
            self.commits_per_second,
            self.rejoins,
            self.report.errors,
            self.report.latencies_text(),
        )
    }
}

pub fn run(args: &Args) -> Result<(), ToolError> {
    let members = u64::from(args.groups) * u64::from(args.members);
    if members > MEMBERS_MAX {
        return Err(ToolError::Argument {
            argument: "--groups times --members",
            value: members.to_string(),
            expected: "at most 15000 members in one run",
        });
    }
    let place = topic::prepare(&args.cluster, &args.topic)?;
    let answer = solo::block_on(measure(args, &place.addresses[0], place.leaders.len()))?;
    match args.cluster.output {
        Format::Json => print_json(&answer),
        Format::Text => print_text(&answer.text()),
    }
}

async fn measure(args: &Args, address: &str, partitions: usize) -> Result<Answer, ToolError> {
    let progress = Progress::start("connecting");
    let (publish, begun) = watch::channel(None);
    let hall = Rc::new(Hall {
        topic: Str::from(args.topic.topic.as_str()),
        partitions,
        interval: Duration::from_millis(args.interval),
        heartbeat: Duration::from_millis(args.heartbeat),
        members: args.groups * args.members,
        incomplete: Cell::new(args.groups),
        full: Notify::new(),
        begun,
        rejoins: Cell::new(0),
        tally: Tally::new(),
        alarm: Alarm::start().map_err(ToolError::Runtime)?,
    });
    let members = connect(args, &hall, address).await?;

    progress.say(format!("{} members join", members.len()));
    let joining = Instant::now();
    let mut tasks = Tasks::new();
    for member in members {
        tasks.spawn_local(member.live());
    }
    until_full(&hall, args.groups, &mut tasks).await?;
    let join_seconds = joining.elapsed().as_secs_f64();

    let run = args.run();
    publish.send_replace(Some(Arc::clone(&run)));
    progress
        .follow("commits", &run, &hall.tally, &mut tasks)
        .await?;
    let report = Report::of("groups", &run, &hall.tally.take());
    Ok(Answer {
        protocol: args.protocol,
        groups: args.groups,
        members: args.members,
        join_seconds,
        commits: report.requests,
        commits_per_second: report.requests_per_second,
        rejoins: hall.rejoins.get(),
        report,
    })
}

/// Opens the connections one after the other, so that they do not fill the listener's backlog.
async fn connect(args: &Args, hall: &Rc<Hall>, address: &str) -> Result<Vec<Member>, ToolError> {
    let mut asking = Caller::open(address).await?;
    let mut members = Vec::new();
    for index in 0..args.groups {
        let name = format!("{}-{index}", args.prefix);
        let coordinator = calls::coordinator(&mut asking, Coordinated::Group, &name).await?;
        let size = args.members as usize;
        let group = Rc::new(Group {
            name: Str::from(name),
            seats: RefCell::new(vec![(0, 0); size]),
            is_complete: Cell::new(false),
        });
        for position in 0..size {
            members.push(Member {
                caller: Caller::open(&coordinator).await?,
                seat: Seat::default(),
                protocol: args.protocol,
                number: members.len(),
                position,
                next_heartbeat: Instant::now(),
                group: Rc::clone(&group),
                hall: Rc::clone(hall),
            });
        }
    }
    Ok(members)
}

/// Waits until all groups are complete; a member that fails before fails the run.
async fn until_full(hall: &Hall, groups: u32, tasks: &mut Tasks) -> Result<(), ToolError> {
    let patience = tokio::time::sleep(JOIN_PATIENCE);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            () = hall.full.notified() => return Ok(()),
            Some(ended) = tasks.join_next() => solo::result_of(ended)?,
            () = &mut patience => return Err(ToolError::NotReady {
                ready: u64::from(groups - hall.incomplete.get()),
                total: u64::from(groups),
                what: "groups",
                after: JOIN_PATIENCE,
            }),
        }
    }
}

/// What all members share.
struct Hall {
    topic: Str,
    partitions: usize,
    interval: Duration,
    heartbeat: Duration,
    members: u32,
    /// Groups that have not been complete yet.
    incomplete: Cell<u32>,
    full: Notify,
    /// Holds the run once commits are to begin.
    begun: watch::Receiver<Option<Arc<Run>>>,
    rejoins: Cell<u64>,
    tally: Tally,
    alarm: Rc<Alarm>,
}

struct Group {
    name: Str,
    /// Of each member: its epoch, and how many partitions it has.
    seats: RefCell<Vec<(i32, usize)>>,
    is_complete: Cell<bool>,
}

impl Group {
    fn subject(&self) -> String {
        format!("group {}", &*self.name)
    }
}

/// A member's place in its group.
#[derive(Default)]
struct Seat {
    member_id: Str,
    /// The generation in the classic protocol; 0 outside.
    epoch: i32,
    partitions: Vec<i32>,
}

/// What a heartbeat or a commit says about the seat.
enum Standing {
    Good,
    /// The group has moved on; join it again.
    Left,
}

/// What a refusal says about a member: it may join again, or the run fails.
fn standing(result: Result<(), ClientError>) -> Result<Standing, ClientError> {
    match result {
        Ok(()) => Ok(Standing::Good),
        Err(error) => match error.code() {
            Some(
                ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
                | ErrorCode::FencedMemberEpoch
                | ErrorCode::StaleMemberEpoch,
            ) => Ok(Standing::Left),
            _ => Err(error),
        },
    }
}

struct Member {
    caller: Caller,
    seat: Seat,
    protocol: Protocol,
    /// Among all members of the run.
    number: usize,
    /// Within the group.
    position: usize,
    next_heartbeat: Instant,
    group: Rc<Group>,
    hall: Rc<Hall>,
}

impl Member {
    async fn live(mut self) -> Result<(), ToolError> {
        self.join().await?;
        let run = self.wait_for_all().await?;
        let interval = self.hall.interval;
        // Members take turns within the interval.
        let share = self.number as f64 / f64::from(self.hall.members);
        let mut due = Instant::now() + interval.mul_f64(share);
        while !run.ends_before(due) && run.take(1) {
            self.heartbeat_until(due).await?;
            self.hall.alarm.sleep_until(due).await;
            self.commit_in_time(&run, due).await?;
            due += interval;
        }
        Ok(self.leave().await?)
    }

    /// Sends heartbeats until all groups are complete.
    async fn wait_for_all(&mut self) -> Result<Arc<Run>, ToolError> {
        let mut begun = self.hall.begun.clone();
        loop {
            let wait = begun.wait_for(Option::is_some);
            let until = tokio::time::Instant::from_std(self.next_heartbeat);
            // The sender lives as long as the run.
            if let Ok(Ok(run)) = tokio::time::timeout_at(until, wait).await
                && let Some(run) = &*run
            {
                return Ok(Arc::clone(run));
            }
            self.heartbeat().await?;
        }
    }

    async fn heartbeat_until(&mut self, moment: Instant) -> Result<(), ToolError> {
        while self.next_heartbeat < moment {
            self.hall.alarm.sleep_until(self.next_heartbeat).await;
            self.heartbeat().await?;
        }
        Ok(())
    }

    async fn commit_in_time(&mut self, run: &Run, due: Instant) -> Result<(), ToolError> {
        let sent = Instant::now();
        while let Standing::Left = self.commit().await? {
            run.errors.fetch_add(1, Ordering::Relaxed);
            self.hall.rejoins.update(|count| count + 1);
            self.join().await?;
        }
        let now = Instant::now();
        if run.count(now, self.seat.partitions.len().max(1) as u64, 0) {
            self.hall.tally.record(due, sent, now);
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<(), ClientError> {
        let wait = match self.protocol {
            Protocol::Classic => {
                classic::join(&mut self.caller, &self.hall, &self.group, &mut self.seat).await?;
                self.hall.heartbeat
            }
            Protocol::Consumer => {
                consumer::join(&mut self.caller, &self.hall, &self.group, &mut self.seat).await?
            }
        };
        self.sit(wait);
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), ClientError> {
        let (caller, group, seat) = (&mut self.caller, &self.group, &mut self.seat);
        let beat = match self.protocol {
            Protocol::Classic => classic::heartbeat(caller, group, seat)
                .await
                .map(|()| self.hall.heartbeat),
            Protocol::Consumer => consumer::heartbeat(caller, group, seat).await,
        };
        match beat {
            Ok(wait) => {
                self.sit(wait);
                Ok(())
            }
            Err(error) => match standing(Err(error))? {
                Standing::Good => Ok(()),
                Standing::Left => {
                    if self.group.is_complete.get() {
                        self.hall.rejoins.update(|count| count + 1);
                    }
                    self.join().await
                }
            },
        }
    }

    /// Notes what this member has, and whether that makes its group complete.
    fn sit(&mut self, wait: Duration) {
        self.next_heartbeat = Instant::now() + wait;
        let mut seats = self.group.seats.borrow_mut();
        seats[self.position] = (self.seat.epoch, self.seat.partitions.len());
        let is_one_epoch = seats
            .iter()
            .all(|(epoch, _)| *epoch > 0 && *epoch == self.seat.epoch);
        let held = || seats.iter().map(|(_, held)| *held);
        // Both assignors give every member as many as any other, but for one.
        let is_fair = held().max() <= held().min().map(|least| least + 1);
        let is_all = held().sum::<usize>() == self.hall.partitions;
        if is_one_epoch && is_fair && is_all && !self.group.is_complete.replace(true) {
            let incomplete = self.hall.incomplete.get() - 1;
            self.hall.incomplete.set(incomplete);
            if incomplete == 0 {
                self.hall.full.notify_one();
            }
        }
    }

    async fn commit(&mut self) -> Result<Standing, ClientError> {
        let mine = match self.seat.partitions.is_empty() {
            // With more members than partitions somebody has none, and commits all the same.
            true => vec![i32::try_from(self.position % self.hall.partitions).unwrap_or(0)],
            false => self.seat.partitions.clone(),
        };
        let partition = |index| OffsetCommitRequestPartition {
            partition_index: index,
            committed_offset: 0,
            ..OffsetCommitRequestPartition::default()
        };
        let request = OffsetCommitRequest {
            group_id: self.group.name.clone(),
            generation_id_or_member_epoch: self.seat.epoch,
            member_id: self.seat.member_id.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: self.hall.topic.clone(),
                partitions: mine.into_iter().map(partition).collect(),
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let mut retries = Retries::new();
        loop {
            let response = self.caller.call(&request, &COMMIT_VERSIONS).await?;
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            let result = partitions.try_for_each(|partition| {
                check(|| self.group.subject(), partition.error_code, None)
            });
            match Attempt::of(
                result.map_or_else(|error| standing(Err(error)), |()| Ok(Standing::Good)),
            )? {
                Attempt::Done(standing) => return Ok(standing),
                Attempt::Later(reason) => retries.wait(reason).await?,
            }
        }
    }

    /// Tells the group, so that the next run need not wait until sessions expire.
    async fn leave(mut self) -> Result<(), ClientError> {
        match self.protocol {
            Protocol::Classic => classic::leave(&mut self.caller, &self.group, &self.seat).await,
            Protocol::Consumer => consumer::leave(&mut self.caller, &self.group, &self.seat).await,
        }
    }
}
