//! Listeners: where the broker listens, what it tells clients, and who uses which listener.
//!
//! Invariant: names are upper case and unique, ports are unique (or 0, or split over IPv4 and
//! IPv6), and what is advertised is among what is listened on. Built by
//! [`BrokerConfig`](crate::BrokerConfig).

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Conflict, ListenerFault, Problem};
use crate::settings::Settings;
use crate::value::is_host;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in BrokerRegistration requests and in the records of the metadata log.
    pub fn code(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Plaintext,
            Self::Ssl,
            Self::SaslPlaintext,
            Self::SaslSsl,
        ]
        .into_iter()
        .find(|protocol| protocol.name().eq_ignore_ascii_case(text))
    }
}

/// An address to listen on or to advertise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case.
    pub name: String,
    pub protocol: SecurityProtocol,
    /// `None` means every address when listening, and the machine's own name when advertising.
    pub host: Option<String>,
    /// 0 lets the system choose.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or_default();
        if host.contains(':') {
            write!(f, "{}://[{host}]:{}", self.name, self.port)
        } else {
            write!(f, "{}://{host}:{}", self.name, self.port)
        }
    }
}

/// All listeners of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// For clients and other brokers.
    pub broker: Vec<Endpoint>,
    /// For controllers.
    pub controller: Vec<Endpoint>,
    /// What clients are told. An entry whose port is 0 stands for the port that was bound.
    pub advertised: Vec<Endpoint>,
    /// What other nodes are told of the controller listeners.
    pub advertised_controller: Vec<Endpoint>,
    /// The listener that brokers use among themselves.
    pub inter_broker: String,
    pub controller_names: Vec<String>,
}

/// What a process is, as far as its listeners care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOL_MAP: &str = "listener.security.protocol.map";
const CONTROLLER_NAMES: &str = "controller.listener.names";
const INTER_BROKER_NAME: &str = "inter.broker.listener.name";
const INTER_BROKER_PROTOCOL: &str = "security.inter.broker.protocol";
const WILDCARD: &str = "0.0.0.0";

impl Listeners {
    pub(crate) fn build(settings: &Settings, roles: Roles) -> Result<Self, Problem> {
        let fault = |key: &'static str| {
            move |cause| Problem::Listeners {
                key,
                origin: settings.source(key),
                cause,
            }
        };
        let controller_names: Vec<String> = list(settings, CONTROLLER_NAMES)
            .iter()
            .map(|name| normalise(name))
            .collect();
        let protocols = protocol_map(settings, &controller_names).map_err(fault(PROTOCOL_MAP))?;

        let all = endpoints(&list(settings, LISTENERS), &protocols).map_err(fault(LISTENERS))?;
        check_unique(&all, true).map_err(fault(LISTENERS))?;
        check_supported(&all).map_err(fault(LISTENERS))?;
        let is_controller = |name: &str| controller_names.iter().any(|known| known == name);
        let (controller, broker): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|endpoint| is_controller(&endpoint.name));

        let given =
            endpoints(&list(settings, ADVERTISED), &protocols).map_err(fault(ADVERTISED))?;
        check_unique(&given, false).map_err(fault(ADVERTISED))?;
        let (given_controller, given_broker): (Vec<_>, Vec<_>) = given
            .into_iter()
            .partition(|endpoint| is_controller(&endpoint.name));
        let advertised = if settings.is_set(ADVERTISED) {
            given_broker
        } else {
            broker.clone()
        };
        let advertised_controller = controller
            .iter()
            .map(|own| advertised_of(own, &given_controller))
            .collect();

        let inter_broker = inter_broker_name(settings, &protocols)?;
        let listeners = Self {
            broker,
            controller,
            advertised,
            advertised_controller,
            inter_broker,
            controller_names,
        };
        listeners
            .check_roles(roles)
            .map_err(|(key, cause)| fault(key)(cause))?;
        if roles.broker {
            listeners
                .check_broker()
                .map_err(|(key, cause)| fault(key)(cause))?;
        } else if settings.is_set(INTER_BROKER_NAME)
            && listeners.controller_names.contains(&listeners.inter_broker)
        {
            let name = listeners.inter_broker;
            return Err(fault(INTER_BROKER_NAME)(
                ListenerFault::InterBrokerIsController { name },
            ));
        }
        Ok(listeners)
    }

    fn check_roles(&self, roles: Roles) -> Result<(), (&'static str, ListenerFault)> {
        match (roles.broker, roles.controller) {
            (true, false) => {
                if self.controller_names.is_empty() {
                    return Err((CONTROLLER_NAMES, ListenerFault::NoControllerListener));
                }
                if let Some(endpoint) = self.controller.first() {
                    let name = endpoint.name.clone();
                    return Err((LISTENERS, ListenerFault::ControllerOnBroker { name }));
                }
            }
            (false, _) => {
                if self.controller.is_empty() {
                    return Err((CONTROLLER_NAMES, ListenerFault::NoOwnControllerListener));
                }
                if let Some(endpoint) = self.broker.first() {
                    let name = endpoint.name.clone();
                    return Err((LISTENERS, ListenerFault::ClientsOnController { name }));
                }
            }
            (true, true) => {}
        }
        if roles.controller {
            let is_own = |name: &&String| !self.controller.iter().any(|own| own.name == **name);
            if let Some(name) = self.controller_names.iter().find(is_own) {
                let all = self.broker.iter().chain(&self.controller);
                let (name, known) = (name.clone(), names(all));
                return Err((
                    CONTROLLER_NAMES,
                    ListenerFault::NotAListener { name, known },
                ));
            }
        }
        Ok(())
    }

    fn check_broker(&self) -> Result<(), (&'static str, ListenerFault)> {
        if self.advertised.is_empty() {
            return Err((LISTENERS, ListenerFault::NoneForClients));
        }
        if !self
            .advertised
            .iter()
            .any(|endpoint| endpoint.name == self.inter_broker)
        {
            let (name, known) = (self.inter_broker.clone(), names(&self.advertised));
            return Err((
                INTER_BROKER_NAME,
                ListenerFault::NotAdvertised { name, known },
            ));
        }
        let is_foreign =
            |endpoint: &&Endpoint| !self.broker.iter().any(|own| own.name == endpoint.name);
        if let Some(endpoint) = self.advertised.iter().find(is_foreign) {
            let (name, known) = (endpoint.name.clone(), names(&self.broker));
            return Err((ADVERTISED, ListenerFault::NotAListener { name, known }));
        }
        let mut all = self.advertised.iter().chain(&self.advertised_controller);
        if all.any(|endpoint| endpoint.host.as_deref() == Some(WILDCARD)) {
            return Err((ADVERTISED, ListenerFault::NotRoutable));
        }
        Ok(())
    }
}

fn list(settings: &Settings, name: &'static str) -> Vec<String> {
    settings.list(name).unwrap_or_default()
}

fn normalise(name: &str) -> String {
    name.trim().to_uppercase()
}

fn names<'a>(endpoints: impl IntoIterator<Item = &'a Endpoint>) -> String {
    let names: Vec<_> = endpoints
        .into_iter()
        .map(|endpoint| endpoint.name.as_str())
        .collect();
    names.join(", ")
}

type Protocols = BTreeMap<String, SecurityProtocol>;

/// The protocol of each listener name. Unless the map is given, controller listeners speak
/// PLAINTEXT, provided that no listener is named for a protocol with security.
fn protocol_map(
    settings: &Settings,
    controller_names: &[String],
) -> Result<Protocols, ListenerFault> {
    let text = settings.text(PROTOCOL_MAP).unwrap_or_default();
    let mut protocols = Protocols::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let Some((name, protocol)) = entry.rsplit_once(':') else {
            return Err(ListenerFault::NotAMapping {
                entry: entry.to_owned(),
            });
        };
        let Some(protocol) = SecurityProtocol::parse(protocol.trim()) else {
            return Err(ListenerFault::UnknownProtocol {
                protocol: protocol.trim().to_owned(),
            });
        };
        protocols.insert(normalise(name), protocol);
    }
    let is_secure = |name: &str| {
        SecurityProtocol::parse(name).is_some_and(|known| known != SecurityProtocol::Plaintext)
    };
    let listener_is_secure = |entry: &String| {
        entry
            .split_once(':')
            .is_some_and(|(name, _)| is_secure(name))
    };
    let any_secure = controller_names.iter().any(|name| is_secure(name))
        || list(settings, LISTENERS).iter().any(listener_is_secure);
    if !settings.is_set(PROTOCOL_MAP) && !any_secure {
        for name in controller_names {
            protocols
                .entry(name.clone())
                .or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(protocols)
}

fn endpoints(entries: &[String], protocols: &Protocols) -> Result<Vec<Endpoint>, ListenerFault> {
    entries
        .iter()
        .map(|entry| endpoint(entry, protocols))
        .collect()
}

fn endpoint(entry: &str, protocols: &Protocols) -> Result<Endpoint, ListenerFault> {
    let not_an_endpoint = || ListenerFault::NotAnEndpoint {
        entry: entry.to_owned(),
    };
    let (name, address) = entry.split_once("://").ok_or_else(not_an_endpoint)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(not_an_endpoint)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port = port.parse().map_err(|_| not_an_endpoint())?;
    if name.is_empty() || !is_host(host) {
        return Err(not_an_endpoint());
    }
    let name = normalise(name);
    let Some(protocol) = protocols.get(&name).copied() else {
        return Err(ListenerFault::NoProtocol { name });
    };
    let host = (!host.is_empty()).then(|| host.to_owned());
    Ok(Endpoint {
        name,
        protocol,
        host,
        port,
    })
}

fn check_unique(endpoints: &[Endpoint], unique_ports: bool) -> Result<(), ListenerFault> {
    for (at, endpoint) in endpoints.iter().enumerate() {
        let before = &endpoints[..at];
        if before.iter().any(|other| other.name == endpoint.name) {
            return Err(ListenerFault::DuplicateName {
                name: endpoint.name.clone(),
            });
        }
        let same_port: Vec<_> = before
            .iter()
            .filter(|other| other.port == endpoint.port)
            .collect();
        let shares = match same_port.as_slice() {
            [] => true,
            [other] => are_ipv4_and_ipv6(other, endpoint),
            _ => false,
        };
        if unique_ports && endpoint.port != 0 && !shares {
            return Err(ListenerFault::DuplicatePort {
                port: endpoint.port,
            });
        }
    }
    Ok(())
}

fn are_ipv4_and_ipv6(a: &Endpoint, b: &Endpoint) -> bool {
    let host = |endpoint: &Endpoint| endpoint.host.clone().unwrap_or_default();
    let v4 = |endpoint: &Endpoint| host(endpoint).parse::<Ipv4Addr>().is_ok();
    let v6 = |endpoint: &Endpoint| host(endpoint).parse::<Ipv6Addr>().is_ok();
    (v4(a) && v6(b)) || (v6(a) && v4(b))
}

fn check_supported(endpoints: &[Endpoint]) -> Result<(), ListenerFault> {
    match endpoints
        .iter()
        .find(|endpoint| endpoint.protocol != SecurityProtocol::Plaintext)
    {
        None => Ok(()),
        Some(Endpoint { name, protocol, .. }) => Err(ListenerFault::UnsupportedProtocol {
            name: name.clone(),
            protocol: *protocol,
        }),
    }
}

/// What is advertised for a controller listener: what was given, or else the listener itself.
fn advertised_of(own: &Endpoint, given: &[Endpoint]) -> Endpoint {
    if let Some(given) = given.iter().find(|given| given.name == own.name) {
        return given.clone();
    }
    let host = own.host.clone().filter(|host| host != WILDCARD);
    Endpoint {
        host,
        ..own.clone()
    }
}

fn inter_broker_name(settings: &Settings, protocols: &Protocols) -> Result<String, Problem> {
    let Some(name) = settings.text(INTER_BROKER_NAME) else {
        return Ok(settings.text(INTER_BROKER_PROTOCOL).unwrap_or_default());
    };
    if settings.is_set(INTER_BROKER_PROTOCOL) {
        return Err(Problem::Conflict(Conflict::InterBrokerTwice));
    }
    let name = normalise(&name);
    if !protocols.contains_key(&name) {
        let origin = settings.source(INTER_BROKER_NAME);
        let cause = ListenerFault::NoProtocol { name };
        return Err(Problem::Listeners {
            key: INTER_BROKER_NAME,
            origin,
            cause,
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
