//! What a configuration key is: its type, default, bounds and how it may change.
//!
//! Invariant: a default is text that [`Key::parse`](crate::value) accepts, so that a default and a
//! value that a user wrote go through the same door. The tables are in [`crate::keys`].

use std::fmt;

/// One configuration key.
#[derive(Debug, PartialEq)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As a user would write it; `None` is Kafka's null.
    pub default: Option<&'static str>,
    pub check: Check,
    pub importance: Importance,
    pub update: Update,
    pub support: Support,
    /// Kafka's internal keys: accepted, but described only where they are set.
    pub hidden: bool,
    /// One sentence of documentation.
    pub doc: &'static str,
}

impl Key {
    /// Passwords and the like, whose value never leaves the process.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// What values the key takes, in words for a person.
    pub fn allowed(&self) -> String {
        match (&self.check, self.kind) {
            (Check::Any, kind) => kind.description().to_owned(),
            (check, Kind::Int | Kind::Short | Kind::Long | Kind::Double) => {
                format!("{}, {check}", self.kind.description())
            }
            (check, _) => check.to_string(),
        }
    }
}

/// Kafka's types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// The number of the type in a DescribeConfigs response.
    pub fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    pub(crate) fn kafka_name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Kind::Boolean => "true or false",
            Kind::String => "text",
            Kind::Int => "a whole number of 32 bits",
            Kind::Short => "a whole number of 16 bits",
            Kind::Long => "a whole number of 64 bits",
            Kind::Double => "a number",
            Kind::List => "a list separated by commas",
            Kind::Class => "the name of a Java class",
            Kind::Password => "a secret",
        }
    }
}

/// What a value must satisfy beyond its type. Null passes every check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Check {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    BetweenF64(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    NonEmpty,
    /// A list without duplicates and empty entries; the list itself may be empty if it says so.
    List {
        may_be_empty: bool,
        entries: Option<&'static [&'static str]>,
    },
    /// -1 or a level of gzip.
    GzipLevel,
    /// `*`, or partition:broker pairs.
    ThrottledReplicas,
    /// id@host:port entries.
    Voters,
    /// host:port entries.
    HostPorts,
    /// earliest, latest or by_duration: and an ISO 8601 duration.
    ShareOffsetReset,
}

pub(crate) const LIST: Check = Check::List {
    may_be_empty: true,
    entries: None,
};
pub(crate) const NON_EMPTY_LIST: Check = Check::List {
    may_be_empty: false,
    entries: None,
};

/// A list of any of `entries`.
pub(crate) const fn list_of(entries: &'static [&'static str]) -> Check {
    Check::List {
        may_be_empty: true,
        entries: Some(entries),
    }
}

/// A list of one or more of `entries`.
pub(crate) const fn some_of(entries: &'static [&'static str]) -> Check {
    Check::List {
        may_be_empty: false,
        entries: Some(entries),
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::Any => f.write_str("anything"),
            Check::AtLeast(min) => write!(f, "at least {min}"),
            Check::Between(min, max) => write!(f, "from {min} to {max}"),
            Check::BetweenF64(min, max) => write!(f, "from {min} to {max}"),
            Check::OneOf(values) => write!(f, "one of {}", values.join(", ")),
            Check::OneOfAnyCase(values) => {
                write!(f, "one of {} (in upper or lower case)", values.join(", "))
            }
            Check::NonEmpty => f.write_str("text that is not empty"),
            Check::List {
                may_be_empty,
                entries,
            } => {
                let count = if *may_be_empty {
                    "none or more"
                } else {
                    "one or more"
                };
                match entries {
                    Some(entries) => {
                        write!(f, "{count} of {}, separated by commas", entries.join(", "))
                    }
                    None => write!(f, "{count} different entries, separated by commas"),
                }
            }
            Check::GzipLevel => f.write_str("-1 or from 1 to 9"),
            Check::ThrottledReplicas => {
                f.write_str("* or partition:broker pairs separated by commas")
            }
            Check::Voters => f.write_str("id@host:port entries separated by commas"),
            Check::HostPorts => f.write_str("host:port entries separated by commas"),
            Check::ShareOffsetReset => f.write_str("earliest, latest or by_duration:PnDTnHnMn.nS"),
        }
    }
}

/// How much a key matters to most users, as Kafka ranks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How a broker key may change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker, or as the default of all.
    ClusterWide,
}

/// Whether setting the key has the effect that Kafka documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Supported,
    /// Known, and accepted with a warning.
    Planned,
}
