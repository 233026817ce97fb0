//! A clean stop, and then the power goes: the marker says that nothing needs to be recovered.

use ottla_records::Producer;

use super::*;
use crate::LeaderAppend;
use crate::testing::batch_of;
use crate::testing::crash::Platter;

const PRODUCER: i64 = 7;

fn send(log: &Log, sequence: i32) -> Result<crate::AppendInfo, crate::AppendError> {
    let producer = Producer {
        id: PRODUCER,
        epoch: 0,
        base_sequence: sequence,
    };
    let batch = batch_of(&[i64::from(sequence)], producer, false);
    log.append_as_leader(&[batch], &LeaderAppend::client(0), 0)
}

/// What the logs are, in words.
fn told(manager: &LogManager) -> Vec<String> {
    let mut logs: Vec<String> = manager
        .logs()
        .iter()
        .map(|log| {
            let producers: Vec<_> = log
                .active_producers()
                .iter()
                .map(|producer| (producer.producer_id, producer.last_sequence))
                .collect();
            // An epoch without a batch is begun anew by who leads next.
            let latest = log.log_end_offset() - 1;
            format!(
                "{} {:?} {}..{} epoch {:?} producers {producers:?}",
                log.partition(),
                log.topic_id(),
                log.log_start_offset(),
                log.log_end_offset(),
                log.epoch_for_offset(latest),
            )
        })
        .collect();
    logs.sort();
    logs
}

/// A directory whose disk loses at a power cut what was not synced.
struct Site {
    root: tempfile::TempDir,
    platter: Arc<Platter>,
    random: fastrand::Rng,
}

impl Site {
    fn new(seed: u64) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            platter: Arc::default(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn start(&self) -> (Arc<LogManager>, LoadSummary) {
        let disk = Disk::with_faults(self.platter.clone());
        start_on(disk, &[self.root.path()], 0)
    }

    fn cut_power(&mut self) {
        let root = self.root.path();
        self.platter.cut_power_below(root, &mut self.random);
    }
}

#[test]
fn after_a_clean_stop_a_power_cut_loses_nothing() {
    for seed in 0..64 {
        let mut site = Site::new(seed);
        let (manager, _) = site.start();
        create(&manager, "untouched", 0);
        let led = create(&manager, "led", 0);
        led.assign_epoch_start_offset(3, 0).unwrap();
        let flushed = create(&manager, "flushed", 0);
        send(&flushed, 0).unwrap();
        flushed.flush().unwrap();
        let rolled = create(&manager, "rolled", 0);
        for sequence in 0..30 {
            send(&rolled, sequence).unwrap();
        }
        let moved = create(&manager, "moved", 0);
        moved.truncate_fully_and_start_at(500, None, 0).unwrap();
        manager.shutdown(9);
        let expected = told(&manager);
        drop((manager, led, flushed, rolled, moved));
        site.cut_power();

        let (manager, summary) = site.start();
        assert_eq!(manager.previous_broker_epoch(), Some(9), "seed {seed}");
        assert_eq!(summary.notes, [], "seed {seed}");
        assert_eq!(told(&manager), expected, "seed {seed}");
        send(&manager.get(&topic("flushed", 0)).unwrap(), 1).unwrap();
    }
}

#[test]
fn what_recovery_cut_stays_cut() {
    for seed in 0..64 {
        let mut site = Site::new(seed);
        let (manager, _) = site.start();
        let log = create(&manager, "torn", 0);
        for sequence in 0..4 {
            send(&log, sequence).unwrap();
        }
        log.flush().unwrap();
        manager.checkpoint().unwrap();
        for sequence in 4..8 {
            send(&log, sequence).unwrap();
        }
        drop((manager, log));
        site.cut_power();
        let (manager, _) = site.start();
        manager.shutdown(9);
        let expected = told(&manager);
        drop(manager);
        site.cut_power();

        let (manager, summary) = site.start();
        assert_eq!(summary.notes, [], "seed {seed}");
        assert_eq!(told(&manager), expected, "seed {seed}");
    }
}
