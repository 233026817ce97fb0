//! Files of record batches: segments of a log, and metadata snapshots.
//!
//! Every batch is checked: its place, its checksum, its offsets in order, and its records if they
//! are printed. After a batch whose end is not known nothing can be read.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::DecodeError;
use ottla_protocol::group_records::GroupRecord;
use ottla_protocol::metadata_records::MetadataRecord;
use ottla_protocol::share_records::ShareRecord;
use ottla_protocol::transaction_records::TransactionRecord;
use ottla_records::{
    BatchHeader, ControlType, HEADER_LEN, MAX_DECOMPRESSED_BYTES, RawBatch, Record, RecordIter,
};
use serde_json::{Map, Value, json};

use super::{Decode, Printer, base_offset, file_error};
use crate::consume::insert_bytes;
use crate::error::ToolError;
use crate::text::format_time;

const READ_BUFFER_BYTES: usize = 1024 * 1024;

pub fn dump<W: Write>(
    path: &Path,
    file: File,
    decode: Option<Decode>,
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    let file_len = file.metadata().map_err(|e| file_error(path, e))?.len();
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, file);
    let mut position = 0;
    let mut next_offset = base_offset(path).unwrap_or(0);
    let is_snapshot = path.extension().is_some_and(|ext| ext == "checkpoint");
    if is_snapshot {
        // Offsets of a snapshot count from zero, whatever its name says.
        next_offset = 0;
    }
    while position < file_len {
        let left = file_len - position;
        let mut header = vec![0; left.min(HEADER_LEN as u64) as usize];
        reader
            .read_exact(&mut header)
            .map_err(|e| file_error(path, e))?;
        if left < HEADER_LEN as u64 {
            return printer.fault(path, position, &format!("{left} bytes are no batch"));
        }
        if header.iter().all(|byte| *byte == 0) {
            return printer.fault(
                path,
                position,
                "zeroes, as a crash or preallocation leaves them",
            );
        }
        let size = match BatchHeader::parse(&header) {
            Ok(Some(parsed)) => parsed.size() as u64,
            Ok(None) => return printer.fault(path, position, "no batch header"),
            Err(error) => return printer.fault(path, position, &error.to_string()),
        };
        if size > left {
            let what = format!("a batch claims {size} bytes where {left} are left");
            return printer.fault(path, position, &what);
        }
        let mut batch = header;
        batch.resize(size as usize, 0);
        reader
            .read_exact(&mut batch[HEADER_LEN..])
            .map_err(|e| file_error(path, e))?;
        next_offset = dump_batch(path, position, batch.into(), next_offset, decode, printer)?;
        position += size;
    }
    Ok(())
}

/// Prints a batch and what is wrong with it; returns the offset behind it.
fn dump_batch<W: Write>(
    path: &Path,
    position: u64,
    bytes: Bytes,
    next_offset: i64,
    decode: Option<Decode>,
    printer: &mut Printer<W>,
) -> Result<i64, ToolError> {
    let batch = match RawBatch::first(&bytes) {
        Ok(Some(batch)) => batch,
        Ok(None) => {
            printer.fault(path, position, "the batch is incomplete")?;
            return Ok(next_offset);
        }
        Err(error) => {
            printer.fault(path, position, &error.to_string())?;
            return Ok(next_offset);
        }
    };
    let header = batch.header();
    printer.entry("", &describe(&header, position))?;
    if header.base_offset() < next_offset {
        let what = format!(
            "offset {} follows, where at least {next_offset} is due",
            header.base_offset()
        );
        printer.fault(path, position, &what)?;
    }
    if let Err(error) = batch.verify() {
        printer.fault(path, position, &error.to_string())?;
    } else if let Some(decode) = decode {
        let records = match RecordIter::new(&bytes, MAX_DECOMPRESSED_BYTES) {
            Ok(records) => records,
            Err(error) => {
                printer.fault(path, position, &error.to_string())?;
                return Ok(header.next_offset());
            }
        };
        for record in records {
            match record {
                Ok(record) => dump_record(path, position, &header, &record, decode, printer)?,
                Err(error) => printer.fault(path, position, &error.to_string())?,
            }
        }
    }
    Ok(header.next_offset().max(next_offset))
}

fn describe(header: &BatchHeader<'_>, position: u64) -> Vec<(&'static str, Value)> {
    let producer = header.has_producer_id();
    let codec = header
        .codec()
        .map_or_else(|e| e.to_string(), |codec| codec.name().to_owned());
    vec![
        ("base_offset", header.base_offset().into()),
        ("last_offset", header.last_offset().into()),
        ("records", header.record_count().into()),
        ("position", position.into()),
        ("size", header.size().into()),
        ("leader_epoch", header.partition_leader_epoch().into()),
        ("codec", codec.into()),
        ("time", format_time(header.max_timestamp()).into()),
        ("timestamp_type", header.timestamp_type().name().into()),
        ("producer_id", producer.then(|| header.producer_id()).into()),
        (
            "producer_epoch",
            producer.then(|| header.producer_epoch()).into(),
        ),
        (
            "base_sequence",
            producer.then(|| header.base_sequence()).into(),
        ),
        ("transactional", header.is_transactional().into()),
        ("control", header.is_control().into()),
        ("delete_horizon_ms", header.delete_horizon_ms().into()),
        ("crc", header.crc().into()),
    ]
}

fn dump_record<W: Write>(
    path: &Path,
    position: u64,
    header: &BatchHeader<'_>,
    record: &Record,
    decode: Decode,
    printer: &mut Printer<W>,
) -> Result<(), ToolError> {
    let mut fields = vec![
        ("offset", json!(record.offset)),
        ("time", format_time(record.timestamp).into()),
    ];
    let decoded = match header.is_control() {
        true => Some(Ok(control(record))),
        false => decoded(decode, record),
    };
    match decoded {
        Some(Ok(text)) => fields.push(("record", text.into())),
        Some(Err(error)) => {
            let what = format!("the record at offset {}: {error}", record.offset);
            return printer.fault(path, position, &what);
        }
        None => {
            let mut object = Map::new();
            insert_bytes(&mut object, "key", record.key.as_deref());
            insert_bytes(&mut object, "value", record.value.as_deref());
            for name in ["key", "key_base64", "value", "value_base64"] {
                if let Some(value) = object.remove(name) {
                    fields.push((name, value));
                }
            }
            if !record.headers.is_empty() {
                fields.push(("headers", record.headers.len().into()));
            }
        }
    }
    printer.entry("  ", &fields)
}

/// A record of one of Kafka's own logs; `None` where records mean what their users want.
fn decoded(decode: Decode, record: &Record) -> Option<Result<String, DecodeError>> {
    let key = record.key.as_deref().unwrap_or_default();
    let value = record.value.as_deref();
    Some(match decode {
        Decode::Plain => return None,
        Decode::Metadata => {
            MetadataRecord::decode_from(value.unwrap_or_default()).map(|record| readable(&record))
        }
        Decode::Offsets => GroupRecord::decode_from(key, value).map(|record| readable(&record)),
        Decode::Transactions => {
            TransactionRecord::decode_from(key, value).map(|record| readable(&record))
        }
        Decode::Shares => ShareRecord::decode_from(key, value).map(|record| readable(&record)),
    })
}

/// A marker in the log: an end of a transaction, a change of leader, and so on.
fn control(record: &Record) -> String {
    let key = record.key.as_deref().unwrap_or_default();
    match ControlType::parse(key) {
        Ok(Some(control)) => format!("{control:?}"),
        Ok(None) => "control record of an unknown type".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// What derives prints, without the fields that say nothing.
fn readable(record: &impl std::fmt::Debug) -> String {
    format!("{record:?}")
        .replace(", unknown_tagged_fields: []", "")
        .replace("{ unknown_tagged_fields: [] }", "{}")
}
