//! `ottla log dump`: what stands in the files of a log directory, and whether it is sound.
//!
//! Invariant: reads only, and never more of a file into memory than one batch that the file really
//! has. A fault is reported with its position, and makes the exit code 1.
//! `batches.rs` reads logs and metadata snapshots, `small_files.rs` everything beside them.

mod batches;
mod small_files;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use crate::error::ToolError;
use crate::output::Format;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print files of a log directory.
    #[command(after_help = "\
Takes .log, .checkpoint (metadata snapshots), .index, .timeindex, .txnindex, .snapshot (producers),
leader-epoch-checkpoint and the other checkpoints, partition.metadata, meta.properties.

Examples:
  ottla log dump ottla-data/orders-0/00000000000000000000.log
  ottla log dump --records ottla-data/orders-0/*.log
  ottla log dump --records ottla-data/__consumer_offsets-12/*.log
  ottla log dump --records ottla-data/__cluster_metadata-0/*.log
  ottla log dump ottla-data/orders-0/* --output json | jq 'select(.fault)'")]
    Dump(DumpArgs),
}

#[derive(clap::Args)]
struct DumpArgs {
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also the records of each batch.
    #[arg(long, short)]
    records: bool,
    /// How to read records; by the name of the directory if left out.
    #[arg(long, value_enum, requires = "records")]
    decode: Option<Decode>,
    /// Text for people, a line of JSON for each entry for programs.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// What the records of a log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decode {
    /// Keys and values as they are.
    Plain,
    /// Those of __consumer_offsets.
    Offsets,
    /// Those of __transaction_state.
    Transactions,
    /// Those of __share_group_state.
    Shares,
    /// Those of __cluster_metadata.
    Metadata,
}

impl Decode {
    /// By the directory in which a file lies, such as `__consumer_offsets-12`.
    fn of(path: &Path) -> Decode {
        let is_snapshot = path.extension().is_some_and(|ext| ext == "checkpoint");
        let directory = path.canonicalize().ok();
        let directory = directory.as_deref().and_then(Path::parent);
        let name = directory
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        let topic = name
            .and_then(|name| name.rsplit_once('-'))
            .map(|(topic, _)| topic);
        match topic {
            Some("__cluster_metadata") => Decode::Metadata,
            Some("__consumer_offsets") => Decode::Offsets,
            Some("__transaction_state") => Decode::Transactions,
            Some("__share_group_state") => Decode::Shares,
            _ if is_snapshot => Decode::Metadata,
            _ => Decode::Plain,
        }
    }
}

pub fn run(args: Args) -> Result<(), ToolError> {
    let Command::Dump(args) = args.command;
    let mut printer = Printer {
        out: BufWriter::new(io::stdout()),
        output: args.output,
        faults: 0,
    };
    for path in &args.files {
        printer.begin(path, args.files.len() > 1)?;
        dump(path, &args, &mut printer)?;
    }
    printer.out.flush().map_err(ToolError::Output)?;
    match printer.faults {
        0 => Ok(()),
        count => Err(ToolError::Damaged { count }),
    }
}

fn dump<W: Write>(path: &Path, args: &DumpArgs, printer: &mut Printer<W>) -> Result<(), ToolError> {
    let file = File::open(path).map_err(|source| file_error(path, source))?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match (name, extension) {
        // Names that hold a dot end like files of other kinds, so these come first.
        ("meta.properties" | "partition.metadata" | "quorum-state", _) => {
            small_files::lines(path, file, printer)
        }
        ("leader-epoch-checkpoint", _) => {
            small_files::checkpoint(path, file, &["epoch", "start_offset"], printer)
        }
        (_, "") if name.ends_with("-checkpoint") => {
            small_files::checkpoint(path, file, &["topic", "partition", "offset"], printer)
        }
        (_, "log" | "checkpoint") => {
            let decode = args.decode.unwrap_or_else(|| Decode::of(path));
            let decode = args.records.then_some(decode);
            batches::dump(path, file, decode, printer)
        }
        (_, "index") => small_files::offset_index(path, file, printer),
        (_, "timeindex") => small_files::time_index(path, file, printer),
        (_, "txnindex") => small_files::txn_index(path, file, printer),
        (_, "snapshot") => small_files::producer_snapshot(path, file, printer),
        _ => Err(ToolError::UnknownFile {
            path: path.to_owned(),
        }),
    }
}

fn file_error(path: &Path, source: io::Error) -> ToolError {
    ToolError::File {
        path: path.to_owned(),
        source,
    }
}

/// The offset in a segment's file name.
fn base_offset(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.split(['.', '-']).next()?.parse().ok()
}

/// Prints entries in the wanted form and counts faults.
struct Printer<W> {
    out: W,
    output: Format,
    faults: u64,
}

impl<W: Write> Printer<W> {
    fn begin(&mut self, path: &Path, with_name: bool) -> Result<(), ToolError> {
        match self.output {
            Format::Text if with_name => self.line(&format!("{}:", path.display())),
            _ => Ok(()),
        }
    }

    /// Prints an entry: `key value` pairs for people, an object for programs.
    fn entry(&mut self, indent: &str, fields: &[(&str, Value)]) -> Result<(), ToolError> {
        let line = match self.output {
            Format::Text => {
                let fields: Vec<String> = fields
                    .iter()
                    .filter_map(|(name, value)| shown(name, value))
                    .collect();
                format!("{indent}{}", fields.join(" "))
            }
            Format::Json => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()));
                serde_json::to_string(&Value::Object(fields.collect()))?
            }
        };
        self.line(&line)
    }

    /// Prints what is wrong, and where.
    fn fault(&mut self, path: &Path, position: u64, what: &str) -> Result<(), ToolError> {
        self.faults += 1;
        match self.output {
            Format::Text => self.line(&format!("FAULT at byte {position}: {what}")),
            Format::Json => self.entry(
                "",
                &[
                    ("fault", what.into()),
                    ("file", path.display().to_string().into()),
                    ("position", position.into()),
                ],
            ),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), ToolError> {
        writeln!(self.out, "{line}").map_err(ToolError::Output)
    }
}

/// `name=value`, or nothing for what is not there.
fn shown(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        // A flag that is not set says nothing.
        Value::Bool(false) => None,
        Value::Bool(true) => Some(name.to_owned()),
        // Stands last, and is easier to read as it is.
        Value::String(text) if name == "record" => Some(text.clone()),
        Value::String(text) if text.contains([' ', '"']) => Some(format!("{name}={text:?}")),
        Value::String(text) => Some(format!("{name}={text}")),
        other => Some(format!("{name}={other}")),
    }
}

#[cfg(test)]
mod tests;
