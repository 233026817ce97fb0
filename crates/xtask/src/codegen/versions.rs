//! Ranges of versions as the schemas write them: `none`, `3`, `1-4`, `2+`.

#[cfg(test)]
mod tests;

use super::schema::SchemaError;

/// Inclusive; an open end is `i16::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub lowest: i16,
    pub highest: i16,
}

impl Versions {
    /// `None` stands for no version at all.
    pub fn parse(text: &str) -> Result<Option<Versions>, SchemaError> {
        let number = |digits: &str| {
            digits
                .trim()
                .parse::<i16>()
                .map_err(|_| SchemaError::Versions(text.to_owned()))
        };
        if text == "none" {
            return Ok(None);
        }
        let (lowest, highest) = match (text.strip_suffix('+'), text.split_once('-')) {
            (Some(lowest), _) => (number(lowest)?, i16::MAX),
            (None, Some((lowest, highest))) => (number(lowest)?, number(highest)?),
            (None, None) => (number(text)?, number(text)?),
        };
        Ok(Some(Versions { lowest, highest }))
    }

    pub fn intersect(self, other: Versions) -> Option<Versions> {
        let both = Versions {
            lowest: self.lowest.max(other.lowest),
            highest: self.highest.min(other.highest),
        };
        (both.lowest <= both.highest).then_some(both)
    }

    /// Rust that is true for the versions of `self`, given that `version` is one of `within`;
    /// `None` if it always is.
    pub fn condition_within(self, within: Versions) -> Option<String> {
        let (from, to) = (self.lowest, self.highest);
        match (from > within.lowest, to < within.highest) {
            (false, false) => None,
            _ if from == to => Some(format!("version == {from}")),
            (true, false) => Some(format!("version >= {from}")),
            (false, true) => Some(format!("version <= {to}")),
            (true, true) => Some(format!("({from}..={to}).contains(&version)")),
        }
    }

    /// Rust that is true for the versions of `within` that are not in `self`; `None` if all are.
    pub fn negation_within(self, within: Versions) -> Option<String> {
        let (from, to) = (self.lowest, self.highest);
        match (from > within.lowest, to < within.highest) {
            (false, false) => None,
            (true, false) => Some(format!("version < {from}")),
            (false, true) => Some(format!("version > {to}")),
            (true, true) => Some(format!("!({from}..={to}).contains(&version)")),
        }
    }
}
