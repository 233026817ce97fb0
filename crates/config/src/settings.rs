//! What was set where: the file, the command line and the dynamic settings, one above the other.
//!
//! Invariant: every value in here has been accepted by its key. Precedence, highest first: dynamic
//! setting of this broker, dynamic default of the cluster, `--override`, file, default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use java_properties::{LineContent, PropertiesIter};

use crate::error::{ConfigError, Problem, Warning};
use crate::key::{Key, Support};
use crate::keys::{self, LISTENER_PREFIX, Name};
use crate::value::Value;

/// Where an effective value came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Default,
    File { path: Arc<Path>, line: usize },
    Override,
    DynamicDefault,
    DynamicBroker,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Override => f.write_str("--override"),
            Source::DynamicDefault => f.write_str("dynamic default of the cluster"),
            Source::DynamicBroker => f.write_str("dynamic setting of this broker"),
        }
    }
}

/// A value as it was written, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub text: String,
    pub source: Source,
}

/// The settings of one broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// From the file and the command line.
    fixed: BTreeMap<String, Setting>,
    dynamic_default: BTreeMap<String, String>,
    dynamic_broker: BTreeMap<String, String>,
    warnings: Vec<Warning>,
}

impl Settings {
    /// Reads `file`, if any, and lays `overrides` (each `key=value`) over it.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, ConfigError> {
        let Some(path) = file else {
            return Self::parse(None, overrides);
        };
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(Some((path, &bytes)), overrides),
            Err(cause) => Err(Problem::Unreadable {
                path: path.to_owned(),
                cause,
            }
            .into()),
        }
    }

    /// Like [`Settings::load`], with the bytes of the file at hand.
    pub fn parse(file: Option<(&Path, &[u8])>, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        if let Some((path, bytes)) = file {
            settings.read_properties(path, bytes, &mut problems);
        }
        for text in overrides {
            match text.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    let (key, value) = (key.trim(), value.trim());
                    settings.set(key, value, Source::Override, &mut problems);
                }
                _ => problems.push(Problem::MalformedOverride { text: text.clone() }),
            }
        }
        settings.name_the_node_twice();
        settings.warn_of_unsupported();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError { problems })
        }
    }

    fn read_properties(&mut self, path: &Path, bytes: &[u8], problems: &mut Vec<Problem>) {
        let shared: Arc<Path> = path.into();
        for line in PropertiesIter::new(bytes) {
            let line = match line {
                Ok(line) => line,
                Err(cause) => {
                    problems.push(Problem::Malformed {
                        path: PathBuf::from(path),
                        line: cause.line_number(),
                        // Its own mention of the line says what the path already does.
                        cause: without_line(&cause.to_string()),
                    });
                    return;
                }
            };
            let source = Source::File {
                path: Arc::clone(&shared),
                line: line.line_number(),
            };
            if let LineContent::KVPair(key, value) = line.consume_content() {
                self.set(&key, &value, source, problems);
            }
        }
    }

    fn set(&mut self, key: &str, text: &str, source: Source, problems: &mut Vec<Problem>) {
        let known = match keys::classify(key) {
            Name::Key(known) if keys::is_dynamic_only(known.name) => {
                problems.push(Problem::DynamicOnly {
                    key: known.name,
                    origin: source,
                });
                return;
            }
            Name::Key(known) | Name::OfListener(known) => Some(known),
            Name::OfPlugin => None,
            Name::Removed(instead) => {
                self.warnings.push(Warning::Removed {
                    key: key.to_owned(),
                    origin: source,
                    instead,
                });
                return;
            }
            Name::Unknown => {
                let nearest = keys::nearest_broker_key(key);
                problems.push(Problem::UnknownKey {
                    key: key.to_owned(),
                    origin: source,
                    nearest,
                });
                return;
            }
        };
        if let Some(known) = known
            && let Err(cause) = known.parse_as(key, text)
        {
            problems.push(Problem::bad_value(source, known, cause));
            return;
        }
        let setting = Setting {
            text: text.to_owned(),
            source: source.clone(),
        };
        let before = self.fixed.insert(key.to_owned(), setting);
        if let Some(Setting {
            source: Source::File { line: first, .. },
            ..
        }) = before
            && matches!(source, Source::File { .. })
        {
            self.warnings.push(Warning::SetTwice {
                key: key.to_owned(),
                origin: source,
                first,
            });
        }
    }

    /// `broker.id` and `node.id` stand for each other.
    fn name_the_node_twice(&mut self) {
        let names = ["node.id", "broker.id"];
        for (given, other) in [(names[0], names[1]), (names[1], names[0])] {
            if let Some(setting) = self.fixed.get(given).cloned() {
                self.fixed.entry(other.to_owned()).or_insert(setting);
            }
        }
    }

    fn warn_of_unsupported(&mut self) {
        for (name, setting) in &self.fixed {
            let has_no_effect = match keys::classify(name) {
                Name::Key(key) | Name::OfListener(key) => key.support == Support::Planned,
                Name::OfPlugin => true,
                Name::Removed(_) | Name::Unknown => false,
            };
            if has_no_effect {
                self.warnings.push(Warning::NotSupported {
                    key: name.clone(),
                    origin: setting.source.clone(),
                });
            }
        }
    }

    /// What the user should know; the broker logs it at its start.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The same fixed settings under other dynamic ones, which must have been checked.
    pub(crate) fn with_dynamic(
        &self,
        dynamic_default: BTreeMap<String, String>,
        dynamic_broker: BTreeMap<String, String>,
    ) -> Self {
        Self {
            dynamic_default,
            dynamic_broker,
            warnings: Vec::new(),
            fixed: self.fixed.clone(),
        }
    }

    pub(crate) fn dynamic_default(&self) -> &BTreeMap<String, String> {
        &self.dynamic_default
    }

    pub(crate) fn dynamic_broker(&self) -> &BTreeMap<String, String> {
        &self.dynamic_broker
    }

    pub(crate) fn fixed(&self) -> &BTreeMap<String, Setting> {
        &self.fixed
    }

    /// What was set for exactly this name, if anything was.
    pub fn explicit(&self, name: &str) -> Option<(&str, Source)> {
        if let Some(text) = self.dynamic_broker.get(name) {
            return Some((text, Source::DynamicBroker));
        }
        if let Some(text) = self.dynamic_default.get(name) {
            return Some((text, Source::DynamicDefault));
        }
        self.fixed
            .get(name)
            .map(|setting| (setting.text.as_str(), setting.source.clone()))
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.explicit(name).is_some()
    }

    /// Where the effective value of `name` came from.
    pub fn source(&self, name: &str) -> Source {
        self.explicit(name)
            .map_or(Source::Default, |(_, source)| source)
    }

    /// The effective value of a broker key.
    pub fn value(&self, key: &Key) -> Value {
        match self.explicit(key.name) {
            Some((text, _)) => key
                .parse(text)
                .expect("a setting that was checked when it was set"),
            None => key.default_value(),
        }
    }

    /// The value of the first name that was set, or else of the first that has a default.
    pub(crate) fn first_of(&self, names: &[&'static str]) -> (&'static str, Value) {
        let set = names.iter().find(|name| self.is_set(name));
        let named = |name: &&'static str| (*name, self.value(broker_key(name)));
        match set {
            Some(name) => named(name),
            None => names
                .iter()
                .map(named)
                .find(|(_, value)| *value != Value::Null)
                .unwrap_or((names[0], Value::Null)),
        }
    }

    /// The value of `name` for one listener, which may have its own.
    pub fn listener_value(&self, listener: &str, name: &'static str) -> Value {
        let own = format!("{LISTENER_PREFIX}{}.{name}", listener.to_ascii_lowercase());
        let key = broker_key(name);
        match self.explicit(&own) {
            Some((text, _)) => key
                .parse(text)
                .expect("a setting that was checked when it was set"),
            None => self.value(key),
        }
    }

    pub(crate) fn boolean(&self, name: &'static str) -> bool {
        match self.value(broker_key(name)) {
            Value::Boolean(value) => value,
            other => unreachable!("{name} is not a boolean: {other:?}"),
        }
    }

    pub(crate) fn int(&self, name: &'static str) -> i32 {
        i32::try_from(self.long(name)).expect("a key of 32 bits")
    }

    pub(crate) fn long(&self, name: &'static str) -> i64 {
        self.optional_long(name)
            .unwrap_or_else(|| unreachable!("{name} has no default"))
    }

    pub(crate) fn optional_long(&self, name: &'static str) -> Option<i64> {
        match self.value(broker_key(name)) {
            Value::Integer(value) => Some(value),
            Value::Null => None,
            other => unreachable!("{name} is not a whole number: {other:?}"),
        }
    }

    pub(crate) fn double(&self, name: &'static str) -> f64 {
        match self.value(broker_key(name)) {
            Value::Double(value) => value,
            other => unreachable!("{name} is not a number: {other:?}"),
        }
    }

    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        match self.value(broker_key(name)) {
            Value::Text(value) => Some(value),
            Value::Null => None,
            other => unreachable!("{name} is not text: {other:?}"),
        }
    }

    pub(crate) fn list(&self, name: &'static str) -> Option<Vec<String>> {
        match self.value(broker_key(name)) {
            Value::List(values) => Some(values),
            Value::Null => None,
            other => unreachable!("{name} is not a list: {other:?}"),
        }
    }
}

fn without_line(message: &str) -> String {
    message
        .split(" (line_number")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The key that our own code names.
fn broker_key(name: &str) -> &'static Key {
    keys::broker_key(name).unwrap_or_else(|| unreachable!("no broker key {name}"))
}

#[cfg(test)]
mod tests;
