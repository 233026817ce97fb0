//! Records as text by a template, or as one line of JSON each.

use ottla_records::Record;
use serde_json::{Map, Value};

use crate::error::ToolError;
use crate::text::{base64, format_time, printable, unescape};

pub enum Renderer {
    Text(Template),
    JsonLines,
}

impl Renderer {
    /// Appends one record to `out`.
    pub fn render(
        &self,
        topic: &str,
        partition: i32,
        record: &Record,
        out: &mut Vec<u8>,
    ) -> Result<(), ToolError> {
        match self {
            Renderer::Text(template) => template.render(topic, partition, record, out),
            Renderer::JsonLines => {
                serde_json::to_writer(&mut *out, &json(topic, partition, record))?;
                out.push(b'\n');
            }
        }
        Ok(())
    }
}

/// A record as JSON. What is not UTF-8 stands as base64 under a name that says so.
fn json(topic: &str, partition: i32, record: &Record) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), topic.into());
    object.insert("partition".into(), partition.into());
    object.insert("offset".into(), record.offset.into());
    object.insert("timestamp".into(), record.timestamp.into());
    insert_bytes(&mut object, "key", record.key.as_deref());
    insert_bytes(&mut object, "value", record.value.as_deref());
    let headers = record.headers.iter().map(|header| {
        let mut object = Map::new();
        insert_bytes(&mut object, "key", Some(&header.key));
        insert_bytes(&mut object, "value", header.value.as_deref());
        Value::Object(object)
    });
    object.insert("headers".into(), headers.collect());
    Value::Object(object)
}

pub fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some((Ok(text), _)) => object.insert(name.to_owned(), text.into()),
        Some((Err(_), bytes)) => object.insert(format!("{name}_base64"), base64(bytes).into()),
    };
}

/// Text with places for parts of a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Time,
    Key,
    Value,
    Headers,
}

impl Template {
    /// Reads a template; `{{` and `}}` are braces. `None` for a place that nobody knows.
    pub fn parse(text: &str) -> Option<Template> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain += &rest[..at];
            let found = &rest[at..];
            if found.starts_with("{{") || found.starts_with("}}") {
                plain += &found[..1];
                rest = &found[2..];
                continue;
            }
            let (name, after) = found.strip_prefix('{')?.split_once('}')?;
            pieces.push(Piece::Text(unescape(&std::mem::take(&mut plain))));
            pieces.push(Piece::named(name)?);
            rest = after;
        }
        plain += rest;
        pieces.push(Piece::Text(unescape(&plain)));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Some(Template(pieces))
    }

    fn render(&self, topic: &str, partition: i32, record: &Record, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Piece::Timestamp => out.extend_from_slice(record.timestamp.to_string().as_bytes()),
                Piece::Time => out.extend_from_slice(format_time(record.timestamp).as_bytes()),
                // The very bytes: a tool in a pipe must not change them.
                Piece::Key => out.extend_from_slice(record.key.as_deref().unwrap_or_default()),
                Piece::Value => out.extend_from_slice(record.value.as_deref().unwrap_or_default()),
                Piece::Headers => out.extend_from_slice(headers(record).as_bytes()),
            }
        }
    }
}

fn headers(record: &Record) -> String {
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|header| {
            let key = printable(&header.key);
            match &header.value {
                Some(value) => format!("{key}={}", printable(value)),
                None => key.into_owned(),
            }
        })
        .collect();
    headers.join(",")
}

impl Piece {
    fn named(name: &str) -> Option<Piece> {
        Some(match name {
            "topic" => Piece::Topic,
            "partition" => Piece::Partition,
            "offset" => Piece::Offset,
            "timestamp" => Piece::Timestamp,
            "time" => Piece::Time,
            "key" => Piece::Key,
            "value" => Piece::Value,
            "headers" => Piece::Headers,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
