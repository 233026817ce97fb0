//! Subscriptions by regular expression.
//!
//! Invariant: an expression matches a topic's whole name. Holding all topics against all expressions
//! takes long in a large cluster, so the machine only asks for it (`Effect::ResolveRegexes`); the shell
//! does it without holding the machine, leaves out topics that the client may not describe, and brings
//! the result back with `GroupCoordinator::handle_regexes_resolved`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::Str;
use regex::{Regex, RegexBuilder};

use super::draft::Draft;
use super::group::{Change, GroupEpoch, ResolvedRegex};
use super::member::Member;
use super::metadata_hash::metadata_hash;
use crate::coordinator::GroupCoordinator;
use crate::error::GroupError;
use crate::topics::TopicCatalog;

/// Memory that one compiled expression may take.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;
/// Expressions of a group are not resolved more often.
const MIN_REFRESH_INTERVAL_MS: i64 = 10_000;

/// A request to resolve the expressions of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexTask {
    pub group_id: Str,
    /// The member whose rights decide which topics may match.
    pub member_id: Str,
    pub regexes: BTreeSet<Str>,
}

/// Which topics match which expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRegexes {
    pub group_id: Str,
    /// Version of the catalog that was searched.
    pub version: i64,
    pub topics: BTreeMap<Str, BTreeSet<Str>>,
}

impl RegexTask {
    /// Holds every topic of the catalog against every expression.
    pub fn resolve(&self, topics: &dyn TopicCatalog) -> ResolvedRegexes {
        // What was valid when it was subscribed to is valid here; anything else matches nothing.
        let compiled: Vec<(&Str, Regex)> = self
            .regexes
            .iter()
            .filter_map(|regex| Some((regex, compile(regex).ok()?)))
            .collect();
        let mut matches: BTreeMap<Str, BTreeSet<Str>> = self
            .regexes
            .iter()
            .map(|regex| (regex.clone(), BTreeSet::new()))
            .collect();
        topics.for_each_name(&mut |name| {
            for (regex, compiled) in &compiled {
                if compiled.is_match(name)
                    && let Some(matched) = matches.get_mut(*regex)
                {
                    matched.insert(name.clone());
                }
            }
        });
        ResolvedRegexes {
            group_id: self.group_id.clone(),
            version: topics.version(),
            topics: matches,
        }
    }
}

fn compile(regex: &str) -> Result<Regex, GroupError> {
    let whole = format!("^(?:{regex})$");
    let compiled = RegexBuilder::new(&whole)
        .size_limit(MAX_COMPILED_BYTES)
        .build();
    // On its own too: `a)|(b` is not an expression although it is one inside of brackets.
    let own = RegexBuilder::new(regex)
        .size_limit(MAX_COMPILED_BYTES)
        .build();
    own.and(compiled)
        .map_err(|_| GroupError::InvalidRegularExpression)
}

/// What a change of a member's expression means for its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegexChange {
    None,
    /// Which topics it stands for is not known yet.
    Unresolved,
    Resolved,
}

impl GroupCoordinator {
    /// Notes what the member's new expression changes, and asks for a resolution where one is due.
    /// The draft has the member as it is now.
    pub(super) fn update_regex(
        &self,
        now_ms: i64,
        draft: &mut Draft<'_>,
        before: &Member,
        member: &Member,
        was_subscribed: bool,
    ) -> Result<RegexChange, GroupError> {
        let (old, new) = (&before.metadata.regex, &member.metadata.regex);
        let mut change = RegexChange::None;
        let mut must_resolve = false;
        if old != new {
            change = RegexChange::Unresolved;
            if !old.is_empty()
                && !draft.group().has_regex_subscriber(old)
                && draft.group().regexes().contains_key(old)
            {
                draft.push(Change::Regex {
                    regex: old.clone(),
                    value: None,
                });
            }
            if new.is_empty() {
                change = RegexChange::Resolved;
            } else if !was_subscribed {
                compile(new)?;
                must_resolve = true;
            } else if draft.group().regexes().contains_key(new) {
                change = RegexChange::Resolved;
            }
        }
        draft.regex_task = self.regex_task(now_ms, draft, member, must_resolve);
        Ok(change)
    }

    fn regex_task(
        &self,
        now_ms: i64,
        draft: &Draft<'_>,
        member: &Member,
        must_resolve: bool,
    ) -> Option<RegexTask> {
        let group = draft.group();
        let subscribed = group.regex_subscribers();
        if subscribed.is_empty() || group.is_resolving {
            return None;
        }
        // All were resolved together, so any of them tells when.
        let last = group.regexes().values().next();
        let last_at_ms = last.map(|resolved| resolved.resolved_at_ms);
        if last_at_ms.is_some_and(|at_ms| now_ms <= at_ms.saturating_add(MIN_REFRESH_INTERVAL_MS)) {
            return None;
        }
        let version = last.map_or(0, |resolved| resolved.version);
        let max_age_ms = i64::from(self.config.consumer_regex_refresh_interval_ms);
        let is_due = must_resolve
            || subscribed.len() != group.regexes().len()
            || version < self.version_of_new_topics
            || last_at_ms.is_none_or(|at_ms| now_ms > at_ms.saturating_add(max_age_ms));
        is_due.then(|| RegexTask {
            group_id: group.group_id.clone(),
            member_id: member.member_id.clone(),
            regexes: subscribed.keys().cloned().collect(),
        })
    }

    /// Takes what the expressions of a group stand for; the group is assigned anew if that changed.
    pub fn handle_regexes_resolved(&mut self, now_ms: i64, resolved: ResolvedRegexes) {
        let Some(group) = self.consumer_groups.get_mut(&resolved.group_id) else {
            return;
        };
        group.is_resolving = false;
        let group = &*group;
        let mut draft = Draft::of(group);
        let mut has_changed = false;
        for (regex, topics) in resolved.topics {
            if !group.has_regex_subscriber(&regex) {
                continue;
            }
            let before = group.regexes().get(&regex).map(|before| &before.topics);
            has_changed |= before.map_or(!topics.is_empty(), |before| *before != topics);
            let value = ResolvedRegex {
                topics,
                version: resolved.version,
                resolved_at_ms: now_ms,
            };
            draft.push(Change::Regex {
                regex,
                value: Some(value),
            });
        }
        let hash = metadata_hash(&*self.topics, draft.group().topics().keys());
        if has_changed || hash != group.metadata_hash() {
            let epoch = group.epoch().saturating_add(1);
            draft.push(Change::Epoch(Some(GroupEpoch {
                epoch,
                metadata_hash: hash,
            })));
            draft.fresh_until = Some((i64::MAX, epoch));
        }
        let plan = draft.into_plan();
        self.carry_out(now_ms, plan);
    }
}
