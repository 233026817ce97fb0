//! `ottla configs`: show and change configurations.

use clap::Subcommand;
use ottla_net::client::{ConfigChange, Resource};
use ottla_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use serde::Serialize;

use crate::cluster::ClusterArgs;
use crate::error::ToolError;
use crate::output::{Format, print_json, print_table, print_text};
use crate::topics::parse_pair;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a configuration: what was set, or everything.
    #[command(after_help = "\
Examples:
  ottla configs describe --topic orders
  ottla configs describe --topic orders --all --docs
  ottla configs describe --broker 1 --output json")]
    Describe {
        #[command(flatten)]
        resource: ResourceArgs,
        /// Also what has its default.
        #[arg(long, short)]
        all: bool,
        /// Only these keys; may be given several times. Implies --all.
        #[arg(long = "key", short, value_name = "KEY")]
        keys: Vec<String>,
        /// With a line on what each key means.
        #[arg(long)]
        docs: bool,
    },
    /// Change a configuration.
    #[command(after_help = "\
Examples:
  ottla configs alter --topic orders --set retention.ms=3600000
  ottla configs alter --topic orders --delete retention.ms
  ottla configs alter --topic orders --append cleanup.policy=compact
  ottla configs alter --broker-defaults --set log.retention.ms=86400000")]
    Alter {
        #[command(flatten)]
        resource: ResourceArgs,
        #[arg(long = "set", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
        set: Vec<(String, String)>,
        /// Back to the default.
        #[arg(long = "delete", short, value_name = "KEY")]
        delete: Vec<String>,
        /// Add to a list.
        #[arg(long = "append", value_name = "KEY=VALUE", value_parser = parse_pair)]
        append: Vec<(String, String)>,
        /// Take from a list.
        #[arg(long = "subtract", value_name = "KEY=VALUE", value_parser = parse_pair)]
        subtract: Vec<(String, String)>,
        /// Only ask whether it would work.
        #[arg(long)]
        validate_only: bool,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct ResourceArgs {
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// What all brokers have unless it is set for one.
    #[arg(long)]
    broker_defaults: bool,
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

impl ResourceArgs {
    fn resource(self) -> Resource {
        match self {
            ResourceArgs {
                topic: Some(name), ..
            } => Resource::Topic(name),
            ResourceArgs {
                group: Some(name), ..
            } => Resource::Group(name),
            ResourceArgs { broker, .. } => Resource::Broker(broker),
        }
    }
}

pub async fn run(args: Args) -> Result<(), ToolError> {
    let client = args.cluster.connect().await?;
    match args.command {
        Command::Describe {
            resource,
            all,
            keys,
            docs,
        } => {
            let configs = client.describe_configs(&resource.resource(), docs).await?;
            let shown = configs.into_iter().filter(|config| match keys.is_empty() {
                true => all || is_set(config),
                false => keys.iter().any(|key| config.name == key.as_str()),
            });
            show(args.cluster.output, shown.map(Shown::from).collect(), docs)
        }
        Command::Alter {
            resource,
            set,
            delete,
            append,
            subtract,
            validate_only,
        } => {
            let pair =
                |change: fn(String, String) -> ConfigChange| move |(key, value)| change(key, value);
            let changes: Vec<ConfigChange> = set
                .into_iter()
                .map(pair(ConfigChange::Set))
                .chain(delete.into_iter().map(ConfigChange::Delete))
                .chain(append.into_iter().map(pair(ConfigChange::Append)))
                .chain(subtract.into_iter().map(pair(ConfigChange::Subtract)))
                .collect();
            if changes.is_empty() {
                return Err(ToolError::Argument {
                    argument: "alter",
                    value: String::new(),
                    expected: "say what to change: --set, --delete, --append or --subtract",
                });
            }
            let resource = resource.resource();
            client
                .alter_configs(&resource, &changes, validate_only)
                .await?;
            print_text(match validate_only {
                true => "this would work\n",
                false => "changed\n",
            })
        }
    }
}

#[derive(Serialize)]
struct Shown {
    key: String,
    value: Option<String>,
    source: &'static str,
    read_only: bool,
    sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<String>,
}

impl From<DescribeConfigsResourceResult> for Shown {
    fn from(config: DescribeConfigsResourceResult) -> Self {
        Shown {
            key: config.name.to_string(),
            value: config.value.map(String::from),
            source: source(config.config_source),
            read_only: config.read_only,
            sensitive: config.is_sensitive,
            documentation: config.documentation.map(String::from),
        }
    }
}

const DEFAULT_SOURCE: i8 = 5;

fn is_set(config: &DescribeConfigsResourceResult) -> bool {
    config.config_source != DEFAULT_SOURCE
}

/// Where a value comes from, by Kafka's numbers.
fn source(code: i8) -> &'static str {
    match code {
        1 => "topic",
        2 => "broker",
        3 => "broker defaults",
        4 => "server.properties",
        DEFAULT_SOURCE => "default",
        6 => "broker logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}

fn show(output: Format, configs: Vec<Shown>, docs: bool) -> Result<(), ToolError> {
    if output == Format::Json {
        return print_json(&configs);
    }
    if configs.is_empty() {
        eprintln!("Everything has its default; --all shows it.");
        return Ok(());
    }
    if docs {
        for config in configs {
            let value = value(&config);
            let docs = config.documentation.unwrap_or_default();
            print_text(&format!(
                "{}={value}    ({})\n    {docs}\n",
                config.key, config.source
            ))?;
        }
        return Ok(());
    }
    let rows = configs
        .into_iter()
        .map(|config| vec![config.key.clone(), value(&config), config.source.to_owned()]);
    print_table(&["KEY", "VALUE", "SOURCE"], rows)
}

fn value(config: &Shown) -> String {
    match &config.value {
        Some(value) => value.clone(),
        None if config.sensitive => "(hidden)".to_owned(),
        None => "-".to_owned(),
    }
}
