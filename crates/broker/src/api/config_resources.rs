//! What AlterConfigs and IncrementalAlterConfigs have in common: what is refused before the controller is asked.

use std::collections::{BTreeMap, BTreeSet};

use ottla_config::ResourceType;
use ottla_controller::{ControlError, Controller, Outcome};
use ottla_metadata::ConfigResource;
use ottla_protocol::{ErrorCode, Str};

use super::Context;
use super::failure::{Failure, fields};

/// One resource that a request wants to change.
pub struct Asked<'a> {
    pub kind: i8,
    pub name: &'a str,
    pub keys: Vec<&'a str>,
    /// Keys without a value that need one.
    pub nulls: Vec<&'a str>,
}

/// Where the change of a resource is decided.
#[derive(Debug, PartialEq)]
pub enum Decision {
    Controller,
    Loggers,
    Refused(Failure),
}

/// Says for each resource who decides. AlterConfigs, unlike its successor, changes no loggers.
pub fn sort(asked: &[Asked<'_>], with_loggers: bool) -> Vec<Decision> {
    let mut counts: BTreeMap<(i8, &str), usize> = BTreeMap::new();
    for resource in asked {
        *counts.entry((resource.kind, resource.name)).or_default() += 1;
    }
    let decide = |resource: &Asked<'_>| {
        if counts[&(resource.kind, resource.name)] > 1 {
            return Err(Failure::invalid_request(
                "Each resource must appear at most once.",
            ));
        }
        let distinct: BTreeSet<&&str> = resource.keys.iter().collect();
        if distinct.len() != resource.keys.len() {
            return Err(Failure::invalid_request(
                "Error due to duplicate config keys",
            ));
        }
        if !resource.nulls.is_empty() {
            let message = format!(
                "Null value not supported for : {}",
                resource.nulls.join(", ")
            );
            return Err(Failure::invalid_request(&message));
        }
        match ResourceType::from_code(resource.kind) {
            Some(ResourceType::BrokerLogger) if with_loggers => Ok(Decision::Loggers),
            Some(ResourceType::BrokerLogger) | None => Err(Failure::invalid_request(&format!(
                "Unknown resource type {}",
                resource.kind
            ))),
            Some(_) => Ok(Decision::Controller),
        }
    };
    asked
        .iter()
        .map(|resource| decide(resource).unwrap_or_else(Decision::Refused))
        .collect()
}

/// Has the controller decide on all commands at once; one outcome for each.
pub async fn decide<C: Send + 'static>(
    context: &Context,
    commands: Vec<C>,
    decide: impl FnOnce(&Controller, &[C]) -> Result<Outcome<Vec<Decided>>, ControlError>
    + Send
    + 'static,
) -> Vec<Result<(), Failure>> {
    let count = commands.len();
    if count == 0 {
        return Vec::new();
    }
    match context
        .control(move |controller, _| decide(controller, &commands))
        .await
    {
        Ok(answers) => answers
            .into_iter()
            .map(|(_, answer)| answer.map_err(Failure::from))
            .collect(),
        Err(failure) => vec![Err(failure); count],
    }
}

/// A resource, and what the controller says of its change.
type Decided = (ConfigResource, Result<(), ControlError>);

/// The outcome of each resource, in the order of the request: code and words for its answer.
pub fn answers(
    decisions: Vec<Decision>,
    decided: Vec<Result<(), Failure>>,
    alter_loggers: impl Fn(usize) -> Result<(), Failure>,
) -> Vec<(i16, Option<Str>)> {
    let mut decided = decided.into_iter();
    let outcomes = decisions
        .into_iter()
        .enumerate()
        .map(|(at, decision)| match decision {
            Decision::Refused(failure) => Err(failure),
            Decision::Loggers => alter_loggers(at),
            Decision::Controller => decided
                .next()
                .unwrap_or_else(|| Err(ErrorCode::UnknownServerError.into())),
        });
    outcomes.map(fields).collect()
}

#[cfg(test)]
mod tests;
