//! The APIs of the protocol: numbers, names, versions, and which headers they take.
//!
//! The table is generated (`generated/api_keys.rs`); what it means is said here.

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;

pub use crate::generated::api_keys::ApiKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no API has the key {0}")]
pub struct UnknownApiKey(pub i16);

/// What the schemas say about one API.
#[derive(Debug)]
pub(crate) struct ApiSpec {
    pub name: &'static str,
    pub lowest: i16,
    /// The newest version that is advertised.
    pub highest_stable: i16,
    /// The newest version in the schema, which may still change in a later release.
    pub highest: i16,
    pub flexible_from: i16,
    pub on_broker: bool,
    pub on_controller: bool,
}

impl ApiKey {
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// As Kafka names it, such as `Produce`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The versions that a server advertises and accepts.
    pub fn valid_versions(self) -> RangeInclusive<i16> {
        let spec = self.spec();
        spec.lowest..=spec.highest_stable
    }

    /// The versions that can be decoded, an unstable newest one included.
    pub fn all_versions(self) -> RangeInclusive<i16> {
        let spec = self.spec();
        spec.lowest..=spec.highest
    }

    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.spec().flexible_from
    }

    /// Whether brokers serve it on their listeners.
    pub fn on_broker(self) -> bool {
        self.spec().on_broker
    }

    /// Whether controllers serve it on their listeners.
    pub fn on_controller(self) -> bool {
        self.spec().on_controller
    }

    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// An answer to ApiVersions has the oldest header in every version, for the client does not
    /// know yet what the server speaks.
    pub fn response_header_version(self, version: i16) -> i16 {
        (self != ApiKey::ApiVersions && self.is_flexible(version)).into()
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<ApiKey> for i16 {
    fn from(key: ApiKey) -> Self {
        key.code()
    }
}

macro_rules! api_keys {
    ($($code:literal => $name:ident: $lowest:literal..=$stable:literal, latest $latest:literal,
       flexible $flexible:expr, broker $broker:literal, controller $controller:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $code,)*
        }

        impl ApiKey {
            /// Every API, in the order of the keys.
            pub const ALL: &'static [ApiKey] = &[$(ApiKey::$name,)*];

            pub(crate) fn spec(self) -> &'static $crate::api_key::ApiSpec {
                match self {
                    $(ApiKey::$name => &$crate::api_key::ApiSpec {
                        name: stringify!($name),
                        lowest: $lowest,
                        highest_stable: $stable,
                        highest: $latest,
                        flexible_from: $flexible,
                        on_broker: $broker,
                        on_controller: $controller,
                    },)*
                }
            }
        }

        impl TryFrom<i16> for ApiKey {
            type Error = $crate::UnknownApiKey;

            fn try_from(code: i16) -> Result<Self, $crate::UnknownApiKey> {
                match code {
                    $($code => Ok(ApiKey::$name),)*
                    _ => Err($crate::UnknownApiKey(code)),
                }
            }
        }
    };
}
pub(crate) use api_keys;
