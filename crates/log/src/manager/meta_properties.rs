//! The `meta.properties` file: whose directory it is.
//!
//! ```text
//! #
//! cluster.id=Some22CharactersOrMore
//! directory.id=4xH3…
//! node.id=1
//! version=1
//! ```
//!
//! Invariant: a directory of another cluster or node is refused before anything in it is touched. Keys that are not known
//! here stay when the file is written again.
//! Called when log directories are opened.

use std::collections::BTreeMap;

use ottla_protocol::Uuid;

pub(crate) const FILE_NAME: &str = "meta.properties";

const VERSION: &str = "version";
const CLUSTER_ID: &str = "cluster.id";
const NODE_ID: &str = "node.id";
/// What version 0 calls the node id.
const BROKER_ID: &str = "broker.id";
const DIRECTORY_ID: &str = "directory.id";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MetaProperties {
    pub cluster_id: Option<String>,
    pub node_id: Option<i32>,
    pub directory_id: Option<Uuid>,
    others: BTreeMap<String, String>,
}

/// Why the file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesFault {
    #[error("it is not text")]
    NotText,
    #[error("its version is {0:?}, known are 0 and 1")]
    Version(String),
    #[error("its {key} {value:?} is not one")]
    Value { key: &'static str, value: String },
    #[error("its {key} is missing")]
    Missing { key: &'static str },
}

impl MetaProperties {
    pub fn parse(bytes: &[u8]) -> Result<MetaProperties, MetaPropertiesFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| MetaPropertiesFault::NotText)?;
        let mut pairs: BTreeMap<String, String> = text.lines().filter_map(parse_line).collect();
        let version = pairs.remove(VERSION).unwrap_or_else(|| "0".to_owned());
        let node_key = match version.as_str() {
            "0" => BROKER_ID,
            "1" => NODE_ID,
            _ => return Err(MetaPropertiesFault::Version(version)),
        };
        let node_id = match pairs.remove(node_key) {
            Some(value) => Some(value.parse().map_err(|_| MetaPropertiesFault::Value {
                key: NODE_ID,
                value,
            })?),
            None => None,
        };
        let directory_id = match pairs.remove(DIRECTORY_ID) {
            Some(value) => Some(value.parse().map_err(|_| MetaPropertiesFault::Value {
                key: DIRECTORY_ID,
                value,
            })?),
            None => None,
        };
        let cluster_id = pairs.remove(CLUSTER_ID);
        if version == "0" && node_id.is_none() {
            // What is left of a file that was cut, its version gone with the rest.
            return Err(MetaPropertiesFault::Missing { key: VERSION });
        }
        if version == "1" {
            if cluster_id.is_none() {
                return Err(MetaPropertiesFault::Missing { key: CLUSTER_ID });
            }
            if node_id.is_none() {
                return Err(MetaPropertiesFault::Missing { key: NODE_ID });
            }
        }
        Ok(MetaProperties {
            cluster_id,
            node_id,
            directory_id,
            others: pairs,
        })
    }

    /// The file in version 1.
    pub fn format(&self) -> String {
        let mut pairs = self.others.clone();
        pairs.insert(VERSION.to_owned(), "1".to_owned());
        if let Some(cluster_id) = &self.cluster_id {
            pairs.insert(CLUSTER_ID.to_owned(), cluster_id.clone());
        }
        if let Some(node_id) = self.node_id {
            pairs.insert(NODE_ID.to_owned(), node_id.to_string());
        }
        if let Some(directory_id) = self.directory_id {
            pairs.insert(DIRECTORY_ID.to_owned(), directory_id.to_string());
        }
        let mut text = String::from("#\n");
        for (key, value) in pairs {
            text.push_str(&escape(&key));
            text.push('=');
            text.push_str(&escape(&value));
            text.push('\n');
        }
        text
    }
}

/// A line of a Java properties file, as far as this file needs them: no continuation lines.
fn parse_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut at = line.len();
    let mut is_escaped = false;
    for (index, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'=' | b':' => {
                at = index;
                break;
            }
            _ => {}
        }
    }
    let (key, value) = line.split_at(at);
    let value = value.get(1..).unwrap_or_default();
    Some((unescape(key.trim()), unescape(value.trim())))
}

fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => result.extend(chars.next()),
            c => result.push(c),
        }
    }
    result
}

fn escape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '=' | ':' | '#' | '!') {
            result.push('\\');
        }
        result.push(c);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read_and_written_again() {
        let text = "#\n#Mon Nov 23 10:00:00 UTC 2026\ncluster.id=abc\\=d\ndirectory.id=AAAAAAAAAAAAAAAAAAABZQ\n\
                    node.id=7\nother.key=kept\nversion=1\n";
        let properties = MetaProperties::parse(text.as_bytes()).unwrap();
        assert_eq!(properties.cluster_id.as_deref(), Some("abc=d"));
        assert_eq!(properties.node_id, Some(7));
        assert_eq!(properties.directory_id, Some(Uuid::from_u128(0x165)));
        assert_eq!(
            properties.format(),
            "#\ncluster.id=abc\\=d\ndirectory.id=AAAAAAAAAAAAAAAAAAABZQ\nnode.id=7\nother.key=kept\nversion=1\n"
        );
        let again = MetaProperties::parse(properties.format().as_bytes()).unwrap();
        assert_eq!(again, properties);
    }

    #[test]
    fn version_0_has_a_broker_id() {
        let properties = MetaProperties::parse(b"version=0\nbroker.id=3\ncluster.id=c\n").unwrap();
        assert_eq!(properties.node_id, Some(3));
        assert_eq!(properties.directory_id, None);
    }

    #[test]
    fn what_makes_no_sense_is_a_fault() {
        for (text, fault) in [
            ("version=2", MetaPropertiesFault::Version("2".to_owned())),
            // What may be left of a file that was cut.
            ("", MetaPropertiesFault::Missing { key: "version" }),
            ("clu", MetaPropertiesFault::Missing { key: "version" }),
            (
                "#\ncluster.id=c\nnode.id=1\nversi",
                MetaPropertiesFault::Missing { key: "version" },
            ),
            (
                "version=1\nnode.id=1",
                MetaPropertiesFault::Missing { key: "cluster.id" },
            ),
            (
                "version=1\ncluster.id=c",
                MetaPropertiesFault::Missing { key: "node.id" },
            ),
            (
                "version=1\ncluster.id=c\nnode.id=x",
                MetaPropertiesFault::Value {
                    key: "node.id",
                    value: "x".to_owned(),
                },
            ),
            (
                "version=1\ncluster.id=c\nnode.id=1\ndirectory.id=x",
                MetaPropertiesFault::Value {
                    key: "directory.id",
                    value: "x".to_owned(),
                },
            ),
        ] {
            assert_eq!(MetaProperties::parse(text.as_bytes()), Err(fault), "{text}");
        }
        assert_eq!(
            MetaProperties::parse(&[0xff]),
            Err(MetaPropertiesFault::NotText)
        );
    }
}
