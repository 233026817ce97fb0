//! `cargo xtask compat`: COMPATIBILITY.md from the tables that the broker works by.
//!
//! The page is rendered by a test of this crate (`compat/page.rs`), so that the other commands need not be linked
//! with the broker, and so that every run of the tests says when the file is stale.

use std::io;
use std::process::{Command, ExitStatus};

#[derive(clap::Args)]
pub struct Args {
    /// Fail if the file in the tree is not what would be written; write nothing
    #[arg(long)]
    check: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CompatError {
    #[error("cannot run cargo: {0}")]
    Spawn(io::Error),
    #[error("the page cannot be rendered ({0})")]
    Render(ExitStatus),
    #[error("COMPATIBILITY.md is stale, run `cargo xtask compat` ({0})")]
    Stale(ExitStatus),
}

pub fn run(args: &Args) -> Result<(), CompatError> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--quiet", "--package", "xtask", "compat::"])
        .current_dir(crate::test::workspace_root());
    if args.check {
        cargo.env_remove(UPDATE);
    } else {
        cargo.env(UPDATE, "1");
    }
    let status = cargo.status().map_err(CompatError::Spawn)?;
    match (status.success(), args.check) {
        (true, _) => Ok(()),
        (false, true) => Err(CompatError::Stale(status)),
        (false, false) => Err(CompatError::Render(status)),
    }
}

/// What makes expect-test write a file instead of comparing it.
const UPDATE: &str = "UPDATE_EXPECT";

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
