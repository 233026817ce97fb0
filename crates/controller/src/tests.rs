//! A cluster whose log is a counter: commands go in, records are replayed at once, and the state is
//! printed in one line per partition.

mod brokers;
mod configs;
mod elections;
mod features;
mod invariants;
mod kafka;
mod quotas;
mod reassignments;
mod rejoin;
mod topics;

use std::fmt::Write;
use std::sync::Arc;

use ottla_config::BrokerConfig;
use ottla_metadata::{Endpoint, LevelRange, MetadataImage, MetadataVersion, supported_features};
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::{Str, Uuid};

use crate::*;

pub(crate) const SESSION_MS: i64 = 9_000;

pub(crate) struct Cluster {
    pub controller: Controller,
    pub log_end: i64,
    pub now_ms: i64,
    seed: u64,
}

impl Cluster {
    /// A cluster with features and no brokers.
    pub fn empty(overrides: &[&str]) -> Cluster {
        Self::at_version(MetadataVersion::LATEST_PRODUCTION, overrides)
    }

    pub fn at_version(version: MetadataVersion, overrides: &[&str]) -> Cluster {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        let config = Arc::new(BrokerConfig::load(None, &overrides).unwrap());
        let controller = Controller::new("test-cluster", config, MetadataImage::default(), 0);
        let mut cluster = Cluster {
            controller,
            log_end: 0,
            now_ms: 0,
            seed: 1,
        };
        let bootstrap = cluster.controller.activate(bootstrap_records(version));
        cluster.commit(bootstrap);
        cluster
    }

    /// A cluster of active brokers, with a rack for each where racks are given.
    pub fn of(brokers: &[i32]) -> Cluster {
        let mut cluster = Self::empty(&["default.replication.factor=3"]);
        brokers.iter().for_each(|id| cluster.join(*id));
        cluster
    }

    pub fn registration(id: i32, incarnation: u128) -> Registration {
        Registration {
            broker_id: id,
            cluster_id: "test-cluster".into(),
            incarnation_id: Uuid::from_u128(incarnation << 64),
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".into(),
                host: "h".into(),
                port: 9092,
                security_protocol: 0,
            }],
            features: supported_features(),
            rack: None,
            is_migrating_zk_broker: false,
            log_dirs: vec![directory_of(id)],
            previous_broker_epoch: -1,
        }
    }

    pub fn join(&mut self, id: i32) {
        self.run(|c, x| c.register_broker(x, &Self::registration(id, 1)))
            .unwrap();
        assert!(!self.beat(id, |_| {}).is_fenced);
    }

    /// A heartbeat of a broker that has applied the whole log.
    pub fn beat(&mut self, id: i32, set: impl FnOnce(&mut Heartbeat)) -> HeartbeatAnswer {
        let broker_epoch = self.epoch(id);
        let mut beat = Heartbeat {
            broker_id: id,
            broker_epoch,
            metadata_offset: self.log_end - 1,
            ..Default::default()
        };
        set(&mut beat);
        self.run(|c, x| c.heartbeat(x, &beat)).unwrap()
    }

    pub fn epoch(&self, id: i32) -> i64 {
        self.controller.image().broker(id).unwrap().epoch
    }

    /// Runs a command and commits what it decides.
    pub fn run<T>(
        &mut self,
        command: impl FnOnce(&mut Controller, &mut Context<'_>) -> Result<Outcome<T>, ControlError>,
    ) -> Result<T, ControlError> {
        let seed = &mut self.seed;
        let mut random = || {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed.rotate_left(32)
        };
        let mut context = Context {
            now_ms: self.now_ms,
            next_offset: self.log_end,
            random: &mut random,
        };
        let outcome = command(&mut self.controller, &mut context)?;
        Ok(self.commit(outcome))
    }

    pub fn commit<T>(&mut self, outcome: Outcome<T>) -> T {
        self.controller
            .replay(&outcome.records, self.log_end)
            .unwrap();
        self.log_end += i64::try_from(outcome.records.len()).unwrap();
        outcome.answer
    }

    /// Creates a topic with replicas by hand, whose first replica leads.
    pub fn topic(&mut self, name: &str, partitions: &[&[i32]], configs: &[(&str, &str)]) {
        let topic = assigned(name, partitions, configs);
        let answers = self
            .run(|c, x| c.create_topics(x, &[topic], false))
            .unwrap();
        answers[0].1.as_ref().unwrap();
    }

    pub fn id(&self, topic: &str) -> Uuid {
        self.controller.image().topic(topic).unwrap().id
    }

    /// One line per partition.
    pub fn show(&self) -> String {
        let mut out = String::new();
        for topic in self.controller.image().topics() {
            for (index, p) in &topic.partitions {
                let leader = p.leader.map_or("none".to_owned(), |l| l.to_string());
                write!(
                    out,
                    "{}-{index} {:?} isr={:?} leader={leader}",
                    topic.name, p.replicas, p.isr
                )
                .unwrap();
                write!(out, " epochs={}/{}", p.leader_epoch, p.partition_epoch).unwrap();
                if !p.eligible_leader_replicas.is_empty() {
                    write!(out, " elr={:?}", p.eligible_leader_replicas).unwrap();
                }
                if !p.last_known_elr.is_empty() {
                    write!(out, " last={:?}", p.last_known_elr).unwrap();
                }
                if p.is_reassigning() {
                    write!(
                        out,
                        " adding={:?} removing={:?}",
                        p.adding_replicas, p.removing_replicas
                    )
                    .unwrap();
                }
                if p.leader_recovery_state != Default::default() {
                    write!(out, " recovering").unwrap();
                }
                out.push('\n');
            }
        }
        out
    }
}

pub(crate) fn directory_of(broker: i32) -> Uuid {
    Uuid::from_u128(1_000 + u128::from(broker.unsigned_abs()))
}

pub(crate) fn assigned(name: &str, partitions: &[&[i32]], configs: &[(&str, &str)]) -> NewTopic {
    let assignments = partitions
        .iter()
        .zip(0..)
        .map(|(replicas, index)| (index, replicas.to_vec()));
    let configs = configs
        .iter()
        .map(|(name, value)| (Str::from(*name), Some(Str::from(*value))));
    NewTopic {
        assignments: assignments.collect(),
        configs: configs.collect(),
        ..NewTopic::with_defaults(name)
    }
}

/// An error as a client sees it.
pub(crate) fn words(error: &ControlError) -> String {
    format!("{}: {error}", error.code().name())
}

pub(crate) fn outcome_of<T>(result: &Answer<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => words(error),
    }
}

/// The kinds of records, in order.
pub(crate) fn kinds(records: &[MetadataRecord]) -> String {
    records
        .iter()
        .map(MetadataRecord::name)
        .collect::<Vec<_>>()
        .join(" ")
}
