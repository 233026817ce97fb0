//! `ottla groups`: list, describe, delete, and move the offsets of consumer groups.

use std::collections::BTreeMap;

use clap::Subcommand;
use ottla_net::client::{Client, ClientError, GroupView, OffsetSpec, Offsets, Position};
use serde::Serialize;

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_descriptions, print_json, print_list, print_table, table};
use crate::positions::parse_position;
use crate::topics::each;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show all groups.
    List,
    /// Show members, committed offsets and how far they are behind.
    Describe {
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Delete groups without members, and their offsets.
    Delete {
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Move the offsets of a group without members.
    #[command(after_help = "\
Shows what it would do; --execute does it.

Examples:
  ottla groups reset-offsets billing --topic orders --to earliest --execute
  ottla groups reset-offsets billing --topic orders:0,3 --to 1500
  ottla groups reset-offsets billing --to 2026-11-24T05:00:00Z
  ottla groups reset-offsets billing --shift -100 --execute")]
    ResetOffsets {
        group: String,
        /// The topic, or some of its partitions; may be given several times. All topics for which
        /// the group has offsets if left out.
        #[arg(long = "topic", short, value_name = "TOPIC[:PARTITION,…]")]
        topics: Vec<String>,
        /// earliest, latest, an offset (42), the last so many (-10), a time
        /// (2026-11-24T05:21:00Z, @1795497660000) or an age (15m, 2h, 3d).
        #[arg(long, value_parser = parse_position, allow_hyphen_values = true, required_unless_present = "shift")]
        to: Option<Position>,
        /// So many offsets forward, or backward if negative.
        #[arg(long, allow_hyphen_values = true, conflicts_with = "to")]
        shift: Option<i64>,
        #[arg(long)]
        execute: bool,
    },
}

pub async fn run(args: Args) -> Result<(), ToolError> {
    let client = args.cluster.connect().await?;
    let output = args.cluster.output;
    match args.command {
        Command::List => list(&client, output).await,
        Command::Describe { groups } => describe(&client, output, &groups).await,
        Command::Delete { groups } => {
            each(groups, async |group| {
                client.delete_group(group).await?;
                Ok(Some(format!("deleted {group}")))
            })
            .await
        }
        Command::ResetOffsets {
            group,
            topics,
            to,
            shift,
            execute,
        } => {
            let target = match (to, shift) {
                (_, Some(shift)) => Target::Shift(shift),
                (Some(position), None) => Target::To(position),
                (None, None) => Target::To(Position::Latest),
            };
            reset(&client, output, &group, &topics, target, execute).await
        }
    }
}

#[derive(Serialize)]
struct ListedGroup {
    group: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    protocol: String,
}

async fn list(client: &Client, output: Format) -> Result<(), ToolError> {
    let groups = client.list_groups().await?;
    let groups: Vec<ListedGroup> = groups
        .into_iter()
        .map(|group| ListedGroup {
            group: group.group_id.to_string(),
            kind: group.group_type.to_string(),
            state: group.group_state.to_string(),
            protocol: group.protocol_type.to_string(),
        })
        .collect();
    print_list(
        output,
        groups,
        "No groups. `ottla consume TOPIC --group NAME` makes one.",
        &["GROUP", "TYPE", "STATE", "PROTOCOL"],
        |group| vec![group.group, group.kind, group.state, group.protocol],
    )
}

#[derive(Serialize)]
struct GroupDescription {
    group: String,
    state: String,
    assignor: String,
    members: Vec<Member>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Member {
    member: String,
    instance: Option<String>,
    client: String,
    host: String,
}

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    end: Option<i64>,
    lag: Option<i64>,
    /// Who reads it, as an index into `members`.
    #[serde(skip)]
    owner: Option<usize>,
    member: Option<String>,
}

async fn describe(client: &Client, output: Format, groups: &[String]) -> Result<(), ToolError> {
    let mut described = Vec::new();
    for group in groups {
        described.push(describe_group(client, group).await?);
    }
    print_descriptions(output, &described, render)
}

async fn describe_group(client: &Client, group: &str) -> Result<GroupDescription, ClientError> {
    let described = client.describe_group(group).await?;
    let committed = client.committed_offsets(group).await?;
    let owners = owners(&described);
    let keys: std::collections::BTreeSet<(String, i32)> =
        committed.keys().chain(owners.keys()).cloned().collect();
    let ends = end_offsets(client, &keys).await?;
    let partitions = keys.into_iter().map(|key| {
        let at = committed.get(&key).copied();
        let end = ends.get(&key).copied();
        let owner = owners.get(&key).copied();
        Partition {
            committed: at,
            end,
            lag: at.zip(end).map(|(at, end)| (end - at).max(0)),
            owner,
            member: owner.map(|owner| described.members[owner].id.clone()),
            topic: key.0,
            partition: key.1,
        }
    });
    let members = described.members.iter().map(|member| Member {
        member: member.id.clone(),
        instance: member.instance.clone(),
        client: member.client.clone(),
        host: member.host.clone(),
    });
    Ok(GroupDescription {
        group: group.to_owned(),
        state: described.state.clone(),
        assignor: described.assignor.clone(),
        members: members.collect(),
        partitions: partitions.collect(),
    })
}

/// Which member reads which partition.
fn owners(described: &GroupView) -> BTreeMap<(String, i32), usize> {
    let mut owners = BTreeMap::new();
    for (index, member) in described.members.iter().enumerate() {
        for (topic, partitions) in &member.assignment {
            let keys = partitions.iter();
            owners.extend(keys.map(|partition| ((topic.clone(), *partition), index)));
        }
    }
    owners
}

/// Ends of the partitions that still exist.
async fn end_offsets(
    client: &Client,
    keys: &std::collections::BTreeSet<(String, i32)>,
) -> Result<Offsets, ClientError> {
    let topics: std::collections::BTreeSet<&str> = keys.iter().map(|key| key.0.as_str()).collect();
    let topics: Vec<&str> = topics.into_iter().collect();
    let cluster = client.cluster(Some(&topics)).await?;
    let wanted: Vec<_> = keys
        .iter()
        .filter(|key| cluster.leader(&key.0, key.1).is_ok())
        .map(|key| (key.0.clone(), key.1, OffsetSpec::Latest))
        .collect();
    client.list_offsets(&wanted).await
}

fn render(group: &GroupDescription) -> String {
    let assignor = match group.assignor.is_empty() {
        true => String::new(),
        false => format!(", assignor {}", group.assignor),
    };
    let members = group.members.len();
    let mut text = format!(
        "Group {}: {}, {members} member{}{assignor}\n",
        group.group,
        group.state,
        if members == 1 { "" } else { "s" }
    );
    if group.partitions.is_empty() {
        text += "No offsets are committed.\n";
        return text;
    }
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    let rows = group.partitions.iter().map(|partition| {
        let member = partition.owner.and_then(|owner| group.members.get(owner));
        vec![
            partition.topic.clone(),
            partition.partition.to_string(),
            number(partition.committed),
            number(partition.end),
            number(partition.lag),
            member.map_or_else(|| "-".to_owned(), |member| member.member.clone()),
            member.map_or_else(|| "-".to_owned(), |member| member.host.clone()),
        ]
    });
    let headings = [
        "TOPIC",
        "PARTITION",
        "COMMITTED",
        "END",
        "LAG",
        "MEMBER",
        "HOST",
    ];
    text + &table(&headings, rows)
}

enum Target {
    To(Position),
    Shift(i64),
}

#[derive(Serialize)]
struct Move {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

async fn reset(
    client: &Client,
    output: Format,
    group: &str,
    topics: &[String],
    target: Target,
    execute: bool,
) -> Result<(), ToolError> {
    let committed = client.committed_offsets(group).await?;
    let keys = chosen(client, &committed, topics).await?;
    let offsets = targets(client, &committed, &keys, &target).await?;
    if execute {
        client.reset_offsets(group, &offsets).await?;
    }
    let moves: Vec<Move> = offsets
        .into_iter()
        .map(|((topic, partition), to)| Move {
            from: committed.get(&(topic.clone(), partition)).copied(),
            topic,
            partition,
            to,
        })
        .collect();
    if output == Format::Json {
        return print_json(&moves);
    }
    let rows = moves.into_iter().map(|change| {
        vec![
            change.topic,
            change.partition.to_string(),
            change
                .from
                .map_or_else(|| "-".to_owned(), |from| from.to_string()),
            change.to.to_string(),
        ]
    });
    print_table(&["TOPIC", "PARTITION", "FROM", "TO"], rows)?;
    if !execute {
        eprintln!("Nothing was changed; --execute does it.");
    }
    Ok(())
}

/// The partitions whose offsets are to be moved.
async fn chosen(
    client: &Client,
    committed: &Offsets,
    topics: &[String],
) -> Result<Vec<(String, i32)>, ToolError> {
    if topics.is_empty() {
        return Ok(committed.keys().cloned().collect());
    }
    let mut keys = Vec::new();
    for text in topics {
        let (topic, numbers) = parse_topic(text).ok_or_else(|| ToolError::Argument {
            argument: "--topic",
            value: text.clone(),
            expected: "a topic, or a topic and partitions as in orders:0,3",
        })?;
        let cluster = client.cluster(Some(&[topic])).await?;
        let numbers = match numbers {
            Some(numbers) => numbers,
            None => cluster.partitions(topic)?,
        };
        for number in numbers {
            cluster.leader(topic, number)?;
            keys.push((topic.to_owned(), number));
        }
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// Splits `TOPIC:0,3`.
fn parse_topic(text: &str) -> Option<(&str, Option<Vec<i32>>)> {
    match text.split_once(':') {
        None => Some((text, None)),
        Some((topic, numbers)) => {
            let numbers: Option<Vec<i32>> = numbers
                .split(',')
                .map(|number| number.parse().ok())
                .collect();
            Some((topic, Some(numbers?)))
        }
    }
}

/// Where each partition's offset is to go, held within what the partition has.
async fn targets(
    client: &Client,
    committed: &Offsets,
    keys: &[(String, i32)],
    target: &Target,
) -> Result<Offsets, ClientError> {
    let ask = |spec| {
        keys.iter()
            .map(|key| (key.0.clone(), key.1, spec))
            .collect::<Vec<_>>()
    };
    let first = client.list_offsets(&ask(OffsetSpec::Earliest)).await?;
    let ends = client.list_offsets(&ask(OffsetSpec::Latest)).await?;
    let at_time = match target {
        Target::To(Position::Timestamp(at)) => {
            client
                .list_offsets(&ask(OffsetSpec::Timestamp(*at)))
                .await?
        }
        _ => Offsets::new(),
    };
    let mut offsets = Offsets::new();
    for key in keys {
        let (first, end) = (first[key], ends[key]);
        let offset = match target {
            Target::To(Position::Earliest) => first,
            Target::To(Position::Latest) => end,
            Target::To(Position::Offset(offset)) => *offset,
            Target::To(Position::Last(count)) => end.saturating_sub(*count),
            // After the last record there is only the end.
            Target::To(Position::Timestamp(_)) => match at_time.get(key) {
                Some(offset @ 0..) => *offset,
                _ => end,
            },
            Target::Shift(by) => match committed.get(key) {
                Some(offset) => offset.saturating_add(*by),
                None => continue,
            },
        };
        offsets.insert(key.clone(), offset.clamp(first, end));
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests;
