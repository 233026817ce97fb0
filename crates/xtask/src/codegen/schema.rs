//! Kafka's schema files, read and checked: JSON with `//` comments.
//!
//! Prose ("about") and comments are skipped here, so that nothing of it can reach our code.

#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::versions::Versions;

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("versions {0:?} are not understood")]
    Versions(String),
    #[error("field {0} has no versions")]
    NoVersions(String),
    #[error("kind {0:?} is not understood")]
    Kind(String),
    #[error("default of field {field}, {default:?}, is not understood")]
    Default { field: String, default: String },
    #[error("field {0} has tagged versions and no tag")]
    MissingTag(String),
    #[error("{0} has no API key")]
    MissingApiKey(String),
}

/// The jar that a schema comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Clients,
    Metadata,
    GroupCoordinator,
    TransactionCoordinator,
    ShareCoordinator,
    Raft,
    Storage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    Header,
    Data,
    Metadata,
    CoordinatorKey,
    CoordinatorValue,
}

#[derive(Debug)]
pub struct Message {
    pub origin: Origin,
    pub kind: Kind,
    pub name: String,
    pub api_key: Option<i16>,
    pub versions: Versions,
    pub flexible: Option<Versions>,
    pub latest_unstable: bool,
    pub listeners: Vec<String>,
    pub fields: Vec<Field>,
    pub common_structs: Vec<Struct>,
}

#[derive(Debug)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub tagged: Option<Versions>,
    pub tag: Option<u32>,
    pub nullable: Option<Versions>,
    pub ignorable: bool,
    pub default: Option<String>,
    /// Of the struct that this field introduces; empty where the struct stands elsewhere.
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Bool,
    /// An integer, by its name in Rust.
    Integer(&'static str),
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Type {
        if let Some(element) = text.strip_prefix("[]") {
            return Type::Array(Box::new(Type::parse(element)));
        }
        match text {
            "bool" => Type::Bool,
            "int8" => Type::Integer("i8"),
            "int16" => Type::Integer("i16"),
            "uint16" => Type::Integer("u16"),
            "int32" => Type::Integer("i32"),
            "uint32" => Type::Integer("u32"),
            "int64" => Type::Integer("i64"),
            "float64" => Type::Float64,
            "uuid" => Type::Uuid,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            name => Type::Struct(name.to_owned()),
        }
    }
}

/// `None` for a schema without versions, which is how Kafka keeps the keys of removed APIs taken.
pub fn parse(text: &str, origin: Origin) -> Result<Option<Message>, SchemaError> {
    let raw: RawMessage = serde_json::from_str(&without_comments(text))?;
    let Some(versions) = Versions::parse(&raw.valid_versions)? else {
        return Ok(None);
    };
    let flexible = match &raw.flexible_versions {
        Some(text) => Versions::parse(text)?,
        None => None,
    };
    let kind = match raw.kind.as_str() {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "header" => Kind::Header,
        "data" => Kind::Data,
        "metadata" => Kind::Metadata,
        "coordinator-key" => Kind::CoordinatorKey,
        "coordinator-value" => Kind::CoordinatorValue,
        other => return Err(SchemaError::Kind(other.to_owned())),
    };
    let common_structs = raw
        .common_structs
        .into_iter()
        .map(parse_struct)
        .collect::<Result<_, _>>()?;
    Ok(Some(Message {
        origin,
        kind,
        name: raw.name,
        api_key: raw.api_key,
        versions,
        flexible,
        latest_unstable: raw.latest_version_unstable,
        listeners: raw.listeners,
        fields: parse_fields(raw.fields)?,
        common_structs,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    api_key: Option<i16>,
    valid_versions: String,
    flexible_versions: Option<String>,
    #[serde(default)]
    latest_version_unstable: bool,
    #[serde(default)]
    listeners: Vec<String>,
    #[serde(default)]
    fields: Vec<RawField>,
    #[serde(default)]
    common_structs: Vec<RawStruct>,
}

#[derive(Deserialize)]
struct RawStruct {
    name: String,
    versions: String,
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawField {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    versions: Option<String>,
    tagged_versions: Option<String>,
    nullable_versions: Option<String>,
    tag: Option<u32>,
    #[serde(default)]
    ignorable: bool,
    default: Option<serde_json::Value>,
    #[serde(default)]
    fields: Vec<RawField>,
}

fn parse_struct(raw: RawStruct) -> Result<Struct, SchemaError> {
    let versions =
        Versions::parse(&raw.versions)?.ok_or_else(|| SchemaError::NoVersions(raw.name.clone()))?;
    Ok(Struct {
        name: raw.name,
        versions,
        fields: parse_fields(raw.fields)?,
    })
}

fn parse_fields(raw: Vec<RawField>) -> Result<Vec<Field>, SchemaError> {
    raw.into_iter().map(parse_field).collect()
}

fn parse_field(raw: RawField) -> Result<Field, SchemaError> {
    let optional = |text: &Option<String>| match text {
        Some(text) => Versions::parse(text),
        None => Ok(None),
    };
    let tagged = optional(&raw.tagged_versions)?;
    if tagged.is_some() && raw.tag.is_none() {
        return Err(SchemaError::MissingTag(raw.name));
    }
    let versions = match optional(&raw.versions)?.or(tagged) {
        Some(versions) => versions,
        None => return Err(SchemaError::NoVersions(raw.name)),
    };
    // A JSON null means "the type's own default", while the string "null" means null.
    let default = match raw.default {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Some(other) => Some(other.to_string()),
    };
    Ok(Field {
        name: raw.name,
        ty: Type::parse(&raw.ty),
        versions,
        tagged,
        tag: raw.tag,
        nullable: optional(&raw.nullable_versions)?,
        ignorable: raw.ignorable,
        default,
        fields: parse_fields(raw.fields)?,
    })
}

/// Cuts `//` comments off, save for two slashes inside a string.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut end = line.len();
        for (i, c) in line.char_indices() {
            match c {
                '"' => in_string = !in_string,
                '/' if !in_string && line[i..].starts_with("//") => {
                    end = i;
                    break;
                }
                _ => {}
            }
        }
        kept.push_str(&line[..end]);
        kept.push('\n');
    }
    kept
}
