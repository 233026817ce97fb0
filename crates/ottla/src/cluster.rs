//! The options with which every tool finds its cluster.

use std::time::Duration;

use clap::Args;
use ottla_net::client::{Client, ClientConfig, ClientError};

use crate::output::Format;

#[derive(Args, Debug, Clone)]
pub struct ClusterArgs {
    /// Brokers to ask first, host:port, separated by commas.
    #[arg(
        long,
        short = 'b',
        global = true,
        value_name = "ADDRESSES",
        env = "OTTLA_BOOTSTRAP_SERVER",
        default_value = "localhost:9092"
    )]
    bootstrap_server: String,

    /// Tables for people, JSON for programs.
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub output: Format,

    /// How long an operation may take, in seconds.
    #[arg(long, global = true, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl ClusterArgs {
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(self.config()?).await
    }

    pub fn config(&self) -> Result<ClientConfig, ClientError> {
        let timeout = Duration::from_secs(self.timeout);
        let mut config = ClientConfig::new(&self.bootstrap_server)?;
        config.request_timeout = timeout;
        config.operation_timeout = timeout;
        config.connect_timeout = config.connect_timeout.min(timeout);
        Ok(config)
    }
}
