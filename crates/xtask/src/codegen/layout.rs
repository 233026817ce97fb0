//! Which file each schema goes to, and the tables over all of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::CodegenError;
use super::emit::{self, HEADER, api_name, snake_case};
use super::schema::{Kind, Message, Origin, SchemaError};

/// The generated modules, and how their records are framed in a log.
const MODULES: [(&str, Framing); 7] = [
    (
        "group_records",
        Framing::Coordinator {
            name: "GroupRecord",
        },
    ),
    ("log_records", Framing::None),
    ("messages", Framing::None),
    (
        "metadata_records",
        Framing::Metadata {
            name: "MetadataRecord",
        },
    ),
    (
        "remote_log_records",
        Framing::Metadata {
            name: "RemoteLogRecord",
        },
    ),
    (
        "share_records",
        Framing::Coordinator {
            name: "ShareRecord",
        },
    ),
    (
        "transaction_records",
        Framing::Coordinator {
            name: "TransactionRecord",
        },
    ),
];

#[derive(Clone, Copy)]
enum Framing {
    None,
    /// Frame version, type and version before the record.
    Metadata {
        name: &'static str,
    },
    /// A key that begins with the type and a value that begins with its version.
    Coordinator {
        name: &'static str,
    },
}

pub fn render(schemas: &[Message]) -> Result<BTreeMap<String, String>, CodegenError> {
    // The headers are written by hand, for what surrounds them is not a message.
    let schemas: Vec<&Message> = schemas.iter().filter(|m| m.kind != Kind::Header).collect();
    let mut files = BTreeMap::new();
    files.insert("mod.rs".to_owned(), root_module());
    files.insert("api_keys.rs".to_owned(), api_keys(&schemas)?);
    files.insert("roster.rs".to_owned(), roster(&schemas));
    for (module, framing) in MODULES {
        let members: Vec<&Message> = schemas
            .iter()
            .copied()
            .filter(|m| module_of(m) == module)
            .collect();
        for message in &members {
            let response = response_of(message, &schemas)?;
            let text = emit::message_file(message, response)
                .map_err(|source| schema_error(message, source))?;
            files.insert(format!("{module}/{}.rs", snake_case(&message.name)), text);
        }
        let text = module_file(&members, framing)?;
        files.insert(format!("{module}/mod.rs"), text);
    }
    Ok(files)
}

fn module_of(message: &Message) -> &'static str {
    match (message.kind, message.origin) {
        (Kind::Request | Kind::Response, _) => "messages",
        (_, Origin::GroupCoordinator) => "group_records",
        (_, Origin::TransactionCoordinator) => "transaction_records",
        (_, Origin::ShareCoordinator) => "share_records",
        (Kind::Metadata, Origin::Storage) => "remote_log_records",
        (Kind::Metadata, _) => "metadata_records",
        _ => match message.name.as_str() {
            "ConsumerProtocolAssignment"
            | "ConsumerProtocolSubscription"
            | "DefaultPrincipalData" => "messages",
            _ => "log_records",
        },
    }
}

fn response_of<'a>(
    message: &Message,
    schemas: &[&'a Message],
) -> Result<Option<&'a str>, CodegenError> {
    if message.kind != Kind::Request {
        return Ok(None);
    }
    schemas
        .iter()
        .find(|other| other.kind == Kind::Response && other.api_key == message.api_key)
        .map(|other| Some(other.name.as_str()))
        .ok_or_else(|| CodegenError::MissingResponse {
            request: message.name.clone(),
        })
}

fn root_module() -> String {
    let mut out = format!("{HEADER}#![expect(clippy::field_reassign_with_default)]\n\n");
    out.push_str("pub(crate) mod api_keys;\n");
    for (module, _) in MODULES {
        let _ = writeln!(out, "pub mod {module};");
    }
    out.push_str("#[cfg(test)]\npub(crate) mod roster;\n");
    out
}

fn module_file(members: &[&Message], framing: Framing) -> Result<String, CodegenError> {
    let mut out = String::from(HEADER);
    for message in members {
        let _ = writeln!(out, "pub mod {};", snake_case(&message.name));
    }
    out.push('\n');
    for message in members {
        let _ = writeln!(
            out,
            "pub use {}::{};",
            snake_case(&message.name),
            message.name
        );
    }
    match framing {
        Framing::None => {}
        Framing::Metadata { name } => {
            let _ = writeln!(out, "\ncrate::log_framing::metadata_records! {{ {name} {{");
            for (key, message) in by_key(members.iter().copied())? {
                let variant = message.name.strip_suffix("Record").unwrap_or(&message.name);
                let _ = writeln!(out, "{key} => {variant}({}),", message.name);
            }
            out.push_str("} }\n");
        }
        Framing::Coordinator { name } => {
            let _ = writeln!(
                out,
                "\ncrate::log_framing::coordinator_records! {{ {name} {{"
            );
            let keys = members
                .iter()
                .copied()
                .filter(|m| m.kind == Kind::CoordinatorKey);
            for (key, message) in by_key(keys)? {
                let base = message.name.strip_suffix("Key").unwrap_or(&message.name);
                let _ = writeln!(out, "{key} => {base}({base}Key, {base}Value),");
            }
            out.push_str("} }\n");
        }
    }
    Ok(out)
}

fn by_key<'a>(
    messages: impl Iterator<Item = &'a Message>,
) -> Result<BTreeMap<i16, &'a Message>, CodegenError> {
    messages
        .map(|message| match message.api_key {
            Some(key) => Ok((key, message)),
            None => {
                let source = SchemaError::MissingApiKey(message.name.clone());
                Err(schema_error(message, source))
            }
        })
        .collect()
}

fn api_keys(schemas: &[&Message]) -> Result<String, CodegenError> {
    let mut out = format!("{HEADER}crate::api_key::api_keys! {{\n");
    let requests = schemas.iter().copied().filter(|m| m.kind == Kind::Request);
    for (key, request) in by_key(requests)? {
        let lowest = request.versions.lowest;
        let highest = request.versions.highest;
        let stable = if request.latest_unstable {
            highest - 1
        } else {
            highest
        };
        let flexible = request
            .flexible
            .map_or("i16::MAX".to_owned(), |v| v.lowest.to_string());
        let serves = |listener: &str| request.listeners.iter().any(|l| l == listener);
        let _ = writeln!(
            out,
            "{key} => {name}: {lowest}..={stable}, latest {highest}, flexible {flexible}, broker {}, controller {};",
            serves("broker"),
            serves("controller"),
            name = api_name(&request.name),
        );
    }
    out.push_str("}\n");
    Ok(out)
}

/// A macro over every message, for tests that hold for all of them.
fn roster(schemas: &[&Message]) -> String {
    let mut out = format!("{HEADER}/// The array of `$of::<M>()` for every message `M`.\n");
    out.push_str("macro_rules! every_message {\n    ($of:ident) => {\n        [\n");
    for message in schemas {
        let module = module_of(message);
        let _ = writeln!(
            out,
            "            $of::<crate::{module}::{}>(),",
            message.name
        );
    }
    out.push_str("        ]\n    };\n}\npub(crate) use every_message;\n");
    out
}

fn schema_error(message: &Message, source: SchemaError) -> CodegenError {
    CodegenError::Schema {
        schema: message.name.clone(),
        source,
    }
}
