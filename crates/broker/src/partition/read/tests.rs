use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use bytes::Bytes;
use ottla_log::{Disk, Environment, Faults, LeaderAppend, Log, LogConfig, LogDir, OpenOptions};
use ottla_protocol::ids::TopicPartition;
use ottla_records::{BatchBuilder, Compression};

use super::{Isolation, PartitionRead};
use crate::coordinators::tests::led_alone;

/// A disk whose page cache is empty, and that remembers who waited for it.
#[derive(Debug, Default)]
struct Cold {
    waited: Mutex<Vec<ThreadId>>,
}

impl Faults for Cold {
    fn before_read(&self, _: &Path, may_wait: bool) -> io::Result<()> {
        if !may_wait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let me = std::thread::current().id();
        self.waited.lock().unwrap().push(me);
        Ok(())
    }
}

fn batch(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    builder.append(0, None, Some(value));
    builder.build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_that_serves_sockets_does_not_wait_for_the_disk() {
    let (dir, cold) = (tempfile::tempdir().unwrap(), Arc::new(Cold::default()));
    let environment = Environment::inline(Disk::with_faults(cold.clone()));
    let open = || {
        let options = OpenOptions::fresh(None, 0);
        let (name, config) = (TopicPartition::new("topic", 0), LogConfig::default());
        let log_dir = LogDir::new(dir.path());
        Log::open(&environment, &log_dir, &name, Arc::new(config), &options)
            .unwrap()
            .0
    };
    let log = open();
    for value in [b"first", b"other"] {
        log.append_as_leader(&[batch(value)], &LeaderAppend::client(0), 0)
            .unwrap();
    }
    log.close().unwrap();
    // A log that was just opened remembers no positions.
    let partition = Arc::new(led_alone("topic", open()));
    partition.log.set_high_watermark(2);
    cold.waited.lock().unwrap().clear();
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        let request = PartitionRead {
            fetch_offset: 1,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            bytes_max: 1000,
            at_least_one_batch: true,
            isolation,
        };
        let reader = Arc::clone(&partition);
        let (worker, read) =
            tokio::spawn(async move { (std::thread::current().id(), reader.read(&request).await) })
                .await
                .unwrap();
        let records = read.unwrap().records.unwrap();
        assert_eq!((records.first_offset, records.end_offset), (1, 2));
        let waited = std::mem::take(&mut *cold.waited.lock().unwrap());
        assert!(!waited.is_empty() && !waited.contains(&worker));
    }
}
