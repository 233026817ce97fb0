//! ListGroups, DescribeGroups, DeleteGroups.
//!
//! Invariant: reading shows no group whose record is not committed. Called by the shell's handlers.

use bytes::Bytes;
use ottla_protocol::{ErrorCode, Str};

use crate::answer::{Answer, DescribedGroup, DescribedMember, ListedGroup};
use crate::classic::group::{CONSUMER_PROTOCOL_TYPE, ClassicGroup, State};
use crate::consumer::group::ConsumerGroup;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::records::Record;
use crate::request::{ListGroups, Token};

/// What this machine's groups are called in ListGroups.
const GROUP_TYPE_CLASSIC: &str = "classic";
const GROUP_TYPE_CONSUMER: &str = "consumer";
/// State of a group that does not exist.
const STATE_DEAD: &str = "Dead";
/// From this version of DescribeGroups on a group that does not exist is an error.
const FIRST_DESCRIBE_VERSION_WITH_GROUP_ID_NOT_FOUND: i16 = 6;

impl GroupCoordinator {
    pub fn list_groups(&self, filter: &ListGroups) -> Vec<ListedGroup> {
        let normalize = |names: &[Str]| -> Vec<String> {
            names
                .iter()
                .map(|name| name.trim().to_lowercase())
                .collect()
        };
        let states = normalize(&filter.states);
        let types = normalize(&filter.types);
        let passes = |group: &ListedGroup| {
            (states.is_empty() || states.contains(&group.state.to_lowercase()))
                && (types.is_empty() || types.iter().any(|name| name == group.group_type))
        };
        let groups = self.committed_groups();
        let classic = groups.classic.into_values().map(listed_classic);
        let consumer = groups.consumer.into_values().map(listed_consumer);
        classic.chain(consumer).filter(passes).collect()
    }

    pub fn describe_groups(&self, api_version: i16, group_ids: &[Str]) -> Vec<DescribedGroup> {
        let groups = self.committed_groups();
        let describe = |group_id: &Str| match groups.classic.get(&**group_id) {
            Some(group) => describe(group),
            None => describe_missing(
                group_id,
                groups.consumer.contains_key(&**group_id),
                api_version,
            ),
        };
        group_ids.iter().map(describe).collect()
    }

    /// Deletes groups without members, with all their offsets, in one batch.
    pub fn handle_delete_groups(&mut self, token: Token, group_ids: Vec<Str>) {
        let mut records = Vec::new();
        let mut results: Vec<(Str, ErrorCode)> = Vec::with_capacity(group_ids.len());
        for group_id in group_ids {
            let code = match self.tombstones_of_empty_group(&group_id) {
                Ok(tombstones) => {
                    let keys = self.offsets.keys_of_group(&group_id);
                    records.extend(
                        keys.into_iter()
                            .map(|key| Record::Offset { key, value: None }),
                    );
                    records.extend(tombstones);
                    ErrorCode::None
                }
                Err(error) => error.code(),
            };
            results.push((group_id, code));
        }
        self.append(records, None);
        self.respond_when_stored(token, Answer::DeleteGroups(results));
    }

    fn tombstones_of_empty_group(&self, group_id: &Str) -> Result<Vec<Record>, GroupError> {
        if let Some(group) = self.consumer_groups.get(group_id) {
            return if group.is_empty() {
                Ok(group.tombstones())
            } else {
                Err(GroupError::NonEmptyGroup)
            };
        }
        match self.groups.get(group_id) {
            None => Err(GroupError::GroupIdNotFound),
            Some(group) if !group.is_empty() => Err(GroupError::NonEmptyGroup),
            Some(_) => Ok(vec![Record::Group {
                group_id: group_id.clone(),
                value: None,
            }]),
        }
    }
}

fn listed_classic(group: &ClassicGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.group_id.clone(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        state: group.state().name(),
        group_type: GROUP_TYPE_CLASSIC,
    }
}

fn listed_consumer(group: &ConsumerGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.group_id.clone(),
        protocol_type: CONSUMER_PROTOCOL_TYPE.into(),
        state: group.state().name(),
        group_type: GROUP_TYPE_CONSUMER,
    }
}

fn describe(group: &ClassicGroup) -> DescribedGroup {
    let protocol = group
        .protocol_name
        .clone()
        .filter(|_| group.state() == State::Stable);
    let members = group.members().map(|member| DescribedMember {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: protocol
            .as_deref()
            .map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
        assignment: member.assignment.clone(),
    });
    DescribedGroup {
        error: ErrorCode::None,
        error_message: None,
        group_id: group.group_id.clone(),
        state: group.state().name(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        members: members.collect(),
        protocol_data: protocol.unwrap_or_default(),
    }
}

fn describe_missing(group_id: &Str, is_consumer_group: bool, api_version: i16) -> DescribedGroup {
    let why = if is_consumer_group {
        "is not a classic group."
    } else {
        "not found."
    };
    let is_error = api_version >= FIRST_DESCRIBE_VERSION_WITH_GROUP_ID_NOT_FOUND;
    DescribedGroup {
        error: if is_error {
            ErrorCode::GroupIdNotFound
        } else {
            ErrorCode::None
        },
        error_message: is_error.then(|| Str::from(format!("Group {group_id} {why}"))),
        group_id: group_id.clone(),
        state: STATE_DEAD,
        protocol_type: Str::default(),
        protocol_data: Str::default(),
        members: Vec::new(),
    }
}
