//! One member of a classic group.
//!
//! Invariant: it waits for at most one join and at most one sync.

use bytes::Bytes;
use ottla_protocol::Str;

use crate::request::{Protocol, Token};

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In order of preference; names are distinct.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Parked in its first join: it cannot heartbeat yet, so being parked does not keep it alive.
    pub is_new: bool,
    awaiting_join: Option<Token>,
    awaiting_sync: Option<Token>,
}

impl Member {
    pub fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    pub fn is_awaiting_join(&self) -> bool {
        self.awaiting_join.is_some()
    }

    /// Whether a parked request proves that the member lives.
    pub fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// What the member said about `protocol`; empty if it does not support it.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let offered = self
            .protocols
            .iter()
            .find(|offered| &*offered.name == protocol);
        offered
            .map(|offered| offered.metadata.clone())
            .unwrap_or_default()
    }

    /// Only the group parks and releases joins: it counts them.
    pub(super) fn replace_awaiting_join(&mut self, token: Option<Token>) -> Option<Token> {
        std::mem::replace(&mut self.awaiting_join, token)
    }

    pub fn replace_awaiting_sync(&mut self, token: Option<Token>) -> Option<Token> {
        std::mem::replace(&mut self.awaiting_sync, token)
    }

    pub fn awaiting_join(&self) -> Option<Token> {
        self.awaiting_join
    }
}

/// Everything a member is made of that comes with its join.
#[derive(Debug, Clone)]
pub(crate) struct MemberIdentity {
    pub member_id: Str,
    pub group_instance_id: Option<Str>,
    pub client_id: Str,
    pub client_host: Str,
}

#[derive(Debug, Clone)]
pub(crate) struct MemberTerms {
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
}

impl Member {
    pub fn new(identity: MemberIdentity, terms: MemberTerms) -> Self {
        Self {
            member_id: identity.member_id,
            group_instance_id: identity.group_instance_id,
            client_id: identity.client_id,
            client_host: identity.client_host,
            rebalance_timeout_ms: terms.rebalance_timeout_ms,
            session_timeout_ms: terms.session_timeout_ms,
            protocols: terms.protocols,
            assignment: Bytes::new(),
            is_new: false,
            awaiting_join: None,
            awaiting_sync: None,
        }
    }

    pub fn terms(&self) -> MemberTerms {
        MemberTerms {
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            protocols: self.protocols.clone(),
        }
    }
}
