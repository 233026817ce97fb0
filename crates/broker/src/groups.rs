//! The home of the group coordinators: one machine per partition of `__consumer_offsets` that this broker leads.
//!
//! Invariant: a machine sees every change of the topics, those that come while it is loaded too. Called by the
//! handlers of groups and offsets, and by the publisher.

mod catalog;
mod config;

use std::ops::Deref;
use std::sync::{Arc, RwLock, Weak};

use arc_swap::ArcSwap;
use ottla_coordinator::{
    Answer, AppendId, DeletedTopic, Effect, GroupConfig, GroupCoordinator, GroupLoader,
    LoggedRecord, RegexTask, ReplayError, Token, TopicCatalog, TopicsChange,
};
use ottla_metadata::{MetadataDelta, MetadataImage};
use ottla_protocol::ErrorCode;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::coordinators::homes::{Homes, Maker};
use crate::coordinators::load::{LoadError, load};
use crate::coordinators::machine::{Loader, Machine, Step};
use crate::coordinators::shard::Shard;
use crate::partition::Partition;
use crate::partition::append::CoordinatorAppend;
use catalog::Catalog;

pub use config::group_config;

pub struct Groups {
    clock: Clock,
    /// What the machines are configured with; one that is put in its place takes this along.
    config: ArcSwap<GroupConfig>,
    homes: Homes<GroupCoordinator>,
    /// The topics as the machines see them; a machine that is put in its place takes these along.
    topics: RwLock<Arc<dyn TopicCatalog>>,
}

impl Groups {
    pub fn new(clock: Clock, config: GroupConfig) -> Self {
        Self {
            clock,
            config: ArcSwap::from_pointee(config),
            homes: Homes::default(),
            topics: RwLock::new(Arc::new(Catalog::default())),
        }
    }

    /// Shows a change of the metadata to the machines, if it concerns topics.
    pub fn follow(&self, image: &Arc<MetadataImage>, delta: &MetadataDelta) {
        let Some(change) = catalog::topics_change(delta) else {
            return;
        };
        let topics: Arc<dyn TopicCatalog> = Arc::new(Catalog::new(Arc::clone(image)));
        *self.topics.write().expect("group topics lock") = Arc::clone(&topics);
        self.tell_all(|machine, _now_ms| machine.handle_metadata(Arc::clone(&topics), &change));
    }

    /// Lets every machine know what the configuration of the broker, or of groups, has become.
    pub fn reconfigure(&self, config: GroupConfig) {
        self.config.store(Arc::new(config.clone()));
        self.tell_all(|machine, _now_ms| machine.set_config(config.clone()));
    }

    /// Forgets what groups committed for topics that are gone.
    pub fn forget_topics(&self, topics: &[DeletedTopic]) {
        self.tell_all(|machine, _now_ms| machine.handle_topics_deleted(topics));
    }

    /// Lets the machine of a partition take what belongs to a transaction.
    pub fn call_partition(
        &self,
        partition: i32,
        how: CoordinatorAppend,
        operation: impl FnOnce(&mut GroupCoordinator, i64, Token),
    ) -> Result<oneshot::Receiver<Answer>, ErrorCode> {
        Ok(self.of_partition(partition)?.call(how, operation))
    }
}

impl Deref for Groups {
    type Target = Homes<GroupCoordinator>;

    fn deref(&self) -> &Self::Target {
        &self.homes
    }
}

impl Maker<GroupCoordinator> for Groups {
    fn homes(&self) -> &Homes<GroupCoordinator> {
        &self.homes
    }

    fn load(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
    ) -> Result<Arc<Shard<GroupCoordinator>>, LoadError> {
        let mut loader = GroupLoader::new(GroupConfig::clone(&self.config.load()));
        load(partition, &mut loader)?;
        let machine = loader.finish(self.clock.now_ms());
        Ok(Shard::start(Arc::clone(partition), machine, self.clock, ()))
    }

    fn catch_up(&self, shard: &Shard<GroupCoordinator>) {
        let topics = Arc::clone(&self.topics.read().expect("group topics lock"));
        shard.tell(|machine, _now_ms| {
            machine.set_config(GroupConfig::clone(&self.config.load()));
            machine.handle_metadata(topics, &TopicsChange::default());
        });
    }
}

impl Machine for GroupCoordinator {
    type Answer = Answer;
    type Work = RegexTask;
    type Outside = ();
    const SUBJECT: &'static str = "groups";
    const WITHOUT_TOPIC: ErrorCode = ErrorCode::CoordinatorNotAvailable;

    fn next_step(&mut self) -> Option<Step<Self>> {
        Some(match self.next_effect()? {
            Effect::Append { id, batch } => Step::Append { id, batch },
            Effect::Respond { token, answer } => Step::Respond { token, answer },
            Effect::ResolveRegexes(task) => Step::Work(task),
        })
    }

    fn poll_timeout(&self) -> Option<i64> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now_ms: i64, (): &()) {
        self.handle_timeout(now_ms);
    }

    fn handle_committed(&mut self, now_ms: i64, id: AppendId) {
        self.handle_committed(now_ms, id);
    }

    fn handle_append_failed(&mut self, now_ms: i64, id: AppendId, error: ErrorCode) {
        self.handle_append_failed(now_ms, id, error);
    }

    fn work(&mut self, task: RegexTask, shard: &Shard<Self>) {
        let (topics, shard): (_, Weak<Shard<Self>>) = (self.topics(), shard.downgrade());
        // All topics against all expressions takes a while in a large cluster.
        tokio::task::spawn_blocking(move || {
            let resolved = task.resolve(&*topics);
            if let Some(shard) = shard.upgrade() {
                shard.tell(|machine, now_ms| machine.handle_regexes_resolved(now_ms, resolved));
            }
        });
    }
}

impl Loader for GroupLoader {
    type Error = ReplayError;

    fn replay(&mut self, record: LoggedRecord<'_>) -> Result<(), ReplayError> {
        self.replay(record)
    }

    fn replay_end_transaction(&mut self, offset: i64, producer_id: i64, committed: bool) {
        self.replay_end_transaction(offset, producer_id, committed);
    }
}
