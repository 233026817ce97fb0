//! Damaged files: a broker that finds them keeps all good data before the damage, or says which file it will not use.
//!
//! Each trial damages one file of a copy of a data directory, starts a broker on it, and reads everything back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::Records;
use ottla_records::{MAX_DECOMPRESSED_BYTES, RecordIter};

use crate::client::{Client, batch, fetch_request};
use crate::crash::{commit, committed, find_coordinator};
use crate::process::{Broker, Exit, check_text};

const TOPIC: &str = "data";
const PARTITIONS: i32 = 2;
const BATCHES: i32 = 60;
const RECORDS_PER_BATCH: i32 = 5;
/// Offsets that the group commits, one after another.
const COMMITS: i64 = 20;
const OFFSETS_LOG: &str = "__consumer_offsets-0";
const METADATA_LOG: &str = "__cluster_metadata-0";

/// A data directory with several segments per partition, and what is in it.
struct Template {
    dir: tempfile::TempDir,
    /// Relative to the data directory.
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Killed,
}

impl Template {
    fn make(end: End) -> Template {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::start(dir.path(), &[]);
        let mut client = Client::connect(broker.address).unwrap();
        let configs = [
            ("internal.segment.bytes", "16384"),
            ("index.interval.bytes", "1024"),
        ];
        client.create_topic(TOPIC, PARTITIONS, &configs).unwrap();
        for partition in 0..PARTITIONS {
            let id = client.init_producer().unwrap();
            for first in (0..BATCHES).map(|i| i * RECORDS_PER_BATCH) {
                let values: Vec<Vec<u8>> = (first..first + RECORDS_PER_BATCH)
                    .map(|number| value(partition, number.into()))
                    .collect();
                let records = batch(&values, Some((id, first)));
                let produced = client.produce(TOPIC, partition, records).unwrap();
                assert_eq!(produced, (0, i64::from(first)));
            }
        }
        find_coordinator(&mut client);
        for offset in 1..=COMMITS {
            commit(&mut client, TOPIC, offset);
        }
        match end {
            End::Clean => drop(broker.stop()),
            End::Killed => broker.kill(),
        }
        let mut files = Vec::new();
        list(&dir.path().join("ottla-data"), Path::new(""), &mut files);
        files.sort();
        Template { dir, files }
    }

    /// Starts a broker on a copy in which `file` is damaged.
    fn try_out(&self, file: &Path, damage: Damage) -> Outcome {
        let copy = tempfile::tempdir().unwrap();
        let (from, to) = (self.dir.path(), copy.path());
        for file in &self.files {
            let (from, to) = (
                from.join("ottla-data").join(file),
                to.join("ottla-data").join(file),
            );
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
        let path = to.join("ottla-data").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        damage.apply(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        match Broker::try_start(to, &[]) {
            Err(exit) => Outcome::Refused(exit),
            Ok(broker) => {
                let kept = (0..PARTITIONS)
                    .map(|partition| read_good(&broker, partition))
                    .collect();
                let mut client = Client::connect(broker.address).unwrap();
                find_coordinator(&mut client);
                let committed = committed(&mut client);
                let errors = broker.errors();
                check_text(&errors);
                Outcome::Started {
                    kept,
                    committed,
                    errors,
                }
            }
        }
    }

    /// Bytes of a file, undamaged.
    fn bytes(&self, file: &Path) -> Bytes {
        std::fs::read(self.dir.path().join("ottla-data").join(file))
            .unwrap()
            .into()
    }
}

fn list(root: &Path, under: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root.join(under)).unwrap() {
        let entry = entry.unwrap();
        let path = under.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            list(root, &path, files);
        } else {
            files.push(path);
        }
    }
}

fn value(partition: i32, offset: i64) -> Vec<u8> {
    let mut value = format!("{partition}/{offset} ").into_bytes();
    value.resize(300, b'.');
    value
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Truncate { at: usize },
    Flip { at: usize, bit: u8 },
    Zero { from: usize, len: usize },
    Garbage { len: usize },
}

impl Damage {
    /// Some damage of a file of `len` bytes.
    fn any(random: &mut fastrand::Rng, len: usize) -> Damage {
        if len == 0 {
            return Damage::Garbage { len: 40 };
        }
        match random.u8(0..6) {
            0 | 1 => Damage::Truncate {
                at: random.usize(0..len),
            },
            2 | 3 => Damage::Flip {
                at: random.usize(0..len),
                bit: random.u8(0..8),
            },
            4 => Damage::Zero {
                from: random.usize(0..len),
                len: random.usize(1..5000),
            },
            _ => Damage::Garbage {
                len: random.usize(1..200),
            },
        }
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Damage::Truncate { at } => bytes.truncate(at),
            Damage::Flip { at, bit } => bytes[at] ^= 1 << bit,
            Damage::Zero { from, len } => {
                let end = (from + len).min(bytes.len());
                bytes[from..end].fill(0);
            }
            Damage::Garbage { len } => bytes.extend((0..len).map(|i| (i * 37 + 11) as u8)),
        }
    }

    /// The first byte that is not what it was.
    fn begin(self, len: usize) -> usize {
        match self {
            Damage::Truncate { at } | Damage::Flip { at, .. } => at,
            Damage::Zero { from, .. } => from,
            Damage::Garbage { .. } => len,
        }
    }
}

#[derive(Debug)]
enum Outcome {
    Refused(Exit),
    Started {
        kept: Vec<Kept>,
        committed: i64,
        errors: String,
    },
}

/// What could be read of a partition from its start, up to the first thing that could not.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    records: i64,
    end: ReadEnd,
}

#[derive(Debug, PartialEq, Eq)]
enum ReadEnd {
    /// Nothing more is there.
    End,
    /// The broker handed out what its client can see is damaged: a wrong checksum, a gap in the offsets.
    Damage,
    /// The broker answered with an error.
    Error(i16),
}

impl Kept {
    const ALL: Kept = Kept {
        records: (BATCHES * RECORDS_PER_BATCH) as i64,
        end: ReadEnd::End,
    };
}

impl Outcome {
    /// The broker runs, and nothing is missing.
    fn is_whole(&self) -> bool {
        match self {
            Outcome::Started { kept, .. } => kept.iter().all(|kept| *kept == Kept::ALL),
            Outcome::Refused(_) => false,
        }
    }

    /// The broker ended with an error that names `file`.
    fn is_refusal_of(&self, file: &Path) -> bool {
        match self {
            Outcome::Refused(exit) => {
                check_text(&exit.errors);
                exit.status.code() == Some(1) && exit.errors.contains(&name(file))
            }
            Outcome::Started { .. } => false,
        }
    }
}

fn name(file: &Path) -> String {
    file.display().to_string()
}

/// Reads a partition from offset 0; what is read must be what was written at that offset.
fn read_good(broker: &Broker, partition: i32) -> Kept {
    let mut client = Client::connect(broker.address).unwrap();
    let mut kept = Kept {
        records: 0,
        end: ReadEnd::End,
    };
    loop {
        let request = fetch_request(TOPIC, partition, kept.records);
        let answer = client.ask(&request, 11).unwrap();
        let of_partition = &answer.responses[0].partitions[0];
        if of_partition.error_code != 0 {
            kept.end = ReadEnd::Error(of_partition.error_code);
            return kept;
        }
        let Some(Records::Bytes(bytes)) = &of_partition.records else {
            return kept;
        };
        let (before, mut at) = (kept.records, 0);
        for batch in ottla_records::batches(bytes) {
            let Some(batch) = batch.ok().filter(|batch| batch.verify().is_ok()) else {
                kept.end = ReadEnd::Damage;
                return kept;
            };
            if batch.header().base_offset() > kept.records {
                kept.end = ReadEnd::Damage;
                return kept;
            }
            let records = RecordIter::new(&bytes.slice(at..), MAX_DECOMPRESSED_BYTES).unwrap();
            for record in records.map(Result::unwrap) {
                assert_eq!(record.offset, kept.records, "partition {partition}");
                let expected = value(partition, record.offset);
                assert_eq!(record.value.unwrap(), expected, "an invented record");
                kept.records += 1;
            }
            at += batch.header().size();
        }
        if kept.records == before {
            return kept;
        }
    }
}

/// The first offset that is not safe: behind the last batch that lies whole before `position` of the segment.
fn good_end(template: &Template, file: &Path, position: usize) -> i64 {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let bytes = template.bytes(file);
    let mut at = 0;
    let mut end = stem.parse().unwrap();
    for batch in ottla_records::batches(&bytes).map(Result::unwrap) {
        at += batch.header().size();
        if at > position {
            break;
        }
        end = batch.header().next_offset();
    }
    end
}

/// The files with this extension below a directory that begins with `prefix`.
fn with_extension<'a>(
    template: &'a Template,
    prefix: &'a str,
    extension: &'a str,
) -> impl Iterator<Item = &'a PathBuf> {
    template.files.iter().filter(move |file| {
        file.extension().is_some_and(|own| own == extension) && name(file).starts_with(prefix)
    })
}

#[test]
fn segments_keep_what_lies_before_the_damage() {
    const TRIALS: usize = 12;
    let mut random = fastrand::Rng::with_seed(41);
    for end in [End::Clean, End::Killed] {
        let template = Template::make(end);
        let segments: Vec<&PathBuf> = with_extension(&template, TOPIC, "log").collect();
        assert!(segments.len() > 4, "{:?}", template.files);
        for _ in 0..TRIALS {
            let file = segments[random.usize(0..segments.len())];
            let len = template.bytes(file).len();
            let damage = Damage::any(&mut random, len);
            let outcome = template.try_out(file, damage);
            let context = format!("{end:?} {} {damage:?} -> {outcome:?}", file.display());
            let Outcome::Started { kept, errors, .. } = outcome else {
                panic!("{context}");
            };
            let damaged = usize::from(name(file).starts_with("data-1"));
            assert_eq!(kept[1 - damaged], Kept::ALL, "{context}");
            let good = good_end(&template, file, damage.begin(len));
            let kept = &kept[damaged];
            assert!(kept.records >= good, "{good} are good: {context}");
            let is_told = kept.end != ReadEnd::End || errors.contains(&name(file));
            // A clean start scans nothing: a cut at the end of a batch is only told by the gap behind it.
            let is_last_cut = end == End::Clean && kept.records == good;
            assert!(*kept == Kept::ALL || is_told || is_last_cut, "{context}");
        }
    }
}

#[test]
fn indexes_checkpoints_and_snapshots_are_made_again() {
    const TRIALS_PER_KIND: usize = 2;
    let mut random = fastrand::Rng::with_seed(42);
    for end in [End::Clean, End::Killed] {
        let template = Template::make(end);
        let mut trials: BTreeMap<String, usize> = BTreeMap::new();
        for file in &template.files {
            let is_log = file.extension().is_some_and(|extension| extension == "log");
            if is_log || file.ends_with("meta.properties") || file.ends_with("partition.metadata") {
                continue;
            }
            let directory = file.parent().unwrap().to_str().unwrap();
            let kind = file.extension().or(file.file_name()).unwrap();
            let kind = format!("{}/{kind:?}", directory.trim_end_matches(char::is_numeric));
            let trial = trials.entry(kind).or_default();
            *trial += 1;
            if *trial > TRIALS_PER_KIND {
                continue;
            }
            let damage = Damage::any(&mut random, template.bytes(file).len());
            let outcome = template.try_out(file, damage);
            let context = format!("{end:?} {} {damage:?} -> {outcome:?}", file.display());
            assert!(outcome.is_whole(), "{context}");
        }
        assert!(trials.len() > 5, "{trials:?}");
    }
}

#[test]
fn files_that_say_who_is_who_are_read_or_refused() {
    let mut random = fastrand::Rng::with_seed(43);
    let template = Template::make(End::Clean);
    for file in ["meta.properties", "data-0/partition.metadata"].map(Path::new) {
        let len = template.bytes(file).len();
        for _ in 0..6 {
            let damage = Damage::any(&mut random, len);
            let outcome = template.try_out(file, damage);
            let is_told = match &outcome {
                Outcome::Started { errors, .. } => errors.contains("data-0"),
                Outcome::Refused(_) => outcome.is_refusal_of(file),
            };
            assert!(
                outcome.is_whole() || is_told,
                "{} {damage:?} -> {outcome:?}",
                file.display()
            );
        }
    }
}

#[test]
fn a_damaged_metadata_log_is_refused_unless_only_its_tail_is_torn() {
    let file = Path::new(METADATA_LOG).join("00000000000000000000.log");
    for end in [End::Clean, End::Killed] {
        let template = Template::make(end);
        let bytes = template.bytes(&file);
        let starts: Vec<usize> = ottla_records::batches(&bytes)
            .scan(0, |at, batch| {
                let start = *at;
                *at += batch.unwrap().header().size();
                Some(start)
            })
            .collect();
        let last = *starts.last().unwrap();
        // In the first batch, in the middle, and before the last: acknowledged changes follow.
        for start in [0, starts[starts.len() / 2], starts[starts.len() - 2]] {
            for damage in [
                Damage::Flip {
                    at: start + 40,
                    bit: 2,
                },
                Damage::Zero {
                    from: start,
                    len: 30,
                },
            ] {
                let outcome = template.try_out(&file, damage);
                assert!(
                    outcome.is_refusal_of(&file),
                    "{end:?} {damage:?} -> {outcome:?}"
                );
            }
        }
        let torn = Damage::Truncate { at: last + 70 };
        let outcome = template.try_out(&file, torn);
        match end {
            // Whoever stopped cleanly had written the whole batch.
            End::Clean => assert!(outcome.is_refusal_of(&file), "{outcome:?}"),
            End::Killed => {
                let Outcome::Started { errors, .. } = &outcome else {
                    panic!("{outcome:?}");
                };
                assert!(errors.contains(&name(&file)), "{errors}");
            }
        }
    }
}

#[test]
fn a_damaged_log_of_offsets_stops_neither_the_broker_nor_its_topics() {
    let mut random = fastrand::Rng::with_seed(44);
    for end in [End::Clean, End::Killed] {
        let template = Template::make(end);
        let file = Path::new(OFFSETS_LOG).join("00000000000000000000.log");
        let len = template.bytes(&file).len();
        for _ in 0..6 {
            let damage = Damage::any(&mut random, len);
            let outcome = template.try_out(&file, damage);
            let context = format!("{end:?} {damage:?} -> {outcome:?}");
            assert!(outcome.is_whole(), "{context}");
            let Outcome::Started {
                committed, errors, ..
            } = outcome
            else {
                panic!("{context}");
            };
            // Each commit is a batch of one record.
            let good = good_end(&template, &file, damage.begin(len));
            assert!(committed <= COMMITS, "{good} are good: {context}");
            assert!(committed.max(0) >= good, "{good} are good: {context}");
            let is_told = errors.contains(&name(&file));
            assert!(committed == COMMITS || is_told, "{context}");
        }
    }
}
