//! Values: parsed by a key's type, checked by its bounds, and rendered as Kafka renders them.
//!
//! Invariant: `render(parse(render(v))) == render(v)`, and the messages are those that Kafka's
//! clients know, because AlterConfigs and CreateTopics hand them on.

use std::fmt;

use crate::key::{Check, Key, Kind};

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    /// Of strings, classes and passwords.
    Text(String),
    List(Vec<String>),
}

impl Value {
    /// The text form, as in a DescribeConfigs response; `None` for null.
    pub fn render(&self) -> Option<String> {
        match self {
            Value::Null => None,
            Value::Boolean(value) => Some(value.to_string()),
            Value::Integer(value) => Some(value.to_string()),
            Value::Double(value) => Some(java_double(*value)),
            Value::Text(value) => Some(value.clone()),
            Value::List(values) => Some(values.join(",")),
        }
    }
}

/// A value that its key does not take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", self.message())]
pub struct BadValue {
    pub key: String,
    /// Hidden where the key is sensitive.
    pub value: String,
    pub fault: Fault,
}

impl BadValue {
    fn message(&self) -> String {
        let Self { key, value, fault } = self;
        match fault {
            Fault::EmptyList { entries } => {
                format!("Configuration '{key}' must not be empty. Valid values include: {entries}")
            }
            Fault::DuplicateEntry => {
                format!("Configuration '{key}' values must not be duplicated.")
            }
            Fault::EmptyEntry => format!("Configuration '{key}' values must not be empty."),
            Fault::NotThrottledReplicas => {
                format!("Invalid value [{value}] for configuration {key}: {key} {fault}")
            }
            fault => format!("Invalid value {value} for configuration {key}: {fault}"),
        }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("Not a number of type {0}")]
    NotANumber(&'static str),
    #[error("Expected value to be either true or false")]
    NotABoolean,
    #[error("Value must be at least {0}")]
    TooSmall(Bound),
    #[error("Value must be no more than {0}")]
    TooLarge(Bound),
    #[error("String must be one of: {0}")]
    NotOneOf(String),
    #[error("String must be one of (case insensitive): {0}")]
    NotOneOfAnyCase(String),
    #[error("String must be non-empty")]
    EmptyText,
    #[error("the list must not be empty")]
    EmptyList { entries: String },
    #[error("entries must not be duplicated")]
    DuplicateEntry,
    #[error("entries must not be empty")]
    EmptyEntry,
    #[error("Value must be between 1 and 9 or equal to -1")]
    NotAGzipLevel,
    #[error(
        "must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    )]
    NotThrottledReplicas,
    #[error("Each entry should be in the form `{{id}}@{{host}}:{{port}}`, but one is {0}")]
    NotAVoter(String),
    #[error("Each entry should be in the form `{{host}}:{{port}}`, but one is {0}")]
    NotAHostPort(String),
    #[error("must be one of earliest, latest or by_duration:PnDTnHnMn.nS")]
    NotAnOffsetReset,
}

/// A bound, printed as it stands in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Integer(i64),
    Double(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Integer(value) => value.fmt(f),
            Bound::Double(value) => value.fmt(f),
        }
    }
}

/// What stands for a secret in messages.
pub(crate) const HIDDEN: &str = "[hidden]";

impl Key {
    /// Parses and checks `text`.
    pub fn parse(&self, text: &str) -> Result<Value, BadValue> {
        self.parse_as(self.name, text)
    }

    /// Like [`Key::parse`], for a key that the user wrote under `name` (with a listener prefix).
    pub fn parse_as(&self, name: &str, text: &str) -> Result<Value, BadValue> {
        parse(self.kind, text)
            .and_then(|value| check(&self.check, &value).map(|()| value))
            .map_err(|fault| BadValue {
                key: name.to_owned(),
                value: if self.is_sensitive() {
                    HIDDEN.to_owned()
                } else {
                    text.to_owned()
                },
                fault,
            })
    }

    /// The default, parsed.
    ///
    /// # Panics
    /// If the table is wrong, which a test excludes.
    pub fn default_value(&self) -> Value {
        match self.default {
            None => Value::Null,
            Some(text) => self
                .parse(text)
                .expect("a default that its own key accepts"),
        }
    }
}

fn parse(kind: Kind, text: &str) -> Result<Value, Fault> {
    let text = text.trim();
    let whole = |min: i64, max: i64| match text.parse::<i64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(Value::Integer(value)),
        _ => Err(Fault::NotANumber(kind.kafka_name())),
    };
    match kind {
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
        Kind::Boolean => Err(Fault::NotABoolean),
        Kind::Short => whole(i16::MIN.into(), i16::MAX.into()),
        Kind::Int => whole(i32::MIN.into(), i32::MAX.into()),
        Kind::Long => whole(i64::MIN, i64::MAX),
        Kind::Double => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Double(value)),
            _ => Err(Fault::NotANumber(kind.kafka_name())),
        },
        Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(text.to_owned())),
        Kind::List => Ok(Value::List(split_list(text))),
    }
}

/// Splits at commas, without the spaces around them.
pub(crate) fn split_list(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .map(|entry| entry.trim().to_owned())
        .collect()
}

fn check(check: &Check, value: &Value) -> Result<(), Fault> {
    match (check, value) {
        (Check::AtLeast(min), Value::Integer(value)) => at_least(*value, *min),
        (Check::AtLeast(min), Value::Double(value)) => at_least_f64(*value, *min as f64),
        (Check::Between(min, max), Value::Integer(value)) => {
            at_least(*value, *min)?;
            if value > max {
                return Err(Fault::TooLarge(Bound::Integer(*max)));
            }
            Ok(())
        }
        (Check::BetweenF64(min, max), Value::Double(value)) => {
            at_least_f64(*value, *min)?;
            if value > max {
                return Err(Fault::TooLarge(Bound::Double(*max)));
            }
            Ok(())
        }
        (Check::OneOf(allowed), Value::Text(value)) if !allowed.contains(&value.as_str()) => {
            Err(Fault::NotOneOf(allowed.join(", ")))
        }
        (Check::OneOfAnyCase(allowed), Value::Text(value))
            if !allowed.iter().any(|name| name.eq_ignore_ascii_case(value)) =>
        {
            Err(Fault::NotOneOfAnyCase(allowed.join(", ")))
        }
        (Check::NonEmpty, Value::Text(value)) if value.is_empty() => Err(Fault::EmptyText),
        (Check::GzipLevel, Value::Integer(level)) if !matches!(level, -1 | 1..=9) => {
            Err(Fault::NotAGzipLevel)
        }
        (Check::ShareOffsetReset, Value::Text(value)) if !is_offset_reset(value) => {
            Err(Fault::NotAnOffsetReset)
        }
        (check, Value::List(entries)) => check_list(check, entries),
        _ => Ok(()),
    }
}

fn at_least(value: i64, min: i64) -> Result<(), Fault> {
    if value < min {
        Err(Fault::TooSmall(Bound::Integer(min)))
    } else {
        Ok(())
    }
}

fn at_least_f64(value: f64, min: f64) -> Result<(), Fault> {
    if value < min {
        Err(Fault::TooSmall(Bound::Double(min)))
    } else {
        Ok(())
    }
}

fn check_list(check: &Check, entries: &[String]) -> Result<(), Fault> {
    match check {
        Check::List {
            may_be_empty,
            entries: allowed,
        } => {
            if entries.is_empty() && !may_be_empty {
                let entries = match allowed {
                    Some(allowed) => format!("[{}]", allowed.join(", ")),
                    None => "any non-empty value".to_owned(),
                };
                return Err(Fault::EmptyList { entries });
            }
            if (1..entries.len()).any(|at| entries[..at].contains(&entries[at])) {
                return Err(Fault::DuplicateEntry);
            }
            for entry in entries {
                if entry.is_empty() {
                    return Err(Fault::EmptyEntry);
                }
                if let Some(allowed) = allowed
                    && !allowed.contains(&entry.as_str())
                {
                    return Err(Fault::NotOneOf(allowed.join(", ")));
                }
            }
            Ok(())
        }
        Check::ThrottledReplicas => {
            let is_pair = |entry: &String| {
                let digits =
                    |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                entry.is_empty()
                    || entry
                        .split_once(':')
                        .is_some_and(|(a, b)| digits(a) && digits(b))
            };
            if entries.iter().all(is_pair) || entries.concat() == "*" {
                Ok(())
            } else {
                Err(Fault::NotThrottledReplicas)
            }
        }
        Check::Voters => match entries.iter().find(|entry| parse_voter(entry).is_none()) {
            Some(entry) => Err(Fault::NotAVoter(entry.clone())),
            None => Ok(()),
        },
        Check::HostPorts => match entries
            .iter()
            .find(|entry| parse_host_port(entry).is_none())
        {
            Some(entry) => Err(Fault::NotAHostPort(entry.clone())),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Takes `id@host:port` apart.
pub(crate) fn parse_voter(entry: &str) -> Option<(i32, String, u16)> {
    let (id, address) = entry.split_once('@')?;
    let (host, port) = parse_host_port(address)?;
    Some((id.parse().ok()?, host, port))
}

/// Takes `host:port` apart; an IPv6 address stands in brackets.
pub(crate) fn parse_host_port(entry: &str) -> Option<(String, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if !is_host(host) {
        return None;
    }
    Some((host.to_owned(), port.parse().ok()?))
}

/// Whether `text` has only characters of host names and addresses.
pub(crate) fn is_host(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-%._:".contains(&byte))
}

fn is_offset_reset(text: &str) -> bool {
    match text.split_once(':') {
        None => matches!(text, "earliest" | "latest"),
        Some(("by_duration", duration)) => is_iso_duration(duration),
        Some(_) => false,
    }
}

/// Whether `text` is an ISO 8601 duration of days and smaller units that is not negative.
fn is_iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['P', 'p']) else {
        return false;
    };
    let upper = rest.to_ascii_uppercase();
    let (days, time) = match upper.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (upper.as_str(), None),
    };
    let days_fit = days.is_empty() || has_units(days, &['D']);
    let time_fits = time.is_none_or(|time| has_units(time, &['H', 'M', 'S']));
    days_fit && time_fits && !(days.is_empty() && time.is_none())
}

/// Whether `text` is one or more numbers, each followed by one of `units` in that order.
fn has_units(text: &str, units: &[char]) -> bool {
    let mut units = units.iter();
    let mut rest = text;
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit() && c != '.') {
        let unit = rest[end..].chars().next();
        let number_fits = match unit {
            Some('S') => rest[..end].parse::<f64>().is_ok(),
            _ => rest[..end].parse::<u64>().is_ok(),
        };
        if !number_fits || !units.any(|known| Some(*known) == unit) {
            return false;
        }
        rest = &rest[end + 1..];
        if rest.is_empty() {
            return true;
        }
    }
    false
}

/// Prints a number as Java's `Double.toString` does.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let text = value.to_string();
        return if text.contains('.') {
            text
        } else {
            format!("{text}.0")
        };
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests;
