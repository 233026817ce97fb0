//! `ottla produce`: lines of standard input or of a file become records.
//!
//! Invariant: what is typed leaves at once, what is piped leaves in batches; success means that
//! everything was acknowledged as `--acks` asks.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;

use bytes::Bytes;
use clap::ValueEnum;
use ottla_net::client::{Acks, ProduceRecord, Produced, Producer, ProducerConfig};
use ottla_records::{Codec, Compression};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json};
use crate::text::{format_bytes, now_ms, unescape};
use crate::topics::parse_pair;

/// The longest line; a broker accepts a megabyte unless it is told otherwise.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Lines handed over at a time, and chunks that may wait.
const CHUNK_LINES_MAX: usize = 1000;
const CHUNKS_WAITING_MAX: usize = 4;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  echo hello | ottla produce greetings
  ottla produce greetings                          # type lines, end with Ctrl-D
  ottla produce orders --key-separator : < orders.txt
  ottla produce orders --file orders.txt --codec zstd
  printf 'k1:v1\\nk2:NULL\\n' | ottla produce orders --key-separator : --null NULL")]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The topic, which the broker may create (auto.create.topics.enable).
    topic: String,
    /// Read lines from here instead of standard input.
    #[arg(long, short)]
    file: Option<PathBuf>,
    /// What stands between key and value of a line; `\t` is a tab. Without it there are no keys.
    #[arg(long, short, value_name = "TEXT")]
    key_separator: Option<String>,
    /// A header for every record; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "KEY=VALUE", value_parser = parse_pair)]
    headers: Vec<(String, String)>,
    /// A key or value that reads like this is sent as null; a null value deletes in a compacted
    /// topic.
    #[arg(long = "null", value_name = "TEXT")]
    null_marker: Option<String>,
    /// Send everything to this partition.
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Who must have a record before it counts as sent.
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,
    /// How to compress batches.
    #[arg(long, value_enum, default_value_t = CodecArg::None)]
    codec: CodecArg,
    /// Do not have the broker recognise repeated batches.
    #[arg(long)]
    no_idempotence: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AcksArg {
    /// All replicas in sync.
    #[value(alias = "-1")]
    All,
    /// The leader alone.
    #[value(name = "1", alias = "leader")]
    Leader,
    /// Nobody; nothing is known of what was lost.
    #[value(name = "0", alias = "none")]
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CodecArg {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<AcksArg> for Acks {
    fn from(acks: AcksArg) -> Self {
        match acks {
            AcksArg::All => Acks::All,
            AcksArg::Leader => Acks::Leader,
            AcksArg::None => Acks::None,
        }
    }
}

impl From<CodecArg> for Codec {
    fn from(codec: CodecArg) -> Self {
        match codec {
            CodecArg::None => Codec::None,
            CodecArg::Gzip => Codec::Gzip,
            CodecArg::Snappy => Codec::Snappy,
            CodecArg::Lz4 => Codec::Lz4,
            CodecArg::Zstd => Codec::Zstd,
        }
    }
}

pub async fn run(args: Args) -> Result<(), ToolError> {
    let client = args.cluster.connect().await?;
    let acks = Acks::from(args.acks);
    let config = ProducerConfig {
        acks,
        compression: Compression::new(args.codec.into()),
        // Only acknowledgements by all make a repetition recognisable.
        idempotent: acks == Acks::All && !args.no_idempotence,
        ..ProducerConfig::default()
    };
    let parser = Parser::new(&args);
    let mut producer = Producer::new(client, config).await?;
    let mut lines = open(args.file.clone())?;
    while let Some(chunk) = lines.recv().await {
        for line in chunk? {
            producer.send(&args.topic, parser.parse(line)?).await?;
        }
        if lines.is_empty() {
            // Somebody types, or the source is slower than we are.
            producer.flush().await?;
        }
    }
    producer.flush().await?;
    report(&args, producer.produced())
}

#[derive(Serialize)]
struct Report<'a> {
    topic: &'a str,
    records: u64,
    batches: u64,
    bytes: u64,
    next_offsets: std::collections::BTreeMap<i32, i64>,
}

fn report(args: &Args, produced: &Produced) -> Result<(), ToolError> {
    let next = produced.next_offsets.iter();
    let report = Report {
        topic: &args.topic,
        records: produced.records,
        batches: produced.batches,
        bytes: produced.bytes,
        next_offsets: next
            .map(|((_, partition), offset)| (*partition, *offset))
            .collect(),
    };
    match args.cluster.output {
        Format::Json => print_json(&report),
        Format::Text => {
            // Not an answer, so not on standard output.
            eprintln!(
                "{} record{} sent to {} ({})",
                report.records,
                if report.records == 1 { "" } else { "s" },
                report.topic,
                format_bytes(report.bytes)
            );
            Ok(())
        }
    }
}

/// A line of the input and its number.
struct Line {
    number: u64,
    text: Vec<u8>,
}

type Lines = mpsc::Receiver<Result<Vec<Line>, ToolError>>;

/// Starts to read lines on a thread of their own, for reading blocks.
fn open(path: Option<PathBuf>) -> Result<Lines, ToolError> {
    let (sender, lines) = mpsc::channel(CHUNKS_WAITING_MAX);
    match path {
        None => {
            if io::stdin().is_terminal() {
                eprintln!("Each line is a record; Ctrl-D ends.");
            }
            std::thread::spawn(move || read_lines(io::stdin(), ToolError::Input, &sender));
        }
        Some(path) => {
            let file = File::open(&path).map_err(|source| ToolError::File {
                path: path.clone(),
                source,
            })?;
            std::thread::spawn(move || {
                let error = |source| ToolError::File {
                    path: path.clone(),
                    source,
                };
                read_lines(file, error, &sender);
            });
        }
    }
    Ok(lines)
}

/// Hands over lines as soon as no further one is at hand.
fn read_lines(
    source: impl Read,
    error: impl Fn(io::Error) -> ToolError,
    sender: &mpsc::Sender<Result<Vec<Line>, ToolError>>,
) {
    const BUFFER_BYTES: usize = 256 * 1024;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
    let mut chunk = Vec::new();
    let mut number = 0;
    loop {
        let mut text = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut reader).take(limit).read_until(b'\n', &mut text);
        number += 1;
        let failure = match read {
            Ok(0) => break,
            Ok(_) if text.len() > LINE_BYTES_MAX => Some(ToolError::LineTooLong {
                line: number,
                max: LINE_BYTES_MAX,
            }),
            Ok(_) => None,
            Err(source) => Some(error(source)),
        };
        if let Some(failure) = failure {
            // Whoever does not listen any more has failed already.
            let _gone = sender.blocking_send(Err(failure));
            return;
        }
        if text.last() == Some(&b'\n') {
            text.pop();
            if text.last() == Some(&b'\r') {
                text.pop();
            }
        }
        chunk.push(Line { number, text });
        let is_last_at_hand = !reader.buffer().contains(&b'\n');
        if (is_last_at_hand || chunk.len() == CHUNK_LINES_MAX)
            && sender
                .blocking_send(Ok(std::mem::take(&mut chunk)))
                .is_err()
        {
            return;
        }
    }
    if !chunk.is_empty() {
        let _gone = sender.blocking_send(Ok(chunk));
    }
}

/// Makes records of lines.
struct Parser {
    separator: Option<String>,
    null_marker: Option<String>,
    headers: Vec<(Bytes, Option<Bytes>)>,
    partition: Option<i32>,
}

impl Parser {
    fn new(args: &Args) -> Self {
        let headers = args.headers.iter().map(|(key, value)| {
            let value = Bytes::from(value.clone().into_bytes());
            (Bytes::from(key.clone().into_bytes()), Some(value))
        });
        Parser {
            separator: args.key_separator.as_deref().map(unescape),
            null_marker: args.null_marker.clone(),
            headers: headers.collect(),
            partition: args.partition,
        }
    }

    fn parse(&self, line: Line) -> Result<ProduceRecord, ToolError> {
        let text = Bytes::from(line.text);
        let (key, value) = match &self.separator {
            None => (None, text),
            Some(separator) => {
                let at =
                    find(&text, separator.as_bytes()).ok_or_else(|| ToolError::NoSeparator {
                        line: line.number,
                        separator: separator.clone(),
                    })?;
                let value = text.slice(at + separator.len()..);
                (self.nullable(text.slice(..at)), value)
            }
        };
        Ok(ProduceRecord {
            key,
            value: self.nullable(value),
            headers: self.headers.clone(),
            timestamp: now_ms(),
            partition: self.partition,
        })
    }

    fn nullable(&self, bytes: Bytes) -> Option<Bytes> {
        let marker = self.null_marker.as_ref();
        let is_null = marker.is_some_and(|marker| marker.as_bytes() == bytes);
        (!is_null).then_some(bytes)
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests;
