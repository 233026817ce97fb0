use std::collections::VecDeque;
use std::io;
use std::path::Path;

use ottla_log::{Background, Disk, Environment, HeldSyncs, Log, LogConfig, LogDir, OpenOptions};
use ottla_protocol::ids::TopicPartition;

use super::*;
use crate::coordinators::tests::led_alone;

/// A machine that appends one record for each call, and answers when it has heard of the append.
#[derive(Default)]
struct Scribe {
    steps: VecDeque<Step<Scribe>>,
    callers: VecDeque<(AppendId, Token)>,
    next_id: u64,
}

type Told = Result<(), ErrorCode>;

impl Scribe {
    fn write(&mut self, token: Token) {
        let id = AppendId(self.next_id);
        self.next_id += 1;
        self.callers.push_back((id, token));
        let record = (Bytes::from_static(b"key"), None);
        let batch = AppendBatch::Records(vec![record]);
        self.steps.push_back(Step::Append { id, batch });
    }

    fn answer(&mut self, is_over: impl Fn(AppendId) -> bool, answer: Told) {
        while let Some((_, token)) = self.callers.pop_front_if(|(id, _)| is_over(*id)) {
            self.steps.push_back(Step::Respond { token, answer });
        }
    }
}

impl Machine for Scribe {
    type Answer = Told;
    type Work = ();
    type Outside = ();
    const SUBJECT: &'static str = "tests";
    const WITHOUT_TOPIC: ErrorCode = ErrorCode::NotCoordinator;

    fn next_step(&mut self) -> Option<Step<Self>> {
        self.steps.pop_front()
    }

    fn poll_timeout(&self) -> Option<i64> {
        None
    }

    fn handle_timeout(&mut self, _now_ms: i64, (): &()) {}

    fn handle_committed(&mut self, _now_ms: i64, id: AppendId) {
        self.answer(|waiting| waiting == id, Ok(()));
    }

    /// The appends from this one on have failed: the ones before it were heard of.
    fn handle_append_failed(&mut self, _now_ms: i64, id: AppendId, error: ErrorCode) {
        self.answer(|waiting| waiting >= id, Err(error));
    }

    fn work(&mut self, (): (), _shard: &Shard<Self>) {}
}

/// A coordinator whose records must be on a slow disk (`flush.messages=1`).
struct Durable {
    shard: Arc<Shard<Scribe>>,
    syncs: HeldSyncs,
    _dir: tempfile::TempDir,
}

impl Durable {
    fn start() -> Durable {
        let (disk, syncs) = HeldSyncs::disk();
        let dir = tempfile::tempdir().unwrap();
        let partition = Arc::new(partition(disk, dir.path()));
        Durable {
            shard: Shard::start(partition, Scribe::default(), Clock, ()),
            syncs,
            _dir: dir,
        }
    }

    fn call(&self) -> oneshot::Receiver<Told> {
        let how = CoordinatorAppend::default();
        self.shard
            .call(how, |machine, _now_ms, token| machine.write(token))
    }
}

fn partition(disk: Disk, dir: &Path) -> Partition {
    let background = Background::threads(1, "test");
    let environment = Environment::new(disk, 20, background);
    let config = LogConfig {
        flush_messages: 1,
        ..LogConfig::default()
    };
    let (log, _report) = Log::open(
        &environment,
        &LogDir::new(dir),
        &TopicPartition::new("internal", 0),
        Arc::new(config),
        &OpenOptions::fresh(None, 0),
    )
    .unwrap();
    led_alone("internal", log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_waits_until_its_records_are_on_disk() {
    let durable = Durable::start();
    let mut first = durable.call();
    durable.syncs.begun.recv().unwrap();
    let mut second = durable.call();
    // In the log, and no replica is waited for: only the disk is.
    assert_eq!(durable.shard.partition.high_watermark(), 2);
    assert!(first.try_recv().is_err(), "nothing is durable");
    durable.syncs.let_end.send(Ok(())).unwrap();
    assert_eq!(first.await, Ok(Ok(())));
    // The second record came while the disk worked, and has a sync of its own under way.
    durable.syncs.begun.recv().unwrap();
    assert!(second.try_recv().is_err(), "only the first is durable");
    durable.syncs.let_end.send(Ok(())).unwrap();
    assert_eq!(second.await, Ok(Ok(())));
    assert_eq!(durable.shard.partition.log.recovery_point(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_that_the_disk_refuses_have_failed() {
    let durable = Durable::start();
    let first = durable.call();
    durable.syncs.begun.recv().unwrap();
    let second = durable.call();
    durable
        .syncs
        .let_end
        .send(Err(io::ErrorKind::Other.into()))
        .unwrap();
    assert_eq!(first.await, Ok(Err(ErrorCode::KafkaStorageError)));
    assert_eq!(second.await, Ok(Err(ErrorCode::KafkaStorageError)));
    // The directory stays failed.
    assert_eq!(durable.call().await, Ok(Err(ErrorCode::KafkaStorageError)));
}
