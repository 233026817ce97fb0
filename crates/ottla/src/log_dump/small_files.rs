//! What lies beside the batches: indexes, producer snapshots, checkpoints, properties.
//!
//! ```text
//! .index      i32 offset - base | i32 position                                      8 bytes
//! .timeindex  i64 timestamp | i32 offset - base                                    12 bytes
//! .txnindex   i16 version | i64 producer | i64 first | i64 last | i64 last stable  34 bytes
//! .snapshot   i16 version | u32 crc of what follows | entries
//! checkpoint  "0" | number of lines | the lines
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use bytes::{Buf, Bytes};
use ottla_protocol::log_records::ProducerSnapshot;
use ottla_protocol::{Decoder, Message};
use serde_json::Value;

use super::{Printer, base_offset, file_error};
use crate::error::ToolError;
use crate::text::format_time;

const OFFSET_ENTRY_LEN: usize = 8;
const TIME_ENTRY_LEN: usize = 12;
const TXN_ENTRY_LEN: usize = 34;

/// Snapshots and checkpoints are small; more than this is not one.
const WHOLE_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of a producer snapshot before those that its checksum covers.
const SNAPSHOT_CRC_END: usize = 6;

pub fn offset_index<W: Write>(
    path: &Path,
    file: File,
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    let base = base_offset(path).unwrap_or(0);
    let mut previous = (-1, -1);
    entries(
        path,
        file,
        OFFSET_ENTRY_LEN,
        printer,
        |mut entry, at, printer| {
            let (delta, position) = (entry.get_i32(), entry.get_i32());
            let offset = base + i64::from(delta);
            printer.entry(
                "",
                &[("offset", offset.into()), ("position", position.into())],
            )?;
            if delta < 0 || position < 0 || delta <= previous.0 || position <= previous.1 {
                printer.fault(path, at, "the entry does not follow the one before")?;
            }
            previous = (delta, position);
            Ok(())
        },
    )
}

pub fn time_index<W: Write>(
    path: &Path,
    file: File,
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    let base = base_offset(path).unwrap_or(0);
    let mut previous = (i64::MIN, -1);
    entries(
        path,
        file,
        TIME_ENTRY_LEN,
        printer,
        |mut entry, at, printer| {
            let (timestamp, delta) = (entry.get_i64(), entry.get_i32());
            let offset = base + i64::from(delta);
            let fields = [
                ("timestamp", Value::from(timestamp)),
                ("time", format_time(timestamp).into()),
                ("offset", offset.into()),
            ];
            printer.entry("", &fields)?;
            if delta < 0 || timestamp < previous.0 || delta < previous.1 {
                printer.fault(path, at, "the entry does not follow the one before")?;
            }
            previous = (timestamp, delta);
            Ok(())
        },
    )
}

pub fn txn_index<W: Write>(
    path: &Path,
    file: File,
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    entries(
        path,
        file,
        TXN_ENTRY_LEN,
        printer,
        |mut entry, at, printer| {
            let version = entry.get_i16();
            if version != 0 {
                return printer.fault(path, at, &format!("version {version} is not known"));
            }
            let fields = [
                "producer_id",
                "first_offset",
                "last_offset",
                "last_stable_offset",
            ]
            .map(|name| (name, Value::from(entry.get_i64())));
            printer.entry("", &fields)
        },
    )
}

/// Reads entries of one length. Those that are all zero are room for more to come.
fn entries<W: Write>(
    path: &Path,
    file: File,
    entry_len: usize,
    printer: &mut Printer<W>,
    mut each: impl FnMut(&[u8], u64, &mut Printer<W>) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let mut reader = BufReader::new(file);
    let mut entry = vec![0; entry_len];
    let mut at = 0;
    loop {
        let read = read_up_to(&mut reader, &mut entry).map_err(|e| file_error(path, e))?;
        if read == 0 {
            return Ok(());
        }
        if read < entry_len {
            return printer.fault(path, at, &format!("{read} bytes are no entry"));
        }
        if at > 0 && entry.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        each(&entry, at, printer)?;
        at += entry_len as u64;
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

pub fn producer_snapshot<W: Write>(
    path: &Path,
    file: File,
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    let bytes = Bytes::from(read_whole(path, file)?);
    if bytes.len() < SNAPSHOT_CRC_END {
        return printer.fault(path, 0, "too short for a producer snapshot");
    }
    let mut decoder = Decoder::new(bytes.clone());
    let snapshot = decoder
        .i16()
        .and_then(|version| ProducerSnapshot::decode(&mut decoder, version));
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot,
        Err(error) => return printer.fault(path, 0, &error.to_string()),
    };
    let computed = crc32c(&bytes[SNAPSHOT_CRC_END..]);
    if computed != snapshot.crc {
        let what = format!("stored crc = {}, computed crc = {computed}", snapshot.crc);
        printer.fault(path, 2, &what)?;
    }
    for entry in snapshot.producer_entries {
        let transaction = entry.current_txn_first_offset;
        printer.entry(
            "",
            &[
                ("producer_id", entry.producer_id.into()),
                ("epoch", entry.epoch.into()),
                ("last_sequence", entry.last_sequence.into()),
                ("last_offset", entry.last_offset.into()),
                ("offset_delta", entry.offset_delta.into()),
                ("time", format_time(entry.timestamp).into()),
                ("coordinator_epoch", entry.coordinator_epoch.into()),
                (
                    "transaction_first_offset",
                    (transaction >= 0).then_some(transaction).into(),
                ),
            ],
        )?;
    }
    Ok(())
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Reads a checkpoint: a version, a count, and as many lines of `columns`.
pub fn checkpoint<W: Write>(
    path: &Path,
    file: File,
    columns: &[&str],
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    let text = String::from_utf8_lossy(&read_whole(path, file)?).into_owned();
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return printer.fault(path, 0, "the first line is not version 0");
    }
    let count: Option<usize> = lines.next().and_then(|line| line.parse().ok());
    let mut seen = 0;
    for line in lines {
        // Topics have no blanks in their names.
        let values: Vec<&str> = line.split_whitespace().collect();
        if values.len() != columns.len() {
            printer.fault(path, 0, &format!("the line \"{line}\" is no entry"))?;
            continue;
        }
        let fields: Vec<(&str, Value)> = columns
            .iter()
            .zip(values)
            .map(|(column, value)| {
                (
                    *column,
                    value.parse::<i64>().map_or(value.into(), Value::from),
                )
            })
            .collect();
        printer.entry("", &fields)?;
        seen += 1;
    }
    match count {
        Some(count) if count == seen => Ok(()),
        _ => printer.fault(
            path,
            0,
            &format!("{seen} entries, where the second line says otherwise"),
        ),
    }
}

/// Prints a text file as it is, or its lines as strings.
pub fn lines<W: Write>(path: &Path, file: File, printer: &mut Printer<W>) -> Result<(), ToolError> {
    let text = String::from_utf8_lossy(&read_whole(path, file)?).into_owned();
    for line in text.lines() {
        match printer.output {
            crate::output::Format::Text => printer.line(line)?,
            crate::output::Format::Json => printer.entry("", &[("line", line.into())])?,
        }
    }
    Ok(())
}

fn read_whole(path: &Path, file: File) -> Result<Vec<u8>, ToolError> {
    let mut bytes = Vec::new();
    file.take(WHOLE_FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|e| file_error(path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
