//! The cleaner against a list of all that was ever appended: random appends, transactions, cleans, restarts and power
//! cuts at any disk operation.
//!
//! What must hold after each of them: what is read was appended, at that offset; a consumer that reads from the start
//! sees of each key the latest value (read_committed too, and never what was aborted); what lies above the cleaned part
//! is complete; open transactions are the same; producers go on where they were.

use std::collections::HashMap;

use ottla_records::{Codec, ControlType};
use proptest::prelude::*;

use super::*;
use crate::testing::crash::Platter;
use crate::{AppendError, Disk};

const PRODUCERS: i64 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Keys, and whether each is deleted.
    Put(Vec<(u8, bool)>, u8),
    /// Records of an idempotent producer.
    Send(i64, Vec<u8>, u8),
    /// Records of a transaction, which begins with the first.
    SendInTxn(i64, Vec<u8>, u8),
    End(i64, bool),
    Roll,
    Flush,
    Wait(u16),
    Clean,
    /// The power fails after so many disk operations of a clean.
    CutDuringClean(u8),
    Cut,
    Restart,
    ForgetProducers,
    DeleteRecords(u8),
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..8, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    let puts = prop::collection::vec((0u8..8, prop::bool::weighted(0.2)), 1..4);
    prop_oneof![
        8 => (puts, 0u8..5).prop_map(|(keys, codec)| Step::Put(keys, codec)),
        4 => (0..PRODUCERS, keys(), 0u8..5).prop_map(|(p, keys, codec)| Step::Send(p, keys, codec)),
        6 => (0..PRODUCERS, keys(), 0u8..5)
            .prop_map(|(p, keys, codec)| Step::SendInTxn(p, keys, codec)),
        5 => (0..PRODUCERS, any::<bool>()).prop_map(|(p, is_abort)| Step::End(p, is_abort)),
        3 => Just(Step::Roll),
        2 => Just(Step::Flush),
        2 => any::<u16>().prop_map(Step::Wait),
        5 => Just(Step::Clean),
        3 => any::<u8>().prop_map(Step::CutDuringClean),
        1 => Just(Step::Cut),
        1 => Just(Step::Restart),
        1 => Just(Step::ForgetProducers),
        1 => any::<u8>().prop_map(Step::DeleteRecords),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Data {
        key: String,
        value: Option<String>,
        txn: Option<i64>,
    },
    Marker {
        producer_id: i64,
        is_abort: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

struct World {
    fixture: Fixture,
    platter: Arc<Platter>,
    random: fastrand::Rng,
    log: Arc<Log>,
    /// By offset.
    all: Vec<What>,
    /// The producer that wrote each offset.
    producers: Vec<Option<i64>>,
    /// Everything from here on was never cleaned.
    untouched_from: i64,
    now_ms: i64,
    /// Producers were forgotten, so that one that goes on may have to begin anew.
    has_forgotten: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let platter = Arc::new(Platter::default());
        let config = LogConfig {
            producer_id_expiration_ms: i64::MAX,
            ..compacted()
        };
        let fixture = Fixture::with_disk(config, Disk::with_faults(platter.clone()));
        let log = fixture.fresh();
        World {
            fixture,
            platter,
            random: fastrand::Rng::with_seed(seed),
            log,
            all: Vec::new(),
            producers: Vec::new(),
            untouched_from: 0,
            now_ms: 1,
            has_forgotten: false,
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Put(records, codec) => {
                let keys: Vec<_> = records.iter().map(|(key, gone)| (*key, !gone)).collect();
                self.append(None, false, &keys, *codec);
            }
            Step::Send(producer_id, keys, codec) if !self.is_open(*producer_id) => {
                let keys: Vec<_> = keys.iter().map(|key| (*key, true)).collect();
                self.append(Some(*producer_id), false, &keys, *codec);
            }
            Step::Send(..) => {}
            Step::SendInTxn(producer_id, keys, codec) => {
                let keys: Vec<_> = keys.iter().map(|key| (*key, true)).collect();
                self.append(Some(*producer_id), true, &keys, *codec);
            }
            Step::End(producer_id, is_abort) if self.is_open(*producer_id) => {
                append(&self.log, marker(*producer_id, 0, *is_abort));
                self.all.push(What::Marker {
                    producer_id: *producer_id,
                    is_abort: *is_abort,
                });
                self.producers.push(None);
            }
            Step::End(..) => {}
            Step::Roll => self.log.roll(self.now_ms).unwrap(),
            Step::Flush => self.log.flush().unwrap(),
            Step::Wait(ms) => self.now_ms += i64::from(*ms) / 20,
            Step::Clean => {
                self.clean().unwrap();
            }
            Step::CutDuringClean(operations) => {
                self.platter.fail_after(usize::from(*operations));
                let _ = self.clean();
                self.cut_power();
            }
            Step::Cut => self.cut_power(),
            Step::Restart => {
                let cleaned = self.log.cleaned_until.load(Ordering::Acquire);
                self.log = self.fixture.clean(&self.log).0;
                self.reopened(cleaned);
            }
            Step::ForgetProducers => {
                self.log.writer().producers.remove_expired(i64::MAX, 1);
                self.has_forgotten = true;
            }
            Step::DeleteRecords(part) => {
                // Markers that are lost after records were deleted would leave transactions of which nothing is known.
                self.log.flush().unwrap();
                let (start, stable) = (self.log.log_start_offset(), self.log.last_stable_offset());
                let offset = start + (stable - start) * i64::from(*part) / 2_000;
                self.log.advance_log_start_offset(offset).unwrap();
                self.log.run_retention(self.now_ms).unwrap();
            }
        }
    }

    fn append(&mut self, producer_id: Option<i64>, in_txn: bool, keys: &[(u8, bool)], codec: u8) {
        let before = self.all.len();
        let compression = Compression::new(Codec::from_id(codec).unwrap());
        let mut builder = BatchBuilder::new(compression).transactional(in_txn);
        if let Some(id) = producer_id {
            let sent = self.producers.iter().filter(|sent| **sent == Some(id));
            builder = builder.producer(Producer {
                id,
                epoch: 0,
                base_sequence: sent.count() as i32,
            });
        }
        for (n, (key, has_value)) in keys.iter().enumerate() {
            let offset = self.all.len();
            let (key, value) = (format!("k{key}"), has_value.then(|| format!("v{offset}")));
            let value_bytes = value.as_deref().map(str::as_bytes);
            builder.append(self.now_ms + n as i64, Some(key.as_bytes()), value_bytes);
            let txn = producer_id.filter(|_| in_txn);
            self.all.push(What::Data { key, value, txn });
            self.producers.push(producer_id);
        }
        let how = LeaderAppend::client(0);
        let bytes = [builder.build().unwrap()];
        let info = match self.log.append_as_leader(&bytes, &how, self.now_ms) {
            Ok(info) => info,
            Err(AppendError::Producer { .. }) if self.has_forgotten => {
                self.all.truncate(before);
                self.producers.truncate(before);
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(!info.is_duplicate);
        assert_eq!(info.last_offset + 1, self.all.len() as i64);
        self.log.set_high_watermark(self.log.log_end_offset());
    }

    fn clean(&mut self) -> Result<(), CleanError> {
        let cleanable = self.log.cleanable(self.now_ms).unwrap();
        if cleanable.cleanable_bytes == 0 {
            return Ok(());
        }
        self.untouched_from = self.untouched_from.max(cleanable.first_uncleanable);
        let map_entries = self.random.usize(8..40);
        let means = Means {
            map_bytes: map_entries * 16,
            ..means()
        };
        self.log
            .clean(&cleanable, &means, &Unlimited, self.now_ms)
            .map(|_| ())
    }

    fn cut_power(&mut self) {
        let log = &self.log;
        let (start, recovery_point) = (log.log_start_offset(), log.recovery_point());
        let cleaned = log.cleaned_until.load(Ordering::Acquire);
        log.abandon();
        self.platter.restore_power();
        self.platter
            .cut_power(&self.fixture.path(""), &mut self.random);
        let (log, report) = self.fixture.open(OpenOptions {
            log_start_offset: start,
            recovery_point,
            is_clean: false,
            ..OpenOptions::fresh(None, 0)
        });
        let is_damage = |note: &crate::RecoveryNote| {
            matches!(
                note,
                crate::RecoveryNote::Damaged(_) | crate::RecoveryNote::TailMissing { .. }
            )
        };
        assert!(!report.notes.iter().any(is_damage), "{:?}", report.notes);
        assert!(log.log_end_offset() >= recovery_point);
        self.log = log;
        // The checkpoint is written after the clean, or it is not.
        let cleaned = if self.random.bool() { cleaned } else { -1 };
        self.reopened(cleaned);
    }

    fn reopened(&mut self, cleaned: i64) {
        let end = self.log.log_end_offset();
        self.all.truncate(end as usize);
        self.producers.truncate(end as usize);
        self.log.set_high_watermark(end);
        self.log
            .cleaned_until
            .store(cleaned.min(end), Ordering::Release);
    }

    fn is_open(&self, producer_id: i64) -> bool {
        self.fates().contains(&Some((producer_id, Fate::Open)))
    }

    /// What became of the transaction that each offset is in.
    fn fates(&self) -> Vec<Option<(i64, Fate)>> {
        let mut fates = vec![None; self.all.len()];
        let mut open: HashMap<i64, Vec<usize>> = HashMap::new();
        for (offset, what) in self.all.iter().enumerate() {
            match what {
                What::Data { txn: Some(id), .. } => {
                    fates[offset] = Some((*id, Fate::Open));
                    open.entry(*id).or_default().push(offset);
                }
                What::Data { .. } => {}
                What::Marker {
                    producer_id,
                    is_abort,
                } => {
                    let fate = if *is_abort {
                        Fate::Aborted
                    } else {
                        Fate::Committed
                    };
                    for at in open.remove(producer_id).unwrap_or_default() {
                        fates[at] = Some((*producer_id, fate));
                    }
                }
            }
        }
        fates
    }

    fn check(&self) {
        let log = &self.log;
        let (start, end) = (log.log_start_offset(), self.all.len() as i64);
        assert_eq!(log.log_end_offset(), end);
        let fates = self.fates();
        let open = fates
            .iter()
            .position(|fate| matches!(fate, Some((_, Fate::Open))));
        let stable = open.map_or(end, |offset| (offset as i64).max(start));
        assert_eq!(log.last_stable_offset(), stable, "open transactions");

        let rows = rows(log);
        for (offset, key, value) in &rows {
            let What::Data {
                key: expected,
                value: written,
                ..
            } = &self.all[*offset as usize]
            else {
                panic!("a marker was appended at {offset}")
            };
            assert_eq!((key, value), (expected, written), "at {offset}");
        }
        let above = rows.iter().filter(|row| row.0 >= self.untouched_from);
        let appended = (self.untouched_from.max(start)..end)
            .filter(|offset| matches!(self.all[*offset as usize], What::Data { .. }));
        assert!(
            above.map(|row| row.0).eq(appended),
            "above the cleaned part"
        );

        let committed = read_committed(log, stable);
        let expected = self.committed(&fates, start, stable);
        let found = latest_with_offset(&committed);
        for (key, (offset, value)) in &expected {
            match found.get(key) {
                Some(found) => assert_eq!((found.0, &found.1), (*offset, value), "{key}"),
                // A deletion may be forgotten, once nothing is left of what was deleted.
                None => assert_eq!(*value, None, "{key} at {offset} is lost"),
            }
        }
        for (key, found) in &found {
            assert_eq!(expected.get(key), Some(found), "{key} was not the latest");
        }
        for row in &committed {
            let fate = fates[row.0 as usize].map(|(_, fate)| fate);
            assert!(
                fate.is_none_or(|fate| fate == Fate::Committed),
                "{row:?} was not committed"
            );
        }
    }

    /// The last value of each key in `[start, stable)`, aborted ones left out.
    fn committed(
        &self,
        fates: &[Option<(i64, Fate)>],
        start: i64,
        stable: i64,
    ) -> BTreeMap<String, (i64, Option<String>)> {
        let mut latest = BTreeMap::new();
        for offset in start..stable {
            let fate = fates[offset as usize].map(|(_, fate)| fate);
            if let What::Data { key, value, .. } = &self.all[offset as usize]
                && fate.is_none_or(|fate| fate == Fate::Committed)
            {
                latest.insert(key.clone(), (offset, value.clone()));
            }
        }
        latest
    }
}

fn latest_with_offset(rows: &[Row]) -> BTreeMap<String, (i64, Option<String>)> {
    let pairs = rows.iter();
    pairs
        .map(|(offset, key, value)| (key.clone(), (*offset, value.clone())))
        .collect()
}

/// What a consumer with `isolation.level=read_committed` hands out, by the rules of Kafka's clients.
fn read_committed(log: &Log, stable: i64) -> Vec<Row> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut rows = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < stable {
        let (range, mut aborted) = log.read_committed(offset, 250, true, stable).unwrap();
        if range.is_empty() {
            break;
        }
        aborted.sort_by_key(|txn| std::cmp::Reverse(txn.first_offset));
        let mut dropped = std::collections::HashSet::new();
        let mut bytes = range.read().unwrap();
        while !bytes.is_empty() {
            let batch = RawBatch::first(&bytes).unwrap().unwrap();
            let id = batch.producer_id();
            while let Some(txn) = aborted.pop_if(|txn| txn.first_offset <= batch.last_offset()) {
                dropped.insert(txn.producer_id);
            }
            let records = RecordIter::new(&bytes, 1 << 20).unwrap();
            for record in records.map(Result::unwrap) {
                let key = record.key.as_deref().unwrap_or_default();
                if batch.is_control() {
                    if ControlType::parse(key) == Ok(Some(ControlType::Abort)) {
                        dropped.remove(&id);
                    }
                } else if record.offset >= offset
                    && !(batch.is_transactional() && dropped.contains(&id))
                {
                    rows.push((record.offset, text(key), record.value.as_deref().map(text)));
                }
            }
            bytes = bytes.slice(batch.size()..);
        }
        offset = range.end_offset;
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_cleaned_log_says_what_the_whole_log_said(
        steps in prop::collection::vec(step(), 1..80),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(seed);
        for step in &steps {
            world.apply(step);
            world.check();
        }
    }
}

/// The power fails at each disk operation of a clean in turn.
#[test]
fn a_clean_can_be_cut_at_any_operation() {
    let mut operations = 0;
    loop {
        let mut world = World::new(operations as u64);
        let data = |n: u8| vec![n % 8, (n + 3) % 8];
        for round in 0..8u8 {
            for step in [
                Step::Put(vec![(round % 8, round % 3 == 0)], round % 5),
                Step::SendInTxn(0, data(round), 0),
                Step::Send(2, data(round + 1), 3),
                Step::End(0, round % 2 == 0),
                Step::SendInTxn(1, data(round + 2), 4),
                Step::End(1, round % 2 == 1),
                Step::Wait(20_000),
            ] {
                world.apply(&step);
            }
            if round == 4 {
                world.apply(&Step::Roll);
                world.apply(&Step::Clean);
            }
        }
        world.apply(&Step::Roll);
        world.apply(&Step::Flush);
        world.platter.fail_after(operations);
        let result = world.clean();
        let has_power = world.platter.has_power();
        assert_eq!(result.is_ok(), has_power, "{result:?}");
        world.cut_power();
        world.check();
        // The next clean is none the worse for it.
        world.clean().unwrap();
        world.check();
        if has_power {
            break;
        }
        operations += 1;
    }
    assert!(operations > 20, "{operations}");
}
